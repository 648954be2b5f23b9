//! The demos of conversations, each server and client in processes of their own, compared line by line.

#![expect(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "tests are plain threads: they block nobody's worker"
)]

#[expect(dead_code, reason = "each test file uses its share")]
mod common;

use std::process::Command;
use std::time::Duration;

use common::process::{Process, example};
use rustix::process::Signal;

#[test]
fn ask() {
    let expected =
        "how many apples?\n7 apples for 21?\nsold\nhow many pears?\n7 pears for 21?\nanother time\n";
    check("ask", expected);
}

#[test]
fn chat() {
    let expected = "Ann reads: log in first\n\
                    Ann reads: welcome, ann\n\
                    Ann reads: ann has come\n\
                    Bob reads: welcome, bob\n\
                    Bob reads: ann has come\n\
                    Bob reads: bob has come\n\
                    Ann reads: bob has come\n\
                    Bob reads: bob says: hello, Ann\n\
                    Ann reads: bob says: hello, Ann\n\
                    Bob reads: carol is not here\n\
                    Ann reads: bob whispers: psst\n\
                    Ann's phone reads: welcome, ann\n\
                    Ann reads: the user has logged in on another connection\n\
                    Ann is disconnected\n\
                    Bob reads: ann has gone\n";
    check("chat", expected);
}

#[test]
fn the_chat_server_is_short() {
    assert!(include_str!("../demo/chat/server.rs").lines().count() < 150);
}

#[test]
fn resume() {
    check("resume", "+ 1 = 1\n+ 2 = 3\nthe socket is lost: true\n+ 3 = 6\n+ 4 = 10\n");
}

#[test]
fn device() {
    let expected = "command 0x10, port 1, heard: false\n\
                    command 0x10, port 1, heard: true\n\
                    closed by the gateway: true\n";
    let server = check("device", expected);
    let printed = "pile-7 is here\n\
                   pile-7 charges: port 1, 32 A\n\
                   pile-7: 0.5 kWh\n\
                   pile-7: 1.0 kWh\n\
                   pile-7 is gone\n";
    assert_eq!(server, printed);
}

#[test]
fn login_menu_game() {
    let menu = "ann: 1 play, 2 best game, 3 leave";
    let number = "a number from 1 to 100?";
    let expected = format!(
        "name? ann\npassword? ann\nwrong\nname? ann\npassword? ann123\n\
         {menu} 2\nnone yet\n\
         {menu} 1\n{number} 50\nless\n{number} x\nthat is no number\n{number} 40\nmore\n{number} 42\n\
         right, after 4\n\
         {menu} 2\n4 guesses\n\
         {menu} 3\nbye\n"
    );
    check("login_menu_game", &expected);
}

/// Runs a demo's server and client; the client must print `expected`. Returns what the server has printed.
fn check(demo: &str, expected: &str) -> String {
    let server = Process::listening(&mut Command::new(example(&format!("{demo}_server"))));
    let mut command = Command::new(example(&format!("{demo}_client")));
    let client = Process::spawn(command.arg(server.address.to_string())).end_within(LIMIT);
    assert_eq!(client.stdout, expected, "{}", client.stderr);
    assert!(client.status.success(), "client: {}", client.status);
    server.kill(Signal::TERM);
    let ended = server.end_within(LIMIT);
    assert_eq!(ended.status.code(), Some(0), "server: {}", ended.stderr);
    ended.stdout
}

/// The longest one demo may take.
const LIMIT: Duration = Duration::from_secs(20);
