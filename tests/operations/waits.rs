//! Where the code of a connection waits: for what, since when, and in which handler.

use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value;
use zinx::green::{self, Event, Queue, RLock};
use zinx::prelude::*;

use crate::common::{Running, comes_true, frame, start_alone, wait_until};
use crate::http::{config, get, get_json};

/// The handlers of these ids wait, each for something else, until the test ends; and what is shown of them.
const WAITS: [(u32, &str); 8] = [
    (CALL, "call 7"),
    (12, "sleeps"),
    (13, "waits for an item of a queue"),
    (14, "waits for an event"),
    (LOCK, "waits for a lock"),
    (BLOCKING, "waits for blocking work"),
    (SEND, "send: the queue to the peer is full"),
    (TAKE_OVER, "take_over: reads or writes the stream"),
];

const CALL: u32 = 11;
const LOCK: u32 = 15;
const BLOCKING: u32 = 16;
const SEND: u32 = 17;
const TAKE_OVER: u32 = 18;

const LONG: Duration = Duration::from_secs(600);

/// What handlers wait for, and what a test has of it until its end.
#[derive(Clone)]
struct Held {
    lock: Arc<RLock<()>>,
    release: Arc<Mutex<Receiver<()>>>,
}

fn start(change: impl FnOnce(&mut Config), held: &Held) -> Running {
    let mut config = config();
    (config.drain_ms, config.write_timeout_ms, config.max_msg_chan_len) = (100, 0, 4);
    change(&mut config);
    start_alone(config, |server| {
        for msg_id in CALL..=TAKE_OVER {
            let held = held.clone();
            server.add_router(msg_id, move |request: &dyn IRequest| wait_as(msg_id, request, &held)).unwrap();
        }
    })
}

fn wait_as(msg_id: u32, request: &dyn IRequest, held: &Held) -> Result<()> {
    let conn = request.get_connection();
    match msg_id {
        CALL => drop(conn.call(7, "?", 8, LONG)),
        12 => green::sleep(LONG),
        13 => drop(Queue::<()>::bounded(1).get_timeout(LONG)),
        14 => drop(Event::new().wait_timeout(LONG)),
        LOCK => drop(held.lock.acquire_timeout(LONG)),
        BLOCKING => {
            let release = Arc::clone(&held.release);
            let _ = green::blocking(move || release.lock().unwrap().recv());
        }
        SEND => (0..1000).try_for_each(|_| conn.send_buff_msg_timeout(1, vec![0; 1 << 20], LONG))?,
        TAKE_OVER => drop(conn.take_over(|stream| Ok(std::io::Read::read(stream, &mut [0])?))),
        _ => {}
    }
    Ok(())
}

/// Waits until a connection is shown as waiting for `what`; returns the row.
fn wait_shown(running: &Running, id: u64, what: &str) -> Value {
    let mut row = Value::Null;
    let shown = comes_true(Duration::from_secs(30), || {
        // It may not have been accepted yet.
        row = get(running, &format!("/connz/{id}")).json();
        row["waits"]["what"] == what
    });
    assert!(shown, "connection {id} is not shown as {what:?}: {row}");
    row
}

#[test]
fn each_kind_of_wait_is_shown_with_its_handler_and_since_when() {
    check_each_kind(0);
}

#[test]
fn each_kind_of_wait_is_shown_if_workers_handle_what_is_read() {
    // One for each connection.
    check_each_kind(WAITS.len());
}

