//! Timeouts: whoever is silent, or slow with a frame, is closed in time, and nobody else.

#![expect(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "tests are plain threads and speak raw sockets"
)]

#[expect(dead_code, reason = "each test file uses its share")]
mod common;

use std::io::{Read, Write};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use common::child::in_child;
use common::phone::Phone;
use common::{ECHO, comes_true, config, frame, pattern, start, start_alone, wait_until};
use zinx::green::Event;
use zinx::ziface::{CloseReason, HeartBeatDirection, HeartBeatOption, IMessage, IRequest, IServer};
use zinx::znet::{IdleAction, Session};
use zinx::{Config, Server, green};

#[test]
fn a_peer_that_sends_nothing_is_closed_at_the_first_frame_timeout() {
    let mut config = config();
    config.first_frame_timeout_ms = 300;
    let running = start(config, |_| {});
    let mut other = running.connect();
    other.check_echo();
    let start = Instant::now();
    let mut silent = running.connect();
    assert_eq!(silent.read_to_end(), b"");
    assert!(start.elapsed() > Duration::from_millis(250), "after {:?}", start.elapsed());
    assert_eq!(running.close_reason(silent.addr()), CloseReason::FirstFrameTimeout);
    // One that has sent a frame may be silent as long as it likes.
    other.check_echo();
}

#[test]
fn a_head_and_then_silence_is_closed_at_the_frame_timeout() {
    let running = start(with_frame_timeout(), |_| {});
    let mut other = running.connect();
    let mut peer = running.connect();
    peer.check_echo();
    let start = Instant::now();
    peer.send(&frame(ECHO, b"never all of it")[..8]);
    assert_eq!(peer.read_to_end(), b"");
    assert!(start.elapsed() > Duration::from_millis(250), "after {:?}", start.elapsed());
    assert_eq!(running.close_reason(peer.addr()), CloseReason::FrameTimeout);
    assert_eq!(running.stop_hooks(peer.addr()), 1);
    // Silent between two frames: no frame has begun.
    other.check_echo();
}

#[test]
fn a_trickle_of_bytes_does_not_put_off_the_frame_timeout() {
    let running = start(with_frame_timeout(), |_| {});
    let mut peer = running.connect();
    let start = Instant::now();
    for byte in frame(ECHO, &pattern(2000)) {
        if running.stop_hooks(peer.addr()) > 0 || peer.stream.write_all(&[byte]).is_err() {
            break;
        }
        thread::sleep(Duration::from_millis(20));
    }
    assert!(start.elapsed() < Duration::from_secs(10), "after {:?}", start.elapsed());
    assert_eq!(running.close_reason(peer.addr()), CloseReason::FrameTimeout);
}

#[test]
fn each_frame_has_its_own_frame_timeout_where_segments_hold_two_halves() {
    let mut config = with_frame_timeout();
    config.frame_timeout_ms = 1000;
    let running = start(config, |_| {});
    let mut peer = running.connect();
    let bytes = frame(ECHO, &pattern(32));
    let (head, tail) = bytes.split_at(20);
    peer.send(head);
    // No frame takes longer than 100 ms, but the connection is never between two frames.
    for _ in 0..25 {
        thread::sleep(Duration::from_millis(100));
        peer.send(&[tail, head].concat());
        assert_eq!(peer.read_exactly(bytes.len()), bytes);
    }
    assert_eq!(running.stop_hooks(peer.addr()), 0);
}

#[test]
fn an_idle_connection_is_closed_at_the_idle_timeout() {
    let running = start(with_idle_timeout(), |_| {});
    let mut peer = running.connect();
    peer.check_echo();
    let start = Instant::now();
    assert_eq!(peer.read_to_end(), b"");
    assert!(start.elapsed() > Duration::from_millis(250), "after {:?}", start.elapsed());
    assert_eq!(running.close_reason(peer.addr()), CloseReason::IdleTimeout);
}

