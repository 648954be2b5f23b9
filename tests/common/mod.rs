//! What the test files share: a server on a free port with a healthy client beside it, and peers that speak raw bytes.

use std::io::{ErrorKind, Read};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use zinx::zconf::Mode;
use zinx::ziface::{CloseReason, IConnection, IRequest, IServer};
use zinx::znet::Stats;
use zinx::{Config, Server};

pub(crate) mod chaos;

pub(crate) mod child;

pub(crate) mod coroutines;

pub(crate) mod flooding;

pub(crate) mod go_peer;

pub(crate) mod in_time;

pub(crate) mod log_lines;

pub(crate) mod phone;

pub(crate) mod port;

pub(crate) mod random;

pub(crate) mod process;

pub(crate) mod saying;

pub(crate) mod short_of_memory;

pub(crate) mod talks;

pub(crate) mod uploads;

pub(crate) mod wire;

#[cfg(feature = "websocket")]
pub(crate) mod ws_wire;
use wire::Wire;

mod healthy;
use healthy::Healthy;

/// The message id that every test server echoes; the healthy client speaks it.
pub(crate) const ECHO: u32 = 1;

/// A configuration for tests: any free port, no signals, the worker count of `ZINX_TEST_WORKERS`.
pub(crate) fn config() -> Config {
    let mut config = Config::default();
    config.tcp_port = 0;
    config.handle_signals = false;
    config.workers = std::env::var("ZINX_TEST_WORKERS").map_or(0, |count| count.parse().unwrap());
    config
}

/// A server that runs until this is dropped. By then the healthy client must have been served throughout.
pub(crate) struct Running {
    pub(crate) server: Server,
    stops: Arc<Mutex<Vec<Stop>>>,
    healthy: Option<Healthy>,
    _watchdog: Watchdog,
}

/// What a stop hook saw.
struct Stop {
    /// `None`: a later peer of the test has that address.
    peer: Option<SocketAddr>,
    conn_id: u64,
    reason: Option<CloseReason>,
}

/// Starts a server and a healthy client beside what the test does to it.
pub(crate) fn start(config: Config, set_up: impl FnOnce(&Server)) -> Running {
    start_beside(config, set_up, |running| {
        let address = running.server.local_addr().unwrap();
        move || Peer::connect(address)
    })
}

/// As [`start`]; the healthy client connects by what `dial` returns.
pub(crate) fn start_beside<S: Wire + Send + 'static, D: Fn() -> Peer<S> + Send + 'static>(
    config: Config,
    set_up: impl FnOnce(&Server),
    dial: impl FnOnce(&Running) -> D,
) -> Running {
    // What is sent over KCP is acknowledged by the client itself.
    let write_timeout = if config.mode == Mode::KCP { config.write_timeout_ms } else { 0 };
    let limits = [config.idle_timeout_ms, config.first_frame_timeout_ms, write_timeout];
    let idle = limits.into_iter().filter(|&ms| ms > 0).min().map_or(Duration::MAX, Duration::from_millis);
    let mut running = start_alone(config, set_up);
    running.healthy = Some(Healthy::beside(dial(&running), idle));
    running
}

/// Starts a server without a healthy client: for another wire format, and to measure.
pub(crate) fn start_alone(config: Config, set_up: impl FnOnce(&Server)) -> Running {
    let watchdog = Watchdog::start(LIMIT);
    let server = zinx::new_server_with_config(config).unwrap();
    let stops = Arc::new(Mutex::new(Vec::new()));
    let noted = Arc::clone(&stops);
    server.set_on_conn_stop(move |conn| {
        let (peer, conn_id, reason) = (conn.get_remote_addr(), conn.get_conn_id(), conn.get_close_reason());
        noted.lock().unwrap().push(Stop { peer: Some(peer), conn_id, reason });
        Ok(())
    });
    server
        .add_router(ECHO, |request: &dyn IRequest| {
            request.get_connection().send_msg(ECHO, request.get_data())
        })
        .unwrap();
    set_up(&server);
    server.start().unwrap();
    Running { server, stops, healthy: None, _watchdog: watchdog }
}

