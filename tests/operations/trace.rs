//! The frames of a few connections are followed while the server runs.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::time::Duration;

use zinx::prelude::*;

use crate::common::{ECHO, Running, frame, start_alone, wait_until};
use crate::http::{config, get_json, post};

const CALL: u32 = 15;
const LOGIN: u32 = 20;

/// A trace, whose lines come as things happen.
struct Trace(BufReader<TcpStream>);

impl Trace {
    fn begin(running: &Running, parameters: &str) -> Self {
        let plane = running.server.admin_addr().unwrap();
        let mut stream = TcpStream::connect(plane).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        write!(stream, "POST /trace?{parameters} HTTP/1.1\r\nHost: {plane}\r\n\r\n").unwrap();
        let mut trace = Self(BufReader::new(stream));
        assert!(trace.line().starts_with("HTTP/1.1 200 "));
        while !trace.line().is_empty() {}
        trace
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.0.read_line(&mut line).unwrap();
        line.trim_end().to_string()
    }

    /// The next line, without the time.
    fn next(&mut self) -> String {
        let line = self.line();
        line.trim_start()
            .split_once(' ')
            .unwrap_or_else(|| panic!("the trace is over: {line:?}"))
            .1
            .to_string()
    }
}

fn start() -> Running {
    start_alone(config(), |server| {
        let call = |request: &dyn IRequest| {
            let conn = request.get_connection();
            let answer = conn.call(7, "how?", 8, Duration::from_secs(30))?;
            conn.send_msg(CALL, answer.get_data())
        };
        server.add_router(CALL, call).unwrap();
        let login = |request: &dyn IRequest| {
            request.get_connection().login("bob", OnDuplicate::Multi)?;
            request.get_connection().send_msg(LOGIN, "welcome")
        };
        server.add_router(LOGIN, login).unwrap();
    })
}

#[test]
fn each_frame_of_a_connection_is_shown_in_both_directions_and_those_of_others_are_not() {
    let running = start();
    let (mut peer, mut other) = (running.connect(), running.connect());
    peer.check_echo();
    other.check_echo();
    let mut trace = Trace::begin(&running, "id=0&seconds=60");
    assert_eq!(trace.next(), format!("0 is followed, from {}", peer.addr()));
    other.check_echo();
    peer.send(&[frame(ECHO, b"a\n"), frame(ECHO, &[b'x'; 100])].concat());
    let long = format!("id 1, 100 bytes: \"{}\"…", "x".repeat(64));
    let both = ["0 <- id 1, 2 bytes: \"a\\n\"".to_string(), format!("0 <- {long}")];
    assert_eq!([trace.next(), trace.next()], both);
    let both = ["0 -> id 1, 2 bytes: \"a\\n\"".to_string(), format!("0 -> {long}")];
    assert_eq!([trace.next(), trace.next()], both);
    // A handler that asks: what it asks, and what answers it, once each.
    peer.send(&frame(CALL, b""));
    assert_eq!(trace.next(), "0 <- id 15, 0 bytes: \"\"");
    assert_eq!(trace.next(), "0 -> id 7, 4 bytes: \"how?\"");
    peer.send(&frame(8, b"so"));
    assert_eq!(trace.next(), "0 <- id 8, 2 bytes: \"so\"");
    assert_eq!(trace.next(), "0 -> id 15, 2 bytes: \"so\"");
    peer.finish();
    assert!(trace.next().starts_with("0 closes: "));
}

#[test]
fn a_user_and_an_address_are_followed_from_when_they_come() {
    let running = start();
    let mut address = Trace::begin(&running, "address=127.0.0.1&seconds=60");
    let mut peer = running.connect();
    assert_eq!(address.next(), format!("0 is followed, from {}", peer.addr()));
    peer.send(&frame(LOGIN, b""));
    assert_eq!(address.next(), "0 <- id 20, 0 bytes: \"\"");
    assert_eq!(address.next(), "0 -> id 20, 7 bytes: \"welcome\"");
    peer.read_frame();
    // By one at a time; the next may once the first is over.
    let mut user = Trace::begin(&running, "user=bob&seconds=60");
    drop(address);
    assert_eq!(user.next(), format!("0 is followed, from {}", peer.addr()));
    peer.check_echo();
    assert!(user.next().starts_with("0 <- id 1, "));
}

#[test]
fn a_trace_ends_after_its_time_and_wrong_ones_are_refused() {
    let running = start();
    let mut peer = running.connect();
    wait_until("it is a connection", || get_json(&running, "/connz")["matched"] == 1);
    let mut trace = Trace::begin(&running, "id=0&seconds=1");
    assert!(trace.next().starts_with("0 is followed"));
    assert_eq!(trace.line(), "", "it is over");
    peer.check_echo();
    for wrong in ["", "id=0&user=bob", "id=x", "id=0&seconds=301", "id=0&more=1"] {
        assert_eq!(post(&running, &format!("/trace?{wrong}")).status, 400, "{wrong}");
    }
    assert_eq!(crate::http::get(&running, "/trace?id=0").status, 405);
}
