//! The demos of `green`, each run end to end: bluelet's own, and the two servers that multiplex.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpStream, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use rustix::process::Signal;

use crate::common::frame;
use crate::common::in_time::in_time;
use crate::common::process::{Ended, Process, example};

#[test]
fn bluelet_echo_sends_back_what_it_gets() {
    let server = serve("bluelet_echo", &["0"]);
    let (mut first, mut second) = (connect(&server), connect(&server));
    for text in ["hello\n", "again\n"] {
        assert_eq!(exchange(&mut first, text), text);
        assert_eq!(exchange(&mut second, text), text);
    }
    first.shutdown(Shutdown::Write).unwrap();
    assert_eq!(rest(&mut first), "", "closed when the peer has ended");
    assert_eq!(exchange(&mut second, "still there\n"), "still there\n");
}

#[test]
fn bluelet_echo_listener_tells_who_comes_and_goes() {
    let server = serve("bluelet_echo_listener", &["0"]);
    let (mut first, mut second) = (connect(&server), connect(&server));
    assert_eq!(exchange(&mut first, "hello\n"), "hello\n");
    assert_eq!(exchange(&mut second, "again\n"), "again\n");
    server.kill(Signal::INT);
    for client in [&mut first, &mut second] {
        client.shutdown(Shutdown::Write).unwrap();
        assert_eq!(rest(client), "", "those who are there are served to their end");
    }
    let ended = server.end_within(LIMIT);
    assert!(ended.status.success(), "{}", ended.stderr);
    let mut lines: Vec<_> = ended.stdout.lines().collect();
    lines.sort_unstable();
    let [connected, gone] = ["Connected: 127.0.0.1", "Disconnected: 127.0.0.1"];
    let [hello, again] = ["Read from 127.0.0.1: \"again\\n\"", "Read from 127.0.0.1: \"hello\\n\""];
    assert_eq!(lines, [connected, connected, gone, gone, "Exiting.", hello, again]);
}

#[test]
fn the_echo_is_no_longer_than_the_one_it_is_ported_from() {
    let source =
        fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("demo/bluelet/echo.rs")).unwrap();
    assert!(source.lines().count() <= 31, "bluelet's demo/echo.py has 31 lines");
}

