//! Memory of queues: to peers that never read, no more is kept than the bounds say, each and all together.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::common::child::{in_child, resident_kib};
use crate::common::in_time::in_time;
use crate::common::{Peer, Running, comes_true, config, frame, start, wait_until};
use zinx::zconf::QueueFull;
use zinx::ziface::IRequest;
use zinx::{Config, Error, green};

/// The message id whose handler sends until the queue is full.
const FILL: u32 = 9;

/// Frames it sends, with their heads.
const FRAME: usize = 1008;

const PEERS: usize = 50;

#[test]
fn memory_stays_under_the_cap_of_the_queues_while_nobody_reads() {
    in_child("queue_memory::memory_stays_under_the_cap_of_the_queues_while_nobody_reads", || {
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
    in_child("queue_memory::a_connection_keeps_nothing_of_a_message_once_it_is_handled", || {
        const LARGE: usize = 200 << 10;
        let mut config = config();
        config.max_packet_size = 1 << 20;
        let running = start(config, |_| {});
        let mut peers: Vec<_> = (0..PEERS).map(|_| running.connect()).collect();
        peers.iter_mut().for_each(Peer::check_echo);
        let idle = resident_kib();
        let large = frame(crate::common::ECHO, &vec![7; LARGE]);
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
    // From five seconds on a peer whose socket takes nothing is slow, and makes room: on a busy machine that may be before the last
    // queue is full.
    let (filling, peers, queued) = in_time(|| {
        let filling = Filling::start(|config| {
            config.max_msg_chan_bytes = 1 << 20;
            config.max_queued_bytes = cap;
        });
        let mut peers: Vec<_> = (0..PEERS).map(|_| filling.running.connect()).collect();
        peers.iter_mut().for_each(|peer| peer.send(&frame(FILL, b"")));
        let queued: usize = filling.unless_evicted(PEERS)?.iter().sum();
        Some((filling, peers, queued))
    });
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

/// A server whose [`FILL`] handler sends until the queue is full, and keeps it full until all have been looked at.
struct Filling {
    running: Running,
    queues: Arc<Mutex<Queues>>,
}

/// What the handlers were told since a message last went into any queue.
#[derive(Default)]
struct Queues {
    /// The bytes in the queues that were full since then, or since `all_full`.
    full: HashMap<u64, usize>,
    /// All were full once.
    all_full: bool,
    /// How often all have been looked at.
    looks: usize,
}

impl Queues {
    fn note_sent(&mut self) {
        self.full.clear();
        self.all_full = false;
    }

    /// What all hold at one moment, if there was one: when all were full, and then all again, they were full in between.
    fn full_at_once(&mut self, queues: usize) -> Option<Vec<usize>> {
        if self.full.len() < queues {
            return None;
        }
        let held = self.full.drain().map(|(_, bytes)| bytes).collect();
        std::mem::replace(&mut self.all_full, true).then(|| {
            self.all_full = false;
            self.looks += 1;
            held
        })
    }
}

impl Filling {
    fn start(change: impl FnOnce(&mut Config)) -> Self {
        let mut config = config();
        config.queue_full = QueueFull::Fail;
        config.max_msg_chan_len = 1 << 20;
        config.write_timeout_ms = 0;
        config.drain_ms = 500;
        change(&mut config);
        let queues = Arc::new(Mutex::new(Queues::default()));
        let noted = Arc::clone(&queues);
        let running = start(config, |server| {
            let router = move |request: &dyn IRequest| {
                let conn = request.get_connection();
                let look = noted.lock().unwrap().looks;
                while noted.lock().unwrap().looks == look {
                    match conn.send_msg(FILL, [7; FRAME - 8]) {
                        Ok(()) => noted.lock().unwrap().note_sent(),
                        Err(Error::QueueFull { bytes, .. }) => {
                            noted.lock().unwrap().full.insert(conn.get_conn_id(), bytes);
                            green::sleep(Duration::from_millis(1));
                        }
                        Err(error) => return Err(error),
                    }
                }
                Ok(())
            };
            server.add_router(FILL, router).unwrap();
            // What the system takes is not counted: the less that is, the sooner the queues are full.
            server.set_on_conn_start(|conn| conn.get_tcp_connection().set_send_buffer_bytes(16 << 10));
        });
        Self { running, queues }
    }

    /// Waits until so many queues are full, says what they hold at one moment, and lets the handlers go.
    fn wait_for(&self, queues: usize) -> Vec<usize> {
        self.unless_evicted(queues).expect("all queues full, and nobody evicted")
    }

    /// As [`wait_for`](Self::wait_for); `None` if a connection has been closed to make room.
    fn unless_evicted(&self, queues: usize) -> Option<Vec<usize>> {
        let (mut held, mut is_evicted) = (None, false);
        // On a busy machine one or the other goes on for long.
        comes_true(Duration::from_secs(100), || {
            held = self.queues.lock().unwrap().full_at_once(queues);
            is_evicted = self.running.server.stats().evicted > 0;
            held.is_some() || is_evicted
        });
        assert!(held.is_some() || is_evicted, "the queues are not full");
        held.filter(|_| !is_evicted)
    }
}