fn check_each_kind(workers: usize) {
    // Only the coroutine that reads can take a stream over: it is the last.
    let waits = &WAITS[..WAITS.len() - usize::from(workers > 0)];
    let (release, released) = channel();
    let held = Held { lock: Arc::new(RLock::new(())), release: Arc::new(Mutex::new(released)) };
    let running = start(|config| config.worker_pool_size = workers, &held);
    let lock = held.lock.acquire();
    let mut peers: Vec<_> = waits.iter().map(|_| running.connect()).collect();
    for (peer, (msg_id, _)) in peers.iter_mut().zip(waits) {
        peer.send(&frame(*msg_id, b""));
    }
    for (id, (msg_id, what)) in (0..).zip(waits) {
        let row = wait_shown(&running, id, what);
        let code = format!("the handler of message {msg_id}");
        assert_eq!(row["waits"]["in"], code);
        let ms = || get_json(&running, &format!("/connz/{id}"))["waits"]["ms"].as_u64().unwrap();
        // The wait for a full queue looks again from time to time; all others are one wait.
        wait_until("it has waited for a while", || ms() >= 20);
        let does = || get_json(&running, &format!("/connz/{id}"))["does"].as_str().unwrap().to_string();
        let is_told = |does: String| does.starts_with(what) && does.ends_with(&format!(", in {code}"));
        assert!(comes_true(Duration::from_secs(30), || is_told(does())), "{}", does());
    }
    let mut idle = running.connect();
    idle.check_echo();
    let idle_id = waits.len() as u64;
    assert_eq!(wait_shown(&running, idle_id, "waits for its peer")["waits"]["in"], Value::Null);
    // Those whose code waits come first, the longest first; the one that rests is last.
    let longest = get_json(&running, "/connz?sort=waiting");
    let order: Vec<_> =
        longest["entries"].as_array().unwrap().iter().map(|row| &row["waits"]["in"]).collect();
    assert!(
        order[..waits.len()].iter().all(|code| code.is_string()) && order[waits.len()].is_null(),
        "{order:?}"
    );
    drop((lock, release));
}

#[test]
fn a_handler_on_a_worker_is_shown_and_what_waits_behind_it() {
    let (_release, released) = channel();
    let held = Held { lock: Arc::new(RLock::new(())), release: Arc::new(Mutex::new(released)) };
    let running = start(|config| config.worker_pool_size = 1, &held);
    let (mut calls, mut sleeps, mut behind) = (running.connect(), running.connect(), running.connect());
    calls.send(&frame(CALL, b""));
    // A call leaves the worker to another coroutine, a sleep does not.
    assert_eq!(wait_shown(&running, 0, "call 7")["waits"]["in"], format!("the handler of message {CALL}"));
    sleeps.send(&frame(12, b""));
    assert_eq!(wait_shown(&running, 1, "sleeps")["waits"]["in"], "the handler of message 12");
    behind.send(&frame(12, b""));
    assert_eq!(wait_shown(&running, 2, "waits for worker 0")["waits"]["in"], Value::Null);
    assert_eq!(wait_shown(&running, 0, "call 7")["waits"]["in"], format!("the handler of message {CALL}"));
}

#[test]
fn sessions_and_hooks_are_shown() {
    let mut config = config();
    config.drain_ms = 100;
    let running = start_alone(config, |server| {
        server.set_on_conn_start(|conn| {
            if conn.get_conn_id() == 1 {
                green::sleep(LONG);
            }
            Ok(())
        });
        server.set_on_conn_stop(|_| {
            green::sleep(LONG);
            Ok(())
        });
        server
            .on_session(|session| {
                session.recv()?;
                session.recv_id(5)?;
                session.ask(7, "?", 8).map(drop)
            })
            .unwrap();
    });
    let mut talks = running.connect();
    assert_eq!(wait_shown(&running, 0, "recv")["waits"]["in"], "the session");
    talks.send(&frame(99, b""));
    assert_eq!(wait_shown(&running, 0, "recv_id 5")["waits"]["in"], "the session");
    talks.send(&frame(5, b""));
    assert_eq!(wait_shown(&running, 0, "call 7")["waits"]["in"], "the session");
    talks.finish();
    assert_eq!(wait_shown(&running, 0, "sleeps")["waits"]["in"], "the stop hook");
    let _starts = running.connect();
    assert_eq!(wait_shown(&running, 1, "sleeps")["waits"]["in"], "the start hook");
}
