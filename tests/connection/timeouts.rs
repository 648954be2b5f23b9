//! Timeouts: a peer that is silent, or slow with a frame, is closed in time, and no other is.

use std::io::{Read, Write};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use crate::common::child::in_child;
use crate::common::in_time::in_time;
use crate::common::{ECHO, comes_true, config, frame, pattern, start, start_alone, wait_until};
use zinx::Config;
use zinx::green::Event;
use zinx::ziface::{CloseReason, IRequest};
use zinx::znet::{IdleAction, Session};

#[test]
fn a_peer_that_sends_nothing_is_closed_at_the_first_frame_timeout() {
    let mut config = config();
    config.first_frame_timeout_ms = 300;
    let running = start(config, |_| {});
    let mut other = running.greeted();
    closes_no_earlier(|| {
        let start = Instant::now();
        let mut silent = running.connect();
        assert_eq!(silent.read_to_end(), b"");
        assert_eq!(running.close_reason(silent.addr()), CloseReason::FirstFrameTimeout);
        start
    });
    // One that has sent a frame may be silent as long as it likes.
    other.check_echo();
}

#[test]
fn a_head_and_then_silence_is_closed_at_the_frame_timeout() {
    let running = start(with_frame_timeout(), |_| {});
    let mut other = running.connect();
    closes_no_earlier(|| {
        let mut peer = running.connect();
        peer.check_echo();
        let start = Instant::now();
        peer.send(&frame(ECHO, b"never all of it")[..8]);
        assert_eq!(peer.read_to_end(), b"");
        assert_eq!(running.close_reason(peer.addr()), CloseReason::FrameTimeout);
        assert_eq!(running.stop_hooks(peer.addr()), 1);
        start
    });
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
    // All of it would take twice as long.
    assert!(start.elapsed() < Duration::from_secs(20), "after {:?}", start.elapsed());
    assert_eq!(running.close_reason(peer.addr()), CloseReason::FrameTimeout);
}

#[test]
fn each_frame_has_its_own_frame_timeout_where_segments_hold_two_halves() {
    let mut config = with_frame_timeout();
    config.frame_timeout_ms = 1000;
    let running = start(config, |_| {});
    let bytes = frame(ECHO, &pattern(32));
    let (head, tail) = bytes.split_at(20);
    in_time(|| {
        let (mut peer, mut begun) = (running.connect(), Instant::now());
        peer.send(head);
        // No frame takes longer than 100 ms, but the connection is never between two frames.
        for _ in 0..25 {
            thread::sleep(Duration::from_millis(100));
            let next = Instant::now();
            let mut echoed = vec![0; bytes.len()];
            let sent = peer.stream.write_all(&[tail, head].concat());
            let answered = sent.and_then(|()| peer.stream.read_exact(&mut echoed));
            // On a busy machine one may.
            (answered.is_ok() || begun.elapsed() < Duration::from_millis(800)).then(|| answered.unwrap())?;
            assert_eq!(echoed, bytes);
            begun = next;
        }
        // The half that comes last may be late on a busy machine, too.
        let is_open = running.stop_hooks(peer.addr()) == 0;
        assert!(is_open || begun.elapsed() >= Duration::from_millis(800));
        is_open.then_some(())
    });
}

/// The sweeper reads the clock every 37 ms: what comes in between is noted as if it had come then.
#[test]
fn no_connection_is_idle_before_its_time_whenever_it_was_last_heard_of() {
    const AT_LEAST: Duration = Duration::from_millis(290);
    let running = start_alone(with_idle_timeout(), |_| {});
    for n in 0..8 {
        thread::sleep(Duration::from_millis(5 * n));
        let (mut peer, start) = in_time(|| {
            let (begun, mut peer) = (Instant::now(), running.connect());
            let was_answered = peer.is_answered();
            let start = Instant::now();
            let is_answered = was_answered && peer.is_answered();
            // On a busy machine it may be idle before it sends.
            assert!(is_answered || begun.elapsed() >= AT_LEAST, "{n}: {:?}", begun.elapsed());
            is_answered.then_some((peer, start))
        });
        assert_eq!(peer.read_to_end(), b"");
        let after = start.elapsed();
        assert!(after >= AT_LEAST, "{n}: {after:?}");
        assert_eq!(running.close_reason(peer.addr()), CloseReason::IdleTimeout);
    }
}

#[test]
fn an_idle_connection_is_closed_at_the_idle_timeout() {
    let running = start(with_idle_timeout(), |_| {});
    closes_no_earlier(|| {
        let start = Instant::now();
        let mut peer = running.greeted();
        assert_eq!(peer.read_to_end(), b"");
        assert_eq!(running.close_reason(peer.addr()), CloseReason::IdleTimeout);
        start
    });
}

