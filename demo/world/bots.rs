//! Bots that walk about in the world, and how soon their moves are seen: from the send of a move to the read by a neighbour.
//!
//! Run it: `cargo run --release --features protobuf --example world_bots -- 127.0.0.1:7777 [BOTS 100] [SECONDS 10] [MOVES A SECOND 1]`
//! beside a server: ours, or the tutorial's.

use std::io::BufReader;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use prost::Message as _;
use zinx::green::{self, Event, Greenlet, TcpStream};
use zinx::prelude::*;
use zinx::zpack::{Message, read_message};

#[expect(dead_code, reason = "bots do not talk")]
mod message;
use message::{BROAD_CAST, BroadCast, Data, HAS_MOVED, MOVE, Position, SYNC_PID, SYNC_PLAYERS, SyncPid};

/// What all bots share.
struct Walk {
    began: Instant,
    /// Since when moves are timed, in microseconds since the beginning; the largest number: not now.
    timed_from: AtomicU64,
    over: Event,
    /// The last moves of each bot: their number and when they were sent, in microseconds.
    sent: Vec<AtomicU64>,
    moves: AtomicUsize,
    /// How many were seen after so many tenths of a millisecond.
    seen: Vec<AtomicU64>,
    ended: AtomicUsize,
}

impl Walk {
    fn new() -> Self {
        let zeros = |count| (0..count).map(|_| AtomicU64::new(0)).collect();
        let (sent, seen) = (zeros(PIDS * KEPT), zeros(TENTHS));
        let [moves, ended] = [0, 0].map(AtomicUsize::new);
        let (began, over, timed_from) = (Instant::now(), Event::new(), AtomicU64::new(u64::MAX));
        Self { began, timed_from, over, sent, moves, seen, ended }
    }

