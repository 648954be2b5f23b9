//! Resuming, cut anywhere: whatever byte a connection is cut after, in either direction, nothing is lost or doubled and
//! the order stays.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use zinx::prelude::*;

use crate::common::phone::{BYE, Cut, Phone, WHOLE, WasCut};
use crate::common::random::{Random, with_seeds};
use crate::common::{Running, config, frame, start, wait_until};

const SAY: u32 = 2;
const SAID: u32 = 3;

/// What the server has handled, by connection.
type Heard = Arc<Mutex<HashMap<u64, Vec<u8>>>>;

/// A server that notes what it hears and says it twice: to who said it, and to the group it is in.
fn serve(workers: usize) -> (Running, Heard) {
    let mut config = config();
    config.resume_ms = 30_000;
    config.worker_pool_size = workers;
    let heard = Heard::default();
    let noted = Arc::clone(&heard);
    let say = move |request: &dyn IRequest| {
        let conn = request.get_connection();
        let n = request.get_data()[0];
        noted.lock().unwrap().entry(conn.get_conn_id()).or_default().push(n);
        let group = format!("group of {}", conn.get_conn_id());
        conn.join_group(&group)?;
        conn.send_msg(SAID, request.get_data())?;
        conn.get_group(&group).broadcast(SAID, vec![n; 3])?;
        Ok(())
    };
    let running = start(config, |server| server.add_router(SAY, say).unwrap());
    (running, heard)
}

/// Says four things; the connection is cut as `cuts` say, one after the other, and the last is whole.
fn talk(running: &Running, heard: &Heard, cuts: &[Cut]) {
    let mut phone = Phone::open(running.server.local_addr().unwrap());
    let said: Vec<Vec<u8>> = (1..=SAYS).map(|n| vec![n; usize::from(n)]).collect();
    said.iter().for_each(|data| phone.note(SAY, data));
    let all: Vec<u8> = said.iter().flat_map(|data| frame(SAY, data)).collect();
    let count = 2 * said.len();
    let mut cuts = cuts.iter().copied();
    let mut outcome = phone.talk(&all, count, cuts.next().unwrap_or(WHOLE));
    while let Err(WasCut) = outcome {
        let cut = cuts.next().unwrap_or(WHOLE);
        outcome = phone.resume_cut(cut).and_then(|()| phone.talk(&[], count, cut));
    }
    let replies: Vec<_> =
        said.iter().flat_map(|data| [(SAID, data.clone()), (SAID, vec![data[0]; 3])]).collect();
    assert_eq!(phone.inbox, replies);
    let conn_id = u64::from_le_bytes(phone.token[..8].try_into().unwrap());
    assert_eq!(heard.lock().unwrap()[&conn_id], (1..=SAYS).collect::<Vec<_>>());
    // It does not come back: nothing waits for it.
    phone.write(&frame(BYE, b""));
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
            let cut = |random: &mut Random| Cut {
                write: random.below(2 * SAY_BYTES as u64) as usize,
                read: random.below(2 * SAID_BYTES as u64) as usize,
                reset: random.below(2) == 0,
            };
            let cuts: Vec<_> = (0..random.below(6)).map(|_| cut(&mut random)).collect();
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

const SAYS: u8 = 4;

/// Four heads, and 1 + 2 + 3 + 4 bytes.
const SAY_BYTES: usize = 42;

/// The same, and four times a head and 3 bytes.
const SAID_BYTES: usize = SAY_BYTES + 44;
