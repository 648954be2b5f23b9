//! Asking the peer in the middle of a handler: every outcome, from everywhere.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use zinx::green::{self, TcpStream};
use zinx::prelude::*;
use zinx::ziface::CloseReason;
use zinx::zpack::{Message, read_message};
use zinx::{Server, new_data_pack};

use crate::common::{Peer, Running, config, frame, pattern, start, wait_until};

const BEGIN: u32 = 2;
const QUESTION: u32 = 3;
const ANSWER: u32 = 4;
const DONE: u32 = 5;

const LONG: Duration = Duration::from_secs(20);

/// The one connection that has property `asked`.
fn asked(server: &Server) -> Arc<dyn IConnection> {
    let mut found = None;
    wait_until("the connection to ask", || {
        server.get_conn_mgr().range(&mut |conn| {
            found = conn.get_property("asked").map(|_| Arc::clone(conn));
            found.is_none()
        });
        found.is_some()
    });
    found.unwrap()
}

/// A message of id `BEGIN` marks its connection as the one to be asked.
fn mark_on_begin(server: &Server) {
    let mark = |request: &dyn IRequest| {
        request.get_connection().set_property("asked", Arc::new(()));
        Ok(())
    };
    server.add_router(BEGIN, mark).unwrap();
}

fn text(message: &Message) -> String {
    String::from_utf8(message.get_data().to_vec()).unwrap()
}

fn ask_twice(request: &dyn IRequest) -> Result<()> {
    let conn = request.get_connection();
    let first = conn.call(QUESTION, "name?", ANSWER, LONG)?;
    let second = conn.call(QUESTION, format!("age of {}?", text(&first)), ANSWER, LONG)?;
    conn.send_msg(DONE, format!("{} is {}", text(&first), text(&second)))
}

#[test]
fn a_handler_asks_and_goes_on_and_what_came_between_is_handled_after_in_order() {
    let running = start(config(), |server| server.add_router(BEGIN, ask_twice).unwrap());
    let mut peer = running.connect();
    // All in one segment: what is behind the first message is in the handler's hands already.
    peer.send(&[frame(BEGIN, b""), frame(1, b"a"), frame(ANSWER, b"Ann"), frame(1, b"b")].concat());
    assert_eq!(peer.read_frame(), (QUESTION, b"name?".to_vec()));
    assert_eq!(peer.read_frame(), (QUESTION, b"age of Ann?".to_vec()));
    peer.send(&[frame(1, b"c"), frame(ANSWER, b"7"), frame(1, b"d")].concat());
    assert_eq!(peer.read_frame(), (DONE, b"Ann is 7".to_vec()));
    for expected in [b"a", b"b", b"c", b"d"] {
        assert_eq!(peer.read_frame(), (1, expected.to_vec()));
    }
    peer.check_echo();
    assert_eq!(running.server.stats().late_answers, 0);
}

#[test]
fn dialogues_that_lie_in_the_stream_behind_each_other_keep_their_order() {
    let running = start(config(), |server| server.add_router(BEGIN, ask_twice).unwrap());
    let mut peer = running.connect();
    // The second dialogue begins among what the first one keeps, and comes before what was sent after it.
    peer.send(&[frame(BEGIN, b""), frame(BEGIN, b"")].concat());
    for (name, between) in [("N1", b"x"), ("N2", b"y")] {
        assert_eq!(peer.read_frame(), (QUESTION, b"name?".to_vec()));
        peer.send(&[frame(ANSWER, name.as_bytes()), frame(1, between), frame(ANSWER, b"1")].concat());
        assert_eq!(peer.read_frame(), (QUESTION, format!("age of {name}?").into_bytes()));
        assert_eq!(peer.read_frame(), (DONE, format!("{name} is 1").into_bytes()));
    }
    assert_eq!(peer.read_frame(), (1, b"x".to_vec()));
    assert_eq!(peer.read_frame(), (1, b"y".to_vec()));
}

