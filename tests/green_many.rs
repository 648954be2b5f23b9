//! As many coroutines asleep at once as the machine allows.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use zinx::green::{self, Builder, Event, Greenlet, Runtime};

#[test]
fn thousands_sleep_at_once() {
    sleep_at_once(5_000);
}

/// Takes `sysctl vm.max_map_count=500000`; with less it takes as many as there is room for, and says so.
#[test]
#[ignore = "takes seconds and a gigabyte"]
fn a_hundred_thousand_sleep_at_once() {
    sleep_at_once(100_000);
}

fn sleep_at_once(wanted: usize) {
    let workers = std::env::var("ZINX_TEST_WORKERS").map_or(0, |count| count.parse().unwrap());
    Runtime { workers, ..Default::default() }.start().unwrap();
    let room = green::max_coroutines() - green::live_coroutines();
    let count = wanted.min(room);
    let (start, asleep) = (Instant::now(), Arc::new(AtomicUsize::new(0)));
    let go = Arc::new(Event::new());
    let sleepers: Vec<_> = (0..count)
        .map(|_| {
            let (asleep, go) = (Arc::clone(&asleep), Arc::clone(&go));
            let body = move || {
                asleep.fetch_add(1, Ordering::Relaxed);
                // None wakes up before all are there.
                go.wait();
                green::sleep(Duration::from_millis(100));
            };
            Builder::new().name("sleeper").spawn(body).unwrap()
        })
        .collect();
    while asleep.load(Ordering::Relaxed) < count {
        green::sleep(Duration::from_millis(1));
    }
    let begun = start.elapsed();
    go.set();
    assert!(sleepers.iter().all(|sleeper| sleeper.join_timeout(Duration::from_secs(60))));
    assert!(sleepers.iter().all(Greenlet::successful));
    eprintln!(
        "{count} of {wanted} coroutines slept at once (room for {room}): begun in {begun:?}, all awake after {:?}",
        start.elapsed()
    );
}
