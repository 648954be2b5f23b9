//! A session as one loop, and the raw stream in the midst of frames.

use std::io::{BufRead, Read};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use zinx::green;
use zinx::prelude::*;
use zinx::ziface::CloseReason;

use crate::common::{ECHO, config, frame, start, start_alone, uploads, wait_until};

const HELLO: u32 = 2;
const QUESTION: u32 = 3;
const ANSWER: u32 = 4;
const DONE: u32 = 5;
const RAW: u32 = 6;

const LONG: Duration = Duration::from_secs(20);

#[test]
fn a_whole_dialogue_in_one_function_with_routers_beside_it() {
    let running = start_alone(config(), |server| {
        let dialogue = |s: &mut Session| {
            let name = s.with_timeout(LONG, |s| s.recv_id(HELLO))?;
            s.send(HELLO, format!("hello {}", String::from_utf8_lossy(name.get_data())))?;
            let age = s.ask(QUESTION, "age?", ANSWER)?;
            s.send(DONE, age.get_data())?;
            let rest = [s.recv()?, s.recv()?];
            s.send(DONE, rest.map(|message| message.get_data().to_vec()).concat())
        };
        server.on_session(dialogue).unwrap();
        assert!(matches!(server.on_session(|_| Ok(())), Err(Error::AlreadyStarted { .. })));
    });
    let mut peer = running.connect();
    // Two that were not asked for yet come first, and an echo for the router.
    peer.send(&[frame(50, b"x"), frame(ECHO, b"a"), frame(51, b"y"), frame(HELLO, b"Ann")].concat());
    assert_eq!(peer.read_frame(), (ECHO, b"a".to_vec()));
    assert_eq!(peer.read_frame(), (HELLO, b"hello Ann".to_vec()));
    assert_eq!(peer.read_frame(), (QUESTION, b"age?".to_vec()));
    peer.send(&[frame(ECHO, b"b"), frame(ANSWER, b"7")].concat());
    assert_eq!(peer.read_frame(), (DONE, b"7".to_vec()));
    assert_eq!(peer.read_frame(), (ECHO, b"b".to_vec()), "kept while the answer was waited for");
    assert_eq!(peer.read_frame(), (DONE, b"xy".to_vec()));
    assert_eq!(peer.read_to_end(), b"");
    assert_eq!(running.close_reason(peer.addr()), CloseReason::SessionEnded);
}

#[test]
fn time_limits_nest_and_the_earlier_end_counts() {
    let mut config = config();
    config.call_grace_ms = 600_000;
    let running = start_alone(config, |server| {
        let dialogue = |s: &mut Session| {
            let short = Duration::from_millis(20);
            for (outer, inner) in [(short, LONG), (LONG, short)] {
                let result = s.with_timeout(outer, |s| s.with_timeout(inner, Session::recv));
                assert!(matches!(result, Err(Error::TimedOut { what: "recv", .. })), "{result:?}");
                let result = s.with_timeout(short, |s| s.ask(QUESTION, "?", ANSWER));
                assert!(matches!(result, Err(Error::TimedOut { what: "call", .. })), "{result:?}");
            }
            s.send(QUESTION, "Well?")?;
            // Without a limit around it waits again.
            let message = s.recv()?;
            s.send(DONE, message.get_data())
        };
        server.on_session(dialogue).unwrap();
    });
    let mut peer = running.connect();
    // The second time it is not asked: within its time, a late answer to the first may still come.
    assert_eq!(peer.read_frame(), (QUESTION, b"?".to_vec()));
    assert_eq!(peer.read_frame(), (QUESTION, b"Well?".to_vec()));
    peer.send(&frame(50, b"at last"));
    assert_eq!(peer.read_frame(), (DONE, b"at last".to_vec()));
    assert_eq!(peer.read_to_end(), b"");
}

