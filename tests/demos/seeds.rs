//! The programs that this project follows: what they print and answer is what our demos of the same name print and answer.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::common::process::{Process, example};
use crate::common::wait_until;
use rustix::process::Signal;

#[test]
fn a_client_of_the_python_tutorial_gets_and_sees_what_the_tutorial_says_in_chapter_6() {
    check_chapter("6", "msghandler");
}

#[test]
fn a_client_of_the_python_tutorial_gets_and_sees_what_the_tutorial_says_in_chapter_7() {
    check_chapter("7", "read_write");
}

#[test]
fn a_client_of_the_python_tutorial_gets_and_sees_what_the_tutorial_says_in_chapter_9() {
    check_chapter("9", "connmanager");
}

#[test]
fn a_client_of_the_python_tutorial_gets_and_sees_what_the_tutorial_says_in_chapter_10() {
    check_chapter("10", "hook");
}

/// The client checks what it gets, and prints what the tutorial's server would print: ours must print the same lines.
fn check_chapter(chapter: &str, demo: &str) {
    if !has_python() {
        return;
    }
    let server = Process::listening(&mut Command::new(example(&format!("{demo}_server"))));
    let mut client = Command::new("python3");
    client.arg(Path::new(ROOT).join("tests/interop/seed_client.py"));
    let client = Process::spawn(client.arg(server.address.to_string()).arg(chapter)).end_within(LIMIT);
    assert!(client.status.success(), "{}", client.stderr);
    assert!(client.stdout.lines().count() > 20, "{}", client.stdout);
    assert_eq!(lines(&stop(server)), lines(&client.stdout));
}

#[test]
fn one_client_works_with_the_servers_of_chapters_6_7_9_and_10() {
    let ping = "==> Recv Msg: ID=1, data=\"ping\\n\"\n==> Recv Msg: ID=1, data=\"你好,服务器\"\n";
    let hello = "==> Recv Msg: ID=2, data=\"你好,Zinx\\n\"\n";
    let many = format!("{ping}{hello}");
    for (demo, expected) in
        [("msghandler", &*many), ("read_write", &many), ("connmanager", &many), ("hook", ping)]
    {
        let server = Process::listening(&mut Command::new(example(&format!("{demo}_server"))));
        for client in ["msghandler".to_string(), demo.to_string()] {
            let mut command = Command::new(example(&format!("{client}_client")));
            let client = Process::spawn(command.arg(server.address.to_string())).end_within(LIMIT);
            assert!(client.status.success(), "{}", client.stderr);
            assert_eq!(client.stdout, expected, "{demo}: {}", client.stderr);
        }
        stop(server);
    }
}

#[test]
fn the_select_server_prints_and_answers_what_the_one_in_python_does() {
    let ours = converse(Process::listening(Command::new(example("multiplex_select_echo")).arg("0")), select);
    let expected = [
        "starting up on 0.0.0.0 port 9999",
        "waiting for next event...",
        "new connection from ('127.0.0.1', PORT)",
        "waiting for next event...",
        "收到来自[127.0.0.1]的数据: b'hello \\xc4\\xe3'",
        "waiting for next event...",
        "sending msg to [127.0.0.1] b'hello \\xc4\\xe3'",
        "waiting for next event...",
        "client [127.0.0.1] queue is empty..",
        "waiting for next event...",
        "客户端断开了 SOCKET",
        "waiting for next event...",
    ];
    assert_eq!(lines(&ours), expected);
    let Some(theirs) = python_server("select_server.py") else { return };
    assert_eq!(ours, converse(theirs, select));
}

#[test]
fn the_selectors_server_prints_and_answers_what_the_one_in_python_does() {
    let ours =
        converse(Process::listening(Command::new(example("multiplex_selectors_echo")).arg("0")), selectors);
    let expected = [
        "已经注册sel数量:",
        "accept: SOCKET from: ('127.0.0.1', PORT)",
        "已经注册sel数量:",
        "recv data: b'hello \\xc4\\xe3' conn: SOCKET",
        "已经注册sel数量:",
        "close: SOCKET",
    ];
    assert_eq!(lines(&ours), expected);
    let Some(theirs) = python_server("selectors_server.py") else { return };
    assert_eq!(ours, converse(theirs, selectors));
}

