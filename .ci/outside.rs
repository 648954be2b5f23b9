//! The README's server and the first demo, built by a crate outside the repository: see `.ci/outside`.

#[expect(dead_code, reason = "each test file uses its share")]
mod common;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;
use std::time::{Duration, Instant};

use common::frame;
use common::port::ReservedPort;
use common::process::{Process, example};
use rustix::process::Signal;

#[test]
fn the_server_of_the_readme_answers_and_ends_when_told_to() {
    let port = ReservedPort::new();
    let mut server = Command::new(env!("CARGO_BIN_EXE_outside"));
    let server = Process::spawn(server.env("ZINX_TCPPORT", port.number().to_string()));
    let begun = Instant::now();
    let mut stream = loop {
        // It has no logger, and does not say when it listens.
        match TcpStream::connect(port.address) {
            Ok(stream) => break stream,
            Err(error) => assert!(begun.elapsed() < LIMIT, "{error}"),
        }
        std::thread::sleep(Duration::from_millis(10));
    };
    stream.set_read_timeout(Some(LIMIT)).unwrap();
    stream.write_all(&[frame(1, b""), frame(2, b"hello")].concat()).unwrap();
    let expected = [frame(1, b"ping\n"), frame(2, b"hello")].concat();
    let mut heard = vec![0; expected.len()];
    stream.read_exact(&mut heard).unwrap();
    assert_eq!(heard, expected);
    server.kill(Signal::TERM);
    let ended = server.end_within(LIMIT);
    assert_eq!(ended.status.code(), Some(0), "{}", ended.stderr);
}

#[test]
fn the_first_demo_echoes() {
    let server = Process::listening(&mut Command::new(example("echo_server")));
    let mut client = Command::new(example("echo_client"));
    let client = Process::spawn(client.arg(server.address.to_string())).end_within(LIMIT);
    assert!(client.status.success(), "{}", client.stderr);
    assert!(client.stdout.contains("==> Recv Msg: ID=1, data=b\"zinx\""), "{}", client.stdout);
    server.kill(Signal::TERM);
    assert_eq!(server.end_within(LIMIT).status.code(), Some(0));
}

/// The longest that anything may take.
const LIMIT: Duration = Duration::from_secs(30);
