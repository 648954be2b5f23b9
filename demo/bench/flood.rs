//! How long others wait while some connections flood the server: a load test of one thread, on epoll.
//!
//! Some connections send without ever waiting for replies (which they read and throw away), others send one message,
//! wait for its echo and time it. Any server that echoes id 1 of the default format will do.
//!
//!     cargo run --release --example bench_echo -- 7777
//!     cargo run --release --example bench_flood -- 127.0.0.1:7777 [FLOODERS 16] [OTHERS 20] [SECONDS 3]
//!
//! Prints microseconds: p50, p99, p99.9 and the worst of the others, and how much was flooded.

#![expect(clippy::disallowed_types, reason = "a load generator, not a server: one thread, no coroutines")]

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use rustix::event::{Timespec, epoll};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let address = args.next().unwrap_or_else(|| "127.0.0.1:7777".to_string());
    let mut number = |default: usize| args.next().map_or(Ok(default), |arg| arg.parse());
    let (flooders, others, seconds) = (number(16)?, number(20)?, number(3)?);
    let mut load = Load::connect(&address, others, flooders)?;
    load.run_for(Duration::from_millis(300))?;
    load.forget();
    load.run_for(Duration::from_secs(seconds as u64))?;
    load.report(seconds);
    Ok(())
}

/// Others first, flooders behind.
struct Load {
    epoll: std::os::fd::OwnedFd,
    others: Vec<Other>,
    flooders: Vec<Flooder>,
    waits: Vec<Duration>,
    flooded: usize,
}

/// Sends one message and waits for its echo.
struct Other {
    stream: TcpStream,
    received: usize,
    sent_at: Instant,
}

/// Sends and sends.
struct Flooder {
    stream: TcpStream,
    /// Bytes of [`block`] that have left.
    at: usize,
}

impl Load {
    fn connect(address: &str, others: usize, flooders: usize) -> std::io::Result<Self> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let connect = |number: usize, flags| {
            let stream = TcpStream::connect(address)?;
            stream.set_nodelay(true)?;
            stream.set_nonblocking(true)?;
            epoll::add(&epoll, &stream, epoll::EventData::new_u64(number as u64), flags)?;
            std::io::Result::Ok(stream)
        };
        let mut load = Self {
            others: Vec::new(),
            flooders: Vec::new(),
            waits: Vec::new(),
            flooded: 0,
            epoll: epoll.try_clone()?,
        };
        for n in 0..others {
            let stream = connect(n, epoll::EventFlags::IN)?;
            let mut other = Other { stream, received: 0, sent_at: Instant::now() };
            other.ask()?;
            load.others.push(other);
        }
        for n in others..others + flooders {
            let stream = connect(n, epoll::EventFlags::IN | epoll::EventFlags::OUT)?;
            load.flooders.push(Flooder { stream, at: 0 });
        }
        Ok(load)
    }

    fn run_for(&mut self, time: Duration) -> std::io::Result<()> {
        let end = Instant::now() + time;
        let mut events = Vec::with_capacity(64);
        let mut scratch = vec![0; 1 << 18];
        let block = block();
        while Instant::now() < end {
            let tick = Timespec { tv_sec: 0, tv_nsec: 10_000_000 };
            events.clear();
            epoll::wait(&self.epoll, rustix::buffer::spare_capacity(&mut events), Some(&tick))?;
            // Those who are timed come first: what the generator itself takes is not the server's.
            events.sort_by_key(|event: &epoll::Event| event.data.u64());
            for event in &events {
                let number = event.data.u64() as usize;
                if let Some(other) = self.others.get_mut(number) {
                    self.waits.extend(other.hear()?);
                } else if let Some(flooder) = self.flooders.get_mut(number - self.others.len()) {
                    self.flooded += flooder.flood(&block, &mut scratch)?;
                }
            }
        }
        Ok(())
    }

    fn forget(&mut self) {
        self.waits.clear();
        self.flooded = 0;
    }

    fn report(&mut self, seconds: usize) {
        self.waits.sort();
        let at = |part: f64| {
            let index = (self.waits.len() as f64 * part) as usize;
            self.waits
                .get(index.min(self.waits.len().saturating_sub(1)))
                .map_or(f64::NAN, |wait| wait.as_secs_f64() * 1e6)
        };
        let (p50, p99, p999, worst) = (at(0.5), at(0.99), at(0.999), at(1.0));
        let rounds = self.waits.len();
        let flooded = self.flooded / FRAME / seconds.max(1);
        println!(
            "rounds={rounds} p50={p50:.0} p99={p99:.0} p999={p999:.0} worst={worst:.0} flooded={flooded}/s"
        );
    }
}

impl Other {
    fn ask(&mut self) -> std::io::Result<()> {
        self.sent_at = Instant::now();
        self.received = 0;
        self.stream.write_all(&frame())
    }

    fn hear(&mut self) -> std::io::Result<Option<Duration>> {
        let got = some(self.stream.read(&mut [0; FRAME][self.received..]))?;
        self.received += got;
        if self.received < FRAME {
            return Ok(None);
        }
        let waited = self.sent_at.elapsed();
        self.ask().map(|()| Some(waited))
    }
}

impl Flooder {
    /// Reads what is there and sends what goes. Returns how many bytes went.
    fn flood(&mut self, block: &[u8], scratch: &mut [u8]) -> std::io::Result<usize> {
        some(self.stream.read(scratch))?;
        let sent = match self.stream.write(&block[self.at..]) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => 0,
            sent => sent?,
        };
        self.at = (self.at + sent) % block.len();
        Ok(sent)
    }
}

/// What a read gave; nothing is nothing, the end is an error.
fn some(read: std::io::Result<usize>) -> std::io::Result<usize> {
    match read {
        Ok(0) => Err(ErrorKind::UnexpectedEof.into()),
        Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(0),
        read => read,
    }
}

/// Id 1 with 64 bytes.
fn frame() -> [u8; FRAME] {
    let mut frame = [7; FRAME];
    frame[..4].copy_from_slice(&64_u32.to_le_bytes());
    frame[4..8].copy_from_slice(&1_u32.to_le_bytes());
    frame
}

fn block() -> Vec<u8> {
    frame().repeat(1024)
}

const FRAME: usize = 72;
