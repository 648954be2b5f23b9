//! `primitives ours|tokio|may NAME WORKERS [TIMES]`: runs one benchmark, and prints the nanoseconds that one operation took, of the
//! clock and of the processors. With a number of times it runs so often, to be counted by `instructions.py`.

use std::env;
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

mod bare;
mod ours;
mod peers;

fn main() {
    let args: Vec<_> = env::args().skip(1).collect();
    let [whose, name, workers, times @ ..] = &args[..] else {
        panic!("primitives ours|tokio|may NAME WORKERS [TIMES]")
    };
    let (whose, workers) = (whose.as_str(), workers.parse().expect("a number of workers"));
    let mut times: Option<u32> = times.first().map(|times| times.parse().expect("a number of times"));
    let (begun, cpu) = (Instant::now(), cpu());
    let mut operations = 0;
    // For as long as it takes to mean something.
    while times.map_or_else(|| begun.elapsed() < SHORTEST, |left| left > 0) {
        times = times.map(|left| left - 1);
        operations += match whose {
            "ours" => ours::run(name, workers),
            "tokio" => peers::run(name, workers),
            "may" => match bare::run(name, workers) {
                0 => return println!("nan nan"),
                operations => operations,
            },
            other => panic!("whose is {other}?"),
        };
    }
    let per_operation = |time: Duration| time.as_nanos() as f64 / operations as f64;
    println!("{:.1} {:.1}", per_operation(begun.elapsed()), per_operation(self::cpu() - cpu));
}

/// Processor time of the process.
fn cpu() -> Duration {
    let now = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(now.tv_sec.unsigned_abs(), now.tv_nsec.unsigned_abs() as u32)
}

const SHORTEST: Duration = Duration::from_millis(500);

/// Operations in one go.
pub(crate) const TIMES: u64 = 20_000;

/// Tasks that sleep at the same time, and for how long.
pub(crate) const SLEEPERS: u64 = 10_000;
pub(crate) const SLEEP: Duration = Duration::from_millis(100);
