//! Asking where something else is in the way: a full worker queue, half a frame, a hook, a close.

use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use zinx::green::Event;
use zinx::prelude::*;
use zinx::znet::{IdleAction, new_func_request};

use crate::common::{ECHO, Peer, config, frame, start, start_alone};

const BEGIN: u32 = 2;
const QUESTION: u32 = 3;
const ANSWER: u32 = 4;
const DONE: u32 = 5;
const LONG: Duration = Duration::from_secs(20);

/// One worker with room for two requests.
fn one_worker() -> Config {
    let mut config = config();
    (config.worker_pool_size, config.max_worker_task_len) = (1, 2);
    config
}

/// Asks, and says what it was answered.
fn ask(conn: &Arc<dyn IConnection>, timeout: Duration) -> Result<()> {
    let told = match conn.call(QUESTION, "?", ANSWER, timeout) {
        Ok(answer) => String::from_utf8_lossy(answer.get_data()).into_owned(),
        Err(error) => error.to_string(),
    };
    conn.send_msg(DONE, told)
}

fn echoes(count: usize) -> Vec<u8> {
    (0..count).flat_map(|n| frame(ECHO, &[n as u8])).collect()
}

fn check_echoes(peer: &mut Peer, count: usize) {
    (0..count).for_each(|n| assert_eq!(peer.read_frame(), (ECHO, vec![n as u8])));
}

#[test]
fn on_a_worker_an_answer_is_found_behind_what_its_queue_holds() {
    let running = start(one_worker(), |server| {
        server.add_router(BEGIN, |request: &dyn IRequest| ask(request.get_connection(), LONG)).unwrap();
    });
    let mut peer = running.connect();
    peer.send(&[frame(BEGIN, b""), echoes(2)].concat());
    assert_eq!(peer.read_frame(), (QUESTION, b"?".to_vec()));
    // Not earlier: what comes before it is asked for is no answer.
    peer.send(&frame(ANSWER, b"yes"));
    assert_eq!(peer.read_frame(), (DONE, b"yes".to_vec()));
    check_echoes(&mut peer, 2);
}

#[test]
fn on_a_worker_an_answer_is_found_behind_more_than_its_queue_holds() {
    let running = start(one_worker(), |server| {
        let twice = |request: &dyn IRequest| {
            ask(request.get_connection(), LONG)?;
            ask(request.get_connection(), LONG)
        };
        server.add_router(BEGIN, twice).unwrap();
    });
    let mut peer = running.connect();
    peer.send(&[frame(BEGIN, b""), echoes(20), frame(ANSWER, b"yes")].concat());
    assert_eq!(peer.read_frame(), (QUESTION, b"?".to_vec()));
    assert_eq!(peer.read_frame(), (DONE, b"yes".to_vec()));
    assert_eq!(peer.read_frame(), (QUESTION, b"?".to_vec()));
    peer.send(&frame(ANSWER, b"yes again"));
    assert_eq!(peer.read_frame(), (DONE, b"yes again".to_vec()));
    check_echoes(&mut peer, 20);
}

#[test]
fn from_elsewhere_a_connection_whose_worker_is_busy_can_be_asked() {
    let go = Arc::new(Event::new());
    let held = Arc::clone(&go);
    let running = start_alone(one_worker(), |server| {
        let hold = move |_: &dyn IRequest| {
            held.wait();
            Ok(())
        };
        server.add_router(BEGIN, hold).unwrap();
    });
    let mut peer = running.connect();
    peer.send(&frame(BEGIN, b""));
    let conn = running.conn(peer.addr());
    let asked = thread::spawn(move || conn.call(QUESTION, "?", ANSWER, LONG));
    assert_eq!(peer.read_frame(), (QUESTION, b"?".to_vec()));
    peer.send(&[echoes(20), frame(ANSWER, b"here")].concat());
    assert_eq!(asked.join().unwrap().unwrap().get_data(), "here");
    go.set();
    check_echoes(&mut peer, 20);
}

#[test]
fn a_stop_ends_a_call_on_a_worker_and_what_was_read_is_handled() {
    let running = start_alone(one_worker(), |server| {
        server.add_router(BEGIN, |request: &dyn IRequest| ask(request.get_connection(), LONG)).unwrap();
    });
    let mut peer = running.connect();
    peer.send(&[frame(BEGIN, b""), echoes(2)].concat());
    assert_eq!(peer.read_frame(), (QUESTION, b"?".to_vec()));
    let conn = running.conn(peer.addr());
    conn.stop();
    assert!(matches!(conn.call(QUESTION, "?", ANSWER, LONG), Err(Error::ConnectionClosed)));
    assert_eq!(peer.read_frame(), (DONE, Error::ConnectionClosed.to_string().into_bytes()));
    peer.finish();
    assert!(conn.wait_closed(LONG).unwrap());
}

#[test]
fn a_closure_queued_to_a_connection_asks_in_the_middle_of_a_frame() {
    let running = start(config(), |_| {});
    let mut peer = running.connect();
    let whole = frame(ECHO, b"cut in two");
    // The echo shows that the half behind it has been read too.
    peer.send(&[&frame(ECHO, b"before"), &whole[..13]].concat());
    assert_eq!(peer.read_frame(), (ECHO, b"before".to_vec()));
    let conn = running.conn(peer.addr());
    let theirs = Arc::clone(&conn);
    let asking = new_func_request(&conn, move || drop(ask(&theirs, LONG)));
    conn.get_msg_handler().send_msg_to_task_queue(asking).unwrap();
    assert_eq!(peer.read_frame(), (QUESTION, b"?".to_vec()));
    peer.send(&[&whole[13..], &frame(ANSWER, b"yes")].concat());
    assert_eq!(peer.read_frame(), (DONE, b"yes".to_vec()));
    assert_eq!(peer.read_frame(), (ECHO, b"cut in two".to_vec()));
    peer.check_echo();
}

#[test]
fn the_idle_hook_asks_in_the_middle_of_a_frame() {
    let mut config = config();
    (config.idle_timeout_ms, config.frame_timeout_ms) = (100, 0);
    let asked = Arc::new(Mutex::new(false));
    let running = start_alone(config, |server| {
        server.set_on_idle(move |conn| {
            if !std::mem::replace(&mut *asked.lock().unwrap(), true) {
                drop(ask(conn, LONG));
            }
            IdleAction::Keep
        });
    });
    let mut peer = running.connect();
    let whole = frame(ECHO, b"cut in two");
    peer.send(&whole[..13]);
    assert_eq!(peer.read_frame(), (QUESTION, b"?".to_vec()));
    peer.send(&[&whole[13..], &frame(ANSWER, b"yes")].concat());
    assert_eq!(peer.read_frame(), (DONE, b"yes".to_vec()));
    assert_eq!(peer.read_frame(), (ECHO, b"cut in two".to_vec()));
}
