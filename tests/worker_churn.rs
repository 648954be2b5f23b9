//! Connections that come, talk and vanish, in each worker mode: order kept, nothing leaks. Alone in its process,
//! because it counts coroutines, descriptors and memory.
//!
//! `ZINX_TEST_CHURN=1000x60s cargo test --release --test worker_churn -- --nocapture` has a thousand clients churn for a
//! minute in each mode, and prints the figures. With `MALLOC_ARENA_MAX=1 MALLOC_MMAP_THRESHOLD_=65536
//! MALLOC_TRIM_THRESHOLD_=65536`: else the allocator keeps what so many needed at a time, and that differs.

#![expect(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "tests are plain threads and speak raw sockets"
)]

#[expect(dead_code, reason = "each test file uses its share")]
mod common;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use common::child::{open_files, resident_kib};
use common::{ECHO, Running, comes_true, config, frame, start_alone, wait_until};
use socket2::SockRef;
use zinx::green::live_coroutines;
use zinx::zconf::WorkerMode;
use zinx::ziface::IServer;

#[test]
fn nothing_leaks_when_connections_churn() {
    let (clients, length) = scale();
    // Some are still closing while their clients connect again.
    let max_conn = 1000 + 4 * clients;
    zinx::green::raise_open_files(2 * max_conn);
    for (mode, size) in
        [(WorkerMode::Hash, 0), (WorkerMode::Hash, 3), (WorkerMode::Bind, 3), (WorkerMode::DynamicBind, 3)]
    {
        let mut config = config();
        config.worker_mode = mode;
        config.worker_pool_size = size;
        config.max_conn = max_conn;
        // In place of the hook that notes every stop, which is memory too.
        let running = start_alone(config, |server| server.set_on_conn_stop(|_| Ok(())));
        let empty = Held::now();
        // Bind keeps the workers it has made, one for each connection there may be at a time.
        let kept = if mode == WorkerMode::Bind { max_conn - size } else { 0 };
        let settled = || {
            wait_until("all have gone", || running.server.get_conn_mgr().is_empty());
            wait_until("the coroutines have ended", || live_coroutines() <= empty.coroutines + kept);
            wait_until("the descriptors are closed", || open_files() <= empty.descriptors);
            Held::now()
        };
        let warmed = churn(&running, clients, length.warm_up());
        let before = settled();
        let made = churn(&running, clients, length);
        let after = settled();
        let workers = after.coroutines.saturating_sub(before.coroutines);
        let most = before.resident_kib + SLACK_KIB + workers * WORKER_KIB;
        let back = comes_true(Duration::from_secs(10), || resident_kib() <= most);
        println!("{mode:?} {size}: {made} connections, {} messages, {workers} workers more", 3 * made);
        println!("  before {before:?}\n  after  {after:?}, at last {} KiB", resident_kib());
        assert!(back, "{mode:?} {size}: more than {most} KiB");
        let stats = running.server.stats();
        assert_eq!(stats.start_hooks, warmed + made, "{mode:?} {size}");
        assert_eq!(stats.start_hooks, stats.stop_hooks, "{mode:?} {size}");
    }
}

/// Each client connects, has three messages echoed in order, and vanishes: by FIN, by RST, or inside a frame. Returns
/// how many connections that were.
fn churn(running: &Running, clients: usize, length: Length) -> usize {
    let (made, begun) = (AtomicUsize::new(0), Instant::now());
    thread::scope(|scope| {
        for client in 0..clients {
            let made = &made;
            scope.spawn(move || {
                for round in (0..).take_while(|&round| !length.is_over(round, begun)) {
                    made.fetch_add(1, Ordering::Relaxed);
                    let mut peer = running.connect();
                    let stream: Vec<u8> = (0..3_u8).flat_map(|n| frame(ECHO, &[n])).collect();
                    peer.send(&stream);
                    assert_eq!(peer.read_exactly(stream.len()), stream);
                    match (client + round) % 3 {
                        0 => SockRef::from(&peer.stream).set_linger(Some(Default::default())).unwrap(),
                        1 => peer.send(&frame(ECHO, b"cut")[..9]),
                        _ => {}
                    }
                }
            });
        }
    });
    made.into_inner()
}

/// What the process holds.
#[derive(Debug)]
struct Held {
    coroutines: usize,
    descriptors: usize,
    resident_kib: usize,
}

impl Held {
    fn now() -> Self {
        Self { coroutines: live_coroutines(), descriptors: open_files(), resident_kib: resident_kib() }
    }
}

/// How long connections churn.
#[derive(Clone, Copy)]
enum Length {
    /// So many times each client connects.
    Rounds(usize),
    Time(Duration),
}

impl Length {
    /// After that memory is measured first: spare stacks, buffers, workers and the allocator's arenas have been made.
    fn warm_up(self) -> Self {
        match self {
            Self::Rounds(rounds) => Self::Rounds(rounds / 5 + 1),
            Self::Time(time) => Self::Time(time / 5),
        }
    }

    fn is_over(self, round: usize, begun: Instant) -> bool {
        match self {
            Self::Rounds(rounds) => round >= rounds,
            Self::Time(time) => begun.elapsed() >= time,
        }
    }
}

/// Clients at a time, and how often each connects, or for how long: `ZINX_TEST_CHURN=1000x20` or `1000x60s`.
fn scale() -> (usize, Length) {
    let asked = std::env::var("ZINX_TEST_CHURN").unwrap_or_else(|_| "16x40".to_string());
    let (clients, length) = asked.split_once('x').expect("as in 16x40");
    let length = match length.strip_suffix('s') {
        Some(seconds) => Length::Time(Duration::from_secs(seconds.parse().unwrap())),
        None => Length::Rounds(length.parse().unwrap()),
    };
    (clients.parse().unwrap(), length)
}

/// What the allocator and the clients' threads may keep more.
const SLACK_KIB: usize = 8 * 1024;

/// A worker more that Bind keeps: its stack, and its queue.
const WORKER_KIB: usize = 512;
