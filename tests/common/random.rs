//! Random schedules from a fixed seed, so that a failure can be repeated.

use std::ops::Range;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use zinx::green;

/// Random numbers (xorshift): the same for the same seed.
#[derive(Clone)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    /// A number below `bound`.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }

    /// Now and then lets others run, for a random while.
    pub(crate) fn pause(&mut self) {
        match self.below(8) {
            0 => green::sleep(Duration::from_micros(self.below(300))),
            1 | 2 => green::yield_now(),
            _ => {}
        }
    }

    /// A time limit around the time that things take here.
    pub(crate) fn short(&mut self) -> Duration {
        Duration::from_micros(self.below(400))
    }
}

/// Runs `check` under some seeds, one after the other, and says which one fails.
pub(crate) fn with_seeds(count: u64, check: impl Fn(u64)) {
    for seed in seeds(count) {
        let told = TellSeed(seed);
        check(seed);
        std::mem::forget(told);
    }
}

/// So many seeds. `ZINX_TEST_SEED` chooses another first, `ZINX_TEST_SEEDS` how many.
pub(crate) fn seeds(count: u64) -> Range<u64> {
    let number = |name: &str| std::env::var(name).ok().map(|value| value.parse::<u64>().unwrap());
    let first = number("ZINX_TEST_SEED").unwrap_or(20_261_121);
    first..first + number("ZINX_TEST_SEEDS").unwrap_or(count)
}

struct TellSeed(u64);

impl Drop for TellSeed {
    fn drop(&mut self) {
        eprintln!("failed with ZINX_TEST_SEED={}", self.0);
    }
}

/// Runs `actor` `count` times at once, every third on a thread and the others as coroutines; returns what they return.
pub(crate) fn all_at_once<T: Send + 'static>(
    count: u64,
    actor: impl Fn(u64) -> T + Send + Sync + 'static,
) -> Vec<T> {
    let actor = Arc::new(actor);
    let (mut threads, mut coroutines) = (Vec::new(), Vec::new());
    for n in 0..count {
        let actor = Arc::clone(&actor);
        if n % 3 == 2 {
            threads.push(thread::spawn(move || actor(n)));
        } else {
            coroutines.push(green::spawn(move || actor(n)));
        }
    }
    let from_coroutines = coroutines.into_iter().map(|coroutine| coroutine.get().unwrap());
    let mut all: Vec<T> = from_coroutines.collect();
    all.extend(threads.into_iter().map(|thread| thread.join().unwrap()));
    all
}