#[test]
fn answers_cut_at_any_byte_and_large_ones_arrive_whole() {
    let mut config = config();
    config.max_packet_size = 1 << 20;
    let running = start(config, |server| {
        let ask = |request: &dyn IRequest| {
            let answer = request.get_connection().call(QUESTION, "?", ANSWER, LONG)?;
            request.get_connection().send_msg(DONE, answer.get_data())
        };
        server.add_router(BEGIN, ask).unwrap();
    });
    let mut peer = running.connect();
    for len in [0, 5, 300, 9_000, 300_000] {
        let answer = frame(ANSWER, &pattern(len));
        let cuts: Vec<usize> = match answer.len() {
            small if small < 20 => (1..small).collect(),
            large => vec![1, 7, 8, 9, large / 2, large - 1],
        };
        for cut in cuts {
            // Cut in the same segment as the question's cause, and again after the question.
            peer.send(&[frame(BEGIN, b""), frame(1, b"between"), answer[..cut].to_vec()].concat());
            assert_eq!(peer.read_frame().0, QUESTION);
            peer.send(&[&answer[cut..], &frame(1, b"after")].concat());
            assert_eq!(peer.read_frame(), (DONE, pattern(len)), "{len} bytes cut at {cut}");
            assert_eq!(peer.read_frame(), (1, b"between".to_vec()));
            assert_eq!(peer.read_frame(), (1, b"after".to_vec()));
        }
    }
}

#[test]
fn a_handler_of_a_large_message_asks_too() {
    let mut config = config();
    config.max_packet_size = 1 << 20;
    let running = start(config, |server| server.add_router(BEGIN, ask_twice).unwrap());
    let mut peer = running.connect();
    let large = frame(BEGIN, &pattern(100_000));
    peer.send(&large);
    peer.read_frame();
    peer.send(&[frame(1, b"a"), frame(ANSWER, b"Ann"), frame(ANSWER, b"7")].concat());
    assert_eq!(peer.read_frame().0, QUESTION);
    assert_eq!(peer.read_frame(), (DONE, b"Ann is 7".to_vec()));
    assert_eq!(peer.read_frame(), (1, b"a".to_vec()), "nothing more need come for what was kept");
    peer.send(&large);
    assert_eq!(peer.read_frame().0, QUESTION);
    running.conn(peer.addr()).stop();
    assert_eq!(peer.read_to_end(), b"");
}

#[test]
fn from_another_connection_a_coroutine_and_a_thread() {
    let running = start(config(), |server| {
        mark_on_begin(server);
        let (theirs, relay) = (server.clone(), 9);
        let ask = move |request: &dyn IRequest| {
            let answer = asked(&theirs).call(QUESTION, request.get_data(), ANSWER, LONG)?;
            request.get_connection().send_msg(DONE, answer.get_data())
        };
        server.add_router(relay, ask).unwrap();
    });
    let (mut answering, mut asking) = (running.connect(), running.connect());
    answering.send(&frame(BEGIN, b""));
    let conn = asked(&running.server);
    let answer = |peer: &mut Peer, expected: &str| {
        assert_eq!(peer.read_frame(), (QUESTION, expected.as_bytes().to_vec()));
        peer.send(&[frame(1, b"first"), frame(ANSWER, format!("{expected}!").as_bytes())].concat());
        assert_eq!(peer.read_frame(), (1, b"first".to_vec()), "other messages are handled meanwhile");
    };

    asking.send(&frame(9, b"relay"));
    answer(&mut answering, "relay");
    assert_eq!(asking.read_frame(), (DONE, b"relay!".to_vec()));

    let theirs = Arc::clone(&conn);
    let greenlet = green::spawn(move || theirs.call(QUESTION, "coroutine", ANSWER, LONG).unwrap());
    answer(&mut answering, "coroutine");
    assert_eq!(text(&greenlet.get().unwrap()), "coroutine!");

    let thread = thread::spawn(move || conn.call(QUESTION, "thread", ANSWER, LONG).unwrap());
    answer(&mut answering, "thread");
    assert_eq!(text(&thread.join().unwrap()), "thread!");
}

#[test]
fn many_who_ask_at_once_get_their_own_answers_first_in_first_out() {
    let running = start(config(), mark_on_begin);
    let mut peer = running.connect();
    peer.send(&frame(BEGIN, b""));
    let conn = asked(&running.server);
    let greenlets: Vec<_> = (0..200_u32)
        .map(|n| {
            let conn = Arc::clone(&conn);
            green::spawn(move || {
                let answer = conn.call(QUESTION, format!("{n}"), ANSWER + n % 3, LONG).unwrap();
                assert_eq!(text(&answer), format!("{n}"));
            })
        })
        .collect();
    // Each reply id has a line of its own; the peer answers one whole line after the other.
    let mut questions: Vec<u32> =
        (0..200).map(|_| String::from_utf8(peer.read_frame().1).unwrap().parse().unwrap()).collect();
    questions.sort_by_key(|n| n % 3);
    let answers: Vec<u8> =
        questions.iter().flat_map(|n| frame(ANSWER + n % 3, n.to_string().as_bytes())).collect();
    peer.send(&answers);
    for greenlet in greenlets {
        greenlet.get().unwrap();
    }
}

