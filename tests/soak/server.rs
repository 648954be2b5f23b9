//! The server that is soaked, in a process of its own, with another beside it that is asked how it is.

use std::fmt;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use zinx::prelude::*;
use zinx::zconf::WorkerMode;
use zinx::znet::Stats;
use zinx::{Server, green};

use super::common::port::ReservedPort;
use super::common::process::Process;
use super::common::{ECHO, comes_true, config, frame};

/// Set for the server's process.
pub(crate) const CHILD: &str = "ZINX_TEST_SOAK_SERVER";

/// What it answers: a thousand messages; nothing, it panics; what the peer answers to its question; the same to all; a
/// three megabytes; nothing, it waits for an answer; nothing for a while, it computes.
pub(crate) const BLAST: u32 = 2;
pub(crate) const PANIC: u32 = 3;
pub(crate) const ASK: u32 = 4;
pub(crate) const QUESTION: u32 = 5;
pub(crate) const ANSWER: u32 = 6;
pub(crate) const TELL: u32 = 7;
pub(crate) const MUCH: u32 = 8;
pub(crate) const KEEP: u32 = 9;
pub(crate) const BURN: u32 = 10;

/// What the one beside it is asked.
const OPEN: u32 = 1;
const DRAIN: u32 = 2;
const COUNTS: u32 = 3;
const DUMP: u32 = 4;

/// Where handlers run, and how many messages a second each peer may send; 0: as many as it likes.
pub(crate) const MODES: [(WorkerMode, usize, u32); 6] = [
    (WorkerMode::Hash, 0, 0),
    (WorkerMode::Hash, 3, 0),
    (WorkerMode::Hash, 0, RATE),
    (WorkerMode::Bind, 3, 0),
    (WorkerMode::Hash, 3, RATE),
    (WorkerMode::DynamicBind, 3, 0),
];

/// More than the healthy ones send.
const RATE: u32 = 1000;

/// Most connections at a time: less than come.
const MAX_CONN: usize = 150;

/// Serves until it is killed.
pub(crate) fn run() {
    // Panics are part of it.
    std::panic::set_hook(Box::new(|_| {}));
    // No other program gets it between two servers.
    let reserved = ReservedPort::new();
    let port = reserved.number();
    let soaked = start(port, 0);
    let soaked = Arc::new(Mutex::new((soaked, Totals::default())));
    let beside = new_server_with_config(config()).unwrap();
    let (asked, drained, counted) = (Arc::clone(&soaked), Arc::clone(&soaked), Arc::clone(&soaked));
    beside
        .add_router(OPEN, move |request: &dyn IRequest| {
            let open = asked.lock().unwrap().0.get_conn_mgr().len();
            request.get_connection().send_msg(OPEN, open.to_string())
        })
        .unwrap();
    beside
        .add_router(DRAIN, move |request: &dyn IRequest| {
            let old = drained.lock().unwrap().0.clone();
            old.stop();
            let outcome = if old.wait_stopped(LONG) { "drained" } else { "stuck" };
            let mut soaked = drained.lock().unwrap();
            soaked.1.add(old.stats());
            soaked.0 = start(port, usize::from(request.get_data()[0]));
            drop(soaked);
            request.get_connection().send_msg(DRAIN, outcome)
        })
        .unwrap();
    beside
        .add_router(COUNTS, move |request: &dyn IRequest| {
            let totals = counted.lock().unwrap().1.clone();
            let counts = format!("{} {}", green::live_coroutines(), totals);
            request.get_connection().send_msg(COUNTS, counts)
        })
        .unwrap();
    beside
        .add_router(DUMP, |request: &dyn IRequest| request.get_connection().send_msg(DUMP, green::dump()))
        .unwrap();
    beside.start().unwrap();
    eprintln!("beside on {}", beside.local_addr().unwrap());
    eprintln!("listening on 127.0.0.1:{port}");
    beside.wait_stopped(Duration::from_secs(1 << 30));
}

