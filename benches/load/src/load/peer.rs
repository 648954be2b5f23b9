//! A connection of the generator, and the epoll instance that all are in.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, Read, Write};
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use rustix::buffer::spare_capacity;
use rustix::event::{Timespec, epoll};

use super::frames::{BUFFER_BYTES, Frames};
use super::options::Options;
use super::stream::Stream;

pub struct Peer {
    stream: Stream,
    /// Bytes of a frame that has not come whole.
    begun: usize,
    to_send: usize,
    /// Where in the frames the next byte to be sent is.
    at: usize,
    is_full: bool,
    /// When messages were asked for that have not come back, and how many.
    asked: VecDeque<(Instant, usize)>,
}

impl Peer {
    /// The n-th. There are not enough ports for all of them to one address.
    pub fn connect(options: &Options, n: usize) -> io::Result<Self> {
        let host = Ipv4Addr::new(127, 0, 0, 1 + (n / PEERS_PER_ADDRESS) as u8);
        let stream = Stream::connect(host, options.port, options.over)?;
        Ok(Self { stream, begun: 0, to_send: 0, at: 0, is_full: false, asked: VecDeque::new() })
    }

    /// Sends so many messages, or what the socket takes of them.
    pub fn ask(&mut self, frames: &Frames, messages: usize, now: Instant) -> io::Result<()> {
        self.asked.push_back((now, messages));
        self.to_send += messages * frames.len;
        self.send(frames)
    }

    pub fn send(&mut self, frames: &Frames) -> io::Result<()> {
        while self.to_send > 0 {
            let end = frames.bytes.len().min(self.at + self.to_send);
            match self.stream.write(&frames.bytes[self.at..end]) {
                Ok(sent) => {
                    self.to_send -= sent;
                    self.at = (self.at + sent) % frames.len;
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    self.is_full = true;
                    return Ok(());
                }
                Err(error) => return Err(error),
            }
        }
        match self.stream.flush() {
            Err(error) if error.kind() != ErrorKind::WouldBlock => return Err(error),
            _ => self.is_full = self.stream.has_unsent(),
        }
        Ok(())
    }

    /// Reads once. Returns how many messages are whole now.
    pub fn read(&mut self, frames: &Frames, buffer: &mut [u8]) -> io::Result<usize> {
        match self.stream.read(buffer) {
            Ok(0) => Err(io::Error::other("the server has closed a connection")),
            Ok(read) => {
                let bytes = self.begun + read;
                self.begun = bytes % frames.echo_len;
                Ok(bytes / frames.echo_len)
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(0),
            Err(error) => Err(error),
        }
    }

    /// Tells how long ago each of so many messages was asked for, oldest first.
    pub fn answered(&mut self, mut messages: usize, now: Instant, mut tell: impl FnMut(Duration, usize)) {
        while let Some((at, open)) = self.asked.front_mut().filter(|_| messages > 0) {
            let answered = messages.min(*open);
            tell(now - *at, answered);
            (messages, *open) = (messages - answered, *open - answered);
            if *open == 0 {
                self.asked.pop_front();
            }
        }
    }
}

/// Connections that are waited for together.
pub struct Peers {
    pub all: Vec<Peer>,
    epoll: rustix::fd::OwnedFd,
    events: Vec<epoll::Event>,
    pub buffer: Vec<u8>,
}

/// What has happened to one of them.
pub struct Ready {
    pub peer: usize,
    pub readable: bool,
    pub writable: bool,
}

impl Peers {
    pub fn new() -> io::Result<Self> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        Ok(Self { all: Vec::new(), epoll, events: Vec::with_capacity(512), buffer: vec![0; BUFFER_BYTES] })
    }

    pub fn connect(options: &Options) -> io::Result<Self> {
        let mut peers = Self::new()?;
        for n in 0..options.connections {
            peers.add(Peer::connect(options, n)?)?;
        }
        Ok(peers)
    }

    pub fn add(&mut self, peer: Peer) -> io::Result<()> {
        let data = epoll::EventData::new_u64(self.all.len() as u64);
        epoll::add(&self.epoll, peer.stream.socket(), data, epoll::EventFlags::IN)?;
        self.all.push(peer);
        Ok(())
    }

    /// Closes one, and puts another in its place.
    pub fn replace(&mut self, at: usize, peer: Peer) -> io::Result<()> {
        let data = epoll::EventData::new_u64(at as u64);
        epoll::add(&self.epoll, peer.stream.socket(), data, epoll::EventFlags::IN)?;
        self.all[at] = peer;
        Ok(())
    }

    /// Waits for some, at most so long.
    pub fn wait(&mut self, most: Duration) -> io::Result<Vec<Ready>> {
        self.events.clear();
        let most = Timespec { tv_sec: most.as_secs() as i64, tv_nsec: i64::from(most.subsec_nanos()) };
        epoll::wait(&self.epoll, spare_capacity(&mut self.events), Some(&most))?;
        let ready = |event: &epoll::Event| {
            // A packed struct: its fields are copied out.
            let flags = event.flags;
            Ready {
                peer: event.data.u64() as usize,
                readable: flags.intersects(!epoll::EventFlags::OUT),
                writable: flags.contains(epoll::EventFlags::OUT),
            }
        };
        Ok(self.events.iter().map(ready).collect())
    }

    /// Watches a full socket, and no longer once it is not. `was_full`: before the last send.
    pub fn watch(&self, peer: usize, was_full: bool) -> io::Result<()> {
        let Peer { stream, is_full, .. } = &self.all[peer];
        if *is_full == was_full {
            return Ok(());
        }
        let mut flags = epoll::EventFlags::IN;
        flags.set(epoll::EventFlags::OUT, *is_full);
        Ok(epoll::modify(&self.epoll, stream.socket(), epoll::EventData::new_u64(peer as u64), flags)?)
    }

    pub fn is_full(&self, peer: usize) -> bool {
        self.all[peer].is_full
    }
}

const PEERS_PER_ADDRESS: usize = 8000;
