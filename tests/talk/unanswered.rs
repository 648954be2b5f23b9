//! Calls that are not answered: while they wait, and after, the connection rests, is timed out and ends as any other.

use std::io::{Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::common::in_time::in_time;
use crate::common::{ECHO, Peer, Running, config, frame, start, wait_until};
use zinx::green::{self, Event};
use zinx::prelude::*;
use zinx::ziface::CloseReason;

/// Lets its handler ask, and get no answer.
const BEGIN: u32 = 2;
const QUESTION: u32 = 3;
const ANSWER: u32 = 4;
const GIVEN_UP: u32 = 5;
const DONE: u32 = 6;

/// A server whose handler has just given up a call, and the peer that has not answered.
fn after_an_unanswered_call(config: Config) -> (Running, Peer) {
    let running = start(config, |server| {
        let ask = |request: &dyn IRequest| {
            let conn = request.get_connection();
            match conn.call(QUESTION, "?", ANSWER, Duration::from_millis(50)) {
                Err(Error::TimedOut { .. }) => conn.send_msg(GIVEN_UP, ""),
                other => other.map(drop),
            }
        };
        server.add_router(BEGIN, ask).unwrap();
    });
    // On a busy machine one may be idle before it asks, or before its handler has given up.
    let peer = in_time(|| {
        let (mut peer, said) = (running.connect(), [frame(QUESTION, b"?"), frame(GIVEN_UP, b"")].concat());
        let mut heard = vec![0; said.len()];
        let begun = peer.stream.write_all(&frame(BEGIN, b""));
        begun.and_then(|()| peer.stream.read_exact(&mut heard)).ok()?;
        assert_eq!(heard, said);
        Some(peer)
    });
    (running, peer)
}

#[test]
fn a_peer_that_leaves_after_an_unanswered_call_is_noticed() {
    let (running, mut peer) = after_an_unanswered_call(config());
    peer.finish();
    assert_eq!(peer.read_to_end(), b"");
    assert_eq!(running.close_reason(peer.addr()), CloseReason::PeerClosed);
}

#[test]
fn a_peer_that_is_silent_after_an_unanswered_call_is_idle() {
    let mut config = config();
    config.idle_timeout_ms = 1000;
    let (running, mut peer) = after_an_unanswered_call(config);
    assert_eq!(peer.read_to_end(), b"");
    assert_eq!(running.close_reason(peer.addr()), CloseReason::IdleTimeout);
}

#[test]
fn half_an_answer_after_an_unanswered_call_is_closed_at_the_frame_timeout() {
    let mut config = config();
    config.frame_timeout_ms = 500;
    let (running, mut peer) = after_an_unanswered_call(config);
    peer.send(&frame(ANSWER, b"too late")[..9]);
    assert_eq!(peer.read_to_end(), b"");
    assert_eq!(running.close_reason(peer.addr()), CloseReason::FrameTimeout);
}

#[test]
fn a_trickle_does_not_put_off_the_frame_timeout_while_another_waits_for_an_answer() {
    let mut config = config();
    config.frame_timeout_ms = 500;
    let running = start(config, |_| {});
    let mut peer = running.connect();
    peer.check_echo();
    let conn = running.conn(peer.addr());
    let asking = thread::spawn(move || conn.call(QUESTION, "?", ANSWER, Duration::from_secs(60)));
    assert_eq!(peer.read_frame().0, QUESTION);
    let begun = Instant::now();
    for byte in frame(ECHO, &[7; 2000]) {
        if running.stop_hooks(peer.addr()) > 0 || peer.stream.write_all(&[byte]).is_err() {
            break;
        }
        thread::sleep(Duration::from_millis(20));
    }
    assert!(begun.elapsed() < Duration::from_secs(20), "after {:?}", begun.elapsed());
    assert_eq!(running.close_reason(peer.addr()), CloseReason::FrameTimeout);
    assert!(matches!(asking.join().unwrap(), Err(Error::ConnectionClosed)));
}

/// How a caller may end before the answer comes, on a coroutine of its own or (`true`) the connection's.
type EndsAsking = fn(&Arc<dyn IConnection>, &Event);
const ENDS_OF_ASKING: [(&str, bool, EndsAsking); 5] = [
    ("its own timeout", false, |conn, _| drop(conn.call(QUESTION, "1", ANSWER, SHORT).unwrap_err())),
    ("a kill", false, |conn, heard| {
        let theirs = Arc::clone(conn);
        let asks = green::spawn(move || theirs.call(QUESTION, "1", ANSWER, LONG).is_ok());
        heard.wait();
        asks.kill();
    }),
    ("a time limit", false, |conn, _| {
        green::with_timeout(SHORT, || conn.call(QUESTION, "1", ANSWER, LONG).is_ok()).unwrap_err();
    }),
    ("its own timeout, in a handler", true, |conn, _| {
        drop(conn.call(QUESTION, "1", ANSWER, SHORT).unwrap_err())
    }),
    ("a time limit, in a handler", true, |conn, _| {
        green::with_timeout(SHORT, || conn.call(QUESTION, "1", ANSWER, LONG).is_ok()).unwrap_err();
    }),
];
const SHORT: Duration = Duration::from_millis(50);
const LONG: Duration = Duration::from_secs(20);

/// Answers `2` alone, or first a late `1`.
fn ask_again(in_grace: bool) {
    let (ended, heard, go_on) =
        (Arc::new(AtomicUsize::new(0)), Arc::new(Event::new()), Arc::new(Event::new()));
    let mut config = config();
    config.call_grace_ms = if in_grace { 60_000 } else { 100 };
    let running = start(config, |server| {
        for (at, (_, on_connection, ends)) in ENDS_OF_ASKING.into_iter().enumerate() {
            let (ended, heard, go_on) = (Arc::clone(&ended), Arc::clone(&heard), Arc::clone(&go_on));
            let ask = move |conn: &Arc<dyn IConnection>| {
                ends(conn, &heard);
                ended.store(at + 1, Ordering::Release);
                if !in_grace {
                    // Longer than the grace, and then it is as if nothing had been asked.
                    green::sleep(Duration::from_millis(200));
                } else if !on_connection {
                    go_on.wait();
                    go_on.clear();
                }
                let answer = conn.call(QUESTION, "2", ANSWER, LONG)?;
                conn.send_msg(DONE, answer.get_data())
            };
            let router = move |request: &dyn IRequest| {
                let conn = Arc::clone(request.get_connection());
                if on_connection {
                    return ask(&conn);
                }
                let ask = ask.clone();
                green::spawn(move || ask(&conn).unwrap());
                Ok(())
            };
            server.add_router(100 + at as u32, router).unwrap();
        }
    });
    for (at, (how, on_connection, _)) in ENDS_OF_ASKING.into_iter().enumerate() {
        eprintln!("ended by {how}");
        heard.clear();
        let mut peer = running.connect();
        peer.send(&frame(100 + at as u32, b""));
        assert_eq!(peer.read_frame(), (QUESTION, b"1".to_vec()));
        heard.set();
        if in_grace {
            wait_until("the end", || ended.load(Ordering::Acquire) == at + 1);
            peer.send(&frame(ANSWER, b"late"));
            if !on_connection {
                peer.check_echo();
                go_on.set();
            }
        }
        assert_eq!(peer.read_frame(), (QUESTION, b"2".to_vec()));
        peer.send(&frame(ANSWER, b"yes"));
        assert_eq!(peer.read_frame(), (DONE, b"yes".to_vec()));
    }
    let late = if in_grace { ENDS_OF_ASKING.len() } else { 0 };
    assert_eq!(running.stop().late_answers, late);
}

#[test]
fn a_caller_that_ends_while_asking_takes_no_answer_of_the_next() {
    ask_again(false);
}

#[test]
fn an_answer_to_a_caller_that_has_ended_is_late_and_goes_to_no_other() {
    ask_again(true);
}