fn start(port: u16, mode: usize) -> Server {
    let mut config = config();
    config.tcp_port = port;
    (config.worker_mode, config.worker_pool_size, config.rate_messages) = MODES[mode];
    config.max_conn = MAX_CONN;
    config.max_packet_size = 256 << 10;
    config.first_frame_timeout_ms = 1500;
    config.idle_timeout_ms = 1500;
    config.frame_timeout_ms = 1000;
    config.write_timeout_ms = 500;
    config.queue_wait_ms = 500;
    config.drain_ms = 1000;
    config.resume_ms = 500;
    config.max_msg_chan_bytes = 64 << 10;
    // Little: bytes that are counted as held and are not would soon stop all sending.
    config.max_queued_bytes = MAX_QUEUED_BYTES;
    let server = new_server_with_config(config).unwrap();
    server.add_router(ECHO, echo).unwrap();
    server.add_router(BLAST, blast).unwrap();
    server.add_router(PANIC, |_: &dyn IRequest| -> Result<()> { panic!("on purpose") }).unwrap();
    server.add_router(ASK, ask).unwrap();
    server.add_router(TELL, tell).unwrap();
    let much = |request: &dyn IRequest| request.get_connection().send_msg(MUCH, vec![7; 3 << 20]);
    server.add_router(MUCH, much).unwrap();
    server.add_router(KEEP, keep).unwrap();
    server.add_router(BURN, burn).unwrap();
    // The port was another's a moment ago.
    assert!(comes_true(LONG, || server.start().is_ok()), "no server on port {port}");
    server
}

/// Where an echo is refused, because too much is held for others, the conversation cannot go on.
fn echo(request: &dyn IRequest) -> Result<()> {
    let conn = request.get_connection();
    conn.send_msg(ECHO, request.get_data()).inspect_err(|_| conn.abort())
}

fn blast(request: &dyn IRequest) -> Result<()> {
    (0..1000).try_for_each(|_| request.get_connection().send_msg(BLAST, [7; 1000]))
}

fn ask(request: &dyn IRequest) -> Result<()> {
    let conn = request.get_connection();
    let answer = conn.call(QUESTION, "?", ANSWER, Duration::from_millis(100))?;
    conn.send_msg(ASK, answer.get_data())
}

fn keep(request: &dyn IRequest) -> Result<()> {
    request.get_connection().call(QUESTION, "?", ANSWER, Duration::from_secs(1)).map(drop)
}

fn burn(request: &dyn IRequest) -> Result<()> {
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_millis(100) {
        std::hint::spin_loop();
    }
    request.get_connection().send_msg(BURN, "")
}

fn tell(request: &dyn IRequest) -> Result<()> {
    let conn = request.get_connection();
    conn.join_group("all")?;
    conn.get_group("all").broadcast(TELL, request.get_data()).map(drop)
}

/// What all servers that were drained have counted.
#[derive(Clone, Default)]
struct Totals {
    drains: usize,
    accepted: usize,
    over_max_conn: usize,
    start_hooks: usize,
    stop_hooks: usize,
    panics: usize,
    requests: usize,
    resumed: usize,
    evicted: usize,
    /// Of the one that held most at once.
    held_peak: usize,
}

impl Totals {
    fn add(&mut self, stats: Stats) {
        self.drains += 1;
        self.accepted += stats.accepted;
        self.over_max_conn += stats.over_max_conn;
        self.start_hooks += stats.start_hooks;
        self.stop_hooks += stats.stop_hooks;
        self.panics += stats.handler_panics;
        self.requests += stats.requests;
        self.resumed += stats.resumed;
        self.evicted += stats.evicted;
        self.held_peak = self.held_peak.max(stats.held_peak);
    }

    /// What its `Display` has written.
    fn read(text: &str) -> Self {
        let counts: Vec<usize> = text.split(' ').map(|count| count.parse().unwrap()).collect();
        let [
            drains,
            accepted,
            over_max_conn,
            start_hooks,
            stop_hooks,
            panics,
            requests,
            resumed,
            evicted,
            held_peak,
        ] = counts[..]
        else {
            panic!("not ten counts: {text}");
        };
        Self {
            drains,
            accepted,
            over_max_conn,
            start_hooks,
            stop_hooks,
            panics,
            requests,
            resumed,
            evicted,
            held_peak,
        }
    }
}