#[test]
fn a_peer_is_not_idle_whose_messages_wait_while_the_server_is_busy() {
    const HOG: u32 = 2;
    let mut config = with_idle_timeout();
    config.workers = 1;
    let begun = Arc::new(AtomicBool::new(false));
    let begins = Arc::clone(&begun);
    // On the one worker nobody reads while this runs.
    let hog = move |_: &dyn IRequest| {
        begins.store(true, Ordering::Release);
        thread::sleep(Duration::from_millis(700));
        Ok(())
    };
    in_child("a_peer_is_not_idle_whose_messages_wait_while_the_server_is_busy", move || {
        let running = start_alone(config, |server| server.add_router(HOG, hog).unwrap());
        let (mut peer, mut other) = (running.connect(), running.connect());
        peer.check_echo();
        other.send(&frame(HOG, b""));
        wait_until("the hog", || begun.load(Ordering::Acquire));
        peer.check_echo();
    });
}

#[test]
fn the_idle_hook_closes_an_idle_connection_after_its_last_words() {
    let running = start(with_idle_timeout(), |server| {
        server.set_on_idle(|conn| {
            conn.send_msg(ECHO, "idle").unwrap();
            IdleAction::Close
        });
    });
    let mut peer = running.connect();
    assert_eq!(peer.read_to_end(), frame(ECHO, b"idle"));
    assert_eq!(running.close_reason(peer.addr()), CloseReason::IdleTimeout);
    assert_eq!(running.stop_hooks(peer.addr()), 1);
}

#[test]
fn the_idle_hook_keeps_an_idle_connection() {
    let calls = Arc::new(AtomicUsize::new(0));
    let called = Arc::clone(&calls);
    let running = start(with_idle_timeout(), |server| {
        server.set_on_idle(move |_| {
            called.fetch_add(1, Ordering::Relaxed);
            IdleAction::Keep
        });
    });
    let mut peer = running.connect();
    let start = Instant::now();
    wait_until("three calls of the idle hook", || calls.load(Ordering::Relaxed) >= 3);
    assert!(start.elapsed() > Duration::from_millis(700), "the idle time does not begin anew");
    peer.check_echo();
    assert_eq!(running.stop_hooks(peer.addr()), 0);
}

#[test]
fn a_connection_that_only_receives_is_idle() {
    let mut config = with_idle_timeout();
    config.max_msg_chan_bytes = 8 << 20;
    let running = start(config, |_| {});
    let mut peer = running.connect();
    let conn = running.conn(peer.addr());
    let addr = peer.addr();
    let ended = Arc::new(AtomicBool::new(false));
    let end = Arc::clone(&ended);
    let reading = thread::spawn(move || {
        let mut bytes = vec![0; 64 << 10];
        while peer.stream.read(&mut bytes).is_ok_and(|n| n > 0) {}
        end.store(true, Ordering::Release);
    });
    // More than the socket takes, so that the connection wakes again and again to send the rest.
    let closed = comes_true(Duration::from_secs(10), || {
        let _ = conn.try_send_msg(ECHO, vec![7; 4 << 20]);
        ended.load(Ordering::Acquire)
    });
    assert!(closed, "kept alive by what it is sent");
    reading.join().unwrap();
    assert_eq!(running.close_reason(addr), CloseReason::IdleTimeout);
}

#[test]
fn a_read_deadline_closes_its_connection_unless_it_is_moved_or_cleared() {
    let running = start(config(), |_| {});
    let mut peers = [(); 4].map(|()| running.connect());
    let conns = peers.each_ref().map(|peer| running.conn(peer.addr()));
    let start = Instant::now();
    let at = start + Duration::from_millis(300);
    conns.iter().for_each(|conn| conn.set_read_deadline(at));
    conns[0].set_read_deadline(None);
    conns[1].set_read_deadline(start + Duration::from_secs(3600));
    conns[2].set_read_deadline(start - Duration::from_millis(1));
    conns[2].set_read_deadline(at);
    for late in &mut peers[2..] {
        assert_eq!(late.read_to_end(), b"");
        assert!(start.elapsed() >= Duration::from_millis(300), "after {:?}", start.elapsed());
        assert_eq!(running.close_reason(late.addr()), CloseReason::ReadDeadline);
    }
    peers[..2].iter_mut().for_each(common::Peer::check_echo);
    // In the past: at once; on a connection that has closed: nothing.
    conns[0].set_read_deadline(start);
    assert_eq!(peers[0].read_to_end(), b"");
    conns[0].set_read_deadline(Instant::now());
    assert_eq!(running.stop_hooks(peers[0].addr()), 1);
}

