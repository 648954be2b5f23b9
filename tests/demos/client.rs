//! The demos named as Go Zinx's examples, each server and client in processes of their own, compared line by line.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::common::in_time::{in_time, unless_late};
use crate::common::process::{Process, example};
use rustix::process::Signal;

#[test]
fn client() {
    let pongs = |conn: usize| {
        let pong = format!("==> Recv Msg: ID=1, data=b\"pong on connection {conn}\"\n");
        format!("connected, connection {conn}\n{}", pong.repeat(3))
    };
    check("client", &format!("{}{}stopped\n", pongs(0), pongs(1)));
}

#[test]
fn heartbeat() {
    let beats = "b\"are you there, connection 0?\"\n".repeat(10);
    // A client that the machine keeps from sending for a second is silent, too, and hears no more. Ten heartbeats take two seconds.
    unless_late(Duration::from_secs(3), || {
        let server = check("heartbeat", &format!("{beats}silent, and dropped: true\n"));
        let gone = "conn id 0: Some(PeerClosed)\nconn id 1 is not alive\nconn id 1: Some(Aborted)\n";
        assert_eq!(server, gone);
    });
}

#[test]
fn async_op() {
    in_time(|| {
        let (printed, _) = run("async_op");
        // The user is found after 50 ms: on a busy machine that may be before the ping is read.
        if printed == "b\"one moment\"\nb\"welcome, user 7\"\nb\"pong\"\n" {
            return None;
        }
        assert_eq!(printed, "b\"one moment\"\nb\"pong\"\nb\"welcome, user 7\"\n");
        Some(())
    });
}

#[test]
fn close_callback() {
    let expected = "user 1 is told: user 1 has come, 1 on line\n\
                    user 1 is told: user 2 has come, 2 on line\n\
                    user 1 is told: hello, all\n\
                    user 1 is told: user 2 has left\n";
    check("close_callback", expected);
}

#[test]
fn multiport() {
    let mut server = Process::listening(&mut Command::new(example("multiport_server")));
    let second = server.wait_for("listening on ");
    let admins = second.split_once("listening on ").unwrap().1.trim().to_string();
    let expected = "players, connection 0\n\
                    players, connection 1\n\
                    administrators, connection 0\n\
                    closed without a word\n";
    talk(&server, "multiport", &[&admins], expected);
    server.address = admins.parse().unwrap();
    finish(server);
}

#[test]
fn framing() {
    let server = Process::listening(&mut Command::new(example("framing_server")));
    let second = server.wait_for("listening on ");
    let records = second.split_once("listening on ").unwrap().1.trim().to_string();
    let expected = "a line: \"HELLO\"\na line: \"WORLD\"\na line: \"\"\na line: \"BYE\"\n\
                    a record: 2\na record: 2000\na record: 2000000\n";
    talk(&server, "framing", &[&records], expected);
    finish(server);
}

#[test]
fn logger() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("logger-demo");
    drop(fs::remove_dir_all(&folder));
    let mut command = Command::new(example("logger_server"));
    let command = command.env("ZINX_TCPPORT", "0").env("ZINX_LOGDIR", &folder).env("ZINX_LOGCONS", "true");
    let server = Process::spawn(command.env("ZINX_LOGISOLATIONLEVEL", "1").env("ZINX_LOGFILE", "zinx.log"));
    let file = folder.join("zinx.log");
    let mut address = None;
    crate::common::wait_until("the address", || {
        let text = fs::read_to_string(&file).unwrap_or_default();
        address =
            text.split_once("listening on ").and_then(|(_, rest)| Some(rest.split_once('\n')?.0.to_string()));
        address.is_some()
    });
    let mut peer = std::net::TcpStream::connect(address.unwrap()).unwrap();
    std::io::Write::write_all(&mut peer, &crate::common::frame(1, b"keep this")).unwrap();
    std::io::Read::read_exact(&mut peer, &mut [0; 14]).unwrap();
    let printed = finish(server);
    let text = fs::read_to_string(&file).unwrap();
    assert_eq!(printed, text);
    assert!(text.contains("[INFO]server.rs:") && text.contains(": conn id 0: b\"keep this\"\n"), "{text}");
    assert!(!text.contains("[DEBUG]") && text.ends_with(" stopped\n"), "{text}");
}

/// Runs a demo's server and client: the client must print `expected`. Returns what the server has printed.
fn check(demo: &str, expected: &str) -> String {
    let (client, server) = run(demo);
    assert_eq!(client, expected);
    server
}

/// What a demo's client and its server print.
fn run(demo: &str) -> (String, String) {
    let server = Process::listening(&mut Command::new(example(&format!("{demo}_server"))));
    let printed = printed_by_client(&server, demo, &[]);
    (printed, finish(server))
}

fn talk(server: &Process, demo: &str, more: &[&str], expected: &str) {
    assert_eq!(printed_by_client(server, demo, more), expected);
}

fn printed_by_client(server: &Process, demo: &str, more: &[&str]) -> String {
    let mut command = Command::new(example(&format!("{demo}_client")));
    let client = Process::spawn(command.arg(server.address.to_string()).args(more)).end_within(LIMIT);
    assert!(client.status.success(), "client: {}: {}{}", client.status, client.stdout, client.stderr);
    client.stdout
}

/// Lets the server stop in order, and returns what it has printed.
fn finish(server: Process) -> String {
    server.kill(Signal::TERM);
    let ended = server.end_within(LIMIT);
    assert_eq!(ended.status.code(), Some(0), "server: {}", ended.stderr);
    ended.stdout
}

/// The longest one demo may take.
const LIMIT: Duration = Duration::from_secs(20);
