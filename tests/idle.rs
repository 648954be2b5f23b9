//! Idle connections: many thousands stay alive, and cost no processor time.

#![expect(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "tests are plain threads and speak raw sockets"
)]

#[expect(dead_code, reason = "each test file uses its share")]
mod common;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use common::frame;
use common::process::Process;

const CONNECTIONS: usize = 12_000;

#[test]
fn twelve_thousand_idle_connections_stay_alive_and_cost_no_cpu() {
    let files = zinx::green::raise_open_files(CONNECTIONS + 200);
    if files < CONNECTIONS + 200 {
        eprintln!("skipped: only {files} files may be open");
        assert!(std::env::var_os("CI").is_none(), "CI must allow more");
        return;
    }
    let server = Process::bench_echo();
    let before = server.resident_kib();
    let mut streams = Vec::new();
    while streams.len() < CONNECTIONS {
        // In parts: each has only so long for its first message, and on a busy machine all of them take longer.
        let mut more: Vec<_> = (0..1000).map(|_| connect(&server)).collect();
        echo(&mut more, b"begun");
        streams.append(&mut more);
    }
    let each = (server.resident_kib() - before) * 1024 / CONNECTIONS;
    let cpu = server.least_cpu_per_cent(5);
    eprintln!("{CONNECTIONS} idle connections: {cpu:.2} % of a processor, {each} bytes each");
    assert!(cpu < 2.0, "{cpu:.2} % of a processor");
    // Unoptimised, what waits needs more than one page of its stack.
    assert!(
        cfg!(debug_assertions) || each < 8_000,
        "{each} bytes each: more than one page of each stack is used"
    );
    echo(&mut streams, b"still there");
}

fn connect(server: &Process) -> TcpStream {
    let stream = TcpStream::connect(server.address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    stream
}

/// Has a message echoed to each.
fn echo(streams: &mut [TcpStream], data: &[u8]) {
    let bytes = frame(1, data);
    for stream in &mut *streams {
        stream.write_all(&bytes).unwrap();
    }
    for stream in streams {
        let mut answer = vec![0; bytes.len()];
        stream.read_exact(&mut answer).unwrap();
        assert_eq!(answer, bytes);
    }
}
