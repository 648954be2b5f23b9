//! A client of the admin plane: one request per connection.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::Value;

use crate::common::{self, Running};

/// An answer: its status, its head and its body.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }
}

/// A configuration with an admin plane on any free port.
pub(crate) fn config() -> zinx::Config {
    let mut config = common::config();
    config.admin = "127.0.0.1:0".to_string();
    config
}

pub(crate) fn get(running: &Running, path: &str) -> Answer {
    ask(running.server.admin_addr().unwrap(), "GET", path, "")
}

pub(crate) fn get_json(running: &Running, path: &str) -> Value {
    let answer = get(running, path);
    assert_eq!(answer.status, 200, "{path}: {}", answer.body);
    answer.json()
}

pub(crate) fn post(running: &Running, path: &str) -> Answer {
    ask(running.server.admin_addr().unwrap(), "POST", path, "")
}

/// Asks, with further header lines, each ended by CR LF.
pub(crate) fn ask(plane: SocketAddr, method: &str, path: &str, headers: &str) -> Answer {
    let host = if headers.contains("Host:") { String::new() } else { format!("Host: {plane}\r\n") };
    talk(plane, format!("{method} {path} HTTP/1.1\r\n{host}{headers}\r\n").as_bytes())
}

/// Sends bytes, and reads the answer to them.
pub(crate) fn talk(plane: SocketAddr, bytes: &[u8]) -> Answer {
    let mut stream = TcpStream::connect(plane).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    stream.write_all(bytes).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer: {answer:?}"));
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    Answer { status, head: head.to_string(), body: body.to_string() }
}
