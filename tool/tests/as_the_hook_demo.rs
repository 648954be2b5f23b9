//! The default server prints and answers as the hook demo does.

#![expect(clippy::disallowed_types, reason = "tests are plain threads and speak raw sockets")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

#[test]
fn the_default_server_prints_and_answers_as_the_hook_demo_and_says_nothing_unasked() {
    let mut server = Killed(
        Command::new(env!("CARGO_BIN_EXE_zinx"))
            .current_dir(env!("CARGO_TARGET_TMPDIR"))
            .env("ZINX_TCPPORT", "0")
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap(),
    );
    let log = BufReader::new(server.0.stderr.take().unwrap());
    let mut lines = log.lines().map(Result::unwrap);
    let address = lines.find_map(|line| Some(line.split_once("listening on ")?.1.to_string())).unwrap();
    for _ in 0..2 {
        let mut stream = TcpStream::connect(&address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        stream.write_all(&frame(b"\xc4\xe3\n")).unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        assert_eq!(answer, [frame(b"ping\n"), frame(b"\xc4\xe3\n")].concat());
    }
    server.0.kill().unwrap();
    let mut printed = String::new();
    server.0.stdout.take().unwrap().read_to_string(&mut printed).unwrap();
    let of = |id: u32| {
        format!("======Start======== {id}\n调用Handle\nb'\\xc4\\xe3\\n'\n======Stop======== {id}\n")
    };
    assert_eq!(printed, of(0) + &of(1));
}

/// A message of id 1.
fn frame(data: &[u8]) -> Vec<u8> {
    [&(data.len() as u32).to_le_bytes()[..], &1u32.to_le_bytes(), data].concat()
}

/// A process, killed at the end of the test.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        // Both fail if it has ended and been waited for, which is as well.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
