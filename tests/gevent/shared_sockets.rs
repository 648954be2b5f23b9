//! Several that wait on one socket: what comes for all of them, or is too much for one, leaves none waiting.

use std::io::{ErrorKind, Read, Write};
use std::sync::Arc;

use zinx::green::{self, Greenlet, TcpListener, TcpStream, UdpSocket, UnixListener, bluelet};

use super::{test, until_it, waiting};

/// So many wait for the same.
const ALL: usize = 3;

fn all_wait<T: Send + 'static>(body: impl Fn() -> T + Clone + Send + 'static) -> Vec<Greenlet<T>> {
    let each = |_| {
        let greenlet = waiting(body.clone());
        until_it(greenlet.coroutine(), "waits for a socket");
        greenlet
    };
    (0..ALL).map(each).collect()
}

fn ends<T: Send + 'static>(greenlets: Vec<Greenlet<T>>) -> Vec<T> {
    greenlets.into_iter().map(|greenlet| greenlet.get().unwrap()).collect()
}

#[test]
fn bytes_that_come_at_once_are_read_by_all_who_wait_for_them() {
    test(|| {
        let (one, mut other) = green::socketpair().unwrap();
        let readers = all_wait(move || {
            let mut byte = [0];
            (&one).read_exact(&mut byte).unwrap();
            byte[0]
        });
        other.write_all(b"abc").unwrap();
        let mut read = ends(readers);
        read.sort_unstable();
        assert_eq!(read, b"abc");
    });
}

#[test]
fn the_end_of_a_stream_is_told_to_all_who_read() {
    test(|| {
        for by_peer in [true, false] {
            let listener = TcpListener::bind("127.0.0.1:0", 16).unwrap();
            let stream = TcpStream::connect(listener.local_addr()).unwrap();
            let (peer, _) = listener.accept().unwrap();
            let theirs = stream.clone();
            let readers = all_wait(move || (&theirs).read(&mut [0; 8]).unwrap());
            if by_peer {
                peer.shutdown_write()
            } else {
                stream.shutdown()
            }
            assert_eq!(ends(readers), [0; ALL]);
        }
    });
}

#[test]
fn datagrams_that_come_at_once_are_received_by_all_who_wait_for_them() {
    test(|| {
        let (to, from) = (UdpSocket::bind("127.0.0.1:0").unwrap(), UdpSocket::bind("127.0.0.1:0").unwrap());
        let address = to.local_addr().unwrap();
        let receivers = all_wait(move || to.recv(&mut [0; 8]).unwrap());
        (0..ALL).for_each(|_| assert_eq!(from.send_to(b"x", address).unwrap(), 1));
        assert_eq!(ends(receivers), [1; ALL]);
    });
}

#[test]
fn a_listener_that_closes_ends_all_that_accept() {
    test(|| {
        let listener = Arc::new(bluelet::Listener::new("127.0.0.1", 0).unwrap());
        let theirs = Arc::clone(&listener);
        let accepts = all_wait(move || theirs.accept().map(drop).unwrap_err().kind());
        listener.close();
        assert_eq!(ends(accepts), [ErrorKind::NotConnected; ALL]);

        let name = format!("\0zinx-shared-{}", std::process::id());
        let listener = Arc::new(UnixListener::bind(name, 4).unwrap());
        let theirs = Arc::clone(&listener);
        let accepts = all_wait(move || theirs.accept().map(drop).unwrap_err().kind());
        listener.close();
        assert_eq!(ends(accepts), [ErrorKind::Interrupted; ALL]);
    });
}

#[test]
fn an_interrupt_ends_one_accept_of_a_coroutine_or_of_a_plain_thread() {
    test(|| {
        let listener = Arc::new(TcpListener::bind("127.0.0.1:0", 16).unwrap());
        let interrupted = |listener: &TcpListener| {
            assert_eq!(listener.accept().map(drop).unwrap_err().kind(), ErrorKind::Interrupted);
        };
        // The next one that would wait.
        for on_thread in [true, false, true] {
            listener.interrupt();
            let theirs = Arc::clone(&listener);
            if on_thread { interrupted(&listener) } else { green::run(move || interrupted(&theirs)) }
        }
        // The one that waits: once the thread does nothing any more, which the system says.
        let (say, hear) = std::sync::mpsc::channel();
        let theirs = Arc::clone(&listener);
        let accepts = std::thread::spawn(move || {
            say.send(rustix::thread::gettid().as_raw_nonzero()).unwrap();
            interrupted(&theirs);
        });
        let state = format!("/proc/self/task/{}/stat", hear.recv().unwrap());
        let sleeps =
            || std::fs::read_to_string(&state).unwrap().rsplit(')').next().unwrap().starts_with(" S");
        super::comes_true(sleeps);
        listener.interrupt();
        accepts.join().unwrap();
        // Nothing is left of it.
        let theirs = Arc::clone(&listener);
        let waits = waiting(move || theirs.accept().map(drop));
        until_it(waits.coroutine(), "waits for a socket");
        let _stream = TcpStream::connect(listener.local_addr()).unwrap();
        waits.get().unwrap().unwrap();
    });
}
