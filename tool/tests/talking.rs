//! `zinx repl`, `zinx bench` and `zinx completions`.

#![expect(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "tests are plain threads and speak raw sockets"
)]

#[expect(dead_code, reason = "each test file uses its share")]
mod common;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::process::Stdio;
use std::thread;
use std::time::Duration;

use common::{Server, watchdog, zinx};

fn run(args: &[&str]) -> (Option<i32>, String, String) {
    let output = zinx().args(args).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

/// What `zinx repl` prints for these lines. The input does not end before it has printed so many: then it waits for a moment only.
fn repl(address: &str, lines: &str, printed: usize) -> (Option<i32>, String, String) {
    let mut command = zinx();
    let command = command.args(["repl", address]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
    let (mut input, mut out) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
    input.write_all(lines.as_bytes()).unwrap();
    let mut said = String::new();
    for _ in 0..printed {
        // 0 if it has ended.
        out.read_line(&mut said).unwrap();
    }
    drop(input);
    out.read_to_string(&mut said).unwrap();
    let output = child.wait_with_output().unwrap();
    (output.status.code(), said, String::from_utf8(output.stderr).unwrap())
}

#[test]
fn a_repl_sends_lines_shows_frames_and_remembers() {
    let _watchdog = watchdog();
    let server = Server::spawn(zinx().env("ZINX_TCPPORT", "0").env("ZINX_ADMIN", "off"));
    let (code, out, err) = repl(&server.address, "2 hello\nhex 2 00 ff\n!1\nnonsense\nhistory\n", 6);
    assert_eq!(code, Some(0), "{out}{err}");
    let (mut shown, history): (Vec<_>, Vec<_>) = out.lines().partition(|line| line.starts_with("< "));
    shown.sort_unstable();
    assert_eq!(shown, ["< id=2 len=2 00ff", "< id=2 len=5 \"hello\"", "< id=2 len=5 \"hello\""]);
    assert_eq!(history, ["   1  2 hello", "   2  hex 2 00 ff", "   3  2 hello"]);
    assert!(err.contains("\"nonsense\" is no message id"), "{err}");
    assert_eq!(repl(&server.address, "2 a\nquit\n2 b\n", 0).0, Some(0));
    // What comes soon after the end of the input is shown too. A busy machine may be late once.
    let shows = || repl(&server.address, "2 hello\n", 0).1 == "< id=2 len=5 \"hello\"\n";
    assert!((0..10).any(|_| shows()));
}

#[test]
fn a_repl_ends_with_1_if_the_server_ends_the_connection_or_is_not_there() {
    let _watchdog = watchdog();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let closes = thread::spawn(move || listener.accept().unwrap().0.read_exact(&mut [0; 9]).unwrap());
    let mut command = zinx();
    let command = command.args(["repl", &address]).stdin(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    input.write_all(b"1 a\n").unwrap();
    let output = child.wait_with_output().unwrap();
    closes.join().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.code() == Some(1) && said.contains("the connection has ended"), "{said}");
    drop(input);
    // Nobody gets this port from the system, as somebody may get that of the listener.
    let (code, _, err) = repl("127.0.0.1:1", "", 0);
    assert!(code == Some(1) && err.contains("Connection refused"), "{err}");
}

#[test]
fn a_repl_with_a_wrong_configuration_ends_with_2() {
    let _watchdog = watchdog();
    let mut command = zinx();
    let output = command.args(["repl", "127.0.0.1:1"]).env("ZINX_MAXCONN", "many").output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(2) && said.contains("ZINX_MAXCONN"), "{said}");
}

#[test]
fn a_repl_at_the_end_of_its_input_is_not_kept_by_a_server_that_never_stops() {
    let _watchdog = watchdog();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let ticks = thread::spawn(move || {
        let mut peer = listener.accept().unwrap().0;
        // Until the peer has gone.
        while peer.write_all(&[1, 0, 0, 0, 7, 0, 0, 0, b'x']).is_ok() {
            thread::sleep(Duration::from_millis(50));
        }
    });
    let (code, out, err) = repl(&address, "1 a\n", 1);
    assert!(code == Some(0) && out.starts_with("< id=7 len=1 \"x\"\n"), "{out}{err}");
    ticks.join().unwrap();
}

#[test]
fn completions_name_the_commands() {
    let _watchdog = watchdog();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let (code, out, err) = run(&["completions", shell]);
        assert!(code == Some(0) && out.contains("repl") && out.contains("completions"), "{shell}: {err}");
    }
    assert_eq!(run(&["completions", "cmd"]).0, Some(2));
}

#[cfg(not(all(feature = "bench", feature = "top")))]
#[test]
fn a_command_that_is_not_built_in_says_how_to_have_it() {
    let _watchdog = watchdog();
    for (command, is_there) in [("bench", cfg!(feature = "bench")), ("top", cfg!(feature = "top"))] {
        let (code, _, err) = run(&[command, "127.0.0.1:1", "--rate", "5"]);
        let says = err.contains(&format!("-p zinx-tool --features {command} -- {command}"));
        assert!(code == Some(2) && says != is_there, "{err}");
    }
}

