//! People that come to the server: each does one thing, badly, again and again.

use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use socket2::SockRef;
use zinx::green::{self, Builder, Greenlet, TcpStream};

use super::common::chaos::{Network, Proxy};
use super::common::random::Random;
use super::common::talks::{self, End};
use super::common::{ECHO, frame};
use super::healthy::Tally;
use super::server::{ANSWER, ASK, BLAST, PANIC, TELL};
use super::{DRAINS, attackers};

/// All who are there at a time.
pub(crate) struct People {
    over: Arc<AtomicBool>,
    all: Vec<Greenlet<()>>,
    proxies: Vec<Proxy>,
    seeds: Random,
    tally: Arc<Tally>,
}

impl People {
    pub(crate) fn come(server: SocketAddr, seed: u64) -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let tally = Arc::new(Tally::default());
        let (all, proxies, seeds) = (Vec::new(), Vec::new(), Random::new(seed));
        let mut people = Self { over, all, proxies, seeds, tally: Arc::clone(&tally) };
        // On a busy machine most of them come too late, or while others take all places.
        for _ in 0..4 {
            let back = Arc::clone(&tally);
            people.add("back again", move |_| back.comes_back(server).map_or_else(drop, drop));
        }
        people.add("healthy", move |_| tally.echoes(server));
        for _ in 0..4 {
            for network in [Network::Rough, Network::Cutting, Network::Damaging, Network::Silencing] {
                let proxy = Proxy::start(server, network, people.seeds.below(1 << 40));
                let near = proxy.address();
                people.proxies.push(proxy);
                people.add("talker", move |random| talk(near, network, random));
            }
            people.add("flood", move |random| flood(server, random).map_or_else(drop, drop));
            people.add("slow reader", move |random| read_slowly(server, random).map_or_else(drop, drop));
            people.add("member", move |random| tell_all(server, random).map_or_else(drop, drop));
            people.add("asked", move |random| be_asked(server, random).map_or_else(drop, drop));
        }
        people.add("crowd", move |_| crowd(server));
        attackers::come(&mut people, server);
        people
    }

    /// Does something again and again.
    pub(crate) fn add(&mut self, name: &'static str, mut act: impl FnMut(&mut Random) + Send + 'static) {
        let (over, mut random) = (Arc::clone(&self.over), Random::new(self.seeds.below(1 << 40)));
        let body = move || {
            while !over.load(Ordering::Acquire) {
                act(&mut random);
                green::sleep(Duration::from_millis(1));
            }
        };
        self.all.push(Builder::new().name(name).spawn(body).unwrap());
    }

    /// What the healthy ones have seen so far.
    pub(crate) fn tally(&self) -> &Tally {
        &self.tally
    }

    pub(crate) fn one_came_back(&self) -> bool {
        self.tally.back() > 0
    }

    /// Lets all go. Returns what the healthy ones have seen.
    pub(crate) fn go(self) -> Arc<Tally> {
        self.over.store(true, Ordering::Release);
        self.proxies.into_iter().for_each(Proxy::end);
        for one in self.all {
            one.get().unwrap();
        }
        self.tally.check(DRAINS);
        self.tally
    }
}

/// Frames echoed over a bad network. The end may come at any time, for servers drain and are full.
fn talk(near: SocketAddr, network: Network, random: &mut Random) {
    let ended = green::with_timeout(PATIENCE, || talks::echo(near, random.below(1 << 40)));
    match ended {
        Err(_) => panic!("{network:?}: it hangs"),
        Ok(Err(End::Wrong(what))) if network != Network::Damaging => panic!("{network:?}: {what}"),
        Ok(_) => {}
    }
}

/// Asks for much and reads nothing.
fn flood(server: SocketAddr, random: &mut Random) -> io::Result<()> {
    let mut stream = TcpStream::connect(server)?;
    let frames = frame(ECHO, &[7; 200]).repeat(100);
    let sending = green::with_timeout(Duration::from_millis(random.below(1000)), || {
        while stream.write_all(&frames).is_ok() {}
    });
    if random.below(2) == 0 || sending.is_ok() {
        SockRef::from(&stream).set_linger(Some(Duration::ZERO))?;
    }
    Ok(())
}

/// Asks for a megabyte and reads it a little at a time.
fn read_slowly(server: SocketAddr, random: &mut Random) -> io::Result<()> {
    let mut stream = TcpStream::connect(server)?;
    stream.write_all(&frame(BLAST, b""))?;
    let mut buf = vec![0; 1 + random.below(2000) as usize];
    for _ in 0..40 {
        if stream.read(&mut buf)? == 0 {
            break;
        }
        green::sleep(Duration::from_millis(25));
    }
    Ok(())
}

/// Tells all members, reads what some of them say, and leaves somehow.
fn tell_all(server: SocketAddr, random: &mut Random) -> io::Result<()> {
    let mut stream = TcpStream::connect(server)?;
    for _ in 0..random.below(30) {
        stream.write_all(&frame(TELL, &[7; 100]))?;
        stream.read_exact(&mut [0; 108])?;
    }
    match random.below(3) {
        0 => stream.write_all(&frame(PANIC, b"")),
        1 => stream.write_all(&frame(ECHO, b"half of it")[..9]),
        _ => Ok(()),
    }
}

/// Is asked, and mostly answers.
fn be_asked(server: SocketAddr, random: &mut Random) -> io::Result<()> {
    let mut stream = TcpStream::connect(server)?;
    for _ in 0..random.below(10) {
        stream.write_all(&frame(ASK, b""))?;
        stream.read_exact(&mut [0; 9])?;
        if random.below(4) > 0 {
            stream.write_all(&frame(ANSWER, b"!"))?;
            stream.read_exact(&mut [0; 9])?;
        }
    }
    Ok(())
}

/// More at a time than there may be.
fn crowd(server: SocketAddr) {
    let crowd: Vec<_> = (0..200).map_while(|_| TcpStream::connect(server).ok()).collect();
    green::sleep(Duration::from_millis(100));
    drop(crowd);
    green::sleep(Duration::from_millis(400));
}

/// No conversation may take longer.
const PATIENCE: Duration = Duration::from_secs(60);
