//! A proxy that makes a bad network of a good one: it splits, joins, delays, stalls, slows, damages and cuts what it
//! passes on, all of it drawn from a seed.

use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use socket2::SockRef;
use zinx::green::{self, Builder, Greenlet, Group, Queue, TcpListener, TcpStream};

use super::coroutines::bind;
use super::random::Random;

/// How bad the network is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Network {
    /// Every byte arrives, in whatever pieces and however late.
    Rough,
    /// And then, at any byte of either direction, the connection ends, by FIN or by RST.
    Cutting,
    /// Some bytes are others when they arrive.
    Damaging,
    /// One direction falls silent at any byte and stays so for seconds; then the connection is reset.
    Silencing,
}

/// Listens, and passes on what it is sent to a server, and back.
pub(crate) struct Proxy {
    address: SocketAddr,
    listener: Arc<TcpListener>,
    acceptor: Greenlet<()>,
    links: Arc<Links>,
}

impl Proxy {
    /// What happens to the n-th connection depends on the network, the seed and n.
    pub(crate) fn start(to: SocketAddr, network: Network, seed: u64) -> Self {
        let (listener, links) = (Arc::new(bind()), Arc::new(Links::default()));
        let (address, accepting, theirs) = (listener.local_addr(), Arc::clone(&listener), Arc::clone(&links));
        let acceptor = green::spawn(move || {
            let mut random = Random::new(seed);
            while let Ok((client, _)) = accepting.accept() {
                theirs.add(client, to, Way::both(network, &mut random));
            }
        });
        Self { address, listener, acceptor, links }
    }

    pub(crate) const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Ends, with all connections through it.
    pub(crate) fn end(self) {
        self.listener.interrupt();
        self.acceptor.join();
        for link in std::mem::take(&mut *self.links.open.lock().unwrap()) {
            link.kill();
        }
    }
}

#[derive(Default)]
struct Links {
    open: Mutex<Vec<Link>>,
}

impl Links {
    fn add(&self, client: TcpStream, to: SocketAddr, plan: [Way; 2]) {
        let ways = Group::new();
        let theirs = ways.clone();
        let joins = green::spawn(move || {
            // Where there is no server, the client is left.
            if let Ok(server) = TcpStream::connect(to) {
                join(&client, &server, plan, &theirs);
            }
        });
        let mut open = self.open.lock().unwrap();
        open.retain(|link| !link.joins.ready());
        open.push(Link { joins, ways });
    }
}

/// A connection from a client to the server.
struct Link {
    joins: Greenlet<()>,
    ways: Group,
}

impl Link {
    fn kill(&self) {
        self.joins.kill();
        self.ways.kill();
    }
}

/// Passes on what either sends, until both ways have ended.
fn join(client: &TcpStream, server: &TcpStream, [up, down]: [Way; 2], ways: &Group) {
    let ends = Arc::new(Queue::unbounded());
    for (from, to, mut way) in [(client, server, up), (server, client, down)] {
        let (from, to, ends) = (from.clone(), to.clone(), Arc::clone(&ends));
        let body = move || {
            let ended = way.pass(&from, &to);
            // Nothing listens if the link has been killed.
            let _ = ends.put(ended.is_ok());
        };
        ways.spawn(Builder::new().name("way"), body).unwrap();
    }
    let is_over = |_| ends.get() == Some(true);
    if !(0..2).all(is_over) {
        for stream in [client, server] {
            // It may have been reset already.
            let _ = SockRef::from(stream).set_linger(Some(Duration::ZERO));
        }
        ways.kill();
    }
}

/// One direction of a connection, and what happens to its bytes.
struct Way {
    random: Random,
    /// Most bytes passed on at once.
    piece: u64,
    /// The longest pause before one, in microseconds. What arrives meanwhile is joined.
    pause: u64,
    /// Bytes a second.
    rate: Option<u64>,
    /// After so many bytes, the last first.
    troubles: Vec<(u64, Trouble)>,
    passed: u64,
}

#[derive(Clone, Copy)]
enum Trouble {
    Stall(Duration),
    /// The next byte has these bits turned.
    Flip(u8),
    Fin,
    Reset,
}

