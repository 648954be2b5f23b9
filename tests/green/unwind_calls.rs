//! As `unwind`, for what waits for the world outside: datagrams, Unix sockets, descriptors, processes, signals, servers. In
//! a destructor that runs while its coroutine unwinds, what would wait gives up at once, and nothing ends the process.

use std::io::{self, ErrorKind, PipeReader, PipeWriter, Read, Write, pipe};
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::unwind::{Cause, OnDrop, check_all, ended_by};
use crate::common::coroutines::{LONG, within};
use socket2::SockRef;
use zinx::green::subprocess::{self, Popen};
use zinx::green::{
    self, BackdoorServer, DatagramServer, Events, Poll, Queue, StreamServer, TcpStream, UdpSocket,
    UnixDatagram, UnixListener, UnixStream,
};

#[test]
fn what_would_wait_for_the_world_gives_up_at_once() {
    check_all(
        World::new,
        &[
            ("udp recv_from", |w: &World| w.udp.recv_from(&mut [0; 8]).is_err()),
            ("udp recv", |w| w.udp.recv(&mut [0; 8]).is_err()),
            ("unix recv_from", |w| w.datagram.recv_from(&mut [0; 8]).is_err()),
            ("unix recv", |w| w.datagram.recv(&mut [0; 8]).is_err()),
            ("unix accept", |w| w.idle_listener.accept().is_err()),
            ("unix read", |w| (&w.pair.0).read(&mut [0; 8]).is_err()),
            ("unix write", |w| (&w.full.0).write(&[0; 8]).is_err()),
            ("wait_read", |w| green::wait_read(&w.pipe.0).is_err()),
            ("wait_read_timeout", |w| !matches!(green::wait_read_timeout(&w.pipe.0, LONG), Ok(true))),
            ("wait_write", |w| green::wait_write(&w.full.0).is_err()),
            ("wait_write_timeout", |w| !matches!(green::wait_write_timeout(&w.full.0, LONG), Ok(true))),
            ("select", |w| green::select(&[w.pipe.0.as_fd()], &[]).is_err()),
            ("select_timeout", |w| {
                let selected = green::select_timeout(&[w.pipe.0.as_fd()], &[], LONG);
                selected.map_or(true, |(reads, writes)| reads.is_empty() && writes.is_empty())
            }),
            ("poll", |w| polls(&w.pipe.0, Poll::poll).is_err()),
            ("poll_timeout", |w| polls(&w.pipe.0, |poll| poll.poll_timeout(LONG)).is_err()),
            ("process wait", |w| w.process.lock().unwrap().wait().is_err()),
            ("process wait_timeout", |w| {
                !matches!(w.process.lock().unwrap().wait_timeout(LONG), Ok(Some(_)))
            }),
            ("process communicate", |w| w.process.lock().unwrap().communicate(b"").is_err()),
            ("serve", |w| {
                // Nobody has a handler any more after the first.
                let _ = w.server.serve(|_, _| Ok(()));
                true
            }),
        ],
    );
}

#[test]
fn what_need_not_wait_for_the_world_works() {
    check_all(
        World::new,
        &[
            ("udp send_to", |w: &World| w.udp.send_to(b"x", w.address).is_ok()),
            ("udp bind", |_| UdpSocket::bind("127.0.0.1:0").is_ok()),
            ("unix bind", |_| UnixListener::bind(name(), 1).is_ok()),
            ("unix datagram", |_| {
                let (one, other) = UnixDatagram::pair().unwrap();
                one.send(b"x").is_ok() && other.recv(&mut [0; 8]).is_ok()
            }),
            ("unix connect", |w| UnixStream::connect(&w.path).is_ok()),
            ("unix accept of one who is there", |_| {
                let path = name();
                let listener = UnixListener::bind(&path, 1).unwrap();
                let _client = UnixStream::connect(&path).unwrap();
                listener.accept().is_ok()
            }),
            ("socketpair", |_| {
                let (one, other) = green::socketpair().unwrap();
                (&one).write_all(b"x").is_ok() && (&other).read(&mut [0; 8]).is_ok_and(|n| n == 1)
            }),
            ("connect", |w| {
                // On this machine it is decided at once; if not, it gives up.
                let _ = TcpStream::connect_timeout(w.server.local_addr(), LONG);
                true
            }),
            ("resolve", |_| green::resolve("127.0.0.1", 1).is_ok()),
            ("wait_write", |w| green::wait_write(&w.pipe.1).is_ok()),
            ("select", |w| {
                green::select(&[], &[w.pipe.1.as_fd()])
                    .is_ok_and(|(reads, writes)| (reads.len(), writes.len()) == (0, 1))
            }),
            ("process", |w| {
                let mut process = w.process.lock().unwrap();
                // SIGCONT.
                process.poll().is_ok_and(|ended| ended.is_none()) && process.send_signal(18).is_ok()
            }),
            ("no process", |_| {
                let refused = Popen::new(Command::new("/no/such/program")).unwrap_err();
                refused.kind() == ErrorKind::NotFound
            }),
            ("signal", |_| green::signal(10, || {}).is_ok()),
            ("stop of a datagram server", |w| {
                w.datagrams.stop(LONG);
                // Another may have been first.
                let _ = w.datagrams.start(|_, _, _| Ok(()));
                true
            }),
            ("stop of a stream server", |w| {
                w.server.stop_accepting();
                let _ = w.server.restart();
                true
            }),
            ("stop of a backdoor", |w| {
                w.backdoor.stop(LONG);
                true
            }),
        ],
    );
}

