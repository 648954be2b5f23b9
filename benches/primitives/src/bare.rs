//! The same on `may` alone, where it has the primitive: what every primitive of ours stands on.

use std::sync::Arc;
use std::sync::Once;

use may::coroutine::{self, Coroutine};
use may::sync::Semphore;

use super::{SLEEP, SLEEPERS, TIMES};

/// Runs a benchmark once, on a worker. Returns how many operations those were; 0 if `may` has no such thing.
pub(crate) fn run(name: &str, workers: usize) -> u64 {
    static SET_UP: Once = Once::new();
    SET_UP.call_once(|| {
        may::config().set_workers(workers).set_stack_size(8 * 1024).set_pool_capacity(16);
    });
    let bench: fn() -> u64 = match name {
        "spawn" => spawn,
        "event" => hand_over,
        "semaphore" => semaphore,
        "yield" => yield_,
        "timers" => timers,
        _ => return 0,
    };
    start(bench).join().expect("it ends")
}

/// SAFETY of each: no deep stack, and no thread-local value is used.
fn start<T: Send + 'static>(body: impl FnOnce() -> T + Send + 'static) -> coroutine::JoinHandle<T> {
    unsafe { coroutine::spawn(body) }
}

fn spawn() -> u64 {
    for n in 0..TIMES {
        assert_eq!(start(move || n).join().expect("it ends"), n);
    }
    TIMES
}

/// Two coroutines that park, and wake each other.
fn hand_over() -> u64 {
    fn turns(other: &Coroutine) {
        for _ in 0..TIMES {
            coroutine::park();
            other.unpark();
        }
    }
    let me = coroutine::current();
    let other = start(move || turns(&me));
    other.coroutine().unpark();
    let its = other.coroutine().clone();
    turns(&its);
    other.join().expect("it ends");
    2 * TIMES
}

fn semaphore() -> u64 {
    fn take(one: &Semphore) {
        one.wait();
        coroutine::yield_now();
        one.post();
    }
    let one = Arc::new(Semphore::new(1));
    let theirs = Arc::clone(&one);
    let other = start(move || (0..TIMES).for_each(|_| take(&theirs)));
    (0..TIMES).for_each(|_| take(&one));
    other.join().expect("it ends");
    2 * TIMES
}

fn yield_() -> u64 {
    let other = start(|| (0..TIMES).for_each(|_| coroutine::yield_now()));
    (0..TIMES).for_each(|_| coroutine::yield_now());
    other.join().expect("it ends");
    2 * TIMES
}

fn timers() -> u64 {
    let sleepers: Vec<_> = (0..SLEEPERS).map(|_| start(|| coroutine::sleep(SLEEP))).collect();
    for sleeper in sleepers {
        sleeper.join().expect("it ends");
    }
    SLEEPERS
}
