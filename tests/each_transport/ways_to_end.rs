//! How connections end: by a word of the peer, of the server, of the program; what still arrives then; hooks once each.

use std::sync::{Arc, Barrier, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use zinx::green;
use zinx::ziface::{CloseReason, IRequest, TransportKind};

use crate::common::{ECHO, frame, pattern, wait_until};
use crate::served::{start, start_alone_with, start_with};

/// The message id of the handlers that are not the echo.
const SPECIAL: u32 = 2;

const LONG: Duration = Duration::from_secs(20);

/// Each peer can say that it sends nothing more, and is answered still: by FIN, close_notify, a close of WebSocket, or our
/// end of KCP.
pub(crate) fn an_end_after_whole_frames_still_delivers_the_replies(kind: TransportKind) {
    let served = start(kind, |_| {});
    let mut peer = served.connect();
    let requests: Vec<u8> = (0..100_u32).flat_map(|n| frame(ECHO, &n.to_le_bytes())).collect();
    peer.send(&requests);
    peer.finish();
    assert_eq!(peer.read_to_end(), requests);
    assert_eq!(served.close_reason(peer.addr()), CloseReason::PeerClosed);
    assert_eq!(served.stop_hooks(peer.addr()), 1);
}

pub(crate) fn an_end_while_the_handler_waits_still_delivers_the_reply(kind: TransportKind) {
    let may_answer = Arc::new(green::Event::new());
    let waits_for = Arc::clone(&may_answer);
    let served = start(kind, |server| {
        let router = move |request: &dyn IRequest| {
            request.get_connection().send_msg(SPECIAL, "begun")?;
            assert!(waits_for.wait_timeout(LONG));
            request.get_connection().send_msg(SPECIAL, "late")
        };
        server.add_router(SPECIAL, router).unwrap();
    });
    let mut peer = served.connect();
    peer.send(&frame(SPECIAL, b""));
    assert_eq!(peer.read_frame(), (SPECIAL, b"begun".to_vec()));
    peer.finish();
    may_answer.set();
    assert_eq!(peer.read_to_end(), frame(SPECIAL, b"late"));
    assert_eq!(served.close_reason(peer.addr()), CloseReason::PeerClosed);
}

pub(crate) fn an_end_inside_a_frame_calls_no_handler_and_the_stop_hook_once(kind: TransportKind) {
    let served = start(kind, |_| {});
    let bytes = frame(ECHO, &pattern(6));
    for received in 1..bytes.len() {
        let mut peer = served.connect();
        peer.send(&bytes[..received]);
        peer.finish();
        assert_eq!(peer.read_to_end(), b"", "{received} bytes");
        assert_eq!(served.close_reason(peer.addr()), CloseReason::PeerClosedInFrame { received });
        assert_eq!(served.stop_hooks(peer.addr()), 1);
    }
}

/// A reset of TCP is noticed at once; a peer of KCP is missed.
pub(crate) fn a_peer_that_is_gone_without_a_word_is_found(kind: TransportKind) {
    let is_missed = kind == TransportKind::Kcp;
    let change = |config: &mut zinx::Config| config.idle_timeout_ms = if is_missed { 1_000 } else { 0 };
    let served = start_with(kind, change, |_| {});
    let mut peer = served.connect();
    let addr = peer.addr();
    if !is_missed {
        // The handshake is over then.
        peer.check_echo();
    }
    peer.cut();
    let reason = served.close_reason(addr);
    let is_right = match kind {
        TransportKind::Kcp => reason == CloseReason::IdleTimeout,
        _ => matches!(reason, CloseReason::Failed { .. }),
    };
    assert!(is_right, "{reason}");
    assert_eq!(served.stop_hooks(addr), 1);
    wait_until("another to be served", || {
        let (begun, mut echo) = (Instant::now(), [0; 9]);
        let io = served.try_connect().and_then(|mut peer| {
            peer.stream.write_all(&frame(ECHO, b"x"))?;
            peer.stream.flush()?;
            peer.stream.read_exact(&mut echo)
        });
        // On a busy machine one that is missed may have been silent for too long.
        assert!(io.is_ok() || is_missed && begun.elapsed() >= Duration::from_secs(1), "{io:?}");
        assert!(io.is_err() || echo == *frame(ECHO, b"x"));
        io.is_ok()
    });
}

pub(crate) fn hooks_frame_the_handlers_once_each(kind: TransportKind) {
    let (steps, sent) = (Arc::new(Mutex::new(Vec::new())), Arc::new(green::Event::new()));
    let note = || {
        let steps = Arc::clone(&steps);
        move |step: &str| steps.lock().unwrap().push(step.to_string())
    };
    let (start, handler, stop, theirs) = (note(), note(), note(), Arc::clone(&sent));
    let served = start_alone_with(
        kind,
        |_| {},
        |server| {
            server.set_on_conn_start(move |_| {
                assert!(theirs.wait_timeout(LONG));
                start("start");
                Ok(())
            });
            server.set_on_conn_stop(move |_| {
                stop("stop");
                Ok(())
            });
            let router = move |request: &dyn IRequest| {
                green::yield_now();
                handler(std::str::from_utf8(request.get_data()).unwrap());
                Ok(())
            };
            server.add_router(SPECIAL, router).unwrap();
        },
    );
    let mut peer = served.connect();
    ["1", "2", "3"].iter().for_each(|request| peer.send(&frame(SPECIAL, request.as_bytes())));
    peer.finish();
    sent.set();
    assert_eq!(peer.read_to_end(), b"");
    drop(peer);
    let stats = served.stop();
    assert_eq!(*steps.lock().unwrap(), ["start", "1", "2", "3", "stop"]);
    assert_eq!((stats.start_hooks, stats.stop_hooks), (1, 1));
}

pub(crate) fn last_words_of_the_stop_hook_are_delivered(kind: TransportKind) {
    let served = start(kind, |server| {
        server.set_on_conn_stop(|conn| {
            assert!(conn.is_alive());
            for _ in 0..300 {
                conn.send_msg(SPECIAL, [9; 1000])?;
            }
            conn.send_msg(SPECIAL, "bye")
        });
    });
    let mut peer = served.connect();
    peer.check_echo();
    peer.finish();
    for n in 0..300 {
        assert!(peer.read_frame() == (SPECIAL, vec![9; 1000]), "message {n}");
    }
    assert_eq!(peer.read_to_end(), frame(SPECIAL, b"bye"));
    assert_eq!(served.server.stats().unsent_messages, 0);
}

pub(crate) fn a_stop_of_the_server_drains_what_was_read(kind: TransportKind) {
    let drain = |config: &mut zinx::Config| config.drain_ms = 20_000;
    let (reads, may_answer) = (Arc::new(green::Event::new()), Arc::new(green::Event::new()));
    let (begun, waits_for) = (Arc::clone(&reads), Arc::clone(&may_answer));
    let served = start_alone_with(kind, drain, |server| {
        let router = move |request: &dyn IRequest| {
            begun.set();
            assert!(waits_for.wait_timeout(LONG));
            request.get_connection().send_msg(SPECIAL, pattern(4000))
        };
        server.add_router(SPECIAL, router).unwrap();
    });
    let mut peer = served.connect();
    let requests: Vec<_> = (0..100_u32).map(|n| frame(ECHO, &n.to_le_bytes())).collect();
    // As one piece, so that all have been read once the first handler has begun.
    peer.send(&[frame(SPECIAL, b""), requests.concat()].concat());
    assert!(reads.wait_timeout(LONG));
    let stopping = thread::spawn(move || served.stop());
    may_answer.set();
    assert_eq!(peer.read_frame(), (SPECIAL, pattern(4000)));
    requests.iter().for_each(|request| assert_eq!(&peer.read_exactly(request.len()), request));
    assert_eq!(peer.read_to_end(), b"");
    drop(peer);
    let stats = stopping.join().unwrap();
    assert_eq!((stats.start_hooks, stats.stop_hooks, stats.requests), (1, 1, 101));
    assert_eq!(stats.unsent_messages, 0);
}

pub(crate) fn a_stop_of_the_connection_answers_what_was_read(kind: TransportKind) {
    let served = start(kind, |server| {
        let router = |request: &dyn IRequest| {
            request.get_connection().stop();
            request.get_connection().send_msg(SPECIAL, request.get_data())
        };
        server.add_router(SPECIAL, router).unwrap();
    });
    let mut peer = served.connect();
    let requests: Vec<u8> = (0..100_u32).flat_map(|n| frame(SPECIAL, &n.to_le_bytes())).collect();
    peer.send(&requests);
    assert_eq!(peer.read_to_end(), requests);
    assert_eq!(served.close_reason(peer.addr()), CloseReason::Stopped);
    assert_eq!(served.stop_hooks(peer.addr()), 1);
}

pub(crate) fn three_closes_at_once_run_the_stop_hook_once(kind: TransportKind) {
    const ROUNDS: usize = 20;
    let served = start_with(kind, |_| {}, |_| {});
    for round in 0..ROUNDS {
        let mut peer = served.connect();
        let (conn, addr) = (served.conn(peer.addr()), peer.addr());
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
        wait_until("the stop hook", || served.stop_hooks(addr) == 1);
    }
    let stats = served.stop();
    assert_eq!((stats.start_hooks, stats.stop_hooks), (ROUNDS + 1, ROUNDS + 1));
}
