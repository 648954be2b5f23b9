//! A peer that resumes, in raw bytes as `docs/wire.md` has them; its socket can be cut after any byte.

use std::io::{self, ErrorKind};
use std::net::{SocketAddr, TcpStream};

use super::wire::Wire;
use super::{Peer, frame};

pub(crate) const OPEN: u32 = 0xFFFF_FFF0;
pub(crate) const RESUME: u32 = 0xFFFF_FFF1;
pub(crate) const COUNT: u32 = 0xFFFF_FFF2;
pub(crate) const BYE: u32 = 0xFFFF_FFF3;
pub(crate) const TOKEN: u32 = 0xFFFF_FFF4;
pub(crate) const REFUSED: u32 = 0xFFFF_FFF5;

/// The reason that says: try again.
const BUSY: u8 = 7;

/// Such a peer.
pub(crate) struct Phone<S = TcpStream> {
    dial: Box<dyn Fn() -> S>,
    pub(crate) stream: S,
    /// As the server issued it.
    pub(crate) token: Vec<u8>,
    /// The frames it has received since, in order.
    pub(crate) inbox: Vec<(u32, Vec<u8>)>,
    /// How many of them have been looked at.
    looked_at: usize,
    /// All frames it has sent since.
    sent: Vec<Vec<u8>>,
    /// Received bytes that are no whole frame yet.
    begun: Vec<u8>,
    /// Why it was refused, if it may be: then that is a cut.
    pub(crate) refused: Option<u8>,
    pub(crate) may_be_refused: bool,
}

/// When and how a connection is cut: after so many bytes written or read, whichever comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cut {
    pub(crate) write: usize,
    pub(crate) read: usize,
    pub(crate) reset: bool,
}

/// Never.
pub(crate) const WHOLE: Cut = Cut { write: usize::MAX, read: usize::MAX, reset: false };

/// The connection has been cut.
#[derive(Debug)]
pub(crate) struct WasCut;

impl Phone {
    /// Connects and gets a token.
    pub(crate) fn open(server: SocketAddr) -> Self {
        Self::open_by(move || Peer::connect(server).stream)
    }

    /// As [`open`](Phone::open). An error if the connection ends before the token has come: where a limit of time is short, a busy
    /// machine may keep the phone from asking for it.
    pub(crate) fn try_open(server: SocketAddr) -> io::Result<Self> {
        Self::try_open_by(move || Peer::connect(server).stream)
    }
}

impl<S: Wire> Phone<S> {
    /// As [`open`](Phone::open), on what `dial` returns; so it comes back, too.
    pub(crate) fn open_by(dial: impl Fn() -> S + 'static) -> Self {
        Self::try_open_by(dial).unwrap()
    }

    fn try_open_by(dial: impl Fn() -> S + 'static) -> io::Result<Self> {
        let stream = dial();
        let dial = Box::new(dial);
        let (token, inbox, sent, begun) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        let (refused, may_be_refused) = (None, false);
        let mut phone =
            Self { dial, stream, token, inbox, looked_at: 0, sent, begun, refused, may_be_refused };
        phone.stream.write_all(&frame(OPEN, b"")).and_then(|()| phone.stream.flush())?;
        // What the server has sent before it read that is not counted.
        let data = loop {
            match phone.cut_frame() {
                Some((TOKEN, data)) => break data,
                Some(_) => {}
                None => {
                    phone.fill(usize::MAX)?;
                }
            }
        };
        assert_eq!((data.len(), &data[24..32]), (36, &[0; 8][..]));
        phone.token = data[..24].to_vec();
        Ok(phone)
    }

    /// Sends a counted frame.
    pub(crate) fn send(&mut self, msg_id: u32, data: &[u8]) {
        self.note(msg_id, data);
        self.write(&frame(msg_id, data));
    }

    /// Has sent a frame, of which nothing may have left.
    pub(crate) fn note(&mut self, msg_id: u32, data: &[u8]) {
        self.sent.push(frame(msg_id, data));
    }

    /// Receives a counted frame; others pass by.
    pub(crate) fn receive(&mut self) -> (u32, Vec<u8>) {
        while self.inbox.len() == self.looked_at {
            if !self.take_counted() {
                self.fill(usize::MAX).unwrap();
            }
        }
        self.looked_at += 1;
        self.inbox[self.looked_at - 1].clone()
    }

    /// Comes back on a new socket. Sends again what the server has not counted.
    pub(crate) fn resume(&mut self) {
        self.resume_cut(WHOLE).unwrap();
    }

    /// Comes back and expects to be refused; returns the reason.
    pub(crate) fn resume_refused(&mut self) -> u8 {
        self.ask_to_resume();
        let (id, data) = self.read_frame();
        assert_eq!((id, data.len() > 1), (REFUSED, true));
        assert_eq!(self.stream.read(&mut [0]).unwrap(), 0, "it closes");
        data[0]
    }

    pub(crate) fn ask_to_resume(&mut self) {
        self.begin_again();
        self.write(&self.asked());
    }

