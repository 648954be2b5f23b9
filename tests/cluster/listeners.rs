//! Broadcasts from every node, numbered, and a listener on each that notes what is missing.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::common::wait_until;
use crate::member::{BROADCAST, JOIN, TOLD_ALL};
use crate::wire::Wire;

/// One listener and one sender on each node, until this is dropped.
pub(crate) struct Listeners {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

struct Shared {
    ending: AtomicBool,
    joined: AtomicUsize,
    /// By sender and number: whether the node has said that others are told.
    told: Mutex<HashMap<(u32, u32), bool>>,
    /// Of each listener, by sender: the numbers, in the order in which they came.
    heard: Mutex<Vec<HashMap<u32, Vec<u32>>>>,
}

impl Listeners {
    /// Begins, once all listeners are members.
    pub(crate) fn begin(nodes: &[SocketAddr]) -> Self {
        let shared = Arc::new(Shared {
            ending: AtomicBool::new(false),
            joined: AtomicUsize::new(0),
            told: Mutex::default(),
            heard: Mutex::new(vec![HashMap::new(); nodes.len()]),
        });
        let mut threads = Vec::new();
        for (n, address) in nodes.iter().copied().enumerate() {
            let theirs = Arc::clone(&shared);
            // Its node may be killed.
            threads.push(thread::spawn(move || drop(theirs.listen(n, address))));
        }
        wait_until("all to join", || shared.joined.load(Ordering::Acquire) == nodes.len());
        for (n, address) in nodes.iter().copied().enumerate() {
            let theirs = Arc::clone(&shared);
            threads.push(thread::spawn(move || drop(theirs.broadcast(n as u32, address))));
        }
        Self { shared, threads }
    }

    /// Ends, and returns for each listener how many broadcasts of which others were told it has missed: 0 for that of a node that was
    /// killed. Those of one node come in order and once, and those of its own node always.
    pub(crate) fn end(mut self, was_killed: Option<usize>) -> Vec<usize> {
        let nodes: Vec<_> = (0..self.shared.heard.lock().unwrap().len()).collect();
        let alive: Vec<_> = nodes.iter().copied().filter(|node| was_killed != Some(*node)).collect();
        let told = self.shared.told.lock().unwrap().clone();
        let last = |sender: usize| told.keys().filter(|(of, _)| *of == sender as u32).map(|(_, n)| *n).max();
        // What has not come before a later one of the same sender does not come.
        wait_until("later broadcasts of all to all", || {
            let heard = self.shared.heard.lock().unwrap();
            let has = |listener: usize, sender: usize| {
                heard[listener].get(&(sender as u32)).and_then(|numbers| numbers.last())
                    > last(sender).as_ref()
            };
            alive.iter().all(|listener| alive.iter().all(|sender| has(*listener, *sender)))
        });
        self.shared.ending.store(true, Ordering::Release);
        for thread in self.threads.drain(..) {
            thread.join().unwrap();
        }
        let heard = self.shared.heard.lock().unwrap();
        for (listener, numbers) in heard.iter().flatten() {
            assert!(numbers.is_sorted_by(|one, next| one < next), "{listener}: {numbers:?}");
        }
        let missed = |listener: usize| {
            let has = |sender: u32, n: &u32| {
                heard[listener].get(&sender).is_some_and(|numbers| numbers.binary_search(n).is_ok())
            };
            let of_living =
                told.iter().filter(|((sender, _), told)| **told && was_killed != Some(*sender as usize));
            let missing: Vec<_> =
                of_living.map(|(key, _)| *key).filter(|(sender, n)| !has(*sender, n)).collect();
            assert!(missing.iter().all(|(sender, _)| *sender as usize != listener), "{missing:?}");
            missing.len()
        };
        nodes.into_iter().map(|node| if alive.contains(&node) { missed(node) } else { 0 }).collect()
    }
}

impl Shared {
    fn is_over(&self) -> bool {
        self.ending.load(Ordering::Acquire)
    }

    fn listen(&self, n: usize, node: SocketAddr) -> io::Result<()> {
        let mut wire = Wire::open(node)?;
        wire.ask(JOIN, b"", Duration::from_secs(10))?;
        self.joined.fetch_add(1, Ordering::AcqRel);
        loop {
            let message = wire.read(Duration::from_millis(100))?;
            let Some((msg_id, data)) = message else {
                if self.is_over() {
                    return Ok(());
                }
                continue;
            };
            assert!(msg_id == TOLD_ALL && data.len() == 8, "{data:?}");
            let word = |at: usize| u32::from_le_bytes(data[at..at + 4].try_into().unwrap());
            self.heard.lock().unwrap()[n].entry(word(0)).or_default().push(word(4));
        }
    }

    fn broadcast(&self, sender: u32, node: SocketAddr) -> io::Result<()> {
        let mut wire = Wire::open(node)?;
        for n in 0.. {
            if self.is_over() {
                break;
            }
            let data = [sender, n].map(u32::to_le_bytes).concat();
            if let Some(said) = wire.ask(BROADCAST, &data, Duration::from_secs(60))? {
                self.told.lock().unwrap().insert((sender, n), said == "true");
            }
            thread::sleep(EACH);
        }
        Ok(())
    }
}

const EACH: Duration = Duration::from_millis(20);
