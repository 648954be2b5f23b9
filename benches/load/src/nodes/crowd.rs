//! The users, each with a socket, and the epoll instance that all are in.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use rustix::buffer::spare_capacity;
use rustix::event::{Timespec, epoll};

use super::wire::{MARK, READY, Wire};

pub struct Crowd {
    users: Vec<User>,
    epoll: rustix::fd::OwnedFd,
    events: Vec<epoll::Event>,
    buffer: Vec<u8>,
}

struct User {
    stream: TcpStream,
    /// What has been read last ends with the first byte of a mark.
    begun: bool,
}

impl Crowd {
    /// User n is on the node of the n-th port, counted round and round.
    pub fn log_in(wire: Wire, users: usize, ports: &[u16]) -> io::Result<Self> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let mut crowd = Self {
            users: Vec::with_capacity(users),
            epoll,
            events: Vec::with_capacity(512),
            buffer: vec![0; 64 * 1024],
        };
        for (n, port) in (0..users).zip(ports.iter().cycle()) {
            let user = User::log_in(wire, n, *port)?;
            let data = epoll::EventData::new_u64(n as u64);
            epoll::add(&crowd.epoll, &user.stream, data, epoll::EventFlags::IN)?;
            crowd.users.push(user);
        }
        Ok(crowd)
    }

    pub fn len(&self) -> usize {
        self.users.len()
    }

    /// The socket has room: a user has at most one message on its way.
    pub fn send(&mut self, user: usize, frame: &[u8]) -> io::Result<()> {
        self.users[user].stream.write_all(frame)
    }

    /// Waits until something arrives. Returns which user has got a message, and when it was read.
    pub fn hear(&mut self) -> io::Result<Vec<(usize, Instant)>> {
        self.events.clear();
        epoll::wait(&self.epoll, spare_capacity(&mut self.events), Some(&LONGEST))?;
        if self.events.is_empty() {
            return Err(io::Error::other("a message has not arrived"));
        }
        let mut heard = Vec::new();
        for event in &self.events {
            // A packed struct: its fields are copied out.
            let data = event.data;
            let user = data.u64() as usize;
            let marks = self.users[user].read(&mut self.buffer)?;
            heard.extend(std::iter::repeat_n((user, Instant::now()), marks));
        }
        Ok(heard)
    }
}

impl User {
    fn log_in(wire: Wire, n: usize, port: u16) -> io::Result<Self> {
        let mut stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_secs(LONGEST.tv_sec as u64)))?;
        // Ports are free again at once.
        rustix::net::sockopt::set_socket_linger(&stream, Some(Duration::ZERO))?;
        stream.write_all(wire.upgrade().as_bytes())?;
        read_until(&mut stream, b"\r\n\r\n")?;
        stream.write_all(&wire.login(n))?;
        read_until(&mut stream, READY)?;
        stream.set_nonblocking(true)?;
        Ok(Self { stream, begun: false })
    }

    /// Reads once. Returns how many messages have arrived.
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let bytes = match self.stream.read(buffer) {
            Ok(0) => return Err(io::Error::other("a node has closed a connection")),
            Ok(read) => &buffer[..read],
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(0),
            Err(error) => return Err(error),
        };
        let across = self.begun && bytes[0] == MARK[1];
        self.begun = bytes.last() == Some(&MARK[0]);
        Ok(bytes.windows(2).filter(|pair| *pair == MARK).count() + usize::from(across))
    }
}

fn read_until(stream: &mut TcpStream, end: &[u8]) -> io::Result<()> {
    let (mut bytes, mut buffer) = (Vec::new(), [0; 4096]);
    while !bytes.windows(end.len()).any(|part| part == end) {
        let read = stream.read(&mut buffer)?;
        if read == 0 {
            return Err(io::Error::other(format!("refused: {}", String::from_utf8_lossy(&bytes))));
        }
        bytes.extend_from_slice(&buffer[..read]);
    }
    Ok(())
}

/// How long a message may be on its way.
const LONGEST: Timespec = Timespec { tv_sec: 5, tv_nsec: 0 };