#[test]
fn a_read_deadline_is_kept_however_much_the_peer_sends() {
    for workers in [0, 2] {
        let mut config = config();
        config.worker_pool_size = workers;
        let running = start_alone(config, |server| {
            server.set_on_conn_start(|conn| {
                conn.set_read_deadline(Instant::now() + Duration::from_millis(300));
                Ok(())
            });
        });
        let mut peer = running.connect();
        let addr = peer.addr();
        let mut sending = peer.stream.try_clone().unwrap();
        let flood = thread::spawn(move || while sending.write_all(&frame(ECHO, &[0; 1000])).is_ok() {});
        // Until the end, or a reset because of what was left unread.
        let _ = peer.stream.read_to_end(&mut Vec::new());
        peer.finish();
        assert_eq!(running.close_reason(addr), CloseReason::ReadDeadline, "{workers} workers");
        flood.join().unwrap();
    }
}

/// A peer whose handler holds on beyond the deadline that it sets, and a witness that it has come.
#[test]
fn what_arrives_while_a_handler_holds_on_may_still_move_the_read_deadline() {
    for workers in [0, 1] {
        let mut config = config();
        config.worker_pool_size = workers;
        let gate = Arc::new(Event::new());
        let opened = Arc::clone(&gate);
        let running = start_alone(config, move |server| {
            let slow = move |request: &dyn IRequest| {
                let conn = request.get_connection();
                conn.set_read_deadline(Instant::now() + Duration::from_millis(100));
                conn.send_msg(FLOOD, "")?;
                opened.wait();
                Ok(())
            };
            let login = |request: &dyn IRequest| {
                request.get_connection().set_read_deadline(Instant::now() + Duration::from_secs(3600));
                request.get_connection().send_msg(LOGIN, "")
            };
            server.add_router(FLOOD, slow).unwrap();
            server.add_router(LOGIN, login).unwrap();
        });
        let (mut peer, mut witness) = (running.connect(), running.connect());
        peer.send(&frame(FLOOD, b""));
        assert_eq!(peer.read_frame(), (FLOOD, vec![]));
        running.conn(witness.addr()).set_read_deadline(Instant::now() + Duration::from_millis(100));
        assert_eq!(witness.read_to_end(), b"");
        peer.send(&frame(LOGIN, b""));
        if workers > 0 {
            // It has been read, and waits for the worker; what comes now is left in the socket.
            wait_until("the last read", || running.server.stats().requests == 2);
        }
        peer.send(&frame(ECHO, b"later"));
        gate.set();
        assert_eq!(peer.read_frame(), (LOGIN, vec![]), "{workers} workers");
        assert_eq!(peer.read_frame(), (ECHO, b"later".to_vec()), "{workers} workers");
    }
}

#[test]
fn a_read_deadline_ends_the_waits_of_sessions_and_calls() {
    let errors = Arc::new(Mutex::new(Vec::new()));
    let (of_call, of_session) = (Arc::clone(&errors), Arc::clone(&errors));
    let running = start_alone(config(), move |server| {
        let ask = move |request: &dyn IRequest| {
            let conn = request.get_connection();
            conn.set_read_deadline(Instant::now() + Duration::from_millis(100));
            let asked = conn.call(FLOOD, "?", LOGIN, Duration::from_secs(3600));
            of_call.lock().unwrap().push(format!("{:?}", asked.unwrap_err()));
            Ok(())
        };
        server.add_router(FLOOD, ask).unwrap();
        let dialogue = move |s: &mut Session| {
            s.get_connection().set_read_deadline(Instant::now() + Duration::from_millis(100));
            let received = s.recv();
            of_session.lock().unwrap().push(format!("{:?}", received.unwrap_err()));
            Ok(())
        };
        server.on_session(dialogue).unwrap();
    });
    let (mut silent, mut asked) = (running.connect(), running.connect());
    asked.send(&frame(FLOOD, b""));
    assert_eq!(asked.read_to_end(), frame(FLOOD, b"?"));
    assert_eq!(silent.read_to_end(), b"");
    for peer in [silent, asked] {
        assert_eq!(running.close_reason(peer.addr()), CloseReason::ReadDeadline);
    }
    assert_eq!(*errors.lock().unwrap(), ["ConnectionClosed"; 3], "the session of the second, too");
}

