//! What one member that never reads costs the others of its group: server and members in one process, the members on a
//! thread with epoll.
//!
//! A thousand members are told the time, again and again; each delivery is timed from the broadcast to the member's read.
//! Runs with and without one more member, whose queue is full and stays so, alternate.
//!
//!     cargo run --release --example bench_broadcast -- [MEMBERS 1000] [RUNS 5] [BROADCASTS 100]
//!
//! Prints microseconds for each run: p50, p99 and the worst, and how many deliveries there were.

#![expect(clippy::disallowed_types, reason = "the members are a load generator: one thread, no coroutines")]

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::event::{Timespec, epoll};
use zinx::green;
use zinx::prelude::*;
use zinx::zconf::QueueFull;
use zinx::znet::Group;

const JOIN: u32 = 1;
const TOLD: u32 = 2;
/// A head and 64 bytes, the first 8 of them the time.
const FRAME: usize = 72;
const PAUSE: Duration = Duration::from_millis(20);

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

fn main() -> Outcome<()> {
    let mut args = std::env::args().skip(1);
    let mut number = |default: usize| args.next().map_or(Ok(default), |arg| arg.parse());
    let (count, runs, broadcasts) = (number(1000)?, number(5)?, number(100)?);
    let server = serve()?;
    let address = server.local_addr().ok_or("not listening")?;
    let room = server.get_group("room");
    let mut members = Members::join(address, count, &room)?;
    members.run(&room, broadcasts)?;
    for _ in 0..runs {
        println!("without: {}", members.run(&room, broadcasts)?);
        let silent = Silent::join(address, &room)?;
        println!("with:    {}", members.run(&room, broadcasts)?);
        silent.leave();
    }
    Ok(())
}

fn serve() -> Result<Server> {
    let mut config = Config::default();
    (config.tcp_port, config.queue_full, config.write_timeout_ms) = (0, QueueFull::Wait, 0);
    let server = new_server_with_config(config)?;
    server.add_router(JOIN, |request: &dyn IRequest| request.get_connection().join_group("room"))?;
    server.start()?;
    Ok(server)
}

/// Those that read.
struct Members {
    epoll: std::os::fd::OwnedFd,
    streams: Vec<(TcpStream, Vec<u8>)>,
    begun: Instant,
}

impl Members {
    fn join(address: SocketAddr, count: usize, room: &Group) -> Outcome<Self> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let mut streams = Vec::new();
        for n in 0..count {
            let stream = join(address)?;
            stream.set_nonblocking(true)?;
            epoll::add(&epoll, &stream, epoll::EventData::new_u64(n as u64), epoll::EventFlags::IN)?;
            streams.push((stream, Vec::new()));
        }
        while room.len() < count {
            std::thread::yield_now();
        }
        Ok(Self { epoll, streams, begun: Instant::now() })
    }

    /// Tells the room so many messages; returns how long they took to each of these members.
    fn run(&mut self, room: &Group, broadcasts: usize) -> Outcome<String> {
        let (room, begun) = (room.clone(), self.begun);
        let teller = green::spawn(move || {
            for _ in 0..broadcasts {
                let mut data = [0; FRAME - 8];
                data[..8].copy_from_slice(&(begun.elapsed().as_nanos() as u64).to_le_bytes());
                drop(room.broadcast(TOLD, &data[..]));
                green::sleep(PAUSE);
            }
        });
        let wanted = broadcasts * self.streams.len();
        let mut waits: Vec<u64> = Vec::with_capacity(wanted);
        let mut events = Vec::with_capacity(256);
        while waits.len() < wanted {
            events.clear();
            let tick = Timespec { tv_sec: 10, tv_nsec: 0 };
            epoll::wait(&self.epoll, rustix::buffer::spare_capacity(&mut events), Some(&tick))?;
            if events.is_empty() {
                return Err("a message is missing".into());
            }
            for event in &events {
                self.read(event.data.u64() as usize, &mut waits)?;
            }
        }
        teller.join();
        waits.sort_unstable();
        let at = |part: f64| waits[((waits.len() - 1) as f64 * part) as usize] / 1000;
        Ok(format!("p50={} p99={} worst={} deliveries={}", at(0.5), at(0.99), at(1.0), waits.len()))
    }

    fn read(&mut self, member: usize, waits: &mut Vec<u64>) -> Outcome<()> {
        let (stream, begun) = &mut self.streams[member];
        let mut buffer = [0; 16 * FRAME];
        match stream.read(&mut buffer) {
            Ok(n) => begun.extend_from_slice(&buffer[..n]),
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(error.into()),
        }
        let now = self.begun.elapsed().as_nanos() as u64;
        while begun.len() >= FRAME {
            waits.push(now - u64::from_le_bytes(begun[8..16].try_into()?));
            begun.drain(..FRAME);
        }
        Ok(())
    }
}

/// One that does not: its queue is full.
struct Silent {
    _stream: TcpStream,
    conn: Arc<dyn IConnection>,
}

impl Silent {
    fn join(address: SocketAddr, room: &Group) -> Outcome<Self> {
        let before = room.len();
        let stream = join(address)?;
        while room.len() == before {
            std::thread::yield_now();
        }
        let conn = room.members().pop().ok_or("the room is empty")?;
        while conn.try_send_msg(TOLD, vec![0; 60_000]).is_ok() {}
        while conn.try_send_msg(TOLD, "").is_ok() {}
        Ok(Self { _stream: stream, conn })
    }

    fn leave(self) {
        self.conn.abort();
    }
}

fn join(address: SocketAddr) -> Outcome<TcpStream> {
    let mut stream = TcpStream::connect(address)?;
    stream.write_all(&[0, 0, 0, 0, JOIN as u8, 0, 0, 0])?;
    Ok(stream)
}
