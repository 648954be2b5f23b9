//! The same on tokio.

use std::sync::{Arc, OnceLock};

use tokio::runtime::{Builder, Runtime};
use tokio::sync::{Notify, Semaphore, mpsc};
use tokio::task::yield_now;

use super::{SLEEP, SLEEPERS, TIMES};

/// Runs a benchmark once, on a worker. Returns how many operations those were.
pub(crate) fn run(name: &str, workers: usize) -> u64 {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    let runtime = RUNTIME.get_or_init(|| {
        let mut builder = Builder::new_multi_thread();
        builder.worker_threads(workers).enable_time().build().expect("the runtime starts")
    });
    let task = match name {
        "spawn" => runtime.spawn(spawn()),
        "queue1" => runtime.spawn(queue(1)),
        "queue1024" => runtime.spawn(queue(1024)),
        "event" => runtime.spawn(event()),
        "semaphore" => runtime.spawn(semaphore()),
        "yield" => runtime.spawn(yield_()),
        "timers" => runtime.spawn(timers()),
        other => panic!("no benchmark is called {other}"),
    };
    runtime.block_on(task).expect("it ends")
}

async fn spawn() -> u64 {
    for n in 0..TIMES {
        assert_eq!(tokio::spawn(async move { n }).await.expect("it ends"), n);
    }
    TIMES
}

async fn queue(bound: usize) -> u64 {
    let (put, mut get) = mpsc::channel(bound);
    let getter = tokio::spawn(async move {
        let mut sum = 0;
        for _ in 0..TIMES {
            sum += get.recv().await.unwrap_or(0);
        }
        sum
    });
    for n in 0..TIMES {
        put.send(n).await.expect("it is not closed");
    }
    assert_eq!(getter.await.expect("it ends"), TIMES * (TIMES - 1) / 2);
    TIMES
}

async fn event() -> u64 {
    let events = Arc::new([Notify::new(), Notify::new()]);
    let theirs = Arc::clone(&events);
    let other = tokio::spawn(async move {
        for _ in 0..TIMES {
            theirs[1].notified().await;
            theirs[0].notify_one();
        }
    });
    events[0].notify_one();
    for _ in 0..TIMES {
        events[0].notified().await;
        events[1].notify_one();
    }
    other.await.expect("it ends");
    2 * TIMES
}

async fn semaphore() -> u64 {
    async fn take(one: &Semaphore) {
        let _permit = one.acquire().await.expect("it is not closed");
        yield_now().await;
    }
    let one = Arc::new(Semaphore::new(1));
    let theirs = Arc::clone(&one);
    let other = tokio::spawn(async move {
        for _ in 0..TIMES {
            take(&theirs).await;
        }
    });
    for _ in 0..TIMES {
        take(&one).await;
    }
    other.await.expect("it ends");
    2 * TIMES
}

async fn yield_() -> u64 {
    let other = tokio::spawn(async {
        for _ in 0..TIMES {
            yield_now().await;
        }
    });
    for _ in 0..TIMES {
        yield_now().await;
    }
    other.await.expect("it ends");
    2 * TIMES
}

async fn timers() -> u64 {
    let sleepers: Vec<_> = (0..SLEEPERS).map(|_| tokio::spawn(tokio::time::sleep(SLEEP))).collect();
    for sleeper in sleepers {
        sleeper.await.expect("it ends");
    }
    SLEEPERS
}
