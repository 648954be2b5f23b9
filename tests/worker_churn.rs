//! Connections that come, talk and vanish, in each worker mode: order kept, nothing leaks. Alone in its process,
//! because it counts coroutines and descriptors.

#![expect(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "tests are plain threads and speak raw sockets"
)]

#[expect(dead_code, reason = "each test file uses its share")]
mod common;

use std::fs;
use std::thread;

use common::{ECHO, Running, config, frame, start_alone, wait_until};
use socket2::SockRef;
use zinx::green::live_coroutines;
use zinx::zconf::WorkerMode;
use zinx::ziface::IServer;

#[test]
fn nothing_leaks_when_connections_churn() {
    let (clients, rounds) = scale();
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
        let running = start_alone(config, |_| {});
        let before = (live_coroutines(), open_files());
        churn(&running, clients, rounds);
        wait_until("all have gone", || running.server.get_conn_mgr().is_empty());
        // Bind keeps the workers it has made, one for each connection there may be at a time.
        let kept = if mode == WorkerMode::Bind { max_conn - size } else { 0 };
        wait_until("the coroutines have ended", || live_coroutines() <= before.0 + kept);
        wait_until("the descriptors are closed", || open_files() <= before.1);
        let stats = running.server.stats();
        assert_eq!(stats.start_hooks, clients * rounds, "{mode:?} {size}");
        assert_eq!(stats.start_hooks, stats.stop_hooks, "{mode:?} {size}");
    }
}

/// Each client connects, has three messages echoed in order, and vanishes: by FIN, by RST, or inside a frame.
fn churn(running: &Running, clients: usize, rounds: usize) {
    thread::scope(|scope| {
        for client in 0..clients {
            scope.spawn(move || {
                for round in 0..rounds {
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
}

fn open_files() -> usize {
    fs::read_dir("/proc/self/fd").unwrap().count()
}

/// Clients at a time, and how often each connects: `ZINX_TEST_CHURN=1000x20` asks for more.
fn scale() -> (usize, usize) {
    let asked = std::env::var("ZINX_TEST_CHURN").unwrap_or_else(|_| "16x40".to_string());
    let (clients, rounds) = asked.split_once('x').expect("as in 16x40");
    (clients.parse().unwrap(), rounds.parse().unwrap())
}