    fn now(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    /// Where the time of a move is kept.
    fn slot(&self, pid: i32, number: u64) -> &AtomicU64 {
        &self.sent[pid.unsigned_abs() as usize % PIDS * KEPT + number as usize % KEPT]
    }

    fn note_sent(&self, pid: i32, number: u64) {
        self.slot(pid, number).store(number << 40 | self.now(), Ordering::Relaxed);
        if self.is_timed() {
            self.moves.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn is_timed(&self) -> bool {
        self.timed_from.load(Ordering::Relaxed) != u64::MAX
    }

    /// A bot has read of a move of another. `v` is its number.
    fn note_seen(&self, pid: i32, v: f32) {
        let sent = self.slot(pid, v as u64).load(Ordering::Relaxed);
        let (number, at) = (sent >> 40, sent & ((1 << 40) - 1));
        if at < self.timed_from.load(Ordering::Relaxed) {
            return;
        }
        // A move that others have overtaken in its place was seen later than can be told.
        let tenths = if number == v as u64 { self.now().saturating_sub(at) / 100 } else { u64::MAX };
        self.seen[usize::try_from(tenths).unwrap_or(usize::MAX).min(TENTHS - 1)]
            .fetch_add(1, Ordering::Relaxed);
    }

    /// The time within which so many of a thousand moves were seen, in milliseconds.
    fn quantile(&self, per_mille: u64) -> f64 {
        let counts = || self.seen.iter().map(|count| count.load(Ordering::Relaxed));
        let wanted = (counts().sum::<u64>() * per_mille).div_ceil(1000).max(1);
        let mut sum = 0;
        let found = counts().position(|count| {
            sum += count;
            sum >= wanted
        });
        found.map_or(f64::NAN, |tenths| (tenths + 1) as f64 / 10.0)
    }
}

/// A bot: enters, goes somewhere, and takes a step now and then.
fn live(walk: &Arc<Walk>, address: String, seed: u64, pause: Duration) -> Result<()> {
    let stream = TcpStream::connect(address).map_err(Error::other)?;
    let mut reader = BufReader::new(stream.clone());
    let mut pid = 0;
    loop {
        let message = next(&mut reader)?.ok_or(Error::ConnectionClosed)?;
        match message.get_msg_id() {
            SYNC_PID => pid = message.proto::<SyncPid>()?.pid,
            SYNC_PLAYERS => break,
            _ => {}
        }
    }
    let watches = Arc::clone(walk);
    let watching = green::spawn(move || watch(&watches, &mut reader, pid));
    let mut random = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut below = move |bound: u64| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        (random % bound) as f32
    };
    // Not to the very edge: there the tutorial's server has no cells.
    let (mut x, mut z) = (90.0 + below(310), 80.0 + below(310));
    for number in 1.. {
        walk.note_sent(pid, number);
        let to = Position { x, y: 0.0, z, v: number as f32 };
        send(&stream, &to)?;
        let jitter = pause.mul_f32(0.5 + below(1000) / 1000.0);
        if walk.over.wait_timeout(jitter) {
            break;
        }
        x = (x + below(9) - 4.0).clamp(90.0, 400.0);
        z = (z + below(9) - 4.0).clamp(80.0, 390.0);
    }
    stream.shutdown();
    watching.join();
    Ok(())
}

/// Reads all that a bot is told.
fn watch(walk: &Walk, reader: &mut BufReader<TcpStream>, own: i32) {
    while let Ok(Some(message)) = next(reader) {
        if message.get_msg_id() != BROAD_CAST {
            continue;
        }
        if let Ok(BroadCast { pid, tp: HAS_MOVED, data: Some(Data::P(at)) }) = message.proto()
            && pid != own
        {
            walk.note_seen(pid, at.v);
        }
    }
    walk.ended.fetch_add(1, Ordering::Relaxed);
}

fn next(reader: &mut BufReader<TcpStream>) -> Result<Option<Message>> {
    read_message(reader, &new_data_pack(), 1 << 24)
}

fn send(mut stream: &TcpStream, to: &Position) -> Result<()> {
    let frame = new_data_pack().pack(&new_message(MOVE, to.encode_to_vec()))?;
    std::io::Write::write_all(&mut stream, &frame).map_err(Error::other)
}

fn run(address: &str, bots: u64, seconds: u64, moves: f32) -> Result<()> {
    let (walk, pause) = (Arc::new(Walk::new()), Duration::from_secs_f32(1.0 / moves));
    let mut lives: Vec<Greenlet<Result<()>>> = Vec::new();
    for seed in 1..=bots {
        let (walks, address) = (Arc::clone(&walk), address.to_string());
        lives.push(green::spawn(move || live(&walks, address, seed, pause)));
        // So that they do not all stand where players are born.
        green::sleep(Duration::from_millis(2));
    }
    green::sleep(Duration::from_secs(2));
    walk.timed_from.store(walk.now(), Ordering::Relaxed);
    green::sleep(Duration::from_secs(seconds));
    let ended = walk.ended.load(Ordering::Relaxed);
    walk.timed_from.store(u64::MAX, Ordering::Relaxed);
    walk.over.set();
    let failed = lives.into_iter().filter_map(|life| life.get().ok()).filter(Result::is_err).count();
    let seen: u64 = walk.seen.iter().map(|count| count.load(Ordering::Relaxed)).sum();
    println!(
        "{bots} bots, {} moves, seen {seen} times by neighbours: p50 {:.1} ms, p99 {:.1} ms, p99.9 {:.1} ms, last {:.1} ms; {failed} failed, {ended} were cut off",
        walk.moves.load(Ordering::Relaxed),
        walk.quantile(500),
        walk.quantile(990),
        walk.quantile(999),
        walk.quantile(1000),
    );
    Ok(())
}

fn main() -> ExitCode {
    let mut args = std::env::args().skip(1);
    let address = args.next().unwrap_or_else(|| "127.0.0.1:7777".to_string());
    let mut number = |default: f32| args.next().and_then(|arg| arg.parse().ok()).unwrap_or(default);
    let (bots, seconds, moves) = (number(100.0) as u64, number(10.0) as u64, number(1.0));
    exit(green::run(move || run(&address, bots, seconds, moves)))
}

/// Numbers of players, and moves of each, whose times are kept.
const PIDS: usize = 1 << 16;
const KEPT: usize = 16;

/// The last one stands for all that take longer.
const TENTHS: usize = 100_000;
