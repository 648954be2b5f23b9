//! A wire of KCP: a stream over segments by hand, with a window, and sent again if they are lost.

use std::collections::{BTreeMap, VecDeque};
use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use crate::common::wire::Wire;
use crate::peer::{ACK, ASK, END, END_ACK, PUSH, RESET, Segment, TELL};
use crate::wires::{Addressed, PATIENCE};

/// Such a wire. It keeps itself going only while something is read from it or written to it.
pub(crate) struct KcpWire {
    socket: UdpSocket,
    conv: u32,
    /// The number of its next segment, and those of which nothing is known yet.
    next: u32,
    sent: VecDeque<Segment>,
    sent_last: Instant,
    /// How many segments the server takes.
    window: u32,
    /// The number of the server's next segment, and those that came before it.
    wanted: u32,
    early: BTreeMap<u32, Vec<u8>>,
    /// What has come and has not been read.
    inbox: VecDeque<u8>,
    /// The server's stream ends before this number.
    ends: Option<u32>,
    /// Our stream ends, and whether the server knows.
    finished: bool,
    is_known: bool,
    is_open: bool,
    fate: Option<ErrorKind>,
}

impl KcpWire {
    pub(crate) fn dial(server: SocketAddr) -> io::Result<Self> {
        static CONVERSATIONS: AtomicU32 = AtomicU32::new(1);
        let socket = UdpSocket::bind("127.0.0.1:0")?;
        socket.connect(server)?;
        let mut wire = Self {
            socket,
            conv: CONVERSATIONS.fetch_add(1, Ordering::Relaxed),
            next: 0,
            sent: VecDeque::new(),
            sent_last: Instant::now(),
            window: WINDOW,
            wanted: 0,
            early: BTreeMap::new(),
            inbox: VecDeque::new(),
            ends: None,
            finished: false,
            is_known: false,
            is_open: false,
            fate: None,
        };
        wire.put(Segment::new(wire.conv, ASK));
        wire.go_on_until(|wire| wire.is_open)?;
        Ok(wire)
    }

    /// Goes on until `done` holds, or there is no hope.
    fn go_on_until(&mut self, done: impl Fn(&Self) -> bool) -> io::Result<()> {
        let end = Instant::now() + PATIENCE;
        while !done(self) {
            if let Some(fate) = self.fate {
                return Err(fate.into());
            }
            if Instant::now() >= end {
                return Err(ErrorKind::TimedOut.into());
            }
            self.go_on(STEP);
        }
        Ok(())
    }

    /// Takes the next datagram, if one comes within a time, and sends again what has waited for long.
    fn go_on(&mut self, within: Duration) {
        let mut buffer = [0; 2048];
        self.socket.set_read_timeout(Some(within)).unwrap();
        match self.socket.recv(&mut buffer) {
            Ok(len) => Segment::all_of(&buffer[..len]).into_iter().for_each(|segment| self.take(segment)),
            Err(error) if error.kind() == ErrorKind::ConnectionRefused => self.fate = Some(error.kind()),
            Err(_) => {}
        }
        if self.sent_last.elapsed() > AGAIN {
            self.send_again();
        }
    }

    fn send_again(&mut self) {
        self.sent_last = Instant::now();
        if !self.is_open {
            self.put(Segment::new(self.conv, ASK));
        }
        for segment in self.sent.clone() {
            self.put(segment);
        }
        self.say_end();
    }

    fn take(&mut self, segment: Segment) {
        if segment.conv != self.conv {
            return;
        }
        if segment.command == PUSH && segment.sn == u32::MAX {
            // The server's question whether we receive at this address.
            return self.put(Segment { command: ACK, ..segment });
        }
        if segment.command == RESET {
            self.fate = Some(ErrorKind::ConnectionReset);
            return;
        }
        (self.is_open, self.window) = (true, u32::from(segment.window));
        self.sent.retain(|sent| sent.sn >= segment.una && (segment.command, segment.sn) != (ACK, sent.sn));
        match segment.command {
            PUSH => self.take_push(segment),
            ASK => self.put(Segment::new(self.conv, TELL)),
            END => {
                self.ends = Some(segment.sn);
                self.put(Segment { sn: segment.sn, ..Segment::new(self.conv, END_ACK) });
            }
            END_ACK => self.is_known = true,
            _ => {}
        }
    }

    fn take_push(&mut self, segment: Segment) {
        let ack = Segment { command: ACK, data: Vec::new(), ..segment };
        if segment.sn >= self.wanted && segment.sn < self.wanted + WINDOW {
            self.early.insert(segment.sn, segment.data);
        }
        while let Some(data) = self.early.remove(&self.wanted) {
            self.inbox.extend(data);
            self.wanted += 1;
        }
        self.put(ack);
    }

    fn put(&self, segment: Segment) {
        let segment = Segment { una: self.wanted, window: WINDOW as u16, ..segment };
        // One that the system does not take is lost, as any may be.
        let _ = self.socket.send(&segment.bytes());
    }

    fn say_end(&self) {
        if self.finished && !self.is_known {
            self.put(Segment { sn: self.next, ..Segment::new(self.conv, END) });
        }
    }

    fn has_ended(&self) -> bool {
        self.ends.is_some_and(|end| self.wanted >= end)
    }
}

impl Read for KcpWire {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        // What has come before a reset is read before it.
        let gone = self.go_on_until(|wire| !wire.inbox.is_empty() || wire.has_ended());
        if self.inbox.is_empty() && !self.has_ended() {
            gone?;
        }
        self.inbox.read(buf)
    }
}

impl Write for KcpWire {
    /// Each write is a segment, or several.
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        if self.finished {
            return Err(ErrorKind::BrokenPipe.into());
        }
        self.go_on_until(|wire| wire.sent.len() < WINDOW.min(wire.window.max(1)) as usize)?;
        let part = &buf[..buf.len().min(MOST_IN_A_SEGMENT)];
        let segment = Segment::push(self.conv, self.next, part);
        (self.next, self.sent_last) = (self.next + 1, Instant::now());
        self.sent.push_back(segment.clone());
        self.put(segment);
        Ok(part.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Wire for KcpWire {
    fn finish(&mut self) {
        self.finished = true;
        self.say_end();
    }

    /// Says nothing, as one that has lost its address.
    fn cut(&mut self) {
        self.fate.get_or_insert(ErrorKind::NotConnected);
    }
}

impl Addressed for KcpWire {
    fn addr(&self) -> SocketAddr {
        self.socket.local_addr().unwrap()
    }
}

impl Drop for KcpWire {
    /// As the system does for a socket that is closed: says so, and answers the rest with a reset.
    fn drop(&mut self) {
        let end = Instant::now() + LINGER;
        self.finish();
        while self.fate.is_none() && !(self.has_ended() && self.is_known) && Instant::now() < end {
            self.go_on(STEP);
        }
        if self.fate.is_none() && !self.has_ended() {
            self.put(Segment::new(self.conv, RESET));
        }
    }
}

/// Segments on their way, in either direction.
const WINDOW: u32 = 32;

/// With the head it fits into what every network takes.
const MOST_IN_A_SEGMENT: usize = 1300;

const STEP: Duration = Duration::from_millis(20);
const AGAIN: Duration = Duration::from_millis(200);
const LINGER: Duration = Duration::from_millis(500);