#[test]
fn bluelet_httpd_serves_files_and_folders_below_its_root() {
    let root = web_root("httpd_serves");
    let server = serve("bluelet_httpd", &["0", root.to_str().unwrap()]);
    let get = |path: &str| http(&server, &format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n"));

    let (head, body) = get("/notes.txt");
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
    assert!(head.contains("Content-Type: text/plain\r\nContent-Length: 6\r\n"), "{head}");
    assert_eq!(body, "noted\n");
    assert_eq!(get("/notes.txt?when=now").1, "noted\n");
    assert_eq!(get("/with%20space.txt").1, "spaced\n");

    let (head, body) = get("/");
    assert!(head.contains("Content-Type: text/html"), "{head}");
    assert!(body.contains("<a href=\"/notes.txt\">notes.txt</a>"), "{body}");
    assert_eq!(get("/site/").1, "<h1>index</h1>");
    assert_eq!(get("/site").1, "<h1>index</h1>");
}

#[test]
fn bluelet_httpd_answers_bad_requests_and_lets_nobody_out_of_its_root() {
    let root = web_root("httpd_refuses");
    let server = serve("bluelet_httpd", &["0", root.to_str().unwrap()]);
    let status = |request: &str| http(&server, request).0.lines().next().unwrap().to_string();
    let get = |path: &str| status(&format!("GET {path} HTTP/1.1\r\n\r\n"));

    for outside in [
        "/missing",
        "/../secret.txt",
        "/%2e%2e/secret.txt",
        "/site/../../secret.txt",
        "//etc/passwd",
        "/%2fetc/passwd",
        "/link/secret.txt",
        "/%00",
        "/%zz",
        "/%",
        "/%é",
    ] {
        assert_eq!(get(outside), "HTTP/1.1 404 Not Found", "{outside}");
    }
    assert_eq!(get("/site/../notes.txt"), "HTTP/1.1 200 OK", "as long as it stays inside");
    assert_eq!(status("POST / HTTP/1.1\r\n\r\n"), "HTTP/1.1 405 Method Not Allowed");
    assert_eq!(status("GET\r\n\r\n"), "HTTP/1.1 400 Bad Request");
    let many = "X: y\r\n".repeat(1000);
    let refused = status(&format!("GET / HTTP/1.1\r\n{many}\r\n"));
    assert_eq!(refused, "HTTP/1.1 431 Request Header Fields Too Large");

    // A line without end is not waited for, and ends nothing else.
    let mut endless = connect(&server);
    let _ = endless.write_all(&vec![b'x'; 1 << 20]);
    let _ = endless.read_to_end(&mut Vec::new());
    assert_eq!(get("/notes.txt"), "HTTP/1.1 200 OK");
}

#[test]
fn bluelet_httpd_answers_curl() {
    let root = web_root("httpd_curl");
    let server = serve("bluelet_httpd", &["0", root.to_str().unwrap()]);
    let url = format!("http://127.0.0.1:{}/notes.txt", server.address.port());
    match Command::new("curl").args(["-sS", "--max-time", "20", &url]).output() {
        Ok(output) => assert_eq!(String::from_utf8_lossy(&output.stdout), "noted\n"),
        Err(error) => eprintln!("skipped: no curl here: {error}"),
    }
}

#[test]
fn bluelet_crawler_times_its_four_variants() {
    let ended = run("bluelet_crawler", &[]);
    let (times, pages) = ended.stdout.split_once("\n\n").unwrap();
    let times: Vec<(&str, f64)> = times
        .lines()
        .map(|line| line.strip_suffix(" seconds").and_then(|line| line.split_once(": ")).unwrap())
        .map(|(name, seconds)| (name, seconds.parse().unwrap()))
        .collect();
    let names: Vec<_> = times.iter().map(|(name, _)| *name).collect();
    assert_eq!(names, ["bluelet", "sequential", "threading", "multiprocessing"]);
    assert!(times[1].1 >= 0.5, "five pages of a tenth of a second, one after the other: {times:?}");
    let expected: String = ["Support", "b33ts", "samps", "twitter", "twitterapi"]
        .map(|name| format!("{name}: latest of {name}\n"))
        .concat();
    assert_eq!(pages, expected);
}

#[test]
fn bluelet_ipc_squares_numbers_in_another_process() {
    let squares: String = (0..10).map(|n| format!("{}\n", n * n)).collect();
    assert_eq!(run("bluelet_ipc", &["0"]).stdout, squares);
}

#[test]
fn gevent_udp_server_answers_each_datagram() {
    let server = serve("gevent_udp_server", &["0"]);
    let client = UdpSocket::bind("127.0.0.1:0").unwrap();
    client.set_read_timeout(Some(LIMIT)).unwrap();
    for text in ["hello", "", "again"] {
        client.send_to(text.as_bytes(), ("127.0.0.1", server.address.port())).unwrap();
        let mut buf = [0; 64];
        let len = client.recv(&mut buf).unwrap();
        let answer = format!("Received {} bytes", text.len());
        assert_eq!(String::from_utf8_lossy(&buf[..len]), answer);
    }
}

#[test]
fn gevent_processes_prints_what_both_have_printed() {
    in_time(|| {
        let said = run("gevent_processes", &[]).stdout;
        // It waits for two seconds.
        if said.contains("job is still running") {
            return None;
        }
        let lines: Vec<_> = said.lines().collect();
        assert_eq!(lines.len(), 2, "{said}");
        assert!(lines[0].starts_with("uname: \"Linux") && lines[1].starts_with("ls: \""), "{said}");
        Some(())
    });
}

#[test]
fn gevent_threadpool_takes_two_rounds() {
    let said = run("gevent_threadpool", &["100"]).stdout;
    let took = said.rsplit_once(": ").unwrap().1.trim().trim_end_matches('s');
    assert!(took.parse::<f64>().unwrap() >= 0.2, "{said}");
}

#[test]
fn bluelet_sleepy_sleeps_all_at_once() {
    // They begin at once, and a second is a tenth of one here: on a busy machine one may begin or wake so much later than another.
    in_time(|| {
        let said = run("bluelet_sleepy", &["100"]).stdout;
        let mut lines: Vec<_> = said.lines().collect();
        let asleep = lines.iter().position(|line| line.starts_with("Going to sleep for 5")).unwrap();
        let awake = lines.iter().position(|line| *line == "...woke up after 1 seconds.").unwrap();
        let at_once = asleep < awake && lines.last() == Some(&"...woke up after 5 seconds.");
        lines.sort_unstable();
        let expected = [0, 1, 3, 5].map(|n| format!("...woke up after {n} seconds."));
        assert_eq!(lines[..4], expected);
        assert_eq!(lines.len(), 8);
        at_once.then_some(())
    });
}

#[test]
fn bluelet_delegation_tells_its_story() {
    let expected = "Parent started.\nParent resumed.\nChild started.\nChild resumed.\nChild ending.\n\
                    Child returned: 42\nParent ending.\nParent caught: child failed\n\
                    Parent caught: child panicked\n";
    assert_eq!(run("bluelet_delegation", &[]).stdout, expected);
}

#[test]
fn multiplex_select_echo_answers_in_upper_case() {
    let server = serve("multiplex_select_echo", &["0"]);
    let (mut first, mut second) = (connect(&server), connect(&server));
    assert_eq!(exchange(&mut first, "one\n"), "ONE\n");
    assert_eq!(exchange(&mut second, "two\n"), "TWO\n");
    first.write_all(b"last words").unwrap();
    first.shutdown(Shutdown::Write).unwrap();
    assert_eq!(rest(&mut first), "LAST WORDS", "what is queued is sent before the close");
    assert_eq!(exchange(&mut second, "three\n"), "THREE\n");
}

#[test]
fn multiplex_selectors_echo_answers_as_it_is_asked() {
    let server = serve("multiplex_selectors_echo", &["0"]);
    let (mut first, mut second) = (connect(&server), connect(&server));
    assert_eq!(exchange(&mut second, "Two\n"), "Two\n");
    assert_eq!(exchange(&mut first, "One\n"), "One\n");
    drop(first);
    assert_eq!(exchange(&mut second, "Three\n"), "Three\n");
}

#[test]
fn multiplex_awkward_takes_connections_out_of_the_multiplexing_and_back() {
    let server = serve("multiplex_awkward", &["0"]);
    let mut talks: Vec<_> = (0..4).map(|_| Talk::with(&server)).collect();
    for (n, talk) in talks.iter_mut().enumerate() {
        assert_eq!(talk.echo("before"), "before");
        talk.send(&frame(1, b""));
        assert_eq!(talk.hear(), "your name?");
        talk.say(&format!("n{n}"));
        assert_eq!(talk.hear(), format!("n{n}, count the primes below? (empty: enough)"));
    }
    // All at once, in the middle of their business; one beside them has none.
    talks.iter_mut().for_each(|talk| talk.say("20000"));
    assert_eq!(Talk::with(&server).echo("beside"), "beside");
    for talk in &mut talks {
        assert_eq!(talk.hear(), "2262 primes");
        talk.hear();
        talk.say("many");
        assert_eq!(talk.hear(), "a number up to 1000000, please");
        talk.hear();
    }
    for (n, talk) in talks.iter_mut().enumerate() {
        // The message comes right behind the last line.
        talk.send(&[&b"\n"[..], &frame(2, b"after")].concat());
        assert_eq!(talk.hear(), format!("bye n{n}, 2 rounds"));
        assert_eq!(talk.hear_frame(), "after");
    }
}

/// A demo's server, once it listens on a port of its own choice.
fn serve(name: &str, args: &[&str]) -> Process {
    Process::listening(Command::new(example(name)).args(args))
}

/// Runs a demo to its end, which must be a good one.
fn run(name: &str, args: &[&str]) -> Ended {
    let ended = Process::spawn(Command::new(example(name)).args(args)).end_within(LIMIT);
    assert!(ended.status.success(), "{}: {}", ended.status, ended.stderr);
    ended
}

fn connect(server: &Process) -> TcpStream {
    let stream = TcpStream::connect(("127.0.0.1", server.address.port())).unwrap();
    stream.set_read_timeout(Some(LIMIT)).unwrap();
    stream
}

fn exchange(stream: &mut TcpStream, text: &str) -> String {
    stream.write_all(text.as_bytes()).unwrap();
    let mut answer = vec![0; text.len()];
    stream.read_exact(&mut answer).unwrap();
    String::from_utf8(answer).unwrap()
}

fn rest(stream: &mut TcpStream) -> String {
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    text
}

/// Sends a request; returns the answer's head and body.
fn http(server: &Process, request: &str) -> (String, String) {
    let mut stream = connect(server);
    stream.write_all(request.as_bytes()).unwrap();
    let answer = rest(&mut stream);
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (format!("{head}\r\n"), body.to_string())
}

/// A folder with some files, and one beside it that must not be read.
fn web_root(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let root = folder.join("root");
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(root.join("site")).unwrap();
    fs::write(folder.join("secret.txt"), "secret\n").unwrap();
    fs::write(root.join("notes.txt"), "noted\n").unwrap();
    fs::write(root.join("with space.txt"), "spaced\n").unwrap();
    fs::write(root.join("site/index.html"), "<h1>index</h1>").unwrap();
    std::os::unix::fs::symlink(&folder, root.join("link")).unwrap();
    root
}

/// A client that speaks in lines, and in messages.
struct Talk {
    lines: BufReader<TcpStream>,
}

impl Talk {
    fn with(server: &Process) -> Self {
        Self { lines: BufReader::new(connect(server)) }
    }

    fn say(&mut self, line: &str) {
        self.send(format!("{line}\n").as_bytes());
    }

    fn send(&mut self, bytes: &[u8]) {
        self.lines.get_mut().write_all(bytes).unwrap();
    }

    /// Has a message of id 2 sent back.
    fn echo(&mut self, text: &str) -> String {
        self.send(&frame(2, text.as_bytes()));
        self.hear_frame()
    }

    /// The next message, which must be of id 2.
    fn hear_frame(&mut self) -> String {
        let mut head = [0; 8];
        self.lines.read_exact(&mut head).unwrap();
        assert_eq!(head[4..], 2u32.to_le_bytes());
        let mut text = vec![0; usize::from(head[0])];
        self.lines.read_exact(&mut text).unwrap();
        String::from_utf8(text).unwrap()
    }

    fn hear(&mut self) -> String {
        let mut line = String::new();
        self.lines.read_line(&mut line).unwrap();
        line.trim_end().to_string()
    }
}

/// The longest anything here may take.
const LIMIT: Duration = Duration::from_secs(30);
