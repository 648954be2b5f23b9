//! A server in a process of its own whose handlers wait for what never comes, or compute without end.

use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::ops::Deref;
use std::process::{Command, ExitCode};
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use zinx::green::{self, Channel, Event, Queue, Select, Semaphore, TcpListener};
use zinx::prelude::*;

use super::common::child::{as_child, is_child};
use super::common::process::{Ended, Process, SLACK};
use super::common::{Peer, frame, wait_until};

pub(crate) const BEGUN: u32 = 1;
pub(crate) const SLEEP: u32 = 2;
pub(crate) const COMPUTE: u32 = 3;
/// Is done in a moment.
pub(crate) const SOON: u32 = 4;
pub(crate) const FLOOD: u32 = 5;

type Wait = fn(&dyn IRequest);

/// Handlers that wait, by their message ids. None leaves a coroutine of its own behind.
pub(crate) const WAITS: [(u32, Wait); 12] = [
    (SLEEP, |_| green::sleep(EVER)),
    (10, |_| Event::new().wait()),
    (11, |_| never(Queue::<u8>::bounded(1).get())),
    (12, |_| [1, 2].into_iter().for_each(|item| never(FULL.put(item)))),
    (13, |_| never(Semaphore::new(0).acquire())),
    (14, |_| never(Channel::<u8>::new().get())),
    (15, |_| Select::new().on(&Event::new(), |()| ()).wait()),
    (16, |_| never(green::with_timeout(EVER, || Event::new().wait()))),
    (17, |_| green::blocking(|| std::thread::sleep(EVER))),
    (18, |_| never(TcpListener::bind("127.0.0.1:0", 1).map(|listener| listener.accept()))),
    (19, |request| while request.get_connection().send_msg(FLOOD, vec![0; 100_000]).is_ok() {}),
    (20, |_| {
        loop {
            green::yield_now();
        }
    }),
];

/// Full after the first item.
static FULL: LazyLock<Queue<u8>> = LazyLock::new(|| Queue::bounded(1));

/// What is never given.
fn never<T>(_: T) {}

const EVER: Duration = Duration::from_secs(3600);

/// How long it drains, unless the environment says otherwise.
const DRAIN_MS: u64 = 500;

/// The server's process.
pub(crate) struct StuckServer {
    pub(crate) process: Process,
}

impl StuckServer {
    /// Starts the test of this name in a process of its own, where the same call serves and does not return.
    pub(crate) fn start(name: &str, env: &[(&str, &str)]) -> Self {
        if is_child(name) {
            serve();
        }
        let mut command = Command::new(std::env::current_exe().unwrap());
        as_child(&mut command, name);
        command.env("ZINX_HOST", "127.0.0.1").env("ZINX_DRAINMS", DRAIN_MS.to_string());
        Self { process: Process::listening(command.envs(env.iter().copied())) }
    }

    /// A peer whose connection has begun.
    pub(crate) fn connect(&self) -> Peer {
        let stream = TcpStream::connect(self.process.address).unwrap();
        stream.set_read_timeout(Some(SLACK)).unwrap();
        let mut peer = Peer { stream };
        assert_eq!(peer.read_frame(), (BEGUN, vec![]));
        peer
    }

    /// A peer whose handler has begun.
    pub(crate) fn ask(&self, msg_id: u32) -> Peer {
        let mut peer = self.connect();
        peer.send(&frame(msg_id, b""));
        assert_eq!(peer.read_frame(), (BEGUN, vec![]));
        peer
    }

    /// Peers of whose handlers as many compute as there are workers. Those of others may not have begun, and cannot.
    pub(crate) fn ask_all_to_compute(&self, peers: usize, workers: &str) -> Vec<Peer> {
        let connect = |_| {
            let mut stream = TcpStream::connect(self.process.address).unwrap();
            stream.write_all(&frame(COMPUTE, b"")).unwrap();
            Peer { stream }
        };
        let connected = (0..peers).map(connect).collect();
        let printed = |line: &str| self.process.printed().lines().filter(|printed| *printed == line).count();
        let accepted = format!("accepted {peers}");
        wait_until("they compute", || printed("computes").to_string() == workers && printed(&accepted) == 1);
        connected
    }

    /// Asks it to end, and waits until it has, which takes as long as it drains.
    pub(crate) fn end_by_deadline(self) -> Forced {
        let begun = Instant::now();
        self.process.kill(Signal::TERM);
        let ended = self.end_within(Duration::from_millis(DRAIN_MS + 1000) + SLACK);
        let took = begun.elapsed();
        assert!(took >= Duration::from_millis(DRAIN_MS - 100), "no time to drain: {took:?}");
        ended
    }

    pub(crate) fn end_within(self, limit: Duration) -> Forced {
        Forced(self.process.end_within(limit))
    }
}

/// How the server's process has ended.
pub(crate) struct Forced(Ended);

impl Deref for Forced {
    type Target = Ended;

    fn deref(&self) -> &Ended {
        &self.0
    }
}

impl Forced {
    /// Exit code 1, the peers named with what was done for them, and how many they are in the last line.
    pub(crate) fn is_forced(&self, peers: &[Peer]) {
        assert_eq!(self.status.code(), Some(1), "{}", self.stderr);
        for peer in peers {
            let address: SocketAddr = peer.addr();
            let named = format!("from {address} (");
            let is_it = |line: &str| line.contains("cut off") && line.contains(&named);
            assert!(self.stderr.lines().any(is_it), "{address} is not named: {}", self.stderr);
        }
        let last = self.stderr.lines().last().unwrap_or_default();
        assert!(last.contains("forced") && last.contains(&peers.len().to_string()), "{}", self.stderr);
    }

    /// How many have run, to their end or not.
    pub(crate) fn stop_hooks(&self) -> usize {
        self.stdout.lines().filter(|line| line.contains("stop hook")).count()
    }
}

fn serve() -> ! {
    env_logger::init();
    let code = exit(try_to_serve());
    std::process::exit(if code == ExitCode::SUCCESS { 0 } else { 1 })
}

fn try_to_serve() -> Result<()> {
    let server = new_server()?;
    server.set_on_conn_start(|conn| conn.send_msg(BEGUN, ""));
    let waits = std::env::var_os("STOP_HOOK_WAITS").is_some();
    server.set_on_conn_stop(move |conn| {
        println!("stop hook of {}", conn.get_conn_id());
        if waits {
            green::sleep(EVER);
        }
        Ok(())
    });
    for (msg_id, wait) in WAITS {
        server.add_router(msg_id, move |request: &dyn IRequest| {
            request.get_connection().send_msg(BEGUN, "")?;
            wait(request);
            Ok(())
        })?;
    }
    server.add_router(COMPUTE, |_: &dyn IRequest| -> Result<()> {
        println!("computes");
        loop {
            std::hint::spin_loop();
        }
    })?;
    server.add_router(SOON, |request: &dyn IRequest| {
        request.get_connection().send_msg(BEGUN, "")?;
        green::sleep(Duration::from_millis(500));
        request.get_connection().send_msg(SOON, "done")
    })?;
    let counts = server.clone();
    // On a thread: it goes on while handlers compute.
    std::thread::spawn(move || {
        let mut told = 0;
        loop {
            let accepted = counts.stats().accepted;
            if std::mem::replace(&mut told, accepted) != accepted {
                println!("accepted {accepted}");
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    });
    server.serve()
}