#[test]
fn a_time_limit_ends_with_its_stretch_also_if_that_unwinds() {
    let running = start_alone(config(), |server| {
        let dialogue = |s: &mut Session| {
            let stretch = || s.with_timeout(Duration::from_millis(200), Session::recv);
            let ended = green::with_timeout(Duration::from_millis(20), stretch);
            // On a busy machine either may be over first.
            assert!(!matches!(ended, Ok(Ok(_))), "{ended:?}");
            green::sleep(Duration::from_millis(200));
            s.send(QUESTION, "Well?")?;
            let message = s.recv()?;
            s.send(DONE, message.get_data())
        };
        server.on_session(dialogue).unwrap();
    });
    let mut peer = running.connect();
    assert_eq!(peer.read_frame(), (QUESTION, b"Well?".to_vec()));
    peer.send(&frame(50, b"at last"));
    assert_eq!(peer.read_frame(), (DONE, b"at last".to_vec()));
}

#[test]
fn a_time_limit_holds_while_the_late_answer_to_an_earlier_question_is_waited_for() {
    let mut config = config();
    config.call_grace_ms = 600_000;
    let (tell, told) = mpsc::channel();
    let tell = Mutex::new(tell);
    let running = start_alone(config, |server| {
        let dialogue = move |s: &mut Session| {
            for _ in 0..2 {
                let result = s.with_timeout(Duration::from_millis(20), |s| s.ask(QUESTION, "?", ANSWER));
                tell.lock().unwrap().send(result.unwrap_err().to_string()).unwrap();
            }
            Ok(())
        };
        server.on_session(dialogue).unwrap();
    });
    let mut peer = running.connect();
    for _ in 0..2 {
        let error = told.recv_timeout(LONG).unwrap();
        assert!(error.starts_with("call: nothing came within "), "{error}");
    }
    assert_eq!(peer.read_frame().0, QUESTION);
    assert_eq!(peer.read_to_end(), b"", "the second was not asked");
}

#[test]
fn a_time_limit_holds_while_the_peer_does_not_read() {
    let mut config = config();
    (config.queue_wait_ms, config.write_timeout_ms) = (600_000, 0);
    let (tell, told) = mpsc::channel();
    let tell = Mutex::new(tell);
    let running = start_alone(config, |server| {
        let dialogue = move |s: &mut Session| {
            let sent = loop {
                let sent = s.with_timeout(Duration::from_millis(20), |s| s.send(DONE, vec![0; 30_000]));
                if sent.is_err() {
                    break sent;
                }
            };
            tell.lock().unwrap().send(sent.unwrap_err().to_string()).unwrap();
            Ok(())
        };
        server.on_session(dialogue).unwrap();
    });
    let _peer = running.connect();
    let error = told.recv_timeout(LONG).unwrap();
    assert!(error.starts_with("send: nothing came within "), "{error}");
}

#[test]
fn messages_of_a_session_count_as_those_of_handlers() {
    let running = start_alone(config(), |server| {
        server.on_session(|s| s.recv_id(50).and_then(|_| s.recv()).map(drop)).unwrap();
    });
    let mut peer = running.connect();
    peer.send(&[frame(51, b"kept"), frame(ECHO, b"a"), frame(50, b"")].concat());
    assert_eq!(peer.read_frame(), (ECHO, b"a".to_vec()));
    assert_eq!(peer.read_to_end(), b"");
    assert_eq!(running.server.stats().requests, 3);
}

#[test]
fn a_time_limit_that_ends_while_the_peer_is_over_its_rate_costs_no_message() {
    let mut config = config();
    config.rate_messages = 2;
    let running = start_alone(config, |server| {
        let dialogue = |s: &mut Session| -> Result<()> {
            loop {
                // Much shorter than the rest that the peer is given.
                if let Ok(message) = green::with_timeout(Duration::from_millis(20), || s.recv()) {
                    s.send(DONE, message?.get_data())?;
                }
            }
        };
        server.on_session(dialogue).unwrap();
    });
    let mut peer = running.connect();
    peer.send(&(0..5).flat_map(|n| frame(50, &[n])).collect::<Vec<_>>());
    for n in 0..5 {
        assert_eq!(peer.read_frame(), (DONE, vec![n]));
    }
}

