//! Over TCP: whole buffers of frames, so that the load takes less of the machine than the server.

use std::io::{self, Read, Write};
use std::sync::Arc;
use std::time::Instant;

use zinx::green::{self, Queue, TcpStream};
use zinx::zpack::new_message;
use zinx::{Error, Result};

use super::lane::Lane;
use super::{Close, Order};
use crate::send::Pack;

/// Connects, and loads the connection from the beginning of the measurement on. Returns what ends it.
pub(super) fn connect(order: &Arc<Order>, lane: &Arc<Lane>, frames: Arc<Frames>) -> Result<Close> {
    let connected = TcpStream::connect(order.address.clone());
    let stream =
        Arc::new(connected.map_err(|source| Error::io(format!("connect to {}", order.address), source))?);
    lane.tally.opened();
    let (theirs, order, lane) = (Arc::clone(&stream), Arc::clone(order), Arc::clone(lane));
    green::spawn(move || {
        lane.tally.wait_begun();
        let ended = load(&theirs, &order, &lane, &frames);
        let why = || ended.map_or_else(|error| error.to_string(), |()| "closed by the server".to_string());
        theirs.shutdown();
        lane.tally.closed(why);
    });
    Ok(Box::new(move || stream.shutdown()))
}

fn load(stream: &Arc<TcpStream>, order: &Order, lane: &Arc<Lane>, frames: &Arc<Frames>) -> io::Result<()> {
    let window = order.window as usize;
    if order.rate.is_some() {
        let (theirs, sender, bytes) = (Arc::clone(stream), Arc::clone(lane), Arc::clone(frames));
        green::spawn(move || {
            // The reader hears of the end.
            let _ = sender.keep_pace(|count| bytes.send(&theirs, count));
        });
        return read(stream, order, lane, |_| Ok(()));
    }
    if window * frames.len <= FITS_BUFFERS {
        lane.send(window, Instant::now());
        frames.send(stream, window)?;
        return read(stream, order, lane, |count| {
            lane.send(count, Instant::now());
            frames.send(stream, count)
        });
    }
    // Another coroutine sends what the socket does not take at once. If this one waited for that, it would not read meanwhile, and
    // the server might wait for it.
    let queue = Arc::new(Queue::unbounded());
    let (theirs, sender, also, bytes) =
        (Arc::clone(&queue), Arc::clone(stream), Arc::clone(lane), Arc::clone(frames));
    green::spawn(move || {
        while let Some(count) = theirs.get() {
            also.send(count, Instant::now());
            if bytes.send(&sender, count).is_err() {
                return;
            }
        }
    });
    let _ = queue.put(window);
    let ended = read(stream, order, lane, |count| {
        let _ = queue.put(count);
        Ok(())
    });
    queue.close();
    ended
}

/// Reads answers until the end of the stream.
fn read(
    stream: &TcpStream,
    order: &Order,
    lane: &Lane,
    mut answered: impl FnMut(usize) -> io::Result<()>,
) -> io::Result<()> {
    let (mut stream, mut buffer, mut counter) = (stream, vec![0; BUFFER], Counter::new(order.pack));
    loop {
        let len = stream.read(&mut buffer)?;
        if len == 0 {
            return Ok(());
        }
        let count = counter.feed(&buffer[..len]);
        if count > 0 {
            lane.answered(count);
            if !lane.tally.is_over() {
                answered(count)?;
            }
        }
    }
}

/// One frame again and again.
pub(super) struct Frames {
    len: usize,
    bytes: Vec<u8>,
}

impl Frames {
    pub(super) fn new(order: &Order) -> Result<Self> {
        let payload: Vec<u8> = (0..order.size).map(|at| (at * 7 + 3) as u8).collect();
        let frame = order.pack.format().pack(&new_message(order.id, payload))?;
        Ok(Self { len: frame.len(), bytes: frame.repeat((BUFFER / frame.len()).max(1)) })
    }

    fn send(&self, mut stream: &TcpStream, count: usize) -> io::Result<()> {
        let at_once = self.bytes.len() / self.len;
        let mut left = count;
        while left > 0 {
            let now = left.min(at_once);
            stream.write_all(&self.bytes[..now * self.len])?;
            left -= now;
        }
        Ok(())
    }
}

/// Counts the frames of a stream that comes in pieces.
struct Counter {
    pack: Pack,
    head: [u8; HEAD],
    begun: usize,
    /// Bytes of its payload that have not come.
    left: usize,
}

impl Counter {
    const fn new(pack: Pack) -> Self {
        Self { pack, head: [0; HEAD], begun: 0, left: 0 }
    }

    /// How many frames end in these bytes.
    fn feed(&mut self, mut bytes: &[u8]) -> usize {
        let mut count = 0;
        while !bytes.is_empty() {
            if self.begun < HEAD {
                let some = bytes.len().min(HEAD - self.begun);
                self.head[self.begun..self.begun + some].copy_from_slice(&bytes[..some]);
                self.begun += some;
                bytes = &bytes[some..];
                if self.begun < HEAD {
                    break;
                }
                let [a, b, c, d, e, f, g, h] = self.head;
                self.left = match self.pack {
                    Pack::Ltv => u32::from_le_bytes([a, b, c, d]) as usize,
                    Pack::Tlv => u32::from_be_bytes([e, f, g, h]) as usize,
                };
            }
            let some = bytes.len().min(self.left);
            bytes = &bytes[some..];
            self.left -= some;
            if self.left == 0 {
                (self.begun, count) = (0, count + 1);
            }
        }
        count
    }
}

const HEAD: usize = 8;
const BUFFER: usize = 128 << 10;

/// Bytes that the sockets of both ends take whatever the peers do.
const FITS_BUFFERS: usize = 64 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_counted_whatever_the_pieces_are() {
        for pack in [Pack::Ltv, Pack::Tlv] {
            let frame = |len: usize| pack.format().pack(&new_message(2, vec![1; len])).unwrap();
            let bytes = [frame(0), frame(1), frame(300), frame(0)].concat();
            for piece in 1..bytes.len() {
                let mut counter = Counter::new(pack);
                let counts: usize = bytes.chunks(piece).map(|some| counter.feed(some)).sum();
                assert_eq!(counts, 4, "in pieces of {piece}");
            }
        }
    }
}