/// Once for each cause: processes cost more than calls.
#[test]
fn processes_started_in_a_destructor_that_unwinds_end_and_leave_no_zombie() {
    within(60, || {
        for cause in Cause::ALL {
            let said = Arc::new(Queue::unbounded());
            let tell = Arc::clone(&said);
            let in_destructor = move || {
                let mut sleeper = Command::new("sleep");
                sleeper.arg("3600");
                let mut sleeper = Popen::new(sleeper).unwrap();
                let pid = sleeper.pid();
                sleeper.kill().unwrap();
                drop(sleeper);
                // Nothing is waited for, so it may be cut short: killed, and waited for by another.
                let ran = subprocess::run(Command::new("cat"), b"meow");
                let called = subprocess::call(Command::new("true"));
                let checked = subprocess::check_output(Command::new("true"));
                tell.try_put((pid, ran.is_err() || called.is_err() || checked.is_err())).unwrap();
            };
            let one = ended_by(cause, move || {
                let _guard = OnDrop::new(in_destructor);
                cause.meet();
            });
            drop(one.get());
            let (pid, _) = said.try_get().unwrap();
            let stat = format!("/proc/{pid}/stat");
            let gone = || std::fs::read_to_string(&stat).map_or(true, |stat| !is_our_child(&stat));
            assert!(crate::common::comes_true(LONG, gone), "{cause:?}: {stat}");
        }
    });
}

/// Whether a line of `/proc/PID/stat` is of a child of this process.
fn is_our_child(stat: &str) -> bool {
    let parent = stat.rsplit_once(')').and_then(|(_, rest)| rest.split_whitespace().nth(1));
    parent == Some(std::process::id().to_string().as_str())
}

/// What the destructors use. Nothing comes from anywhere, and what is full stays so.
struct World {
    udp: UdpSocket,
    /// Somebody's who does not read.
    address: SocketAddr,
    _silent: UdpSocket,
    datagram: UnixDatagram,
    idle_listener: UnixListener,
    /// Has room for all who come.
    _listener: UnixListener,
    path: PathBuf,
    pair: (UnixStream, UnixStream),
    full: (UnixStream, UnixStream),
    pipe: (PipeReader, PipeWriter),
    process: Mutex<Popen>,
    server: StreamServer,
    datagrams: DatagramServer,
    backdoor: BackdoorServer,
}

impl World {
    fn new() -> Arc<Self> {
        let silent = UdpSocket::bind("127.0.0.1:0").unwrap();
        let path = name();
        let mut process = Command::new("sleep");
        process.arg("3600").stdin(Stdio::null());
        let server = StreamServer::bind("127.0.0.1:0").unwrap();
        let datagrams = DatagramServer::bind("127.0.0.1:0").unwrap();
        datagrams.start(|_, _, _| Ok(())).unwrap();
        let backdoor = BackdoorServer::bind("127.0.0.1:0").unwrap();
        backdoor.start().unwrap();
        Arc::new(Self {
            udp: UdpSocket::bind("127.0.0.1:0").unwrap(),
            address: silent.local_addr().unwrap(),
            _silent: silent,
            datagram: UnixDatagram::bind(name()).unwrap(),
            idle_listener: UnixListener::bind(name(), 1).unwrap(),
            _listener: UnixListener::bind(&path, 4096).unwrap(),
            path,
            pair: green::socketpair().unwrap(),
            full: full_pair(),
            pipe: pipe().unwrap(),
            process: Mutex::new(Popen::new(process).unwrap()),
            server,
            datagrams,
            backdoor,
        })
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.process.get_mut().unwrap().kill().unwrap();
        self.server.stop(Duration::ZERO);
        self.datagrams.stop(Duration::ZERO);
        self.backdoor.stop(LONG);
    }
}

/// A pair of streams of which the first takes no more.
fn full_pair() -> (UnixStream, UnixStream) {
    let (one, other) = green::socketpair().unwrap();
    let full = loop {
        if let Err(full) = SockRef::from(&one).send(&[0; 65536]) {
            break full;
        }
    };
    assert_eq!(full.kind(), ErrorKind::WouldBlock);
    (one, other)
}

fn polls<T>(pipe: &PipeReader, wait: impl FnOnce(&mut Poll) -> io::Result<Vec<T>>) -> io::Result<usize> {
    let mut poll = Poll::new()?;
    poll.register(pipe, Events::READ)?;
    wait(&mut poll).map(|ready| ready.len())
}

/// An abstract name that nobody else has.
fn name() -> PathBuf {
    static LAST: AtomicUsize = AtomicUsize::new(0);
    format!("\0zinx-unwind-{}-{}", std::process::id(), LAST.fetch_add(1, Ordering::Relaxed)).into()
}
