//! A connection to a node that may be killed or stand still at any moment: nothing here panics or waits for long.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use crate::common::frame;

pub(crate) struct Wire {
    stream: TcpStream,
    got: Vec<u8>,
}

impl Wire {
    pub(crate) fn open(node: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect_timeout(&node, Duration::from_secs(1))?;
        stream.set_nodelay(true)?;
        stream.set_write_timeout(Some(Duration::from_secs(1)))?;
        Ok(Self { stream, got: Vec::new() })
    }

    pub(crate) fn send(&mut self, msg_id: u32, data: &[u8]) -> io::Result<()> {
        self.stream.write_all(&frame(msg_id, data))
    }

    /// The next message. `None` if there is none within this time.
    pub(crate) fn read(&mut self, within: Duration) -> io::Result<Option<(u32, Vec<u8>)>> {
        let until = Instant::now() + within;
        loop {
            if let Some(message) = self.take() {
                return Ok(Some(message));
            }
            let left = until.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
            self.stream.set_read_timeout(Some(left))?;
            let mut buffer = [0; 4096];
            match self.stream.read(&mut buffer) {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(len) => self.got.extend_from_slice(&buffer[..len]),
                Err(error) if [ErrorKind::WouldBlock, ErrorKind::TimedOut].contains(&error.kind()) => {
                    if Instant::now() >= until {
                        return Ok(None);
                    }
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Sends a message and waits for the answer, as text.
    pub(crate) fn ask(&mut self, msg_id: u32, data: &[u8], within: Duration) -> io::Result<Option<String>> {
        self.send(msg_id, data)?;
        let answer = self.read(within)?;
        Ok(answer.map(|(_, data)| String::from_utf8(data).unwrap()))
    }

    /// Says that nothing more will be sent. What the node has to send still comes, and then the end.
    pub(crate) fn finish(&self) {
        let _ = self.stream.shutdown(Shutdown::Write);
    }

    fn take(&mut self) -> Option<(u32, Vec<u8>)> {
        let word = |at: usize| Some(u32::from_le_bytes(self.got.get(at..at + 4)?.try_into().ok()?));
        let (len, msg_id) = (word(0)? as usize, word(4)?);
        let data = self.got.get(8..8 + len)?.to_vec();
        self.got.drain(..8 + len);
        Some((msg_id, data))
    }
}