#[test]
fn a_late_answer_is_counted_and_never_taken_for_the_next() {
    let mut config = config();
    config.call_grace_ms = 600_000;
    let running = start(config, mark_on_begin);
    let mut peer = running.connect();
    peer.send(&frame(BEGIN, b""));
    let conn = asked(&running.server);
    let first = conn.call(QUESTION, "1", ANSWER, Duration::from_millis(30));
    assert!(matches!(first, Err(Error::TimedOut { what: "call", .. })), "{first:?}");
    assert_eq!(peer.read_frame(), (QUESTION, b"1".to_vec()));
    let theirs = Arc::clone(&conn);
    let second = thread::spawn(move || theirs.call(QUESTION, "2", ANSWER, LONG));
    // Another reply id is not held up; the second question is not on its way before the first one's answer has come.
    let theirs = Arc::clone(&conn);
    let other = thread::spawn(move || theirs.call(QUESTION, "other", ANSWER + 1, LONG));
    assert_eq!(peer.read_frame(), (QUESTION, b"other".to_vec()));
    peer.send(&[frame(ANSWER + 1, b"o"), frame(ANSWER, b"late")].concat());
    assert_eq!(peer.read_frame(), (QUESTION, b"2".to_vec()));
    peer.send(&frame(ANSWER, b"own"));
    assert_eq!(text(&second.join().unwrap().unwrap()), "own");
    assert_eq!(text(&other.join().unwrap().unwrap()), "o");
    assert_eq!(running.server.stats().late_answers, 1);
    // One that was never waited for after all is late too, not an unknown message.
    peer.send(&frame(ANSWER, b"once more"));
    peer.check_echo();
    assert_eq!((running.server.stats().late_answers, running.server.stats().unknown_ids), (2, 0));
}

#[test]
fn where_no_late_answer_comes_the_grace_ends_by_itself() {
    let mut config = config();
    config.call_grace_ms = 200;
    let (tell, told) = std::sync::mpsc::channel();
    let running = start(config, |server| {
        let tell = Mutex::new(tell);
        let ask = move |request: &dyn IRequest| {
            let conn = request.get_connection();
            let asked = Instant::now();
            assert!(conn.call(QUESTION, "1", ANSWER, Duration::from_millis(20)).is_err());
            let answer = conn.call(QUESTION, "2", ANSWER, LONG)?;
            tell.lock().unwrap().send((text(&answer), asked.elapsed())).unwrap();
            Ok(())
        };
        server.add_router(BEGIN, ask).unwrap();
    });
    let mut peer = running.connect();
    peer.send(&frame(BEGIN, b""));
    assert_eq!(peer.read_frame(), (QUESTION, b"1".to_vec()));
    assert_eq!(peer.read_frame(), (QUESTION, b"2".to_vec()));
    peer.send(&frame(ANSWER, b"own"));
    let (answer, waited) = told.recv_timeout(LONG).unwrap();
    assert_eq!(answer, "own");
    assert!(waited >= Duration::from_millis(20 + 190), "{waited:?}");
}

#[test]
fn asked_again_the_first_answer_counts_and_its_double_is_late() {
    let running = start(config(), mark_on_begin);
    let mut peer = running.connect();
    peer.send(&frame(BEGIN, b""));
    let conn = asked(&running.server);
    let policy = Call::new(Duration::from_millis(100)).retries(200);
    let theirs = Arc::clone(&conn);
    let call = thread::spawn(move || theirs.call_with(QUESTION, "on?", ANSWER, policy));
    for _ in 0..3 {
        assert_eq!(peer.read_frame(), (QUESTION, b"on?".to_vec()));
    }
    peer.send(&[frame(ANSWER, b"one"), frame(ANSWER, b"two")].concat());
    assert_eq!(text(&call.join().unwrap().unwrap()), "one");
    wait_until("the double", || running.server.stats().late_answers == 1);
    let policy = Call::new(Duration::from_millis(5)).retries(2);
    let failed = conn.call_with(QUESTION, "off?", ANSWER + 1, policy);
    assert!(matches!(failed, Err(Error::TimedOut { .. })), "{failed:?}");
}

/// A server to which the first byte of a message is its number, a peer, and the connection with it that is to ask.
fn numbered() -> (Running, Peer, Arc<dyn IConnection>) {
    let running = start(config(), |server| {
        mark_on_begin(server);
        server.set_call_sequence(|message| message.get_data().first().map(|&b| u64::from(b))).unwrap();
    });
    let mut peer = running.connect();
    peer.send(&frame(BEGIN, b""));
    let conn = asked(&running.server);
    (running, peer, conn)
}