impl Running {
    pub(crate) fn connect(&self) -> Peer {
        self.new_peer(|| Peer::connect(self.server.local_addr().unwrap()), |peer| peer.addr())
    }

    /// Ports are given out again: what was noted of an earlier peer with the address of this one is not this one's.
    pub(crate) fn new_peer<P>(
        &self,
        connect: impl FnOnce() -> P,
        address: impl FnOnce(&P) -> SocketAddr,
    ) -> P {
        // Of this one a stop may be noted before its address is known here.
        let earlier = self.stops.lock().unwrap().len();
        let peer = connect();
        let address = Some(address(&peer));
        let stops = &mut self.stops.lock().unwrap()[..earlier];
        stops.iter_mut().filter(|stop| stop.peer == address).for_each(|stop| stop.peer = None);
        peer
    }

    /// A peer that has had a message echoed. A server that does not wait long for the first one may close the connection of a
    /// peer that a busy machine holds up: then another tries.
    pub(crate) fn greeted(&self) -> Peer {
        in_time::in_time(|| {
            let mut peer = self.connect();
            peer.is_answered().then_some(peer)
        })
    }

    /// The server's side of a peer's connection, while it is open.
    pub(crate) fn conn(&self, of: SocketAddr) -> Arc<dyn IConnection> {
        let mut found = None;
        wait_until("the connection", || {
            self.server.get_conn_mgr().range(&mut |conn| {
                let is_it = conn.get_remote_addr() == of;
                if is_it {
                    found = Some(Arc::clone(conn));
                }
                !is_it
            });
            found.is_some()
        });
        found.unwrap()
    }

    /// Stops the server, and returns what it has counted, the healthy client's connection included.
    pub(crate) fn stop(mut self) -> Stats {
        self.end();
        self.server.stats()
    }

    /// Waits for the stop hook of a peer's connection; returns why it closed.
    pub(crate) fn close_reason(&self, of: SocketAddr) -> CloseReason {
        wait_until("the stop hook", || self.stop_hooks(of) > 0);
        let stops = self.stops.lock().unwrap();
        stops.iter().find(|stop| stop.peer == Some(of)).unwrap().reason.clone().unwrap()
    }

    /// Why the only connection there was has closed.
    pub(crate) fn only_reason(&self) -> CloseReason {
        let stops = self.stops.lock().unwrap();
        assert_eq!(stops.len(), 1);
        stops[0].reason.clone().unwrap()
    }

    /// Why connections have closed, in order.
    pub(crate) fn reasons(&self) -> Vec<CloseReason> {
        self.stops.lock().unwrap().iter().filter_map(|stop| stop.reason.clone()).collect()
    }

    /// How often the stop hook has run for a peer's connection.
    pub(crate) fn stop_hooks(&self, of: SocketAddr) -> usize {
        self.stops.lock().unwrap().iter().filter(|stop| stop.peer == Some(of)).count()
    }

    /// How often it has run for a connection, whoever else had the port of its peer.
    pub(crate) fn stop_hooks_of(&self, conn_id: u64) -> usize {
        self.stops.lock().unwrap().iter().filter(|stop| stop.conn_id == conn_id).count()
    }

    fn end(&mut self) {
        let healthy = self.healthy.take().map(Healthy::finish);
        self.server.stop();
        let stopped = self.server.wait_stopped(Duration::from_secs(20));
        if !thread::panicking() {
            if let Some(Err(problem)) = healthy {
                panic!("the healthy client: {problem}");
            }
            assert!(stopped, "the server has not stopped");
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.end();
    }
}

/// A peer that speaks raw bytes and waits at most half a minute for each answer.
pub(crate) struct Peer<S = TcpStream> {
    pub(crate) stream: S,
}

impl Peer {
    pub(crate) fn connect(server: SocketAddr) -> Self {
        let stream = TcpStream::connect(server).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream }
    }

    pub(crate) fn addr(&self) -> SocketAddr {
        self.stream.local_addr().unwrap()
    }

    /// Ends the stream towards the server; answers can still be read.
    pub(crate) fn finish(&self) {
        // It may have been ended from the other side.
        let _ = self.stream.shutdown(Shutdown::Write);
    }