    /// The next frame, whatever it is.
    pub(crate) fn read_frame(&mut self) -> (u32, Vec<u8>) {
        loop {
            if let Some(frame) = self.cut_frame() {
                return frame;
            }
            self.fill(usize::MAX).unwrap();
        }
    }

    pub(crate) fn write(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).and_then(|()| self.stream.flush()).unwrap();
    }

    /// Loses the connection.
    pub(crate) fn lose(&mut self, reset: bool) {
        if reset {
            return self.stream.cut();
        }
        self.stream.finish();
        // What is whole by the end has been received.
        while self.fill(usize::MAX).is_ok() {}
        while self.take_counted() {}
    }

    /// Writes `bytes`, then reads until the inbox holds `count`, on a connection that is cut.
    pub(crate) fn talk(&mut self, bytes: &[u8], count: usize, cut: Cut) -> Result<(), WasCut> {
        // Cut by the other side in the middle, perhaps: then that is the cut.
        let written = self.stream.write_all(&bytes[..bytes.len().min(cut.write)]);
        let written = written.and_then(|()| self.stream.flush());
        if bytes.len() > cut.write || written.is_err() {
            self.lose(cut.reset);
            return Err(WasCut);
        }
        self.read_until(cut, |phone| phone.inbox.len() >= count)
    }

    /// As [`resume`](Self::resume), on a connection that may be cut.
    pub(crate) fn resume_cut(&mut self, cut: Cut) -> Result<(), WasCut> {
        self.begin_again();
        let asked = self.asked();
        // A limit of time may have ended the connection before this: that is a cut, too.
        let written = self.stream.write_all(&asked[..asked.len().min(cut.write)]);
        let written = written.and_then(|()| self.stream.flush());
        if cut.write < asked.len() || written.is_err() {
            self.lose(cut.reset);
            return Err(WasCut);
        }
        let mut read = cut.read;
        loop {
            match self.cut_frame() {
                Some((TOKEN, data)) => {
                    self.token = data[..24].to_vec();
                    let count = u64::from_le_bytes(data[24..32].try_into().unwrap()) as usize;
                    assert_eq!(data.len(), 36);
                    let again = [vec![self.count()], self.sent[count..].to_vec()].concat().concat();
                    return self.talk(&again, 0, Cut { write: cut.write - asked.len(), read, ..cut });
                }
                // An attempt that was cut, but whose frame had left, may be heard after this one.
                Some((REFUSED, data)) if data[0] == BUSY => return Err(WasCut),
                Some((REFUSED, data)) if self.may_be_refused => {
                    self.refused = Some(data[0]);
                    return Err(WasCut);
                }
                Some((id, _)) => assert!(id < OPEN, "{id}"),
                None => read -= self.fill_cut(read, cut)?,
            }
        }
    }

    fn read_until(&mut self, cut: Cut, done: impl Fn(&Self) -> bool) -> Result<(), WasCut> {
        let mut read = cut.read;
        loop {
            while self.take_counted() {}
            if done(self) {
                return Ok(());
            }
            read -= self.fill_cut(read, cut)?;
        }
    }

    /// Reads at most so many bytes. 0 are the cut; the server's end is one too, for it may have heard an earlier attempt
    /// to come back after this one.
    fn fill_cut(&mut self, max: usize, cut: Cut) -> Result<usize, WasCut> {
        let filled = if max == 0 { None } else { self.fill(max).ok() };
        filled.ok_or_else(|| {
            self.lose(cut.reset);
            WasCut
        })
    }

    fn begin_again(&mut self) {
        self.begun.clear();
        self.stream = (self.dial)();
    }

    fn asked(&self) -> Vec<u8> {
        frame(RESUME, &[&self.token[..], &(self.inbox.len() as u64).to_le_bytes()].concat())
    }

    fn count(&self) -> Vec<u8> {
        frame(COUNT, &(self.inbox.len() as u64).to_le_bytes())
    }

    fn take_counted(&mut self) -> bool {
        let frame = self.cut_frame();
        let is_some = frame.is_some();
        self.inbox.extend(frame.filter(|(id, _)| *id < OPEN));
        is_some
    }

    fn cut_frame(&mut self) -> Option<(u32, Vec<u8>)> {
        let word = |at: usize| Some(u32::from_le_bytes(self.begun.get(at..at + 4)?.try_into().unwrap()));
        let (len, id) = (word(0)? as usize, word(4)?);
        let data = self.begun.get(8..8 + len)?.to_vec();
        self.begun.drain(..8 + len);
        Some((id, data))
    }

    /// Reads at most so many bytes; an error where the stream has ended.
    fn fill(&mut self, max: usize) -> io::Result<usize> {
        let mut buffer = [0; 4096];
        let max = max.min(buffer.len());
        // With a time limit, a read ends early if the process has been stopped and goes on.
        let n = loop {
            match self.stream.read(&mut buffer[..max]) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                read => break read?,
            }
        };
        self.begun.extend_from_slice(&buffer[..n]);
        if n == 0 { Err(ErrorKind::UnexpectedEof.into()) } else { Ok(n) }
    }
}
