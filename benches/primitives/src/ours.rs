//! The benchmarks on `zinx::green`.

use std::sync::Arc;

use zinx::green::{self, Event, Queue, Runtime, Semaphore};

use super::{SLEEP, SLEEPERS, TIMES};

/// Runs a benchmark once. Returns how many operations those were.
pub(crate) fn run(name: &str, workers: usize) -> u64 {
    Runtime { workers, ..Runtime::default() }.start().expect("the runtime starts");
    let bench: fn() -> u64 = match name {
        "spawn" => spawn,
        "queue1" => || queue(1),
        "queue1024" => || queue(1024),
        "event" => event,
        "semaphore" => semaphore,
        "yield" => yield_,
        "timers" => timers,
        other => panic!("no benchmark is called {other}"),
    };
    green::run(bench)
}

fn spawn() -> u64 {
    (0..TIMES).for_each(|n| green::spawn(move || n).join());
    TIMES
}

fn queue(bound: usize) -> u64 {
    let queue = Arc::new(Queue::bounded(bound));
    let theirs = Arc::clone(&queue);
    let getter = green::spawn(move || (0..TIMES).filter_map(|_| theirs.get()).sum::<u64>());
    (0..TIMES).for_each(|n| queue.put(n).expect("it is not closed"));
    assert_eq!(getter.get().expect("it ends"), TIMES * (TIMES - 1) / 2);
    TIMES
}

fn event() -> u64 {
    let events = Arc::new([Event::new(), Event::new()]);
    let theirs = Arc::clone(&events);
    let turn = |events: &[Event; 2], mine: usize| {
        events[mine].wait();
        events[mine].clear();
        events[1 - mine].set();
    };
    let other = green::spawn(move || (0..TIMES).for_each(|_| turn(&theirs, 1)));
    events[0].set();
    (0..TIMES).for_each(|_| turn(&events, 0));
    other.join();
    2 * TIMES
}

fn semaphore() -> u64 {
    let one = Arc::new(Semaphore::new(1));
    let theirs = Arc::clone(&one);
    let take = |one: &Semaphore| {
        let _permit = one.acquire();
        green::yield_now();
    };
    let other = green::spawn(move || (0..TIMES).for_each(|_| take(&theirs)));
    (0..TIMES).for_each(|_| take(&one));
    other.join();
    2 * TIMES
}

fn yield_() -> u64 {
    let other = green::spawn(|| (0..TIMES).for_each(|_| green::yield_now()));
    (0..TIMES).for_each(|_| green::yield_now());
    other.join();
    2 * TIMES
}

fn timers() -> u64 {
    let sleepers: Vec<_> = (0..SLEEPERS).map(|_| green::spawn(|| green::sleep(SLEEP))).collect();
    sleepers.iter().for_each(green::Greenlet::join);
    SLEEPERS
}