const LOGIN: u32 = 2;
const FLOOD: u32 = 3;

/// How a peer reads: so many bytes, then a pause, for so long; then all that is left.
const PACES: [(usize, Duration, Duration); 2] = [
    // Without a pause worth the name, to the end: it takes four times the write timeout.
    (15_000, Duration::from_millis(5), Duration::from_secs(60)),
    // So slowly that the socket has room long before it tells, which is when a third of its buffer is free.
    (10_000, Duration::from_millis(50), Duration::from_secs(5)),
];

#[test]
fn a_peer_that_reads_steadily_is_not_cut_however_slowly_it_reads() {
    const FLOOD: u32 = 2;
    let mut config = config();
    config.write_timeout_ms = 1000;
    let running = start(config, |server| {
        let flood = |request: &dyn IRequest| request.get_connection().send_msg(FLOOD, vec![7; 12_000_000]);
        server.add_router(FLOOD, flood).unwrap();
    });
    let read = |(bytes, pause, long)| {
        let mut peer = running.connect();
        peer.send(&frame(FLOOD, b""));
        let (begun, mut buffer, mut left) = (Instant::now(), vec![0; bytes], 12_000_008);
        while left > 0 && begun.elapsed() < long {
            left -= peer.stream.read(&mut buffer).unwrap();
            thread::sleep(pause);
        }
        peer.read_exactly(left);
        peer.check_echo();
        assert!(begun.elapsed() > Duration::from_secs(3), "too fast to tell");
    };
    thread::scope(|scope| PACES.into_iter().for_each(|pace| drop(scope.spawn(move || read(pace)))));
}

const ASK: u32 = 3;
const ANSWER: u32 = 4;
const DONE: u32 = 5;
const FLOOD: u32 = 6;
const STOP: u32 = 7;

/// What every limit is in the next test, and how much longer than that its process is stopped.
const ALLOWED: Duration = Duration::from_secs(3);
const STOPPED: Duration = Duration::from_secs(5);

