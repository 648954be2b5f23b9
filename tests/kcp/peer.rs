//! A peer that speaks datagrams: segments by hand, as the protocol has them.

use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use crate::common::{ECHO, frame};

pub(crate) const PUSH: u8 = 81;
pub(crate) const ACK: u8 = 82;
pub(crate) const ASK: u8 = 83;
pub(crate) const TELL: u8 = 84;
pub(crate) const END: u8 = 101;
pub(crate) const END_ACK: u8 = 102;
pub(crate) const RESET: u8 = 103;

/// A segment, with the fields that tests look at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Segment {
    pub(crate) conv: u32,
    pub(crate) command: u8,
    pub(crate) window: u16,
    pub(crate) ts: u32,
    pub(crate) sn: u32,
    pub(crate) una: u32,
    pub(crate) data: Vec<u8>,
}

impl Segment {
    pub(crate) fn new(conv: u32, command: u8) -> Self {
        Self { conv, command, window: 128, ts: 0, sn: 0, una: 0, data: Vec::new() }
    }

    pub(crate) fn push(conv: u32, sn: u32, data: &[u8]) -> Self {
        Self { sn, data: data.to_vec(), ..Self::new(conv, PUSH) }
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        let len = u32::try_from(self.data.len()).unwrap();
        let mut bytes = self.conv.to_le_bytes().to_vec();
        bytes.extend([self.command, 0]);
        bytes.extend(self.window.to_le_bytes());
        [self.ts, self.sn, self.una, len].iter().for_each(|number| bytes.extend(number.to_le_bytes()));
        bytes.extend(&self.data);
        bytes
    }

    pub(crate) fn all_of(mut datagram: &[u8]) -> Vec<Self> {
        let mut found = Vec::new();
        while !datagram.is_empty() {
            let number = |at: usize| u32::from_le_bytes(datagram[at..at + 4].try_into().unwrap());
            let end = 24 + number(20) as usize;
            found.push(Self {
                conv: number(0),
                command: datagram[4],
                window: u16::from_le_bytes([datagram[6], datagram[7]]),
                ts: number(8),
                sn: number(12),
                una: number(16),
                data: datagram[24..end].to_vec(),
            });
            datagram = &datagram[end..];
        }
        found
    }
}

/// A peer with a port of its own.
pub(crate) struct Peer {
    pub(crate) socket: UdpSocket,
    pub(crate) conv: u32,
    /// How many segments it has sent and received.
    next: u32,
    pub(crate) wanted: u32,
}

/// What a peer says first.
pub(crate) fn first_message() -> Vec<u8> {
    frame(ECHO, b"me")
}

impl Peer {
    pub(crate) fn new(server: SocketAddr, conv: u32) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.connect(server).unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
        Self { socket, conv, next: 0, wanted: 0 }
    }

    /// One whose conversation has begun with these bytes.
    pub(crate) fn connect(server: SocketAddr, conv: u32, first: &[u8]) -> Self {
        let mut peer = Self::new(server, conv);
        peer.push(first);
        peer.show();
        peer
    }

    /// One that is a connection: its first message has been echoed.
    pub(crate) fn echoed(server: SocketAddr, conv: u32) -> Self {
        let message = first_message();
        let mut peer = Self::connect(server, conv, &message);
        assert_eq!(peer.read(message.len()), message);
        peer
    }

    pub(crate) fn addr(&self) -> SocketAddr {
        self.socket.local_addr().unwrap()
    }

    pub(crate) fn send(&self, segment: &Segment) {
        self.socket.send(&segment.bytes()).unwrap();
    }

    /// Sends the next segment.
    pub(crate) fn push(&mut self, data: &[u8]) {
        self.send(&Segment { una: self.wanted, ..Segment::push(self.conv, self.next, data) });
        self.next += 1;
    }

    /// Shows that it receives at its address.
    pub(crate) fn show(&self) {
        let challenge = self.hear(PUSH);
        assert_eq!((challenge.sn, challenge.data.len()), (u32::MAX, 0));
        self.send(&Segment { command: ACK, ..challenge });
    }

    /// Waits for a segment with this command; drops others.
    pub(crate) fn hear(&self, command: u8) -> Segment {
        self.hear_one_of(&[command])
    }

    /// As [`hear`](Self::hear), with one of several commands.
    pub(crate) fn hear_one_of(&self, commands: &[u8]) -> Segment {
        let end = Instant::now() + Duration::from_secs(30);
        while Instant::now() < end {
            if let Some(found) =
                self.datagram().into_iter().find(|segment| commands.contains(&segment.command))
            {
                return found;
            }
        }
        panic!("no segment of {commands:?} within half a minute");
    }

    /// The segments of the next datagram; none if none comes soon.
    pub(crate) fn datagram(&self) -> Vec<Segment> {
        let mut buffer = [0; 2048];
        self.socket.recv(&mut buffer).map_or_else(|_| Vec::new(), |len| Segment::all_of(&buffer[..len]))
    }

    /// Reads so many bytes of the stream, and acknowledges them.
    pub(crate) fn read(&mut self, len: usize) -> Vec<u8> {
        let (mut read, end) = (Vec::new(), Instant::now() + Duration::from_secs(30));
        while read.len() < len && Instant::now() < end {
            for segment in self.datagram() {
                if segment.command == PUSH && segment.sn == self.wanted {
                    self.wanted += 1;
                    read.extend(&segment.data);
                    self.send(&Segment { command: ACK, una: self.wanted, data: Vec::new(), ..segment });
                }
            }
        }
        assert_eq!(read.len(), len);
        read
    }
}
