//! Every public name of gevent that is here, with its edges: a file for each theme. What is said of each was written from
//! gevent's documentation, and from Python's where gevent follows that.
//!
//! Run it with one worker (`ZINX_TEST_WORKERS=1`) and with several.

#![expect(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "tests are plain threads and keep their records behind plain locks"
)]

#[expect(dead_code, reason = "each test file uses its share")]
#[path = "../common/mod.rs"]
mod common;

mod backdoor;
mod greenlets;
mod locks;
mod network;
mod polls;
mod pools;
mod processes;
mod queues;
mod scopes;
mod shared_sockets;
mod threadpools;
mod timeouts;
mod waits;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use common::coroutines::{LONG, within};
use zinx::green::{self, Coroutine, Event, Greenlet};

/// Longer than nothing takes, and short enough to wait through.
const SHORT: Duration = Duration::from_millis(20);

/// Runs a test of a theme, with its deadline.
fn test(body: impl FnOnce() + Send + 'static) {
    within(60, body);
}

/// Waits until a coroutine does what its activity says.
fn until_it(coroutine: &Coroutine, activity: &str) {
    comes_true(|| coroutine.activity() == activity);
}

/// Waits until this is so.
fn comes_true(what: impl Fn() -> bool) {
    let in_time = green::with_timeout(LONG, || {
        while !what() {
            green::sleep(Duration::from_micros(200));
        }
    });
    assert!(in_time.is_ok(), "it has not come true");
}

/// A coroutine that runs `body`, once it waits for something.
fn waiting<T: Send + 'static>(body: impl FnOnce() -> T + Send + 'static) -> Greenlet<T> {
    let greenlet = green::spawn(body);
    let moves = ["has not started", "runs", "lets others run"];
    comes_true(|| greenlet.ready() || !moves.contains(&greenlet.coroutine().activity()));
    greenlet
}

/// A coroutine that never ends by itself.
fn endless() -> Greenlet<()> {
    waiting(|| Event::new().wait())
}

/// A count that several share.
#[derive(Clone, Default)]
struct Count(Arc<AtomicUsize>);

impl Count {
    fn up(&self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }

    fn get(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}
