//! Floods: connections that always have more to read do not hold up the others.

#![expect(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "tests are plain threads and speak raw sockets"
)]

#[expect(dead_code, reason = "each test file uses its share")]
mod common;

use std::fmt;
use std::io::Write;
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use common::{Running, config, frame, shortest, start, wait_until};
use zinx::ziface::IRequest;
use zinx::znet::{OverRate, Rate, RateLimits};

/// The message id whose handler takes a while and answers nothing.
const WORK: u32 = 7;

const FLOODERS: usize = 16;
const ROUNDS: usize = 100;

/// Messages that a connection may send in a second.
const LIMIT: u32 = 200;

/// Half of the echoes come in less, on a busy machine in one of three tries.
const SOON: Duration = Duration::from_millis(250);

#[test]
fn sixteen_flooding_connections_hold_up_nobody_else() {
    let (running, worked) = working(RateLimits::new(OverRate::Wait));
    let flood = Flood::start(&running, &worked, 32);
    // Where a flood is served to its end first, an answer takes a second and more. Floods, clients and workers share the
    // processors with whatever else runs, so only the median is a matter of the server alone.
    let half = shortest(SOON, || {
        let times = Times::of(&running, Duration::ZERO);
        eprintln!("beside {FLOODERS} floods: {times}");
        times.part(0.5)
    });
    assert!(half < SOON, "{half:?}");
    flood.end();
}

#[test]
fn with_a_rate_limit_sixteen_flooding_connections_are_held_to_it() {
    let limits = RateLimits::new(OverRate::Wait).per_connection(Rate { messages: LIMIT, bytes: 0 });
    let (running, worked) = working(limits);
    let pause = Duration::from_millis(5);
    let quiet = Times::of(&running, pause);
    // What one read brings is handled whole: of large messages that is not many.
    let flood = Flood::start(&running, &worked, 4000);
    let half = shortest(SOON, || {
        let (begun, before) = (Instant::now(), worked.load(Ordering::Relaxed));
        let flooded = Times::of(&running, pause);
        let after = worked.load(Ordering::Relaxed);
        // The time goes on before and after what is counted, however long a busy machine keeps this thread from running.
        let rate = (after - before) as f64 / begun.elapsed().as_secs_f64();
        eprintln!(
            "without a flood: {quiet}; beside one that is limited: {flooded}; {rate:.0} of the flood a second"
        );
        assert!(rate < 4.0 * f64::from(LIMIT) * FLOODERS as f64, "{rate}");
        flooded.part(0.5)
    });
    // What else others feel of it is printed, not asserted: on a busy machine they feel that more.
    assert!(half < SOON, "{half:?}");
    flood.end();
}

/// A server whose handler takes a while, and counts.
fn working(limits: RateLimits) -> (Running, Arc<AtomicUsize>) {
    let worked = Arc::new(AtomicUsize::new(0));
    let done = Arc::clone(&worked);
    let running = start(config(), |server| {
        let router = move |_: &dyn IRequest| {
            let start = Instant::now();
            while start.elapsed() < Duration::from_micros(20) {
                std::hint::spin_loop();
            }
            done.fetch_add(1, Ordering::Relaxed);
            Ok(())
        };
        server.add_router(WORK, router).unwrap();
        server.set_rate_limits(limits).unwrap();
    });
    (running, worked)
}

/// Connections that send without end.
struct Flood {
    closers: Vec<TcpStream>,
    threads: Vec<JoinHandle<()>>,
}

impl Flood {
    /// Returns once it is felt.
    fn start(running: &Running, worked: &AtomicUsize, len: usize) -> Self {
        let flooders: Vec<_> = (0..FLOODERS).map(|_| running.connect()).collect();
        let closers = flooders.iter().map(|flooder| flooder.stream.try_clone().unwrap()).collect();
        let threads = flooders
            .into_iter()
            .map(|mut flooder| {
                let requests = frame(WORK, &vec![0; len]).repeat(1000);
                thread::spawn(move || while flooder.stream.write_all(&requests).is_ok() {})
            })
            .collect();
        wait_until("the flood", || worked.load(Ordering::Relaxed) > 1000);
        Self { closers, threads }
    }

    fn end(self) {
        self.closers.iter().for_each(|flooder| flooder.shutdown(Shutdown::Both).unwrap());
        self.threads.into_iter().for_each(|thread| thread.join().unwrap());
    }
}

/// How long another connection waits for each of its echoes, in order.
struct Times {
    sorted: Vec<Duration>,
}

impl Times {
    fn of(running: &Running, pause: Duration) -> Self {
        let mut peer = running.connect();
        let mut sorted: Vec<_> = (0..ROUNDS)
            .map(|_| {
                thread::sleep(pause);
                let start = Instant::now();
                peer.check_echo();
                start.elapsed()
            })
            .collect();
        sorted.sort();
        Self { sorted }
    }

    fn part(&self, part: f64) -> Duration {
        self.sorted[(ROUNDS as f64 * part) as usize]
    }
}

impl fmt::Display for Times {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (half, most, worst) = (self.part(0.5), self.part(0.99), self.sorted[ROUNDS - 1]);
        write!(f, "p50 {half:?}, p99 {most:?}, at most {worst:?}")
    }
}