/// The server and its peers are one process. The peers are within their limits before it is stopped, and afterwards.
#[test]
fn nobody_is_cut_for_time_in_which_the_process_was_stopped() {
    in_child("nobody_is_cut_for_time_in_which_the_process_was_stopped", || {
        let running = start_alone(all_limits(), set_up_for_a_stop);
        let address = running.server.local_addr().unwrap();
        let mut away = Phone::open(address);
        let conn = running.conn(away.stream.local_addr().unwrap());
        away.send(ECHO, b"before");
        away.receive();
        let [mut silent, mut in_frame, mut asked, mut asked_by_another, mut slow, mut stopping] =
            std::array::from_fn(|_| running.connect());
        let mut peers =
            [&mut silent, &mut in_frame, &mut asked, &mut asked_by_another, &mut slow, &mut stopping];
        peers.iter_mut().for_each(|peer| peer.check_echo());
        in_frame.send(&frame(ECHO, b"in two parts")[..12]);
        asked.send(&frame(ASK, b""));
        asked_by_another.send(&frame(ASK, b"by another"));
        for peer in [&mut asked, &mut asked_by_another] {
            assert_eq!(peer.read_frame().0, ASK);
        }
        // Its handler waits for room in a full queue,
        slow.send(&frame(FLOOD, b""));
        // and this one's connection for its queue to leave, before the drain deadline.
        stopping.send(&frame(STOP, b""));
        for peer in [&slow, &stopping] {
            let conn = running.conn(peer.addr());
            wait_until("a full queue", || conn.try_send_msg(FLOOD, vec![0; FLOOD_BYTES]).is_err());
        }
        away.lose(false);
        wait_until("the loss", || conn.is_away());
        let mut late = running.connect();

        stop_this_process_for(STOPPED);

        late.check_echo();
        silent.check_echo();
        in_frame.send(&frame(ECHO, b"in two parts")[12..]);
        assert_eq!(in_frame.read_frame(), (ECHO, b"in two parts".to_vec()));
        for peer in [&mut asked, &mut asked_by_another] {
            peer.send(&frame(ANSWER, b"yes"));
            assert_eq!(peer.read_frame(), (DONE, b"yes".to_vec()));
        }
        away.resume();
        away.send(ECHO, b"and on");
        assert_eq!(away.receive(), (ECHO, b"and on".to_vec()));
        assert!(std::iter::repeat_with(|| slow.read_frame().0).any(|id| id == DONE));
        slow.check_echo();
        assert!(!stopping.read_to_end().is_empty());
        assert_eq!(running.close_reason(stopping.addr()), CloseReason::Stopped);
        let stats = running.server.stats();
        // That of the peer that came back, and the one that asked to be stopped.
        assert_eq!((stats.stop_hooks, stats.unsent_messages), (2, 0));
        // The limits hold as before.
        let begun = Instant::now();
        assert_eq!(running.close_reason(silent.addr()), CloseReason::IdleTimeout);
        assert!(begun.elapsed() < STOPPED, "{:?}", begun.elapsed());
    });
}

const FLOOD_BYTES: usize = 64 << 10;

/// A configuration in which every limit on a peer is [`ALLOWED`].
fn all_limits() -> Config {
    let mut config = config();
    let ms = ALLOWED.as_millis() as u64;
    (config.first_frame_timeout_ms, config.frame_timeout_ms, config.idle_timeout_ms) = (ms, ms, ms);
    (config.write_timeout_ms, config.queue_wait_ms, config.drain_ms, config.resume_ms) = (ms, ms, ms, ms);
    config.max_msg_chan_bytes = 4 * FLOOD_BYTES;
    config
}

fn set_up_for_a_stop(server: &Server) {
    let option = HeartBeatOption::new().direction(HeartBeatDirection::WatchOnly).misses(10);
    server.start_heart_beat_with_option(ALLOWED / 10, option).unwrap();
    let ask = |request: &dyn IRequest| {
        let conn = Arc::clone(request.get_connection());
        let ask = move || {
            let answer = conn.call(ASK, "", ANSWER, ALLOWED)?;
            conn.send_msg(DONE, answer.get_data())
        };
        if request.get_data().is_empty() {
            return ask();
        }
        green::spawn(move || ask().unwrap());
        Ok(())
    };
    server.add_router(ASK, ask).unwrap();
    let flood = |request: &dyn IRequest| {
        (0..512).try_for_each(|_| request.get_connection().send_msg(FLOOD, vec![0; FLOOD_BYTES]))?;
        request.get_connection().send_msg(DONE, "")
    };
    server.add_router(FLOOD, flood).unwrap();
    let stop = |request: &dyn IRequest| {
        let conn = request.get_connection();
        while conn.try_send_msg(FLOOD, vec![0; FLOOD_BYTES]).is_ok() {}
        conn.stop();
        Ok(())
    };
    server.add_router(STOP, stop).unwrap();
}

/// Another process stops this one, and lets it go on.
fn stop_this_process_for(time: Duration) {
    let script = format!("kill -STOP $0; sleep {}; kill -CONT $0", time.as_secs());
    let begun = Instant::now();
    let mut other = std::process::Command::new("sh");
    assert!(other.args(["-c", &script, &std::process::id().to_string()]).status().unwrap().success());
    assert!(begun.elapsed() >= time);
}

fn with_frame_timeout() -> Config {
    let mut config = config();
    config.frame_timeout_ms = 300;
    config
}

fn with_idle_timeout() -> Config {
    let mut config = config();
    config.idle_timeout_ms = 300;
    config
}