#[test]
fn a_time_limit_that_ends_while_the_worker_is_busy_costs_no_message() {
    let mut config = config();
    (config.worker_pool_size, config.max_worker_task_len) = (1, 1);
    let (is_busy, may_go_on) = (Arc::new(green::Event::new()), Arc::new(green::Event::new()));
    let limits_ended = Arc::new(AtomicUsize::new(0));
    let (says_so, waits_for, counts) = (is_busy.clone(), may_go_on.clone(), limits_ended.clone());
    let running = start_alone(config, move |server| {
        let slow = move |request: &dyn IRequest| {
            says_so.set();
            waits_for.wait();
            request.get_connection().send_msg(DONE, request.get_data())
        };
        server.add_router(QUESTION, slow).unwrap();
        let dialogue = move |s: &mut Session| -> Result<()> {
            loop {
                match green::with_timeout(Duration::from_millis(20), || s.recv()) {
                    Ok(message) => drop(message?),
                    Err(_) => drop(counts.fetch_add(1, Ordering::AcqRel)),
                }
            }
        };
        server.on_session(dialogue).unwrap();
    });
    let mut peer = running.connect();
    peer.send(&(0..5).flat_map(|n| frame(QUESTION, &[n])).collect::<Vec<_>>());
    is_busy.wait();
    let before = limits_ended.load(Ordering::Acquire);
    wait_until("some limits to end", || limits_ended.load(Ordering::Acquire) >= before + 5);
    may_go_on.set();
    for n in 0..5 {
        assert_eq!(peer.read_frame(), (DONE, vec![n]));
    }
    // Counted once queued, which may be after the answer.
    assert_eq!(running.stop().requests, 5);
}

#[test]
fn sessions_end_with_their_connection_by_error_and_by_panic() {
    let (tell, told) = mpsc::channel();
    let tell = Mutex::new(tell);
    let running = start_alone(config(), |server| {
        let dialogue = move |s: &mut Session| {
            let message = s.recv();
            tell.lock().unwrap().send(message.as_ref().err().map(ToString::to_string)).unwrap();
            match &message?.get_data()[..] {
                b"panic" => panic!("on purpose"),
                _ => Err(Error::other("on purpose")),
            }
        };
        server.on_session(dialogue).unwrap();
    });
    let failed = |error: &str| CloseReason::SessionFailed { error: error.to_string() };
    for (data, reason) in [("panic", failed("panicked: on purpose")), ("error", failed("on purpose"))] {
        let mut peer = running.connect();
        peer.send(&frame(50, data.as_bytes()));
        assert_eq!(peer.read_to_end(), b"");
        assert_eq!(running.close_reason(peer.addr()), reason);
        assert_eq!(told.recv_timeout(LONG).unwrap(), None);
    }
    let peer = running.connect();
    peer.finish();
    assert_eq!(told.recv_timeout(LONG).unwrap().as_deref(), Some("the connection is closed"));
    assert_eq!(running.close_reason(peer.addr()), CloseReason::PeerClosed);
    let mut waiting = running.connect();
    waiting.check_echo();
    running.server.stop();
    assert_eq!(told.recv_timeout(LONG).unwrap().as_deref(), Some("the connection is closed"));
}

#[test]
fn an_idle_session_is_found_as_any_idle_connection() {
    let mut config = config();
    config.idle_timeout_ms = 100;
    let running = start_alone(config, |server| server.on_session(|s| s.recv().map(drop)).unwrap());
    let mut peer = running.connect();
    assert_eq!(peer.read_to_end(), b"");
    assert_eq!(running.close_reason(peer.addr()), CloseReason::IdleTimeout);
}

