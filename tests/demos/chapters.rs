//! The tutorial's demos, as its reader runs them: each chapter's commands, and what it says the client prints.

use std::net::TcpStream;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::common::process::{Process, example};
use rustix::process::Signal;

#[test]
fn chapter_1_echo() {
    follow("01-echo", 1);
}

#[test]
fn chapter_2_connection() {
    follow("02-connection", 1);
}

#[test]
fn chapter_3_router() {
    follow("03-router", 1);
}

#[test]
fn chapter_4_globalobj() {
    follow("04-globalobj", 2);
}

#[test]
fn chapter_5_datapack() {
    follow("05-datapack", 1);
}

#[test]
fn chapter_6_msghandler() {
    follow("06-msghandler", 1);
}

#[test]
fn chapter_7_read_write() {
    follow("07-read_write", 1);
}

#[test]
fn chapter_8_worker_pool() {
    follow("08-worker_pool", 2);
}

#[test]
fn chapter_9_connmanager() {
    follow("09-connmanager", 2);
}

#[test]
fn chapter_10_hook() {
    follow("10-hook", 1);
}

#[test]
fn chapter_11_property() {
    follow("11-property", 1);
}

/// Runs what a chapter says to run, as often as it says what the client prints: `times`.
fn follow(chapter: &str, times: usize) {
    let path = Path::new(ROOT).join("docs/tutorial").join(chapter).with_extension("md");
    let text = std::fs::read_to_string(path).unwrap();
    let (mut server, mut client, mut beside, mut followed) = (None, None, false, 0);
    // Between the fences: text, block, text, block, ..
    for block in text.split("\n```").skip(1).step_by(2) {
        let (kind, content) = block.split_once('\n').unwrap();
        match kind {
            "sh" => {
                beside = false;
                for line in content.lines().filter(|line| !line.starts_with('#')) {
                    if line.starts_with("nc ") {
                        beside = true;
                        continue;
                    }
                    let target = if line.ends_with("_server") { &mut server } else { &mut client };
                    *target = Some(line);
                }
            }
            "text client" => {
                check(server.expect("a server"), client.expect("a client"), beside, content);
                followed += 1;
            }
            _ => {}
        }
    }
    assert_eq!(followed, times);
}

/// Runs a server and its client; the client must print `expected`, and the server end well when told to. `beside`: with
/// another client that came before and says nothing.
fn check(server: &str, client: &str, beside: bool, expected: &str) {
    let server = Process::spawn(command(server).env("ZINX_TCPPORT", "0"));
    let line = server.wait_for("listening on ");
    let (_, address) = line.split_once("listening on ").unwrap();
    let beside = beside.then(|| TcpStream::connect(address).unwrap());
    let client = Process::spawn(command(client).arg(address)).end_within(LIMIT);
    drop(beside);
    assert_eq!(client.stdout.trim_end(), expected, "{}", client.stderr);
    assert!(client.status.success(), "{}", client.status);
    server.kill(Signal::TERM);
    let server = server.end_within(LIMIT);
    assert_eq!(server.status.code(), Some(0), "{}", server.stderr);
}

/// `KEY=value .. cargo run --example NAME`, without building it once more.
fn command(line: &str) -> Command {
    let (settings, name) = line.split_once("cargo run --example ").expect("a command of the tutorial");
    let mut command = Command::new(example(name));
    for (key, value) in settings.split_whitespace().filter_map(|setting| setting.split_once('=')) {
        // The reader is in the project's folder, the test is not.
        let path = Path::new(ROOT).join(value);
        command.env(key, if path.exists() { path.as_os_str() } else { value.as_ref() });
    }
    command
}

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// The longest that one demo may take.
const LIMIT: Duration = Duration::from_secs(20);
