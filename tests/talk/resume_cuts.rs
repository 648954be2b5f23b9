//! Resuming, cut anywhere: whatever byte a connection is cut after, in either direction, nothing is lost or doubled and
//! the order stays.

use zinx::ziface::IServer;

use crate::common::phone::{Cut, Phone, WHOLE};
use crate::common::random::{Random, with_seeds};
use crate::common::saying::{self, Heard, SAID_BYTES, SAY_BYTES, add_say, random_cut};
use crate::common::{Running, config, start, wait_until};

fn serve(workers: usize) -> (Running, Heard) {
    let (mut config, heard) = (config(), Heard::default());
    (config.resume_ms, config.worker_pool_size) = (30_000, workers);
    (start(config, |server| add_say(server, &heard)), heard)
}

fn talk(running: &Running, heard: &Heard, cuts: &[Cut]) {
    saying::talk(Phone::open(running.server.local_addr().unwrap()), heard, cuts);
}

#[test]
fn cut_after_any_byte_written() {
    let (running, heard) = serve(0);
    for write in 0..SAY_BYTES {
        for reset in [false, true] {
            talk(&running, &heard, &[Cut { write, reset, ..WHOLE }]);
        }
    }
    check(running, 2 * SAY_BYTES);
}

#[test]
fn cut_after_any_byte_read() {
    let (running, heard) = serve(0);
    for read in 0..SAID_BYTES {
        for reset in [false, true] {
            talk(&running, &heard, &[Cut { read, reset, ..WHOLE }]);
        }
    }
    check(running, 2 * SAID_BYTES);
}

#[test]
fn cut_once_more_after_any_byte_of_coming_back() {
    let (running, heard) = serve(0);
    let (asked, granted, count) = (40, 44, 16);
    for reset in [false, true] {
        let first = Cut { write: SAY_BYTES / 2, read: SAID_BYTES / 2, reset };
        for write in 0..asked + count + SAY_BYTES / 2 {
            talk(&running, &heard, &[first, Cut { write, reset, ..WHOLE }]);
        }
        for read in 0..granted + SAID_BYTES / 2 {
            talk(&running, &heard, &[first, Cut { read, reset, ..WHOLE }]);
        }
    }
    check(running, 2 * (asked + count + SAY_BYTES / 2 + granted + SAID_BYTES / 2));
}

#[test]
fn cut_again_and_again_at_random_with_workers_too() {
    for workers in [0, 2] {
        let (running, heard) = serve(workers);
        with_seeds(100, |seed| {
            let mut random = Random::new(seed);
            let cuts: Vec<_> = (0..random.below(6)).map(|_| random_cut(&mut random)).collect();
            talk(&running, &heard, &cuts);
        });
        wait_until("all to end", || running.server.get_conn_mgr().len() <= 1);
        check(running, 100);
    }
}

/// Each run has been resumed at least once. (Why one is refused, the phone looks at.)
fn check(running: Running, runs: usize) {
    let stats = running.stop();
    assert!(stats.resumed >= runs, "{runs}: {stats:?}");
}
