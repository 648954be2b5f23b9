//! The page of the demo `world`, in a real browser.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::common::Watchdog;
use crate::common::process::{Process, example};
use crate::world_player::World;

/// `ZINX_TEST_CHROMIUM` names the browser; with `ZINX_TEST_PICTURES`, a folder, the picture of `docs/clients.md` is taken.
#[test]
fn two_tabs_walk_and_talk_in_chromium_and_a_reload_keeps_the_player() {
    if std::env::var_os("ZINX_TEST_CHROMIUM").is_none() {
        return eprintln!("skipped: the page of the world, because ZINX_TEST_CHROMIUM names no browser");
    }
    if !Path::new(ROOT).join("clients/typescript/dist/zinx-client.global.js").exists() {
        return eprintln!("skipped: the page of the world, because clients/typescript is not built");
    }
    let _watchdog = Watchdog::start(Duration::from_secs(900));
    let world = World::start("2");
    let bots = std::env::var_os("ZINX_TEST_PICTURES").map(|_| {
        let address = world.tcp.to_string();
        Process::spawn(Command::new(example("world_bots")).args([&address, "200", "600"]))
    });
    let said = Command::new("node")
        .arg("--experimental-websocket")
        .arg(Path::new(ROOT).join("tests/demos/world_page.mjs"))
        .arg(format!("ws://{}/", world.websocket))
        .output()
        .expect("node is installed");
    let (out, err) = (String::from_utf8_lossy(&said.stdout), String::from_utf8_lossy(&said.stderr));
    assert!(said.status.success(), "{out}\n{err}");
    drop(bots);
    world.stop();
}

const ROOT: &str = env!("CARGO_MANIFEST_DIR");
