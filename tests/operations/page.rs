//! The live page: who gets it, what it may do, and what it shows in a browser.

use std::process::Command;
use std::time::Duration;

use zinx::Server;
use zinx::prelude::*;

use crate::common::{ECHO, Watchdog, start_alone};
use crate::http::{Answer, ask, config};

const HTML: &str = "Accept: text/html,application/xhtml+xml,*/*;q=0.8\r\n";
const TOKEN: &str = "0123456789abcdef";

fn policy(page: &Answer) -> &str {
    let line = page.head.lines().find_map(|line| line.strip_prefix("Content-Security-Policy: "));
    line.unwrap_or_else(|| panic!("no policy: {}", page.head))
}

#[test]
fn a_browser_gets_the_live_page_and_others_the_list_of_paths() {
    let running = start_alone(config(), |_| {});
    let plane = running.server.admin_addr().unwrap();
    let page = ask(plane, "GET", "/", HTML);
    assert_eq!(page.status, 200);
    assert!(
        page.head.contains("Content-Type: text/html; charset=utf-8") && page.head.contains("Vary: Accept")
    );
    assert!(page.body.starts_with("<!doctype html>"));
    for others in ["", "Accept: */*\r\n", "Accept: application/json\r\n"] {
        assert!(ask(plane, "GET", "/", others).body.contains("GET  /connz"), "{others}");
    }
    assert_eq!(ask(plane, "POST", "/", HTML).status, 405);
    assert_eq!(ask(plane, "GET", "/", &format!("Host: evil.example\r\n{HTML}")).status, 403);
    let head = ask(plane, "HEAD", "/", HTML);
    assert_eq!((head.status, head.body.as_str()), (200, ""));
}

#[test]
fn the_live_page_runs_only_its_own_script_and_loads_nothing() {
    let running = start_alone(config(), |_| {});
    let plane = running.server.admin_addr().unwrap();
    let [page, again] = [(); 2].map(|()| ask(plane, "GET", "/", HTML));
    let nonce = page.body.split("nonce=\"").nth(1).and_then(|rest| rest.split('"').next()).unwrap();
    assert_eq!(nonce.len(), 32);
    let allows = format!("default-src 'none'; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; ");
    assert!(policy(&page).starts_with(&allows), "{}", policy(&page));
    for part in ["connect-src 'self'", "frame-ancestors 'none'", "require-trusted-types-for 'script'"] {
        assert!(policy(&page).contains(part), "{part}");
    }
    assert_ne!(policy(&page), policy(&again), "the nonce of each answer is its own");
    for outside in ["src=", "//cdn", "@import", "url(", "innerHTML", " style=", " onclick="] {
        assert!(!page.body.contains(outside), "{outside}");
    }
}

#[test]
fn the_live_page_needs_no_token_but_what_it_shows_does() {
    let mut config = config();
    config.admin_token = TOKEN.to_string();
    let running = start_alone(config, |_| {});
    let plane = running.server.admin_addr().unwrap();
    assert!(ask(plane, "GET", "/", HTML).body.starts_with("<!doctype html>"));
    assert_eq!(ask(plane, "GET", "/", "").status, 401);
    assert_eq!(ask(plane, "GET", "/metrics", HTML).status, 401);
}

/// `ZINX_TEST_CHROMIUM` names the browser; with `ZINX_TEST_PICTURES`, a folder, the pictures of `docs/operations.md` are taken.
#[test]
fn the_live_page_shows_and_steers_the_server_in_chromium() {
    if std::env::var_os("ZINX_TEST_CHROMIUM").is_none() {
        return eprintln!("skipped: the live page in Chromium, because ZINX_TEST_CHROMIUM names none");
    }
    let _watchdog = Watchdog::start(Duration::from_secs(900));
    let [open, closed] = [serve(""), serve(TOKEN)];
    let address = |server: &Server| server.local_addr().unwrap().to_string();
    let plane = |server: &Server| format!("http://{}/", server.admin_addr().unwrap());
    let said = Command::new("node")
        .arg("--experimental-websocket")
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/operations/page.mjs"))
        .args([plane(&open), address(&open), plane(&closed), TOKEN.to_string()])
        .output()
        .expect("node is installed");
    let (out, err) = (String::from_utf8_lossy(&said.stdout), String::from_utf8_lossy(&said.stderr));
    assert!(said.status.success(), "{out}\n{err}");
    assert!(open.wait_stopped(Duration::from_secs(60)), "the page has drained it");
    closed.stop();
    assert!(closed.wait_stopped(Duration::from_secs(60)));
}

const LOGIN: u32 = 20;
const JOIN: u32 = 21;
const ASK: u32 = 22;
const SLEEP: u32 = 23;

/// A server whose handlers do what the page is to show.
fn serve(token: &str) -> Server {
    let mut config = config();
    config.name = "game".to_string();
    config.admin_token = token.to_string();
    // Nobody is cut off, however slow the machine.
    config.drain_ms = 0;
    let server = new_server_with_config(config).unwrap();
    let text = |request: &dyn IRequest| String::from_utf8_lossy(request.get_data()).into_owned();
    server
        .add_router(ECHO, |request: &dyn IRequest| {
            request.get_connection().send_msg(ECHO, request.get_data())
        })
        .unwrap();
    let login = move |request: &dyn IRequest| {
        let conn = request.get_connection();
        conn.login(text(request), OnDuplicate::Multi)?;
        conn.send_msg(LOGIN, "")
    };
    server.add_router(LOGIN, login).unwrap();
    let join = move |request: &dyn IRequest| {
        let conn = request.get_connection();
        conn.join_group(&text(request))?;
        conn.send_msg(JOIN, "")
    };
    server.add_router(JOIN, join).unwrap();
    let asks =
        |request: &dyn IRequest| request.get_connection().call(7, "?", 8, Duration::from_secs(600)).map(drop);
    server.add_router(ASK, asks).unwrap();
    let sleeps = |request: &dyn IRequest| {
        let ms = request.get_data().iter().fold(0, |ms, byte| ms * 256 + u64::from(*byte));
        zinx::green::sleep(Duration::from_millis(ms));
        request.get_connection().send_msg(SLEEP, "")
    };
    server.add_router(SLEEP, sleeps).unwrap();
    server.start().unwrap();
    server
}
