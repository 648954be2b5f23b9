//! The command line: what it prints, and how it ends.

#![expect(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "tests are plain threads and speak raw sockets: they block nobody's worker"
)]

mod common;

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use common::{Server, watchdog, zinx};

#[test]
fn help_and_version_work_as_everywhere() {
    let _watchdog = watchdog();
    for (args, begins) in [
        (&["help"][..], "The tutorial's server, and a client to talk to it"),
        (&["--help"], "The tutorial's server, and a client to talk to it"),
        (&["serve", "--help"], "Runs the tutorial's server"),
        (&["help", "send"], "Sends one message and prints the replies"),
        (&["send", "--help"], "Sends one message and prints the replies"),
        (&["--version"], concat!("zinx ", env!("CARGO_PKG_VERSION"), "\n")),
    ] {
        let (code, out, err) = run(args);
        assert!(code == Some(0) && out.starts_with(begins) && err.is_empty(), "{args:?}: {out}{err}");
    }
}

#[test]
fn wrong_arguments_are_named_and_end_with_2() {
    let _watchdog = watchdog();
    for (args, says) in [
        (&["srve"][..], "'serve'"),
        (&["serve", "now"], "'now'"),
        (&["send"], "<HOST:PORT>"),
        (&["send", "localhost", "1", "a"], "'localhost' for '<HOST:PORT>': it is not HOST:PORT"),
        (&["send", "a:1", "x", "a"], "'x' for '<ID>': it is not a whole number from 0 to 4294967295"),
        (&["send", "a:1", "1", "a", "--pack", "xtv"], "[possible values: ltv, tlv]"),
        (&["send", "a:1", "1", "a", "--no-reply", "--replies", "1"], "cannot be used with"),
        (&["send", "a:1", "1", "--text"], "'-- --text'"),
        (&["conns", "--admin", "localhost"], "'localhost' for '--admin <HOST:PORT>': it is not HOST:PORT"),
        (
            &["trace", "1", "--admin", "https://a"],
            "'https://a' for '--admin <HOST:PORT>': it is not HOST:PORT",
        ),
    ] {
        let (code, out, err) = run(args);
        assert!(code == Some(2) && out.is_empty() && err.contains(says), "{args:?}: {err}");
    }
}

#[test]
fn a_send_without_an_answer_says_so_and_ends_with_1() {
    let _watchdog = watchdog();
    let silent = peer(|mut stream| drop(stream.read_to_end(&mut Vec::new())));
    let waits_as_told = || {
        let begun = Instant::now();
        let (code, out, err) = run(&["send", &silent, "9", "hello", "--wait", "200"]);
        let in_time = begun.elapsed() < Duration::from_secs(4);
        assert_eq!((code, out.as_str()), (Some(1), ""));
        assert!(
            err.starts_with(&format!("zinx: no reply from {silent} within 0.2 s")) && err.contains("id 9"),
            "{err}"
        );
        in_time
    };
    // On a busy machine one may stand still for seconds.
    assert!((0..3).any(|_| waits_as_told()), "it waits as long as it is told");
    assert_eq!(run(&["send", &silent, "9", "hello", "--no-reply"]), (Some(0), String::new(), String::new()));
    assert_eq!(run(&["send", &silent, "9", "hello", "--replies", "0"]).0, Some(0));
    let (code, _, err) = run(&["send", &silent, "9", "-1", "--replies", "2", "--wait", "100"]);
    assert_eq!((code, err), (Some(1), format!("zinx: 0 of 2 replies from {silent} within 0.1 s (--wait)\n")));
}

#[test]
fn a_send_to_a_server_that_closes_says_so_and_ends_with_1() {
    let _watchdog = watchdog();
    // In order, and with a reset: what has come is not read.
    let closes = peer(|mut stream| drop(stream.read_exact(&mut [0; 13])));
    let resets = peer(|stream| drop(stream.peek(&mut [0; 1])));
    for server in [&closes, &resets] {
        let (code, out, err) = run(&["send", server, "9", "hello"]);
        assert_eq!((code, out.as_str()), (Some(1), ""));
        assert!(err.starts_with(&format!("zinx: closed by the server {server} without a reply")), "{err}");
        assert_eq!(run(&["send", server, "9", "hello", "--no-reply"]).0, Some(0));
    }
    let one = peer(|mut stream| {
        stream.read_exact(&mut [0; 13]).unwrap();
        stream.write_all(b"\x02\0\0\0\x09\0\0\0hi").unwrap();
    });
    let printed = "id=9 data=\"hi\"\n".to_string();
    assert_eq!(run(&["send", &one, "9", "hello"]), (Some(0), printed.clone(), String::new()));
    let (code, out, err) = run(&["send", &one, "9", "hello", "--replies", "2"]);
    assert_eq!((code, out), (Some(1), printed));
    assert_eq!(err, format!("zinx: closed by the server {one} after 1 of 2 replies\n"));
}