#[test]
fn a_peer_is_not_idle_whose_messages_wait_while_the_server_is_busy() {
    const HOG: u32 = 2;
    let mut config = with_idle_timeout();
    config.workers = 1;
    let [begun, sent] = [(); 2].map(|()| Arc::new(AtomicBool::new(false)));
    let (begins, is_sent) = (Arc::clone(&begun), Arc::clone(&sent));
    // On the one worker nothing is read while this runs.
    let hog = move |_: &dyn IRequest| {
        begins.store(true, Ordering::Release);
        while !is_sent.load(Ordering::Acquire) {
            thread::sleep(Duration::from_millis(1));
        }
        thread::sleep(Duration::from_millis(700));
        Ok(())
    };
    in_child("timeouts::a_peer_is_not_idle_whose_messages_wait_while_the_server_is_busy", move || {
        let running = start_alone(config, |server| server.add_router(HOG, hog).unwrap());
        let mut peer = in_time(|| {
            let (mut other, mut peer, start) = (running.greeted(), running.connect(), Instant::now());
            peer.is_answered().then_some(())?;
            [&begun, &sent].into_iter().for_each(|flag| flag.store(false, Ordering::Release));
            let asked = other.stream.write_all(&frame(HOG, b""));
            // On a busy machine it has been idle before its turn, or the peer is before it sends.
            let holds = comes_true(Duration::from_secs(1), || begun.load(Ordering::Acquire));
            let asked = asked.and_then(|()| peer.stream.write_all(&frame(ECHO, b"waits")));
            let is_in_time = start.elapsed() < Duration::from_millis(200);
            sent.store(true, Ordering::Release);
            (holds && asked.is_ok() && is_in_time).then_some(peer)
        });
        assert_eq!(peer.read_frame(), (ECHO, b"waits".to_vec()));
    });
}

#[test]
fn the_idle_hook_closes_an_idle_connection_after_its_last_words() {
    let running = start_alone(with_idle_timeout(), |server| {
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
        server.set_on_idle(move |conn| {
            // On a busy machine the healthy client, the first, is idle too.
            called.fetch_add(usize::from(conn.get_conn_id() > 0), Ordering::Relaxed);
            IdleAction::Keep
        });
    });
    let start = Instant::now();
    let mut peer = running.connect();
    wait_until("three calls of the idle hook", || calls.load(Ordering::Relaxed) >= 3);
    assert!(start.elapsed() > Duration::from_millis(700), "the idle time does not begin again");
    peer.check_echo();
    assert_eq!(running.stop_hooks(peer.addr()), 0);
}

#[test]
fn a_connection_that_only_receives_is_idle() {
    let mut config = with_idle_timeout();
    config.max_msg_chan_bytes = 8 << 20;
    let (tell, told) = mpsc::channel();
    let tell = Mutex::new(tell);
    let running = start(config, |server| {
        server.set_on_conn_start(move |conn| {
            // The test may be over.
            let _ = tell.lock().unwrap().send(Arc::clone(conn));
            Ok(())
        });
    });
    let mut peer = running.connect();
    let addr = peer.addr();
    let conn = told.iter().find(|conn| conn.get_remote_addr() == addr).unwrap();
    let ended = Arc::new(AtomicBool::new(false));
    let end = Arc::clone(&ended);
    let reading = thread::spawn(move || {
        let mut bytes = vec![0; 64 << 10];
        while peer.stream.read(&mut bytes).is_ok_and(|n| n > 0) {}
        end.store(true, Ordering::Release);
    });
    // More than the socket takes, so that the connection wakes again and again to send the rest.
    let closed = comes_true(Duration::from_secs(30), || {
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
    let (mut peers, conns, start) = in_time(|| {
        let peers = [(); 4].map(|()| running.connect());
        let conns = peers.each_ref().map(|peer| running.conn(peer.addr()));
        let start = Instant::now();
        let at = start + Duration::from_millis(300);
        conns.iter().for_each(|conn| conn.set_read_deadline(at));
        conns[0].set_read_deadline(None);
        conns[1].set_read_deadline(start + Duration::from_secs(3600));
        let moved = Instant::now();
        conns[2].set_read_deadline(start - Duration::from_millis(1));
        conns[2].set_read_deadline(at);
        // On a busy machine one may have come before it was moved.
        let is_in_time = moved.elapsed() < Duration::from_millis(1) && Instant::now() < at;
        is_in_time.then_some((peers, conns, start))
    });
    for late in &mut peers[2..] {
        assert_eq!(late.read_to_end(), b"");
        assert!(start.elapsed() >= Duration::from_millis(300), "after {:?}", start.elapsed());
        assert_eq!(running.close_reason(late.addr()), CloseReason::ReadDeadline);
    }
    peers[..2].iter_mut().for_each(crate::common::Peer::check_echo);
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
            // The second has a deadline once it is asked, however late a busy machine lets it send what it is asked for.
            let within = if s.get_connection().get_conn_id() == 0 { 100 } else { 3_600_000 };
            s.get_connection().set_read_deadline(Instant::now() + Duration::from_millis(within));
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

/// Each of these connections, whose limit is 300 ms, is closed, but no earlier. The server's clock may be late on a busy
/// machine, and then it is early by as much, but not each time.
fn closes_no_earlier(close: impl Fn() -> Instant) {
    in_time(|| (close().elapsed() > Duration::from_millis(250)).then_some(()));
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
