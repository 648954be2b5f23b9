//! The watchdog: a coroutine that keeps its worker is named in the log, while those on other workers go on.
//!
//! Alone in its process, because it reads the log.

#![expect(clippy::disallowed_methods, clippy::disallowed_types, reason = "tests speak raw sockets")]

#[expect(dead_code, reason = "shared by all test files")]
mod common;

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use common::{ECHO, frame, start_alone, wait_until};
use log::{LevelFilter, Log, Metadata, Record};
use zinx::green::{self, Builder};
use zinx::ziface::IRequest;

#[test]
fn a_handler_that_computes_is_named_and_others_keep_their_heartbeats() {
    log::set_logger(&LINES).unwrap();
    log::set_max_level(LevelFilter::Warn);
    static GO_ON: AtomicBool = AtomicBool::new(true);
    let mut config = common::config();
    let workers = if config.workers == 0 { 2 } else { config.workers };
    config.workers = workers;
    let server = start_alone(config, |server| {
        let compute = |_: &dyn IRequest| {
            while GO_ON.load(Ordering::Relaxed) {
                std::hint::spin_loop();
            }
            Ok(())
        };
        server.add_router(7, compute).unwrap();
    });
    let mut others: Vec<_> = (0..4).map(|_| server.connect()).collect();
    others.iter_mut().for_each(common::Peer::check_echo);
    let sleeper = Builder::new().name("sleeper").spawn(|| green::sleep(Duration::from_secs(3600))).unwrap();
    wait_until("the sleeper to sleep", || sleeper.coroutine().activity() == "sleeps");
    // A machine that is too busy may have held its worker before.
    let named = LINES.count("sleeper");
    let before = green::stalls();
    let mut busy = server.connect();
    busy.check_echo();
    busy.send(&frame(7, b""));
    wait_until("a stall", || green::stalls() > before);
    wait_until("its name", || LINES.hold("coroutine", "connection 4", "has held worker"));
    if workers > 1 {
        // The network of the worker that computes is not looked at by others: half of the others may wait for it.
        for peer in &mut others {
            peer.send(&frame(ECHO, b"beat"));
            peer.stream.set_nonblocking(true).unwrap();
        }
        wait_until("another to be served beside it", || {
            others.iter().any(|peer| peer.stream.peek(&mut [0; 1]).is_ok_and(|n| n == 1))
        });
    }
    GO_ON.store(false, Ordering::Relaxed);
    wait_until("how long it took", || LINES.hold("connection 4", "\" held worker", "ms"));
    assert_eq!(LINES.count("sleeper"), named, "a coroutine that waits holds no worker");
    sleeper.kill();
}

/// What was logged.
struct Lines(Mutex<Vec<String>>);

static LINES: Lines = Lines(Mutex::new(Vec::new()));

impl Lines {
    fn count(&self, name: &str) -> usize {
        self.0.lock().unwrap().iter().filter(|line| line.contains(name)).count()
    }

    fn hold(&self, one: &str, two: &str, three: &str) -> bool {
        let lines = self.0.lock().unwrap();
        lines.iter().any(|line| line.contains(one) && line.contains(two) && line.contains(three))
    }
}

impl Log for Lines {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &Record<'_>) {
        self.0.lock().unwrap().push(record.args().to_string());
    }

    fn flush(&self) {}
}
