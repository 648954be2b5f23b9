//! Memory of queues: to peers that never read, no more is kept than the bounds say, each and all together.

#![expect(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "tests are plain threads and speak raw sockets"
)]

#[expect(dead_code, reason = "each test file uses its share")]
mod common;

use std::sync::{Arc, Mutex};

use common::child::{in_child, resident_kib};
use common::{Peer, Running, config, frame, start, wait_until};
use zinx::zconf::QueueFull;
use zinx::ziface::IRequest;
use zinx::{Config, Error};

/// The message id whose handler sends until the queue is full.
const FILL: u32 = 9;

/// Frames it sends, with their heads.
const FRAME: usize = 1008;

const PEERS: usize = 50;

#[test]
fn memory_stays_under_the_cap_of_the_queues_while_nobody_reads() {
    in_child("memory_stays_under_the_cap_of_the_queues_while_nobody_reads", || {
        let cap = 1 << 20;
        let filling = Filling::start(|config| config.max_msg_chan_bytes = cap);
        let mut peers: Vec<_> = (0..PEERS).map(|_| filling.running.connect()).collect();
        peers.iter_mut().for_each(Peer::check_echo);
        let idle = resident_kib();
        peers.iter_mut().for_each(|peer| peer.send(&frame(FILL, b"")));
        let queued = filling.wait_for(PEERS);
        let grown = resident_kib() - idle;
        eprintln!("{} KiB queued, {grown} KiB taken", queued.iter().sum::<usize>() >> 10);
        for bytes in queued {
            assert!((cap - FRAME..=cap).contains(&bytes), "{bytes} bytes queued");
        }
        assert!(grown << 10 <= PEERS * cap * 5 / 4, "{grown} KiB for {PEERS} queues of {cap} bytes");
    });
}

#[test]
fn a_connection_keeps_nothing_of_a_message_once_it_is_handled() {
    in_child("a_connection_keeps_nothing_of_a_message_once_it_is_handled", || {
        const LARGE: usize = 200 << 10;
        let mut config = config();
        config.max_packet_size = 1 << 20;
        let running = start(config, |_| {});
        let mut peers: Vec<_> = (0..PEERS).map(|_| running.connect()).collect();
        peers.iter_mut().for_each(Peer::check_echo);
        let idle = resident_kib();
        let large = frame(common::ECHO, &vec![7; LARGE]);
        for peer in &mut peers {
            peer.send(&large);
            assert_eq!(peer.read_exactly(large.len()).len(), large.len());
        }
        let grown = resident_kib() - idle;
        assert!(grown < (PEERS * LARGE) >> 11, "{grown} KiB kept by {PEERS} idle connections");
    });
}

#[test]
fn all_queues_together_stay_under_the_cap_of_the_server() {
    let cap = 2 << 20;
    let filling = Filling::start(|config| {
        config.max_msg_chan_bytes = 1 << 20;
        config.max_queued_bytes = cap;
    });
    let mut peers: Vec<_> = (0..PEERS).map(|_| filling.running.connect()).collect();
    peers.iter_mut().for_each(|peer| peer.send(&frame(FILL, b"")));
    let queued: usize = filling.wait_for(PEERS).iter().sum();
    // Each queue has 4 KiB of its own, so that a flood to some leaves the others a voice.
    assert!(queued <= cap + PEERS * 4096, "{queued} bytes queued");
    assert!(queued >= cap / 2, "{queued} bytes queued");

    // What the others give back, one more can have.
    drop(peers);
    wait_until("the others gone", || filling.running.server.stats().stop_hooks == PEERS);
    let mut one = filling.running.connect();
    one.send(&frame(FILL, b""));
    let bytes = filling.wait_for(1)[0];
    assert!(((1 << 20) - FRAME..=1 << 20).contains(&bytes), "{bytes} bytes queued");
}

/// A server whose [`FILL`] handler sends until the queue is full.
struct Filling {
    running: Running,
    /// How many bytes were queued then, a handler each.
    queued: Arc<Mutex<Vec<usize>>>,
}

impl Filling {
    fn start(change: impl FnOnce(&mut Config)) -> Self {
        let mut config = config();
        config.queue_full = QueueFull::Fail;
        config.max_msg_chan_len = 1 << 20;
        config.write_timeout_ms = 0;
        config.drain_ms = 500;
        change(&mut config);
        let queued = Arc::new(Mutex::new(Vec::new()));
        let noted = Arc::clone(&queued);
        let running = start(config, |server| {
            let router = move |request: &dyn IRequest| {
                let full = loop {
                    if let Err(error) = request.get_connection().send_msg(FILL, &[7; FRAME - 8]) {
                        break error;
                    }
                };
                let Error::QueueFull { bytes, .. } = full else { return Err(full) };
                noted.lock().unwrap().push(bytes);
                Ok(())
            };
            server.add_router(FILL, router).unwrap();
        });
        Self { running, queued }
    }

    /// Waits until so many queues are full, and takes what they held.
    fn wait_for(&self, queues: usize) -> Vec<usize> {
        wait_until("the queues full", || self.queued.lock().unwrap().len() == queues);
        std::mem::take(&mut *self.queued.lock().unwrap())
    }
}