#[test]
fn a_sequence_number_tells_answers_apart_in_any_order() {
    let (_running, mut peer, conn) = numbered();
    let greenlets: Vec<_> = (0..50_u8)
        .map(|n| {
            let conn = Arc::clone(&conn);
            let policy = Call::new(LONG).sequence(u64::from(n));
            green::spawn(move || conn.call_with(QUESTION, [n], ANSWER, policy).unwrap().get_data()[0] == n)
        })
        .collect();
    let mut asked: Vec<u8> = (0..50).map(|_| peer.read_frame().1[0]).collect();
    asked.sort_unstable_by(|a, b| b.cmp(a));
    peer.send(&asked.iter().flat_map(|&n| frame(ANSWER, &[n])).collect::<Vec<_>>());
    assert!(greenlets.into_iter().all(|greenlet| greenlet.get().unwrap()));
}

#[test]
fn a_message_without_a_number_answers_no_question_that_demands_one() {
    let (running, mut peer, conn) = numbered();
    let call = thread::spawn(move || conn.call_with(QUESTION, "?", ANSWER, Call::new(LONG).sequence(7)));
    assert_eq!(peer.read_frame().0, QUESTION);
    peer.send(&[frame(ANSWER, b""), frame(ANSWER, &[7])].concat());
    assert_eq!(call.join().unwrap().unwrap().get_data()[..], [7]);
    assert_eq!(running.server.stats().late_answers, 1, "nobody waited for the first");
}

type End = fn(&mut Peer, &Arc<dyn IConnection>);

#[test]
fn a_close_ends_every_call() {
    let ends: [(CloseReason, End); 4] = [
        (CloseReason::PeerClosed, |peer, _| peer.finish()),
        (CloseReason::Stopped, |_, conn| conn.stop()),
        (CloseReason::Aborted, |_, conn| conn.abort()),
        (CloseReason::PacketTooLarge { len: 0xffff_ffff, max: 4096 }, |peer, _| peer.send(&[0xff; 8])),
    ];
    for (reason, end) in ends {
        let results = Arc::new(Mutex::new(Vec::new()));
        let noted = Arc::clone(&results);
        let running = start(config(), |server| {
            let ask = move |request: &dyn IRequest| {
                let conn = request.get_connection();
                conn.set_property("asked", Arc::new(()));
                noted.lock().unwrap().push(conn.call(QUESTION, "?", ANSWER, LONG));
                Ok(())
            };
            server.add_router(BEGIN, ask).unwrap();
        });
        let mut peer = running.connect();
        peer.send(&frame(BEGIN, b""));
        let conn = asked(&running.server);
        let theirs = Arc::clone(&conn);
        let beside = thread::spawn(move || theirs.call(QUESTION, "?", ANSWER + 1, LONG));
        peer.read_frame();
        peer.read_frame();
        end(&mut peer, &conn);
        assert!(matches!(beside.join().unwrap(), Err(Error::ConnectionClosed)));
        assert!(conn.wait_closed(LONG).unwrap());
        assert_eq!((running.close_reason(peer.addr()), running.stop_hooks(peer.addr())), (reason, 1));
        let results = results.lock().unwrap();
        assert!(matches!(results[..], [Err(Error::ConnectionClosed)]), "{results:?}");
        assert!(matches!(conn.call(QUESTION, "?", ANSWER, LONG), Err(Error::ConnectionClosed)));
    }
}

#[test]
fn what_came_before_the_end_of_the_stream_is_still_handled() {
    let running = start(config(), |server| {
        let ask = |request: &dyn IRequest| {
            let failed = request.get_connection().call(QUESTION, "?", ANSWER, LONG).is_err();
            request.get_connection().send_msg(DONE, if failed { "closed" } else { "answered" })
        };
        server.add_router(BEGIN, ask).unwrap();
    });
    let mut peer = running.connect();
    peer.send(&[frame(BEGIN, b""), frame(1, b"a"), frame(1, b"b")].concat());
    peer.finish();
    let expected = [frame(QUESTION, b"?"), frame(DONE, b"closed"), frame(1, b"a"), frame(1, b"b")].concat();
    assert_eq!(peer.read_to_end(), expected);
}

