//! What the tests of `green` share.

use std::io::{Read, Write};
use std::net::SocketAddr;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use zinx::green::{self, Greenlet, Runtime, TcpListener};

/// What must happen happens by then.
pub(crate) const LONG: Duration = Duration::from_secs(20);

/// Runs a test, and fails it if it takes longer than this.
pub(crate) fn within(seconds: u64, test: impl FnOnce() + Send + 'static) {
    let (done, ended) = mpsc::channel::<()>();
    let running = thread::spawn(move || {
        let _done = done;
        runtime();
        test();
    });
    // Nothing is sent: the channel closes when the test ends, also by a panic.
    let late = ended.recv_timeout(Duration::from_secs(seconds)) == Err(mpsc::RecvTimeoutError::Timeout);
    assert!(!late, "not done within {seconds} s");
    if let Err(payload) = running.join() {
        std::panic::resume_unwind(payload);
    }
}

/// Starts the runtime, with as many workers as the environment says.
pub(crate) fn runtime() -> Runtime {
    let workers = std::env::var("ZINX_TEST_WORKERS").map_or(0, |workers| workers.parse().unwrap());
    Runtime { workers, ..Runtime::default() }.start().unwrap();
    Runtime::current().unwrap()
}

/// A listener on a free port.
pub(crate) fn bind() -> TcpListener {
    TcpListener::bind("127.0.0.1:0", 16).unwrap()
}

/// A coroutine that accepts one connection and echoes it to its end.
pub(crate) fn echo_once() -> (SocketAddr, Greenlet<()>) {
    let listener = bind();
    let address = listener.local_addr();
    let echo = green::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut buf = [0; 4096];
        loop {
            match stream.read(&mut buf).unwrap() {
                0 => return stream.shutdown_write(),
                n => stream.write_all(&buf[..n]).unwrap(),
            }
        }
    });
    (address, echo)
}
