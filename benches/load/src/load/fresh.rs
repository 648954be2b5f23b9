//! New connections: how many a second, and how long one takes beside a load.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::echo;
use super::frames::Frames;
use super::histogram::Histogram;
use super::options::Options;
use super::peer::{Peer, Peers};
use super::server::Server;

/// Connects, one echo, closes; as many at once as `--connections` says.
pub fn connects(options: &Options) -> io::Result<String> {
    let (frames, server) = (Frames::new(options), Server(options.pid));
    let watch = server.stopwatch();
    let (mut peers, mut done) = (Peers::new()?, 0_u64);
    for _ in 0..options.connections {
        peers.add(greeting(options, &frames)?)?;
    }
    while watch.elapsed() < options.time {
        for ready in peers.wait(Duration::from_secs(5))? {
            let answered = peers.all[ready.peer].read(&frames, &mut peers.buffer)?;
            if answered > 0 {
                done += 1;
                // The old one is closed, and so leaves epoll.
                peers.replace(ready.peer, greeting(options, &frames)?)?;
            }
        }
    }
    let (rate, cpu) = (done as f64 / watch.elapsed().as_secs_f64(), watch.cpu().as_secs_f64());
    Ok(format!("rate={rate:.0} cpu_us={:.3}", cpu * 1e6 / done.max(1) as f64))
}

/// The time from connect to the echo of one message, every ten milliseconds, beside the load of `echo`.
pub fn newcomer(options: &Options) -> io::Result<String> {
    let ends = AtomicBool::new(false);
    let (measured, greeted) = std::thread::scope(|scope| {
        let newcomers = scope.spawn(|| greet_until(&ends, options));
        let measured = echo::run(options);
        ends.store(true, Ordering::Release);
        (measured, newcomers.join().expect("it returns its errors"))
    });
    let (measured, greeted) = (measured?, greeted?);
    Ok(format!("{} load_p99={:.1}", greeted.percentiles(), measured.latencies.quantile(0.99)))
}

fn greet_until(ends: &AtomicBool, options: &Options) -> io::Result<Histogram> {
    let (frames, mut took) = (Frames::new(options), Histogram::new());
    while !ends.load(Ordering::Acquire) {
        let begin = Instant::now();
        let mut peers = Peers::new()?;
        peers.add(greeting(options, &frames)?)?;
        while peers.all[0].read(&frames, &mut peers.buffer)? == 0 {
            peers.wait(Duration::from_secs(5))?;
        }
        took.add(begin.elapsed(), 1);
        std::thread::sleep(Duration::from_millis(10));
    }
    Ok(took)
}

fn greeting(options: &Options, frames: &Frames) -> io::Result<Peer> {
    let mut peer = Peer::connect(options, 0)?;
    peer.ask(frames, 1, Instant::now())?;
    Ok(peer)
}