#[test]
fn too_much_to_keep_ends_the_call_and_loses_nothing() {
    let mut config = config();
    config.max_kept_messages = 10;
    let running = start(config, |server| {
        let ask = |request: &dyn IRequest| {
            let result = request.get_connection().call(QUESTION, "?", ANSWER, LONG);
            request.get_connection().send_msg(DONE, result.unwrap_err().to_string())
        };
        server.add_router(BEGIN, ask).unwrap();
    });
    let mut peer = running.connect();
    peer.send(&frame(BEGIN, b""));
    assert_eq!(peer.read_frame().0, QUESTION);
    peer.send(&(0..30_u8).flat_map(|n| frame(1, &[n])).collect::<Vec<_>>());
    assert_eq!(peer.read_frame(), (DONE, b"no room to keep more messages for later: 11 messages, 11 bytes are kept (MaxKeptMessages, MaxKeptBytes)".to_vec()));
    for n in 0..30 {
        assert_eq!(peer.read_frame(), (1, vec![n]));
    }
}

#[test]
fn hooks_ask_too_but_not_at_the_end() {
    let ends = Arc::new(Mutex::new(None));
    let noted = Arc::clone(&ends);
    let running = crate::common::start_alone(config(), |server| {
        server.set_on_conn_start(|conn| {
            let name = conn.call(QUESTION, "who?", ANSWER, LONG)?;
            conn.send_msg(DONE, name.get_data())
        });
        server.set_on_conn_stop(move |conn| {
            *noted.lock().unwrap() = Some(conn.call(QUESTION, "bye?", ANSWER, LONG));
            Ok(())
        });
    });
    let mut peer = running.connect();
    peer.send(&[frame(1, b"early"), frame(ANSWER, b"Ann"), frame(1, b"later")].concat());
    let replies = [(QUESTION, "who?"), (DONE, "Ann"), (1, "early"), (1, "later")];
    for (id, data) in replies {
        assert_eq!(peer.read_frame(), (id, data.as_bytes().to_vec()));
    }
    peer.finish();
    assert_eq!(peer.read_to_end(), b"");
    wait_until("the stop hook", || ends.lock().unwrap().is_some());
    assert!(matches!(*ends.lock().unwrap(), Some(Err(Error::ConnectionClosed))));
}

#[test]
fn a_thousand_clients_are_asked_twice_and_exactly_the_silent_ten_time_out() {
    let (timed_out, finished) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (late, done) = (Arc::clone(&timed_out), Arc::clone(&finished));
    let running = start(config(), |server| {
        let ask = move |request: &dyn IRequest| {
            let conn = request.get_connection();
            // The silent ones say so, lest the test take as long as the slowest machine needs for an answer.
            let patience = if request.get_data() == b"silent" { Duration::from_millis(500) } else { LONG };
            let first = conn.call(QUESTION, "1", ANSWER, patience).inspect_err(|error| {
                assert!(matches!(error, Error::TimedOut { .. }), "{error}");
                late.fetch_add(1, Ordering::Relaxed);
            })?;
            let second = conn.call(QUESTION, first.get_data(), ANSWER, LONG)?;
            done.fetch_add(1, Ordering::Relaxed);
            conn.send_msg(DONE, second.get_data())
        };
        server.add_router(BEGIN, ask).unwrap();
    });
    let address = running.server.local_addr().unwrap();
    let clients: Vec<_> = (0..CLIENTS)
        .map(|n| green::spawn(move || converse(TcpStream::connect(address).unwrap(), n)))
        .collect();
    for client in clients {
        client.get().unwrap();
    }
    assert_eq!((timed_out.load(Ordering::Relaxed), finished.load(Ordering::Relaxed)), (10, CLIENTS - 10));
}

/// A client that answers in order with messages between; every hundredth says nothing.
fn converse(mut stream: TcpStream, n: usize) {
    use std::io::Write;
    let silent = n % 100 == 99;
    let read = || {
        let message = read_message(&mut &stream, &new_data_pack(), 4096).unwrap().unwrap();
        (message.get_msg_id(), text(&message))
    };
    (&stream).write_all(&frame(BEGIN, if silent { b"silent" } else { b"" })).unwrap();
    assert_eq!(read(), (QUESTION, "1".to_string()));
    if silent {
        (&stream).write_all(&frame(1, b"only this")).unwrap();
        assert_eq!(read(), (1, "only this".to_string()));
        return;
    }
    let name = format!("client {n}");
    (&stream).write_all(&[frame(1, b"a"), frame(ANSWER, name.as_bytes())].concat()).unwrap();
    assert_eq!(read(), (QUESTION, name.clone()));
    (&stream).write_all(&[frame(1, b"b"), frame(ANSWER, b"!")].concat()).unwrap();
    for expected in [(DONE, "!"), (1, "a"), (1, "b")] {
        assert_eq!(read(), (expected.0, expected.1.to_string()));
    }
    stream.flush().unwrap();
}

const CLIENTS: usize = 1000;
