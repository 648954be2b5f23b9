//! Closes: what a connection gets to end in, that it ends, and once.

use std::io::Write;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Barrier, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use crate::common::process::SLACK;
use crate::common::{ECHO, comes_true, config, frame, start, wait_until};
use zinx::ziface::{CloseReason, IConnection, IMessage, IRequest};
use zinx::zpack::{new_data_pack, read_message};
use zinx::{Error, green};

/// The message id whose handler asks its connection to stop, and echoes.
const STOP: u32 = 2;

const LONG: Duration = Duration::from_secs(20);

fn stop_and_echo(request: &dyn IRequest) -> zinx::Result<()> {
    request.get_connection().stop();
    request.get_connection().send_msg(STOP, request.get_data())
}

#[test]
fn requests_read_before_a_stop_are_all_answered() {
    let running = start(config(), |server| server.add_router(STOP, stop_and_echo).unwrap());
    let mut peer = running.connect();
    let requests: Vec<u8> = (0..100_u32).flat_map(|n| frame(STOP, &n.to_le_bytes())).collect();
    peer.send(&requests);
    assert_eq!(peer.read_to_end(), requests);
    assert_eq!(running.close_reason(peer.addr()), CloseReason::Stopped);
}

/// The handlers of what was read may have others send for them, and so may the stop hook.
#[test]
fn until_the_stop_hook_has_run_anyone_may_send_and_all_that_was_taken_arrives() {
    const PUSH: u32 = 3;
    const BYE: u32 = 4;
    let (pushed, is_over) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicBool::new(false)));
    let (theirs, over) = (Arc::clone(&pushed), Arc::clone(&is_over));
    let running = start(config(), |server| {
        let stop = move |request: &dyn IRequest| {
            let (conn, pushes, over) =
                (Arc::clone(request.get_connection()), Arc::clone(&theirs), Arc::clone(&over));
            conn.join_group("room")?;
            conn.stop();
            assert!(conn.is_alive() && conn.context().is_done());
            assert_eq!(conn.get_group("room").broadcast(BYE, "room")?.queued, 1);
            green::spawn(move || {
                let error = loop {
                    match conn.send_msg(PUSH, pushes.load(Ordering::Acquire).to_le_bytes()) {
                        Ok(()) => drop(pushes.fetch_add(1, Ordering::AcqRel)),
                        Err(error) => break error,
                    }
                };
                assert!(matches!(error, Error::ConnectionClosed), "{error}");
                over.store(true, Ordering::Release);
            });
            while theirs.load(Ordering::Acquire) < 10_000 {
                green::sleep(Duration::from_millis(1));
            }
            Ok(())
        };
        server.add_router(STOP, stop).unwrap();
        server.set_on_conn_stop(|conn| conn.send_msg(BYE, "hook"));
    });
    let mut peer = running.connect();
    let conn = running.conn(peer.addr());
    peer.send(&frame(STOP, b""));
    let (mut next, mut byes) = (0_u32, Vec::new());
    let mut rest = &peer.read_to_end()[..];
    while !rest.is_empty() {
        let message = read_message(&mut rest, &new_data_pack(), 4).unwrap().unwrap();
        if message.get_msg_id() == BYE {
            byes.push(message.get_data().clone());
        } else {
            assert_eq!(message.get_data()[..], next.to_le_bytes());
            next += 1;
        }
    }
    wait_until("the refusal", || is_over.load(Ordering::Acquire));
    assert_eq!(byes, ["room", "hook"]);
    assert!(next >= 10_000, "{next}");
    assert_eq!(next, pushed.load(Ordering::Acquire), "what was taken and what has come");
    assert_eq!((conn.get_close_reason(), conn.get_unsent().messages), (Some(CloseReason::Stopped), 0));
    assert!(!conn.is_alive());
}

