//! The demos of other transports than TCP, as the reader of their chapters runs them.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use rustix::process::Signal;

use crate::common::process::{Process, example};

#[test]
fn chapter_12_tls() {
    follow("12-tls", "tls", |port| format!("localhost:{port}"));
}

#[test]
fn chapter_13_websocket() {
    follow("13-websocket", "websocket", |port| format!("ws://localhost:{port}/"));
}

#[test]
fn chapter_14_kcp() {
    follow("14-kcp", "kcp", |port| format!("localhost:{port}"));
}

/// Runs a chapter's server and client. The client must print what the chapter says, and the server end well when told to.
fn follow(chapter: &str, demo: &str, address: impl Fn(&str) -> String) {
    let path = Path::new(ROOT).join("docs/tutorial").join(chapter).with_extension("md");
    let text = std::fs::read_to_string(path).unwrap();
    for program in ["server", "client"] {
        let line = format!("cargo run --features {demo} --example {demo}_{program}\n");
        assert!(text.contains(&line), "{chapter} does not say {line}");
    }
    let (_, rest) = text.split_once("```text client\n").unwrap();
    let (expected, _) = rest.split_once("\n```").unwrap();
    let server = start(demo);
    let kind = if demo == "websocket" { "ws" } else { demo };
    let port = port_of(&server, &format!(", {kind}"));
    assert_eq!(printed_by(demo, &[address(&port)]), expected);
    stop(server);
}

#[test]
fn four_ways() {
    let server = start("four_ways");
    // In the order in which it says that it listens.
    let kinds = ["tcp", "ws", "kcp", "tls"];
    let address = |kind: &str| {
        let named = if kind == "tcp" { String::new() } else { format!(", {kind}") };
        format!("{kind}://localhost:{}", port_of(&server, &named))
    };
    let expected: Vec<_> =
        (1..).zip(kinds).map(|(n, kind)| format!("message {n}, over {kind}: hello")).collect();
    assert_eq!(printed_by("four_ways", &kinds.map(address)), expected.join("\n"));
    stop(server);
}

fn start(demo: &str) -> Process {
    let mut command = command(&format!("{demo}_server"), &[]);
    command.envs([("ZINX_TCPPORT", "0"), ("ZINX_WSPORT", "0"), ("ZINX_KCPPORT", "0")]);
    Process::spawn(command.env("ZINX_HOST", "127.0.0.1").env("RUST_LOG", "info,may=warn"))
}

/// The port on which a server says next that it listens for a transport.
fn port_of(server: &Process, kind: &str) -> String {
    loop {
        let line = server.wait_for("listening on ");
        let (_, address) = line.split_once("listening on ").unwrap();
        let (address, found) = address.split_at(address.find(',').unwrap_or(address.len()));
        if found.trim_end() == kind {
            return address.trim_end().rsplit_once(':').unwrap().1.to_string();
        }
    }
}

fn printed_by(demo: &str, arguments: &[String]) -> String {
    let client = Process::spawn(&mut command(&format!("{demo}_client"), arguments)).end_within(LIMIT);
    assert!(client.status.success(), "{}: {}", client.status, client.stderr);
    client.stdout.trim_end().to_string()
}

fn stop(server: Process) {
    server.kill(Signal::TERM);
    let server = server.end_within(LIMIT);
    assert_eq!(server.status.code(), Some(0), "{}", server.stderr);
}

/// A demo, in the folder of the project, where its reader is.
fn command(name: &str, arguments: &[String]) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", "cd \"$0\" && exec \"$@\"", ROOT]).arg(example(name)).args(arguments);
    command
}

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// The longest that one demo may take.
const LIMIT: Duration = Duration::from_secs(30);