#[test]
fn a_slow_answer_is_waited_for() {
    let _watchdog = watchdog();
    let slow = peer(|mut stream| {
        stream.read_exact(&mut [0; 13]).unwrap();
        thread::sleep(Duration::from_millis(700));
        stream.write_all(b"\0\0\0\0\x09\0\0\0").unwrap();
        drop(stream.read_to_end(&mut Vec::new()));
    });
    assert_eq!(run(&["send", &slow, "9", "hello"]), (Some(0), "id=9 data=\"\"\n".to_string(), String::new()));
}

#[test]
fn serve_says_which_configuration_it_reads_and_then_where_it_listens() {
    let _watchdog = watchdog();
    let folder = folder("says");
    fs::write(folder.join("zinx.json"), r#"{"TcpPort": 0, "Name": "game"}"#).unwrap();
    fs::write(folder.join("zinx.yml"), "TcpPort: 0\n").unwrap();
    let server = Server::spawn(zinx().current_dir(&folder).env("ZINX_HOST", "0.0.0.0"));
    let address: SocketAddr = server.address.parse().unwrap();
    assert!(address.ip().is_loopback() && address.port() != 0, "{address}");
    TcpStream::connect(address).unwrap();
    let (code, said) = server.interrupt();
    assert_eq!(code, Some(0), "{said}");
    let at = |what: &str| said.find(what).unwrap_or_else(|| panic!("{what:?} is missing: {said}"));
    assert!(
        at("zinx.json is not read, because there is zinx.yml")
            < at("configuration: zinx.yml, then ZINX_HOST\n")
    );
    assert!(
        at("configuration: ") < at("listening on 0.0.0.0:") && at("listening on ") < at("to talk to it: ")
    );
    assert!(!said.contains("[TRACE]"), "{said}");
}

#[test]
fn a_signal_as_soon_as_the_address_is_known_stops_in_order() {
    let _watchdog = watchdog();
    for round in 0..20 {
        let server = Server::spawn(zinx().env("ZINX_TCPPORT", "0"));
        let (code, said) = server.interrupt();
        assert!(code == Some(0) && said.trim_end().ends_with("stopped"), "{round}: {code:?} {said}");
    }
}

#[test]
fn serve_writes_to_the_log_file_that_is_configured() {
    let _watchdog = watchdog();
    let folder = folder("file");
    let env = [("ZINX_TCPPORT", "0"), ("ZINX_LOGFILE", "game.log"), ("ZINX_LOGDIR", "logs")];
    let mut server = Killed(zinx().current_dir(&folder).envs(env).stderr(Stdio::piped()).spawn().unwrap());
    let log = folder.join("logs/game.log");
    let begun = Instant::now();
    let address = loop {
        let text = fs::read_to_string(&log).unwrap_or_default();
        if let Some((_, rest)) = text.split_once("zinx send ").filter(|(_, rest)| rest.contains('\n')) {
            break rest.split(' ').next().unwrap().to_string();
        }
        assert!(begun.elapsed() < Duration::from_secs(30), "{text}");
        thread::yield_now();
    };
    let printed = run(&["send", &address, "2", "hello"]).1;
    assert!(printed.ends_with("id=2 data=\"hello\"\n"), "{printed}");
    server.0.kill().unwrap();
    let mut said = String::new();
    server.0.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert_eq!(said, "", "lines go to the file alone");
}

#[test]
fn serve_has_an_admin_plane_and_goes_on_if_its_usual_port_is_taken() {
    let _watchdog = watchdog();
    let serve = |admin: Option<&str>| {
        let mut command = zinx();
        command.env("ZINX_TCPPORT", "0").envs(admin.map(|admin| ("ZINX_ADMIN", admin)));
        Server::spawn(&mut command)
    };
    let server = serve(Some("127.0.0.1:0"));
    let (_, plane) = server.said.split_once("admin plane on http://").expect("it has one");
    let plane = plane.split_whitespace().next().unwrap();
    let mut stream = TcpStream::connect(plane).unwrap();
    write!(stream, "GET /readyz HTTP/1.1\r\nHost: {plane}\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with("ready\n"), "{answer}");
    // We take the port, unless another test has it, and gives it back at any time.
    let goes_on = (0..50).any(|_| {
        let _taken = TcpListener::bind("127.0.0.1:7778");
        let (code, said) = serve(None).interrupt();
        assert_eq!(code, Some(0), "{said}");
        said.contains("no admin plane: listen on 127.0.0.1:7778 (Admin): ")
    });
    assert!(goes_on, "the port was never taken");
    let (code, said) = serve(Some("off")).interrupt();
    assert!(code == Some(0) && !said.contains("admin plane"), "{said}");
}

#[test]
fn connections_are_listed_and_kicked_and_the_server_drained() {
    let _watchdog = watchdog();
    let server = Server::spawn(zinx().env("ZINX_TCPPORT", "0").env("ZINX_ADMIN", "127.0.0.1:0"));
    let (_, plane) = server.said.split_once("admin plane on http://").expect("it has one");
    let plane = plane.split_whitespace().next().unwrap().to_string();
    let mut peer = TcpStream::connect(&server.address).unwrap();
    let address = peer.local_addr().unwrap().to_string();
    let conns = |more: &[&str]| run(&[&["conns", "--admin", &plane], more].concat());
    let begun = Instant::now();
    let listed = loop {
        let (code, out, err) = conns(&["--sort", "age"]);
        assert!(code == Some(0) && begun.elapsed() < Duration::from_secs(30), "{out}{err}");
        if out.contains(&address) && out.contains("waits for its peer") {
            break out;
        }
    };
    assert!(listed.starts_with("ID  STATE"), "{listed}");
    let (code, by_trip, err) = conns(&["--sort", "rtt"]);
    let row: Vec<_> = by_trip.lines().nth(1).unwrap_or_default().split_whitespace().collect();
    assert!(code == Some(0) && row[6].ends_with("ms") && by_trip.contains(" RTT "), "{by_trip}{err}");
    assert_eq!(run(&["kick", "0", "--admin", &plane]).1, "kicked 0\n");
    let mut rest = Vec::new();
    peer.read_to_end(&mut rest).unwrap();
    drop(peer);
    while !conns(&["--closed"]).1.contains("closed by an operator") {
        assert!(begun.elapsed() < Duration::from_secs(30));
    }
    let (code, _, err) = run(&["kick", "bob", "--user", "--admin", &plane]);
    assert!(code == Some(1) && err.contains("answers 404: user \"bob\" is not logged in"), "{err}");
    assert_eq!(run(&["drain", "--admin", &plane]).1, "draining 0 connections\n");
    while run(&["drain", "--admin", &plane]).0 == Some(0) {
        assert!(begun.elapsed() < Duration::from_secs(30), "the server has not stopped");
    }
}

#[test]
fn check_tells_all_problems_of_a_file_and_ends_with_2() {
    let _watchdog = watchdog();
    let folder = folder("check");
    let (good, bad) = (folder.join("good.yaml"), folder.join("bad.yaml"));
    fs::write(&good, "MaxConn: 10\n").unwrap();
    fs::write(&bad, "MaxConn: many\nTcpPort: 70000\nAdmin: 0.0.0.0:1\n").unwrap();
    let (code, out, err) = run(&["check", good.to_str().unwrap()]);
    assert!(code == Some(0) && out.ends_with("good.yaml: no problem\n") && err.is_empty(), "{out}{err}");
    let (code, out, err) = run(&["check", bad.to_str().unwrap()]);
    assert!(code == Some(2) && out.is_empty() && err.lines().count() == 3, "{out}{err}");
    for key in ["bad.yaml:1: MaxConn", "bad.yaml:2: TcpPort", "AdminToken"] {
        assert!(err.contains(key), "{err}");
    }
    assert_eq!(run(&["check", "/no/such/file"]).0, Some(2));
}

#[test]
fn a_host_with_a_port_is_refused_with_the_key_for_the_port() {
    let _watchdog = watchdog();
    let output = zinx().env("ZINX_HOST", "127.0.0.1:7810").output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(
        said.contains("ZINX_HOST") && said.contains("127.0.0.1:7810") && said.contains("TcpPort"),
        "{said}"
    );
}

#[test]
fn nobody_has_to_read_what_is_printed() {
    let _watchdog = watchdog();
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("command-unread");
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    for args in [&["new", "unread"][..], &["check", "unread/zinx.yaml"], &["completions", "bash"]] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let output = zinx().current_dir(&folder).args(args).stdout(writer).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.code() == Some(0) && !said.contains("panicked"), "{args:?}: {said}");
    }
}

/// Runs the command: its exit code, and what it has printed.
fn run(args: &[&str]) -> (Option<i32>, String, String) {
    let output = zinx().args(args).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

/// A server that does this with each of its connections, until the test ends.
fn peer(serve: impl Fn(TcpStream) + Send + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    thread::spawn(move || listener.incoming().for_each(|stream| serve(stream.unwrap())));
    address
}

/// A process that is killed at the end of the test.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        // Both fail if it has ended and been waited for, which is as well.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// An empty folder of its own for a test.
fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("command-{name}"));
    drop(fs::remove_dir_all(&folder));
    fs::create_dir_all(&folder).unwrap();
    folder
}