#[test]
fn sending_after_the_close_is_an_error_at_once() {
    let mut config = config();
    // It waits neither for room nor for the peer.
    config.queue_wait_ms = 60_000;
    let running = start(config, |_| {});
    let peer = running.connect();
    let conn = running.conn(peer.addr());
    assert!(conn.is_alive());
    conn.abort();
    assert!(conn.wait_closed(LONG).unwrap());
    assert!(!conn.is_alive());
    assert_eq!(conn.get_close_reason(), Some(CloseReason::Aborted));
    let start = Instant::now();
    for result in [conn.send_msg(1, "late"), conn.send_buff_msg(1, "late"), conn.try_send_msg(1, "late")] {
        assert!(matches!(result, Err(Error::ConnectionClosed)), "{result:?}");
    }
    assert!(start.elapsed() < SLACK, "after {:?}", start.elapsed());
}

#[test]
fn three_closes_at_once_run_the_stop_hook_once() {
    let running = start(config(), |_| {});
    for round in 0..100 {
        let peer = running.connect();
        let conn = running.conn(peer.addr());
        let barrier = Barrier::new(4);
        thread::scope(|scope| {
            for closer in 0..3 {
                let (conn, barrier) = (&conn, &barrier);
                scope.spawn(move || {
                    barrier.wait();
                    if closer == round % 4 { conn.abort() } else { conn.stop() }
                });
            }
            barrier.wait();
            peer.finish();
        });
        assert!(conn.wait_closed(LONG).unwrap());
        assert_eq!(running.stop_hooks_of(conn.get_conn_id()), 1);
    }
    let stats = running.stop();
    assert_eq!((stats.start_hooks, stats.stop_hooks), (101, 101));
}

#[test]
fn waiting_for_the_own_close_is_an_error() {
    let answers = Arc::new(Mutex::new(Vec::new()));
    let ask = |answers: &Arc<Mutex<Vec<zinx::Result<bool>>>>| {
        let theirs = Arc::clone(answers);
        move |conn: &Arc<dyn IConnection>| {
            let answer = conn.wait_closed(LONG);
            theirs.lock().unwrap().push(answer);
            Ok(())
        }
    };
    let in_handler = ask(&answers);
    let running = start(config(), |server| {
        server.set_on_conn_start(ask(&answers));
        server.set_on_conn_stop(ask(&answers));
        server.add_router(7, move |request: &dyn IRequest| in_handler(request.get_connection())).unwrap();
    });
    let mut peer = running.connect();
    peer.send(&frame(7, b""));
    peer.finish();
    assert_eq!(peer.read_to_end(), b"");
    // Start hook, handler and stop hook, and the start hook of the healthy client.
    wait_until("four answers", || answers.lock().unwrap().len() == 4);
    for answer in answers.lock().unwrap().iter() {
        assert!(matches!(answer, Err(Error::WouldDeadlock { .. })), "{answer:?}");
    }
}

#[test]
fn waiting_for_the_close_of_an_open_connection_times_out() {
    let running = start(config(), |_| {});
    let peer = running.connect();
    let conn = running.conn(peer.addr());
    assert!(!conn.wait_closed(Duration::from_millis(5)).unwrap());
    assert_eq!(conn.get_close_reason(), None);
}

#[test]
fn a_peer_that_goes_on_sending_past_the_end_is_closed_also_without_a_drain_deadline() {
    let mut config = config();
    config.drain_ms = 0;
    let running = start(config, |server| server.add_router(STOP, stop_and_echo).unwrap());
    let mut peer = running.connect();
    peer.send(&frame(STOP, b""));
    let closed = comes_true(Duration::from_secs(30), || {
        // An error once the socket is closed on the other side.
        peer.stream.write_all(&frame(ECHO, b"more")).is_err()
    });
    assert!(closed, "a peer that sends forever is kept forever");
    assert_eq!(running.close_reason(peer.addr()), CloseReason::Stopped);
    assert_eq!(running.stop_hooks(peer.addr()), 1);
}
