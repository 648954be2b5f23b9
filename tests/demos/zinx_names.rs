//! The demos named as Zinx names its examples: each server and its client in processes of their own.

use std::process::Command;
use std::time::Duration;

use crate::common::process::{Process, example};
use rustix::process::Signal;

#[test]
fn interceptor() {
    check("interceptor", &[received(1, "message 1: HELLO"), received(1, "message 3: GOODBYE")]);
}

#[test]
fn decoder() {
    let lines = [
        "sent [a2, 10, 03, 01, 02, 03, c8, 7f], received [a2, 90, 01, 06, a2, 23]",
        "sent [a2, 10, 03, 09, 02, 03, c8, 7f], closed by the server",
    ];
    check("decoder", &lines.map(String::from));
}

#[test]
fn func_request() {
    let expected =
        [(1, "1 more points: 1"), (2, "1 gifts"), (1, "10 more points: 11"), (1, "1 more points: 12")];
    check("func_request", &expected.map(|(id, text)| received(id, text)));
}

#[test]
fn router_slices() {
    let expected =
        [(10, "who are you?"), (10, "hello, ann"), (11, "before"), (11, "hello, bob"), (11, "after")];
    check("router_slices", &expected.map(|(id, text)| received(id, text)));
}

#[test]
fn dynamic_bind() {
    let end = run("dynamic_bind");
    let lines: Vec<&str> = end.lines().collect();
    assert_eq!(lines.len(), 4, "{end}");
    assert!(lines[0].contains("ID=2") && lines[0].contains("quick"), "{end}");
    let mut workers: Vec<_> = lines.iter().map(|line| line.rsplit_once("worker ").unwrap().1).collect();
    workers.sort_unstable();
    assert_eq!(workers, ["0\"", "1\"", "2\"", "3\""]);
}

fn received(id: u32, text: &str) -> String {
    format!("==> Recv Msg: ID={id}, data=b\"{text}\"")
}

fn check(demo: &str, expected: &[String]) {
    assert_eq!(run(demo).lines().collect::<Vec<_>>(), expected);
}

/// Runs a demo's server and client. Returns what the client prints; the server must end well when told to.
fn run(demo: &str) -> String {
    let server = Process::listening(&mut Command::new(example(&format!("{demo}_server"))));
    let mut client = Command::new(example(&format!("{demo}_client")));
    let client = Process::spawn(client.arg(server.address.to_string())).end_within(LIMIT);
    assert!(client.status.success(), "client: {}, {}", client.status, client.stderr);
    server.kill(Signal::TERM);
    let server = server.end_within(LIMIT);
    assert_eq!(server.status.code(), Some(0), "server: {}", server.stderr);
    client.stdout
}

/// The longest one program may take.
const LIMIT: Duration = Duration::from_secs(20);
