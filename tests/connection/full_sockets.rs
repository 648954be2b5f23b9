//! Full sockets: what is queued leaves as the peer reads, whatever the connection's coroutine has waited for before.

use std::cell::Cell;
use std::io::{ErrorKind, Read, Write};
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

use crate::common::child::in_child;
use crate::common::in_time::in_time;
use crate::common::phone::{Phone, WHOLE};
use crate::common::random::Random;
use crate::common::{Peer, config, frame, start, start_alone, wait_until};
use zinx::green;
use zinx::prelude::*;

const BEGIN: u32 = 2;
const QUESTION: u32 = 3;
const ANSWER: u32 = 4;
const PIECE: u32 = 5;
const DONE: u32 = 6;

/// Has a large message sent when the time of its handler is over.
const LATE: u32 = 7;

/// What is streamed: 24 MiB, much more than the buffers of two sockets hold.
const PIECES: usize = 1536;
const PIECE_BYTES: usize = 16 << 10;

const SHORT: Duration = Duration::from_millis(30);
const LONG: Duration = Duration::from_secs(60);

/// Waits for something that may not come.
type Wait = fn(&dyn IConnection);

/// What a handler may have waited for before it streams; with `true` the peer answers its question.
const WAITS: [(&str, bool, Wait); 8] = [
    ("nothing", false, |_| {}),
    ("an answer that comes", true, |conn| drop(conn.call(QUESTION, "", ANSWER, LONG).unwrap())),
    ("an answer that does not come", false, call_unanswered),
    ("two of them", false, |conn| {
        call_unanswered(conn);
        conn.call(QUESTION, "", ANSWER + 100, SHORT).unwrap_err();
    }),
    ("an answer, within a time limit around it", false, |conn| {
        green::with_timeout(SHORT, || conn.call(QUESTION, "", ANSWER, LONG).is_ok()).unwrap_err();
    }),
    ("bytes of the stream", false, |conn| conn.take_over(read_nothing).unwrap()),
    ("bytes of the stream, after an answer", false, |conn| {
        call_unanswered(conn);
        conn.take_over(read_nothing).unwrap();
    }),
    ("bytes of the stream, within a time limit around it", false, |conn| {
        let read = || conn.take_over(|stream| Ok(stream.read(&mut [0])?)).is_ok();
        green::with_timeout(SHORT, read).unwrap_err();
    }),
];

fn call_unanswered(conn: &dyn IConnection) {
    let answer = conn.call(QUESTION, "", ANSWER, SHORT);
    assert!(matches!(answer, Err(Error::TimedOut { .. })), "{answer:?}");
}

fn read_nothing(stream: &mut zinx::znet::RawStream<'_>) -> Result<()> {
    stream.set_timeout(Some(SHORT));
    assert_eq!(stream.read(&mut [0]).unwrap_err().kind(), ErrorKind::TimedOut);
    Ok(())
}

fn stream(conn: &dyn IConnection) -> Result<()> {
    for _ in 0..PIECES {
        conn.send_msg(PIECE, [0; PIECE_BYTES])?;
    }
    conn.send_msg(DONE, "")
}

/// Reads the stream, behind questions that are not answered, slowly enough that it waits for this.
fn read_stream(peer: &mut Peer) {
    let first = std::iter::repeat_with(|| peer.read_frame().0).find(|id| *id != QUESTION);
    assert_eq!(first, Some(PIECE));
    for piece in 1..PIECES {
        assert_eq!(peer.read_frame().0, PIECE);
        if piece % 8 == 0 {
            thread::sleep(Duration::from_millis(1));
        }
    }
    assert_eq!(peer.read_frame().0, DONE);
}

/// A sender waits for room for longer than a peer of these tests waits for anything.
fn patient() -> Config {
    let mut config = config();
    config.queue_wait_ms = 60_000;
    config
}

#[test]
fn a_handler_streams_whatever_it_has_waited_for_before() {
    let running = start(patient(), |server| {
        for (at, (_, _, wait)) in WAITS.into_iter().enumerate() {
            let wait_and_stream = move |request: &dyn IRequest| {
                wait(&**request.get_connection());
                stream(&**request.get_connection())
            };
            server.add_router(100 + at as u32, wait_and_stream).unwrap();
        }
    });
    for (at, (what, is_answered, _)) in WAITS.into_iter().enumerate() {
        eprintln!("waits for {what}");
        let mut peer = running.connect();
        peer.send(&frame(100 + at as u32, b""));
        if is_answered {
            assert_eq!(peer.read_frame().0, QUESTION);
            peer.send(&frame(ANSWER, b""));
        }
        read_stream(&mut peer);
        peer.check_echo();
    }
}

#[test]
fn sending_without_end_to_a_peer_that_reads_as_fast_lets_others_run() {
    in_child("full_sockets::sending_without_end_to_a_peer_that_reads_as_fast_lets_others_run", || {
        let mut config = config();
        config.workers = 1;
        // The healthy client beside it must not wait.
        let running = start(config, |server| {
            let begin = |request: &dyn IRequest| {
                let conn = request.get_connection().clone();
                green::spawn(move || while conn.send_msg(PIECE, "").is_ok() {});
                Ok(())
            };
            server.add_router(BEGIN, begin).unwrap();
        });
        let mut peer = running.connect();
        peer.send(&frame(BEGIN, b""));
        let conn = running.conn(peer.addr());
        let mut buffer = vec![0; 1 << 20];
        let reading = thread::spawn(move || while peer.stream.read(&mut buffer).is_ok_and(|n| n > 0) {});
        for _ in 0..20 {
            running.connect().check_echo();
        }
        conn.abort();
        reading.join().unwrap();
    });
}