#[cfg(feature = "top")]
#[test]
fn top_without_a_terminal_says_what_to_use() {
    let _watchdog = watchdog();
    let (code, out, err) = run(&["top"]);
    assert!(code == Some(2) && out.is_empty() && err.contains("`zinx conns`"), "{err}");
}

#[cfg(feature = "bench")]
mod bench {
    use super::*;

    fn bench(address: &str, more: &[&str]) -> serde_json::Value {
        let args = [&["bench", address, "--seconds", "1", "--json"], more].concat();
        let measured = || {
            let (code, out, err) = run(&args);
            assert_eq!(code, Some(0), "{out}{err}");
            let report: serde_json::Value = serde_json::from_str(&out).unwrap();
            (number(&report, "/messages") > 0.0).then_some(report)
        };
        // On a busy machine a second may pass without an answer.
        (0..5).find_map(|_| measured()).expect("an answer within a second")
    }

    fn number(report: &serde_json::Value, name: &str) -> f64 {
        report.pointer(name).and_then(serde_json::Value::as_f64).unwrap_or_else(|| panic!("{name}: {report}"))
    }

    #[test]
    fn a_closed_loop_counts_what_comes_back() {
        let _watchdog = watchdog();
        let server = Server::spawn(zinx().env("ZINX_TCPPORT", "0").env("ZINX_ADMIN", "off"));
        // Small windows, and one that does not fit the buffers of the system.
        for more in [&["-c", "5", "-w", "4"][..], &["-c", "2", "-w", "300", "-s", "4000"]] {
            let report = bench(&server.address, more);
            assert!(number(&report, "/messages") > 0.0 && report["failures"] == 0, "{report}");
            let [p50, p99, max] =
                ["/latency_us/p50", "/latency_us/p99", "/latency_us/max"].map(|name| number(&report, name));
            assert!(0.0 < p50 && p50 <= p99 && p99 <= max, "{report}");
            assert_eq!((&report["loop"], &report["transport"]), (&"closed".into(), &"tcp".into()));
        }
        let (code, out, _) = run(&["bench", &server.address, "--seconds", "1", "-c", "1"]);
        assert!(
            code == Some(0) && out.contains("closed loop, 64 messages") && out.contains("p99.9"),
            "{out}"
        );
    }

    #[cfg(feature = "websocket")]
    #[test]
    fn other_transports_are_loaded_through_the_client() {
        let _watchdog = watchdog();
        let modes = [("ZINX_MODE", "websocket"), ("ZINX_WSPORT", "0"), ("ZINX_ADMIN", "off")];
        let server = Server::spawn(zinx().envs(modes));
        for more in [&["-c", "3", "-w", "4"][..], &["-c", "3", "--rate", "100"]] {
            let report = bench(&server.address, more);
            assert!(number(&report, "/messages") > 0.0 && report["failures"] == 0, "{report}");
            assert_eq!(report["transport"], "ws");
        }
    }

    #[test]
    fn an_open_loop_counts_what_a_server_that_stands_still_delays() {
        let _watchdog = watchdog();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        thread::spawn(move || {
            let mut stream = listener.accept().unwrap().0;
            let mut bytes = [0; 4096];
            // From the first message on, so that its time is measured however late it is.
            stream.peek(&mut [0]).unwrap();
            thread::sleep(Duration::from_millis(500));
            while let Ok(len @ 1..) = stream.read(&mut bytes) {
                if stream.write_all(&bytes[..len]).is_err() {
                    return;
                }
            }
        });
        let report = bench(&address, &["-c", "1", "--rate", "200", "--warm-up", "0"]);
        let all = number(&report, "/messages") + number(&report, "/unanswered");
        // On a busy machine it measures for longer.
        let seconds = number(&report, "/seconds");
        assert!(
            (all - 200.0 * seconds).abs() <= 10.0 + 2.0 * seconds,
            "every message that was due counts: {report}"
        );
        // In a closed loop there would be one answer of half a second, and thousands of quick ones: a mean of nearly nothing. Here a
        // hundred wait for a quarter of a second each.
        assert!(number(&report, "/latency_us/max") >= 300e3, "{report}");
        assert!(number(&report, "/latency_us/mean") * all >= 10e6, "{report}");
        assert_eq!(report["loop"], "open");
    }

    #[test]
    fn a_connection_that_fails_is_told_and_ends_with_1() {
        let _watchdog = watchdog();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        thread::spawn(move || drop(listener.accept().unwrap().0.read(&mut [0; 8])));
        let (code, out, err) = run(&["bench", &address, "-c", "1", "--seconds", "1"]);
        assert!(code == Some(1) && out.contains("connections that failed: 1"), "{out}{err}");
        let closed = "127.0.0.1:1";
        let (code, _, err) = run(&["bench", closed, "-c", "1"]);
        assert!(code == Some(1) && err.contains("refused"), "{err}");
        assert_eq!(run(&["bench", closed, "--rate", "5", "--window", "5"]).0, Some(2));
    }
}
