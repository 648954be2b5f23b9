//! The commands that steer a running server.

#![expect(clippy::disallowed_methods, clippy::disallowed_types, reason = "tests are plain threads")]

#[expect(dead_code, reason = "each test program uses its share")]
mod common;

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Stdio;
use std::thread::{self, JoinHandle};

use common::{Server, watchdog, zinx};

#[test]
fn a_server_reads_its_configuration_again_and_the_command_says_what_has_changed() {
    let _watchdog = watchdog();
    let folder = std::env::temp_dir().join(format!("zinx-tool-reload-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    let file = folder.join("zinx.yaml");
    let write = |text: &str| fs::write(&file, format!("TcpPort: 0\nAdmin: 127.0.0.1:0\n{text}")).unwrap();
    write("MaxConn: 10");
    let server = Server::spawn(zinx().current_dir(&folder));
    let (_, plane) = server.said.split_once("admin plane on http://").expect("it has one");
    let plane = plane.split_whitespace().next().unwrap().to_string();
    let reload = || {
        // As a browser has it.
        let done = zinx().args(["reload", "--admin", &format!("http://{plane}/")]).output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (done.status.code(), text(done.stdout), text(done.stderr))
    };
    write("MaxConn: 20\nName: other\nIdleTimeoutMs: 60000");
    let (code, out, err) = reload();
    let lines: Vec<_> = out.lines().skip(1).collect();
    let changes = [
        "MaxConn: 10, now 20, for new connections",
        "IdleTimeoutMs: 0, now 60000",
        "Name: \"ZinxServerApp\" stays, \"other\" needs a restart",
    ];
    assert_eq!((code, lines, err.as_str()), (Some(0), changes.to_vec(), ""), "{out}");
    write("MaxConn: many");
    let (code, out, err) = reload();
    assert!(code == Some(1) && out.is_empty() && err.contains("zinx.yaml:3: MaxConn: found"), "{err}");
    fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn a_trace_shows_frames_as_they_come_and_leave() {
    let _watchdog = watchdog();
    let server = Server::spawn(zinx().env("ZINX_TCPPORT", "0").env("ZINX_ADMIN", "127.0.0.1:0"));
    let (_, plane) = server.said.split_once("admin plane on http://").expect("it has one");
    let plane = plane.split_whitespace().next().unwrap().to_string();
    let mut trace = zinx();
    trace.args(["trace", "--address", "127.0.0.1", "--seconds", "60", "--admin", &plane]);
    let mut trace = trace.stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(trace.stdout.take().unwrap()).lines();
    let mut next = || lines.next().unwrap().unwrap();
    let mut peer = TcpStream::connect(&server.address).unwrap();
    assert!(next().ends_with(&format!("0 is followed, from {}", peer.local_addr().unwrap())));
    peer.write_all(&[&[2, 0, 0, 0, 2, 0, 0, 0][..], b"hi"].concat()).unwrap();
    assert!(next().ends_with("0 <- id 2, 2 bytes: \"hi\""));
    assert!(next().ends_with("0 -> id 2, 2 bytes: \"hi\""));
    drop(peer);
    assert!(next().contains("0 closes: "));
    trace.kill().unwrap();
    trace.wait().unwrap();
    let wrong = zinx().args(["trace", "--admin", &plane]).output().unwrap();
    assert_eq!(wrong.status.code(), Some(2), "one of ID, --user and --address is needed");
}

#[test]
fn a_plane_that_does_not_answer_is_named_with_the_time_that_was_waited() {
    let _watchdog = watchdog();
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let plane = silent.local_addr().unwrap().to_string();
    let run = |args: &[&str]| zinx().args(args).args(["--admin", &plane]).output().unwrap();
    thread::scope(|scope| {
        for (args, seconds) in [(&["conns"][..], 10), (&["trace", "1", "--seconds", "1"], 11)] {
            let plane = &plane;
            scope.spawn(move || {
                let output = run(args);
                let said = String::from_utf8_lossy(&output.stderr);
                let expected = format!("zinx: the admin plane {plane}: no answer within {seconds} s\n");
                assert_eq!((output.status.code(), &*said), (Some(1), &*expected));
            });
        }
    });
}

#[test]
fn every_command_that_speaks_to_a_server_works_beside_floods() {
    let _watchdog = watchdog();
    let server = Server::spawn(zinx().env("ZINX_TCPPORT", "0").env("ZINX_ADMIN", "127.0.0.1:0"));
    let (_, plane) = server.said.split_once("admin plane on http://").expect("it has one");
    let plane = plane.split_whitespace().next().unwrap().to_string();
    let floods: Vec<_> = (0..4).map(|_| flood(TcpStream::connect(&server.address).unwrap())).collect();
    let run = |args: &[&str]| {
        let done = zinx().args(args).output().unwrap();
        let out = String::from_utf8(done.stdout).unwrap();
        assert!(done.status.success(), "{args:?}: {out}{}", String::from_utf8_lossy(&done.stderr));
        out
    };
    let at = |args: &[&str]| run(&[args, &["--admin", &plane]].concat());
    assert!(at(&["conns", "--sort", "messages"]).lines().count() >= 5);
    assert!(run(&["send", &server.address, "2", "hello"]).contains("hello"));
    // On a busy machine a second may pass without a frame.
    let traced = || at(&["trace", "0", "--seconds", "1"]).contains(" 0 <- id 2, 100 bytes: ");
    assert!((0..10).any(|_| traced()));
    assert!(at(&["reload"]).starts_with("read "));
    assert_eq!(at(&["kick", "3"]), "kicked 3\n");
    #[cfg(feature = "bench")]
    assert!(run(&["bench", &server.address, "-c", "2", "--seconds", "1"]).contains("messages/s"));
    assert!(at(&["drain"]).starts_with("draining "));
    let echoed: usize = floods.into_iter().map(|flood| flood.join().unwrap()).sum();
    assert!(echoed > 0, "they flowed meanwhile");
}

/// Sends and reads as fast as it can, until the server ends it; returns how often that went well. The first time is over here.
fn flood(mut stream: TcpStream) -> JoinHandle<usize> {
    let frames = [&[100, 0, 0, 0, 2, 0, 0, 0][..], &[b'x'; 100]].concat().repeat(50);
    let mut echo = vec![0; frames.len()];
    let mut once = move || stream.write_all(&frames).and_then(|()| stream.read_exact(&mut echo));
    once().unwrap();
    thread::spawn(move || std::iter::from_fn(|| once().ok()).count())
}