#[test]
fn a_dialogue_streams_after_a_wait_that_brought_nothing() {
    let running = start_alone(patient(), |server| {
        let dialogue = |s: &mut Session| {
            let within = s.with_timeout(SHORT, |s| s.recv());
            assert!(matches!(within, Err(Error::TimedOut { .. })), "{within:?}");
            stream(&**s.get_connection())
        };
        server.on_session(dialogue).unwrap();
    });
    let mut peer = running.connect();
    read_stream(&mut peer);
    assert_eq!(peer.read_to_end(), b"");
}

#[test]
fn another_coroutine_streams_while_the_handler_computes_after_a_wait_that_brought_nothing() {
    let running = start(patient(), |server| {
        let begin = |request: &dyn IRequest| {
            let conn = request.get_connection();
            call_unanswered(&**conn);
            let theirs = conn.clone();
            // The handler waits for something else than its connection.
            green::spawn(move || stream(&*theirs)).get().expect("it does not panic")
        };
        server.add_router(BEGIN, begin).unwrap();
    });
    let mut peer = running.connect();
    peer.send(&frame(BEGIN, b""));
    assert_eq!(peer.read_frame().0, QUESTION);
    read_stream(&mut peer);
    peer.check_echo();
}

#[test]
fn a_handler_streams_to_a_peer_that_came_back_while_it_waited_for_nothing() {
    const WAIT: Duration = Duration::from_millis(500);
    let mut config = patient();
    (config.resume_ms, config.resume_bytes) = (60_000, 64 << 10);
    let running = start_alone(config, |server| {
        let begin = |request: &dyn IRequest| {
            let answer = request.get_connection().call(QUESTION, "", ANSWER, WAIT);
            assert!(matches!(answer, Err(Error::TimedOut { .. })), "{answer:?}");
            stream(&**request.get_connection())
        };
        server.add_router(BEGIN, begin).unwrap();
    });
    // It comes back while the handler waits, unless a busy machine holds it up.
    let mut phone = in_time(|| {
        let mut phone = Phone::open(running.server.local_addr().unwrap());
        let conn = running.conn(phone.stream.local_addr().unwrap());
        let begun = Instant::now();
        phone.send(BEGIN, b"");
        assert_eq!(phone.receive().0, QUESTION);
        phone.lose(false);
        wait_until("the loss", || conn.is_away());
        phone.may_be_refused = true;
        let came_back = phone.resume_cut(WHOLE);
        (begun.elapsed() < WAIT).then(|| came_back.unwrap())?;
        Some(phone)
    });
    for _ in 0..PIECES {
        assert_eq!(phone.receive().0, PIECE);
        phone.inbox.iter_mut().for_each(|(_, data)| *data = Vec::new());
    }
    assert_eq!(phone.receive().0, DONE);
}

#[test]
fn a_handler_that_goes_on_after_a_wait_that_brought_nothing_is_not_called_idle() {
    let mut config = config();
    config.idle_timeout_ms = 1500;
    let running = start(config, |server| {
        let begin = |request: &dyn IRequest| {
            call_unanswered(&**request.get_connection());
            green::sleep(Duration::from_secs(3));
            request.get_connection().send_msg(DONE, "")
        };
        server.add_router(BEGIN, begin).unwrap();
    });
    in_time(|| {
        // A busy machine may hold the peer up, which is idle then, here
        let mut peer = running.greeted();
        let begun = Instant::now();
        peer.stream.write_all(&frame(BEGIN, b"")).ok()?;
        peer.stream.read_exact(&mut [0; 8]).ok()?;
        assert_eq!(peer.read_frame().0, DONE);
        assert!(begun.elapsed() >= Duration::from_secs(3));
        // and here.
        let is_answered = peer.is_answered();
        assert!(is_answered || begun.elapsed() > Duration::from_secs(4), "it was called idle");
        is_answered.then_some(())
    });
}

/// A time limit ends a handler where it lets others run. It does so only now and then, so each handler passes another number of such
/// points before it sends.
#[test]
fn a_large_message_that_is_queued_leaves_also_if_a_time_limit_ends_its_handler() {
    let running = start_alone(config(), |server| {
        let random = Mutex::new(Random::new(1));
        let late = move |request: &dyn IRequest| {
            let (conn, sends) = (request.get_connection(), Cell::new(false));
            let points = random.lock().unwrap().below(16);
            let ended = green::with_timeout(Duration::from_millis(1), || {
                // Has the time in which the others are to have their turn begin.
                (0..17).for_each(|_| green::fairness_point());
                let begun = Instant::now();
                while begun.elapsed() < Duration::from_millis(3) {}
                (0..points).for_each(|_| green::fairness_point());
                sends.set(true);
                conn.send_msg(PIECE, vec![7; LATE_BYTES])
            });
            match ended {
                Err(_) if !sends.get() => conn.send_msg(DONE, ""),
                _ => Ok(()),
            }
        };
        server.add_router(LATE, late).unwrap();
    });
    let mut peer = running.connect();
    for _ in 0..300 {
        peer.send(&frame(LATE, b""));
        let (id, data) = peer.read_frame();
        assert!((id, data.len()) == (PIECE, LATE_BYTES) || id == DONE, "{id}");
    }
}

/// So much is sent at once, not when its sender next waits.
const LATE_BYTES: usize = 300_000;