impl Way {
    /// Those from the client and to it.
    fn both(network: Network, random: &mut Random) -> [Self; 2] {
        let mut ways = [Self::rough(random), Self::rough(random)];
        let unlucky = &mut ways[random.below(2) as usize];
        let mut at = || {
            let reach = 1 << (1 + random.below(11));
            (random.below(reach), random.below(1 << 32))
        };
        match network {
            Network::Rough => {}
            Network::Cutting => {
                let (at, how) = at();
                unlucky.troubles.push((at, if how % 2 == 0 { Trouble::Fin } else { Trouble::Reset }));
            }
            Network::Damaging => {
                let ((at, bits), (later, more)) = (at(), at());
                unlucky.troubles.push((at, Trouble::Flip(1 << (bits % 8))));
                unlucky.troubles.push((at + later, Trouble::Flip((more % 255) as u8 + 1)));
            }
            Network::Silencing => {
                let (at, _) = at();
                unlucky.troubles.push((at, Trouble::Stall(SILENCE)));
                unlucky.troubles.push((at, Trouble::Reset));
            }
        }
        // The first is popped first.
        ways.iter_mut().for_each(|way| way.troubles.reverse());
        ways.iter_mut().for_each(|way| way.troubles.sort_by_key(|(at, _)| std::cmp::Reverse(*at)));
        ways
    }

    fn rough(random: &mut Random) -> Self {
        let mut any = |choices: &[u64]| choices[random.below(choices.len() as u64) as usize];
        let piece = any(&[1, 2, 3, 7, 11, 64, 1000, PIECE as u64]);
        let pause = any(&[0, 100, 1000, if piece > 64 { 20_000 } else { 3000 }]);
        let rate = any(&[0, 0, 0, 4000, 30_000]);
        let stalls = any(&[0, 0, 1, 2]);
        let stall = |_| {
            let stall = Duration::from_millis(5 + random.below(100));
            (random.below(600), Trouble::Stall(stall))
        };
        let troubles = (0..stalls).map(stall).collect();
        let rate = (rate > 0).then_some(rate);
        Self { random: Random::new(random.below(1 << 40)), piece, pause, rate, troubles, passed: 0 }
    }

    /// Passes on what comes, to the end of the stream. An error if the connection should be reset.
    fn pass(&mut self, mut from: &TcpStream, mut to: &TcpStream) -> io::Result<()> {
        let mut buf = [0; PIECE];
        loop {
            let mut flip = 0;
            while let Some((_, trouble)) = self.troubles.pop_if(|(at, _)| *at <= self.passed) {
                match trouble {
                    Trouble::Stall(time) => green::sleep(time),
                    Trouble::Flip(bits) => flip = bits,
                    Trouble::Fin => {
                        to.shutdown_write();
                        return io::copy(&mut from, &mut io::sink()).map(drop);
                    }
                    Trouble::Reset => return Err(io::ErrorKind::ConnectionReset.into()),
                }
            }
            // Mostly without, so that what is passed byte by byte arrives in time.
            if self.pause > 0 && self.random.below(8) == 0 {
                green::sleep(Duration::from_micros(self.random.below(self.pause)));
            }
            let most = self.next_piece();
            let len = from.read(&mut buf[..most])?;
            if len == 0 {
                to.shutdown_write();
                return Ok(());
            }
            buf[0] ^= flip;
            to.write_all(&buf[..len])?;
            self.passed += len as u64;
            if let Some(rate) = self.rate {
                green::sleep(Duration::from_micros(len as u64 * 1_000_000 / rate));
            }
        }
    }

    /// How much is passed on at once: not beyond the next trouble.
    fn next_piece(&mut self) -> usize {
        let piece = 1 + self.random.below(self.piece);
        let left = self.troubles.last().map_or(u64::MAX, |(at, _)| at - self.passed);
        piece.min(left) as usize
    }
}

/// The largest piece.
const PIECE: usize = 4096;

/// Longer than servers in tests wait for a sign of life.
const SILENCE: Duration = Duration::from_secs(3);
