//! Messages without a pause: each that comes back is sent again.

use std::fmt;
use std::io;
use std::time::{Duration, Instant};

use super::frames::Frames;
use super::histogram::Histogram;
use super::options::Options;
use super::peer::{Peers, Ready};
use super::server::{Server, Stopwatch};

pub struct Measured {
    pub latencies: Histogram,
    time: Duration,
    cpu: Duration,
}

impl fmt::Display for Measured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let messages = self.latencies.total().max(1) as f64;
        let (rate, cpu_us) = (messages / self.time.as_secs_f64(), self.cpu.as_secs_f64() * 1e6 / messages);
        write!(f, "rate={rate:.0} cpu_us={cpu_us:.3} {}", self.latencies.percentiles())
    }
}

/// The same on all connections.
pub fn run(options: &Options) -> io::Result<Measured> {
    let frames = Frames::new(options);
    let mut peers = Peers::connect(options)?;
    for peer in &mut peers.all {
        peer.ask(&frames, options.window, Instant::now())?;
    }
    let server = Server(options.pid);
    let mut clock = Clock::new(&server, options.time);
    let mut latencies = Histogram::new();
    let (time, cpu) = loop {
        if let Some(end) = clock.tick() {
            break end;
        }
        for ready in peers.wait(Duration::from_millis(100))? {
            let is_measured = clock.is_running();
            turn(&mut peers, &frames, &ready, |latency, messages| {
                if is_measured {
                    latencies.add(latency, messages as u64);
                }
            })?;
        }
    };
    Ok(Measured { latencies, time, cpu })
}

fn turn(
    peers: &mut Peers,
    frames: &Frames,
    ready: &Ready,
    tell: impl FnMut(Duration, usize),
) -> io::Result<()> {
    let was_full = peers.is_full(ready.peer);
    let (peer, buffer) = (&mut peers.all[ready.peer], &mut peers.buffer);
    let messages = if ready.readable { peer.read(frames, buffer)? } else { 0 };
    if messages > 0 {
        let now = Instant::now();
        peer.answered(messages, now, tell);
        peer.ask(frames, messages, now)?;
    } else if ready.writable {
        peer.send(frames)?;
    }
    peers.watch(ready.peer, was_full)
}

/// One connection sends to all: as many broadcasts are on their way as the window says.
pub fn broadcast(options: &Options) -> io::Result<String> {
    let frames = Frames::new(options);
    let mut peers = Peers::connect(options)?;
    // Until the server has taken all of them in.
    std::thread::sleep(Duration::from_millis(500));
    let server = Server(options.pid);
    let mut clock = Clock::new(&server, options.time);
    let (mut sent, mut heard, mut heard_before) = (0, 0, 0);
    let (time, cpu) = loop {
        let was_running = clock.is_running();
        if let Some(end) = clock.tick() {
            break end;
        }
        if clock.is_running() && !was_running {
            heard_before = heard;
        }
        let missing = options.window - (sent - heard / options.connections).min(options.window);
        if missing > 0 {
            let was_full = peers.is_full(0);
            peers.all[0].ask(&frames, missing, Instant::now())?;
            peers.watch(0, was_full)?;
            sent += missing;
        }
        let ready = peers.wait(Duration::from_secs(5))?;
        if ready.is_empty() {
            return Err(io::Error::other(format!("{heard} deliveries of {sent} broadcasts, and no more")));
        }
        for Ready { peer, readable, writable } in ready {
            if readable {
                heard += peers.all[peer].read(&frames, &mut peers.buffer)?;
            }
            if writable {
                let was_full = peers.is_full(peer);
                peers.all[peer].send(&frames)?;
                peers.watch(peer, was_full)?;
            }
        }
    };
    let heard = (heard - heard_before).max(1) as f64;
    let (rate, cpu_us) = (heard / time.as_secs_f64(), cpu.as_secs_f64() * 1e6 / heard);
    Ok(format!("rate={rate:.0} cpu_us={cpu_us:.3}"))
}

/// First a third of the time to warm up, then the time that is measured.
struct Clock<'a> {
    server: &'a Server,
    warm: Instant,
    time: Duration,
    measures: Option<Stopwatch<'a>>,
}

impl<'a> Clock<'a> {
    fn new(server: &'a Server, time: Duration) -> Self {
        Self { server, warm: Instant::now() + time / 3, time, measures: None }
    }

    fn is_running(&self) -> bool {
        self.measures.is_some()
    }

    /// How long was measured, and what the server has used, at the end.
    fn tick(&mut self) -> Option<(Duration, Duration)> {
        match &self.measures {
            None if Instant::now() >= self.warm => self.measures = Some(self.server.stopwatch()),
            Some(measures) if measures.elapsed() >= self.time => {
                return Some((measures.elapsed(), measures.cpu()));
            }
            _ => {}
        }
        None
    }
}