#[test]
fn the_echo_of_bluelet_prints_nothing_and_sends_back_what_it_gets() {
    let printed =
        converse(Process::listening(Command::new(example("bluelet_echo")).arg("0")), |_, stream| {
            assert_eq!(&exchange(stream), b"hello \xc4\xe3");
            stream.shutdown(Shutdown::Write).unwrap();
            assert_eq!(stream.read(&mut [0]).unwrap(), 0, "the server closes too");
        });
    assert_eq!(printed, "");
}

#[test]
fn the_ports_are_those_of_the_programs_that_the_demos_follow() {
    for (demo, port, from) in [
        ("bluelet/echo", "4915", "bluelet_echo.py"),
        ("multiplex/select_echo", "9999", "select_server.py"),
        ("multiplex/selectors_echo", "9999", "selectors_server.py"),
    ] {
        let read = |path: String| std::fs::read_to_string(Path::new(ROOT).join(path)).unwrap();
        assert!(read(format!("tests/data/{from}")).contains(port), "{from}");
        assert!(read(format!("demo/{demo}.rs")).contains(&format!("map_or(Ok({port}), ")), "{demo}");
    }
}

/// Has a client talk to a server, and returns what the server has printed, without what differs from run to run.
fn converse(server: Process, talk: impl FnOnce(&Process, &mut TcpStream)) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", server.address.port())).unwrap();
    stream.set_read_timeout(Some(LIMIT)).unwrap();
    talk(&server, &mut stream);
    let (ours, theirs) = (server.address.port(), stream.local_addr().unwrap().port());
    server.kill(Signal::KILL);
    let printed = server.end_within(LIMIT).stdout;
    // The one in Python says its port before it is told which.
    let printed = printed.replace(&format!(" port {ours}\n"), " port 9999\n");
    let printed = printed.replace(&format!("', {theirs})"), "', PORT)");
    printed.lines().map(|line| without_socket(line) + "\n").collect()
}

fn select(server: &Process, stream: &mut TcpStream) {
    assert_eq!(&exchange(stream), b"HELLO \xc4\xe3");
    let rests = || server.printed().ends_with("\nwaiting for next event...\n");
    // The one in Python fails if its client leaves before.
    wait_until("the sender to rest", || server.printed().contains("queue is empty..") && rests());
    stream.shutdown(Shutdown::Write).unwrap();
    // The one in Python does not close.
    wait_until("the end", || server.printed().contains("客户端断开了") && rests());
}

fn selectors(server: &Process, stream: &mut TcpStream) {
    assert_eq!(&exchange(stream), b"hello \xc4\xe3");
    stream.shutdown(Shutdown::Write).unwrap();
    wait_until("the end", || server.printed().contains("close:"));
}

fn exchange(stream: &mut TcpStream) -> [u8; 8] {
    stream.write_all(b"hello \xc4\xe3").unwrap();
    let mut answer = [0; 8];
    stream.read_exact(&mut answer).unwrap();
    answer
}

/// The line, with one word for what Python or Rust prints for a socket.
fn without_socket(line: &str) -> String {
    for (begin, end) in [("<socket.socket ", ">"), ("TcpStream {", " }) }")] {
        if let Some((before, rest)) = line.split_once(begin) {
            let (_, after) = rest.split_once(end).unwrap_or_else(|| panic!("{line}"));
            return format!("{before}SOCKET{after}");
        }
    }
    line.to_string()
}

/// A server of `tests/data` on a free port; `None` if there is no Python.
fn python_server(file: &str) -> Option<Process> {
    let data = Path::new(ROOT).join("tests/data");
    let run = |file: &str| -> PathBuf { data.join(file) };
    has_python().then(|| Process::listening(Command::new("python3").arg(run("run_server.py")).arg(run(file))))
}

fn has_python() -> bool {
    match Command::new("python3").arg("--version").output() {
        Ok(_) => true,
        Err(error) if error.kind() == ErrorKind::NotFound => {
            eprintln!("skipped: the programs in Python, for want of python3");
            assert!(std::env::var_os("CI").is_none(), "CI must have python3");
            false
        }
        Err(error) => panic!("{error}"),
    }
}

/// Stops a server in order. Returns what it has printed.
fn stop(server: Process) -> String {
    server.kill(Signal::TERM);
    let ended = server.end_within(LIMIT);
    assert_eq!(ended.status.code(), Some(0), "{}", ended.stderr);
    ended.stdout
}

fn lines(text: &str) -> Vec<&str> {
    text.lines().collect()
}

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// The longest that one program may take.
const LIMIT: Duration = Duration::from_secs(30);