#[test]
fn a_session_belongs_to_its_coroutine() {
    let running = start_alone(config(), |server| {
        let dialogue = |s: &mut Session| {
            let conn = Arc::clone(s.get_connection());
            let elsewhere = green::spawn(move || conn.take_over(|_| Ok(())));
            let result = elsewhere.get().unwrap();
            assert!(matches!(result, Err(Error::NotOnConnection { what: "take_over" })), "{result:?}");
            s.send(DONE, "")
        };
        server.on_session(dialogue).unwrap();
    });
    assert_eq!(running.connect().read_frame().0, DONE);
}

#[test]
fn the_raw_stream_begins_behind_its_message_and_ends_before_the_next() {
    let running = start(config(), |server| server.add_router(RAW, uploads::upload).unwrap());
    for len in [0, 1, 4000, 300_000] {
        for cut in uploads::cuts(len) {
            uploads::check_upload(&mut running.connect(), RAW, len, cut);
        }
    }
}

#[test]
fn the_raw_stream_ends_with_the_connection_and_with_its_own_timeout() {
    let (tell, told) = mpsc::channel();
    let tell = Mutex::new(tell);
    let running = start(config(), |server| {
        let read = move |request: &dyn IRequest| {
            let say = |what: String| tell.lock().unwrap().send(what).unwrap();
            let result = request.get_connection().take_over(|stream| {
                match &request.get_data()[..] {
                    b"quick" => stream.set_timeout(Some(Duration::from_millis(20))),
                    b"begun?" => say("begun".to_string()),
                    _ => {}
                }
                Ok(stream.read(&mut [0; 10])?)
            });
            say(match result {
                Ok(n) => format!("{n} bytes"),
                Err(Error::Io { source, .. }) => format!("{:?}", source.kind()),
                Err(error) => error.to_string(),
            });
            Ok(())
        };
        server.add_router(RAW, read).unwrap();
    });
    let mut peer = running.connect();
    peer.send(&frame(RAW, b"quick"));
    assert_eq!(told.recv_timeout(LONG).unwrap(), "TimedOut");
    peer.check_echo();
    peer.send(&frame(RAW, b""));
    peer.send(b"12345");
    assert_eq!(told.recv_timeout(LONG).unwrap(), "5 bytes");
    peer.send(&frame(RAW, b""));
    peer.finish();
    assert_eq!(told.recv_timeout(LONG).unwrap(), "0 bytes");
    assert_eq!(peer.read_to_end(), b"");

    let mut peer = running.connect();
    peer.send(&frame(RAW, b"begun?"));
    assert_eq!(told.recv_timeout(LONG).unwrap(), "begun");
    running.conn(peer.addr()).stop();
    assert_eq!(told.recv_timeout(LONG).unwrap(), "ConnectionAborted");
}

#[test]
fn a_byte_that_was_only_looked_at_stays_in_the_stream() {
    let running = start(config(), |server| {
        let look = |request: &dyn IRequest| {
            let conn = request.get_connection();
            conn.send_msg(DONE, "go on")?;
            let first = conn.take_over(|stream| Ok(stream.by_byte().fill_buf()?[0]))?;
            conn.send_msg(DONE, [first])
        };
        server.add_router(RAW, look).unwrap();
    });
    let mut peer = running.connect();
    for is_there_before in [true, false] {
        let (raw, echo) = (frame(RAW, b""), frame(ECHO, b"whole"));
        let at_once = if is_there_before { [&raw[..], &echo].concat() } else { raw };
        peer.send(&at_once);
        assert_eq!(peer.read_frame(), (DONE, b"go on".to_vec()));
        if !is_there_before {
            peer.send(&echo);
        }
        assert_eq!(peer.read_frame(), (DONE, vec![5]), "the length of the frame");
        assert_eq!(peer.read_frame(), (ECHO, b"whole".to_vec()));
    }
}