    /// Ends the connection with a reset.
    pub(crate) fn reset(mut self) {
        self.stream.cut();
    }

    /// Reads what has arrived. Whether a reset is behind it, and not the end of the stream.
    pub(crate) fn is_reset(&mut self) -> bool {
        let mut buffer = vec![0; 1 << 16];
        loop {
            match self.stream.read(&mut buffer) {
                Ok(0) => return false,
                Ok(_) => {}
                Err(error) => return error.kind() == ErrorKind::ConnectionReset,
            }
        }
    }
}

impl<S: Wire> Peer<S> {
    pub(crate) fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).unwrap();
        self.stream.flush().unwrap();
    }

    pub(crate) fn read_exactly(&mut self, len: usize) -> Vec<u8> {
        let mut bytes = vec![0; len];
        self.stream.read_exact(&mut bytes).unwrap();
        bytes
    }

    pub(crate) fn read_frame(&mut self) -> (u32, Vec<u8>) {
        let head = self.read_exactly(8);
        let word = |at: usize| u32::from_le_bytes(head[at..at + 4].try_into().unwrap());
        (word(4), self.read_exactly(word(0) as usize))
    }

    pub(crate) fn read_to_end(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.stream.read_to_end(&mut bytes).unwrap();
        bytes
    }

    /// Whether a message is echoed, and the connection still there.
    pub(crate) fn is_answered(&mut self) -> bool {
        let sent = frame(ECHO, b"still there?");
        let mut heard = vec![0; sent.len()];
        let io = self.stream.write_all(&sent).and_then(|()| self.stream.flush());
        io.and_then(|()| self.stream.read_exact(&mut heard)).is_ok() && heard == sent
    }

    /// Has a message echoed, which shows that the connection lives and all before it has been handled.
    pub(crate) fn check_echo(&mut self) {
        self.send(&frame(ECHO, b"still there?"));
        assert_eq!(self.read_frame(), (ECHO, b"still there?".to_vec()));
    }
}

/// A frame as `ltv_little_endian` has it: length, id, value.
pub(crate) fn frame(msg_id: u32, data: &[u8]) -> Vec<u8> {
    let len = u32::try_from(data.len()).unwrap();
    [&len.to_le_bytes()[..], &msg_id.to_le_bytes(), data].concat()
}

/// Bytes in which no two places look alike for long.
pub(crate) fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|at| (at * 31 + at / 251) as u8).collect()
}

/// Polls until `condition` holds, for half a minute at most.
pub(crate) fn wait_until(what: &str, condition: impl FnMut() -> bool) {
    assert!(comes_true(Duration::from_secs(30), condition), "not within half a minute: {what}");
}

/// Polls until `condition` holds; `false` if it does not within the time.
pub(crate) fn comes_true(within: Duration, mut condition: impl FnMut() -> bool) -> bool {
    let end = Instant::now() + within;
    while !condition() {
        if Instant::now() >= end {
            return false;
        }
        thread::sleep(Duration::from_millis(2));
    }
    true
}

/// The shortest of up to three tries, of which one within `limit` is enough: on a busy machine a thread may stand still for
/// seconds in a single one.
pub(crate) fn shortest(limit: Duration, mut attempt: impl FnMut() -> Duration) -> Duration {
    let mut shortest = Duration::MAX;
    for _ in 0..3 {
        shortest = shortest.min(attempt());
        if shortest < limit {
            break;
        }
    }
    shortest
}

/// Ends the process, loudly, if a test takes too long.
pub(crate) struct Watchdog {
    _alive: Sender<()>,
}

impl Watchdog {
    pub(crate) fn start(limit: Duration) -> Self {
        let (alive, gone) = mpsc::channel();
        let test = thread::current().name().unwrap_or("a test").to_string();
        thread::spawn(move || {
            if gone.recv_timeout(limit) == Err(RecvTimeoutError::Timeout) {
                eprintln!("WATCHDOG: {test} is not over after {limit:?}");
                std::process::abort();
            }
        });
        Self { _alive: alive }
    }
}

/// The longest one test may take.
const LIMIT: Duration = Duration::from_secs(120);
