//! The other forms of the echo that chapter 1 sets beside ours, run as they are printed, and what it says of them.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use crate::common::port::ReservedPort;

#[test]
fn plain_sockets_serve_one_client_at_a_time() {
    let Some(form) = Form::start(0) else { return };
    let (mut first, mut second) = (form.connect(), form.connect());
    echo(&mut first);
    second.write_all(b"hello").unwrap();
    second.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
    assert_eq!(second.read(&mut [0]).unwrap_err().kind(), ErrorKind::WouldBlock);
    drop(first);
    second.set_read_timeout(Some(LIMIT)).unwrap();
    second.read_exact(&mut [0; 5]).unwrap();
}

#[test]
fn callbacks_serve_many_at_once() {
    let Some(form) = Form::start(1) else { return };
    let (mut first, mut second) = (form.connect(), form.connect());
    echo(&mut first);
    echo(&mut second);
    echo(&mut first);
}

fn echo(stream: &mut TcpStream) {
    stream.write_all(b"hello").unwrap();
    let mut back = [0; 5];
    stream.read_exact(&mut back).unwrap();
    assert_eq!(&back, b"hello");
}

/// A Python program of chapter 1, on a port of its own, killed at the end of the test.
struct Form {
    child: Child,
    port: ReservedPort,
}

impl Form {
    /// `None` if there is no Python.
    fn start(number: usize) -> Option<Self> {
        let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/tutorial/01-echo.md");
        let page = std::fs::read_to_string(page).unwrap();
        let program = page.split("```python\n").nth(number + 1).unwrap().split("```").next().unwrap();
        let port = ReservedPort::new();
        let program = program.replace("7777", &port.number().to_string());
        match Command::new("python3").arg("-c").arg(program).spawn() {
            Ok(child) => Some(Self { child, port }),
            Err(error) if error.kind() == ErrorKind::NotFound => {
                eprintln!("skipped: the Python forms of chapter 1, for want of python3");
                assert!(std::env::var_os("CI").is_none(), "CI must have python3");
                None
            }
            Err(error) => panic!("{error}"),
        }
    }

    /// Connects as soon as it listens.
    fn connect(&self) -> TcpStream {
        let start = Instant::now();
        loop {
            match TcpStream::connect(self.port.address) {
                Ok(stream) => {
                    stream.set_read_timeout(Some(LIMIT)).unwrap();
                    return stream;
                }
                Err(error) if start.elapsed() > LIMIT => panic!("{error}"),
                Err(_) => std::thread::sleep(Duration::from_millis(10)),
            }
        }
    }
}

impl Drop for Form {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The longest that anything may take.
const LIMIT: Duration = Duration::from_secs(20);