impl fmt::Display for Totals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { drains, accepted, over_max_conn, start_hooks, stop_hooks, panics, requests, .. } = self;
        let Self { resumed, evicted, held_peak, .. } = self;
        write!(f, "{drains} {accepted} {over_max_conn} {start_hooks} {stop_hooks} {panics} {requests}")?;
        write!(f, " {resumed} {evicted} {held_peak}")
    }
}

/// The line to the one beside the server.
pub(crate) struct Control {
    stream: TcpStream,
}

impl Control {
    pub(crate) fn open(process: &Process) -> Self {
        let said = process.said();
        let address = said.iter().find_map(|line| line.strip_prefix("beside on ")).unwrap();
        Self { stream: TcpStream::connect(address).unwrap() }
    }

    pub(crate) fn open_connections(&mut self) -> usize {
        self.ask(OPEN, &[]).parse().unwrap()
    }

    /// Stops the server, in order, and starts the next on the same port.
    pub(crate) fn drain(&mut self, mode: usize) {
        assert_eq!(self.ask(DRAIN, &[mode as u8]), "drained");
    }

    /// What the process has, and all that its servers have counted.
    pub(crate) fn quiet(&mut self, process: &Process) -> Quiet {
        let counts = self.ask(COUNTS, &[]);
        let (coroutines, totals) = counts.split_once(' ').unwrap();
        Quiet {
            resident_kib: process.resident_kib(),
            open_files: process.open_files(),
            coroutines: coroutines.parse().unwrap(),
            totals: Totals::read(totals),
        }
    }

    /// What each coroutine of the process waits for.
    pub(crate) fn dump(&mut self) -> String {
        self.ask(DUMP, &[])
    }

    fn ask(&mut self, what: u32, data: &[u8]) -> String {
        self.stream.write_all(&frame(what, data)).unwrap();
        let mut head = [0; 8];
        self.stream.read_exact(&mut head).unwrap();
        let mut answer = vec![0; u32::from_le_bytes(head[..4].try_into().unwrap()) as usize];
        self.stream.read_exact(&mut answer).unwrap();
        String::from_utf8(answer).unwrap()
    }
}

/// The server's process when no peer is connected.
pub(crate) struct Quiet {
    resident_kib: usize,
    open_files: usize,
    coroutines: usize,
    totals: Totals,
}

impl Quiet {
    pub(crate) const fn coroutines(&self) -> usize {
        self.coroutines
    }

    /// It has as many coroutines and descriptors as when it was warm, and about as much memory.
    pub(crate) const fn is_back(&self, warm: &Self) -> bool {
        self.coroutines == warm.coroutines
            && self.open_files == warm.open_files
            && self.resident_kib <= warm.resident_kib + MORE_KIB
    }

    /// All is as it was when it was warm.
    pub(crate) fn check(&self, warm: &Self) {
        assert_eq!((self.open_files, self.coroutines), (warm.open_files, warm.coroutines));
        let (now, before) = (&self.totals, &warm.totals);
        assert_eq!((now.start_hooks, now.stop_hooks), (now.accepted, now.accepted));
        assert!(now.accepted > before.accepted && now.requests > before.requests);
        assert!(now.held_peak <= MAX_QUEUED_BYTES, "{} bytes were held", now.held_peak);
        let most = warm.resident_kib + MORE_KIB;
        assert!(self.resident_kib <= most, "{} KiB, {} KiB when warm", self.resident_kib, warm.resident_kib);
    }
}

impl fmt::Display for Quiet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} KiB, {} descriptors, {} coroutines; {} connections, {} refused, {} requests, {} panics, \
             {} evicted, at most {} KiB held, {} drains",
            self.resident_kib,
            self.open_files,
            self.coroutines,
            self.totals.accepted,
            self.totals.over_max_conn,
            self.totals.requests,
            self.totals.panics,
            self.totals.evicted,
            self.totals.held_peak / 1024,
            self.totals.drains
        )
    }
}

/// Most that peers may make it hold.
const MAX_QUEUED_BYTES: usize = 4 << 20;

/// What the allocator may keep more of than after the first round.
const MORE_KIB: usize = 16 << 10;

const LONG: Duration = Duration::from_secs(20);
