//! gevent's `examples/threadpool.py`: four tasks that block for a second, on three threads.
//!
//! Run it: `cargo run --example gevent_threadpool [milliseconds]`, the length of its second; 1000 by default.

use std::time::{Duration, Instant};

use zinx::green::ThreadPool;

fn main() -> Result<(), std::num::ParseIntError> {
    let second = Duration::from_millis(std::env::args().nth(1).map_or(Ok(1000), |length| length.parse())?);
    let pool = ThreadPool::new(3);
    let start = Instant::now();
    for _ in 0..4 {
        #[expect(
            clippy::disallowed_methods,
            reason = "it blocks its thread, to show that no worker is blocked"
        )]
        pool.spawn(move || std::thread::sleep(second));
    }
    pool.join();
    let delay = start.elapsed().as_secs_f64();
    println!("Running sleep 4 times with 3 threads. Should take about 2 seconds: {delay:.3}s");
    Ok(())
}
