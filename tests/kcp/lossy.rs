//! A proxy that makes a bad network of a good one: of the datagrams in each direction it loses some, doubles some, and lets
//! some be overtaken, drawn from a seed.

use std::collections::HashMap;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::common::random::Random;

/// How bad it is, in percent.
#[derive(Clone, Copy, Default)]
pub(crate) struct Badness {
    pub(crate) lost: u64,
    pub(crate) doubled: u64,
    pub(crate) overtaken: u64,
}

/// Listens, and passes on what it is sent to a server, and back.
pub(crate) struct Lossy {
    pub(crate) address: SocketAddr,
    state: Arc<State>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct State {
    ends: AtomicBool,
    /// Nothing passes of clients that came before the last cut.
    cuts: AtomicUsize,
    lost: AtomicUsize,
}

impl Lossy {
    pub(crate) fn before(server: SocketAddr, badness: Badness, seed: u64) -> Self {
        let front = socket();
        let (address, state) = (front.local_addr().unwrap(), Arc::<State>::default());
        let theirs = Arc::clone(&state);
        let thread = thread::spawn(move || pass_on_all(&front, server, badness, seed, &theirs));
        Self { address, state, thread: Some(thread) }
    }

    /// Lets nothing pass of the clients there are, from now on; one that comes from another port has its way.
    pub(crate) fn cut(&self) {
        self.state.cuts.fetch_add(1, Ordering::AcqRel);
    }

    /// How many have been lost.
    pub(crate) fn lost(&self) -> usize {
        self.state.lost.load(Ordering::Acquire)
    }
}

impl Drop for Lossy {
    fn drop(&mut self) {
        self.state.ends.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }
}

fn pass_on_all(front: &UdpSocket, server: SocketAddr, badness: Badness, seed: u64, state: &Arc<State>) {
    let mut backs: HashMap<SocketAddr, (Arc<UdpSocket>, Way)> = HashMap::new();
    let mut threads = Vec::new();
    let mut buffer = [0; 2048];
    while !state.ends.load(Ordering::Acquire) {
        let Ok((len, client)) = front.recv_from(&mut buffer) else {
            backs.values_mut().for_each(|(back, way)| way.let_go(|bytes| drop(back.send(bytes))));
            continue;
        };
        let next = threads.len() as u64;
        let (back, way) = backs.entry(client).or_insert_with(|| {
            let back = Arc::new(socket());
            back.connect(server).unwrap();
            let way = Way::new(badness, seed + next, state);
            let (theirs, front, state) = (Arc::clone(&back), front.try_clone().unwrap(), Arc::clone(state));
            threads.push(thread::spawn(move || {
                let mut way = Way::new(badness, seed + 1000 + next, &state);
                let mut buffer = [0; 2048];
                while !state.ends.load(Ordering::Acquire) {
                    let send = |bytes: &[u8]| drop(front.send_to(bytes, client));
                    match theirs.recv(&mut buffer) {
                        Ok(len) => way.pass(&buffer[..len], &state, send),
                        Err(_) => way.let_go(send),
                    }
                }
            }));
            (back, way)
        });
        way.pass(&buffer[..len], state, |bytes| drop(back.send(bytes)));
    }
    threads.into_iter().for_each(|thread| thread.join().unwrap());
}

/// One direction.
struct Way {
    badness: Badness,
    random: Random,
    /// How often the network had been cut when it began.
    cuts: usize,
    /// It is being overtaken.
    held: Option<Vec<u8>>,
}

impl Way {
    fn new(badness: Badness, seed: u64, state: &State) -> Self {
        let cuts = state.cuts.load(Ordering::Acquire);
        Self { badness, random: Random::new(seed), cuts, held: None }
    }

    fn pass(&mut self, datagram: &[u8], state: &State, send: impl Fn(&[u8])) {
        let is_cut = state.cuts.load(Ordering::Acquire) != self.cuts;
        if is_cut || self.random.below(100) < self.badness.lost {
            state.lost.fetch_add(1, Ordering::AcqRel);
            return;
        }
        if self.held.is_none() && self.random.below(100) < self.badness.overtaken {
            self.held = Some(datagram.to_vec());
            return;
        }
        send(datagram);
        if self.random.below(100) < self.badness.doubled {
            send(datagram);
        }
        self.let_go(send);
    }

    fn let_go(&mut self, send: impl Fn(&[u8])) {
        if let Some(held) = self.held.take() {
            send(&held);
        }
    }
}

fn socket() -> UdpSocket {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
    socket
}
