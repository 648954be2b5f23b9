//! Calls, sessions as loops, groups, heartbeats.

use std::io::{ErrorKind, Write};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use zinx::prelude::*;
use zinx::ziface::{
    CloseReason, HEART_BEAT_DEFAULT_MSG_ID, HeartBeatDirection, HeartBeatOption, TransportKind,
};
use zinx::znet::Broadcast;

use crate::common::{ECHO, frame, pattern, uploads, wait_until};
use crate::served::{Peer, Served, start, start_alone_with, start_with};

const BEGIN: u32 = 2;
const QUESTION: u32 = 3;
const ANSWER: u32 = 4;
const DONE: u32 = 5;

const LONG: Duration = Duration::from_secs(20);

// Calls.

fn ask_twice(request: &dyn IRequest) -> Result<()> {
    let conn = request.get_connection();
    let first = conn.call(QUESTION, "name?", ANSWER, LONG)?;
    let name = String::from_utf8_lossy(first.get_data()).into_owned();
    let second = conn.call(QUESTION, format!("age of {name}?"), ANSWER, LONG)?;
    conn.send_msg(DONE, format!("{name} is {}", String::from_utf8_lossy(second.get_data())))
}

pub(crate) fn a_handler_asks_and_what_came_between_is_handled_after_in_order(kind: TransportKind) {
    let served = start(kind, |server| server.add_router(BEGIN, ask_twice).unwrap());
    let mut peer = served.connect();
    peer.send(&[frame(BEGIN, b""), frame(1, b"a"), frame(ANSWER, b"Ann"), frame(1, b"b")].concat());
    assert_eq!(peer.read_frame(), (QUESTION, b"name?".to_vec()));
    assert_eq!(peer.read_frame(), (QUESTION, b"age of Ann?".to_vec()));
    peer.send(&[frame(1, b"c"), frame(ANSWER, b"7"), frame(1, b"d")].concat());
    assert_eq!(peer.read_frame(), (DONE, b"Ann is 7".to_vec()));
    for expected in [b"a", b"b", b"c", b"d"] {
        assert_eq!(peer.read_frame(), (1, expected.to_vec()));
    }
    assert_eq!(served.server.stats().late_answers, 0);
}

pub(crate) fn answers_cut_at_any_byte_and_large_ones_arrive_whole(kind: TransportKind) {
    let change = |config: &mut Config| config.max_packet_size = 1 << 20;
    let served = start_with(kind, change, |server| {
        let ask = |request: &dyn IRequest| {
            let answer = request.get_connection().call(QUESTION, "?", ANSWER, LONG)?;
            request.get_connection().send_msg(DONE, answer.get_data())
        };
        server.add_router(BEGIN, ask).unwrap();
    });
    let mut peer = served.connect();
    for len in [0, 5, 9_000, 300_000] {
        let answer = frame(ANSWER, &pattern(len));
        let cuts: Vec<usize> = match answer.len() {
            small if small < 20 => (1..small).collect(),
            large => vec![1, 8, 9, large / 2, large - 1],
        };
        for cut in cuts {
            // Cut in the same write as the question's cause, and again after the question.
            peer.send(&[frame(BEGIN, b""), frame(1, b"between"), answer[..cut].to_vec()].concat());
            assert_eq!(peer.read_frame().0, QUESTION);
            peer.send(&[&answer[cut..], &frame(1, b"after")].concat());
            assert!(peer.read_frame() == (DONE, pattern(len)), "{len} bytes cut at {cut}");
            assert_eq!(peer.read_frame(), (1, b"between".to_vec()));
            assert_eq!(peer.read_frame(), (1, b"after".to_vec()));
        }
    }
}

type End = fn(&mut Peer, &Arc<dyn IConnection>);

pub(crate) fn a_close_ends_every_call(kind: TransportKind) {
    let ends: [(CloseReason, End); 4] = [
        (CloseReason::PeerClosed, |peer, _| peer.finish()),
        (CloseReason::Stopped, |_, conn| conn.stop()),
        (CloseReason::Aborted, |_, conn| conn.abort()),
        (CloseReason::PacketTooLarge { len: 0xffff_ffff, max: 4096 }, |peer, _| peer.send(&[0xff; 8])),
    ];
    for (reason, end) in ends {
        let results = Arc::new(Mutex::new(Vec::new()));
        let noted = Arc::clone(&results);
        let served = start(kind, |server| {
            let ask = move |request: &dyn IRequest| {
                noted.lock().unwrap().push(request.get_connection().call(QUESTION, "?", ANSWER, LONG));
                Ok(())
            };
            server.add_router(BEGIN, ask).unwrap();
        });
        let mut peer = served.connect();
        let conn = served.conn(peer.addr());
        peer.send(&frame(BEGIN, b""));
        assert_eq!(peer.read_frame().0, QUESTION);
        let theirs = Arc::clone(&conn);
        let beside = thread::spawn(move || theirs.call(QUESTION, "?", ANSWER + 1, LONG));
        assert_eq!(peer.read_frame().0, QUESTION);
        end(&mut peer, &conn);
        assert!(matches!(beside.join().unwrap(), Err(Error::ConnectionClosed)));
        assert!(conn.wait_closed(LONG).unwrap());
        assert_eq!((served.close_reason(peer.addr()), served.stop_hooks(peer.addr())), (reason, 1));
        let results = results.lock().unwrap();
        assert!(matches!(results[..], [Err(Error::ConnectionClosed)]), "{results:?}");
    }
}

// Sessions.

pub(crate) fn a_whole_dialogue_in_one_function_with_routers_beside_it(kind: TransportKind) {
    let served = start_alone_with(
        kind,
        |_| {},
        |server| {
            let dialogue = |s: &mut Session| {
                let name = s.with_timeout(LONG, |s| s.recv_id(BEGIN))?;
                s.send(BEGIN, format!("hello {}", String::from_utf8_lossy(name.get_data())))?;
                let age = s.ask(QUESTION, "age?", ANSWER)?;
                s.send(DONE, age.get_data())?;
                let rest = [s.recv()?, s.recv()?];
                s.send(DONE, rest.map(|message| message.get_data().to_vec()).concat())
            };
            server.on_session(dialogue).unwrap();
        },
    );
    let mut peer = served.connect();
    // Two that were not asked for yet come first, and an echo for the router.
    peer.send(&[frame(50, b"x"), frame(ECHO, b"a"), frame(51, b"y"), frame(BEGIN, b"Ann")].concat());
    assert_eq!(peer.read_frame(), (ECHO, b"a".to_vec()));
    assert_eq!(peer.read_frame(), (BEGIN, b"hello Ann".to_vec()));
    assert_eq!(peer.read_frame(), (QUESTION, b"age?".to_vec()));
    peer.send(&[frame(ECHO, b"b"), frame(ANSWER, b"7")].concat());
    assert_eq!(peer.read_frame(), (DONE, b"7".to_vec()));
    assert_eq!(peer.read_frame(), (ECHO, b"b".to_vec()), "kept while the answer was waited for");
    assert_eq!(peer.read_to_end(), frame(DONE, b"xy"));
    assert_eq!(served.close_reason(peer.addr()), CloseReason::SessionEnded);
}

pub(crate) fn a_session_that_waits_ends_with_its_connection(kind: TransportKind) {
    for (reason, idle_timeout_ms) in [(CloseReason::PeerClosed, 0), (CloseReason::IdleTimeout, 300)] {
        let error = Arc::new(Mutex::new(None));
        let noted = Arc::clone(&error);
        let change = |config: &mut Config| config.idle_timeout_ms = idle_timeout_ms;
        let served = start_alone_with(kind, change, |server| {
            let dialogue = move |s: &mut Session| {
                *noted.lock().unwrap() = s.recv().err().map(|error| error.to_string());
                Ok(())
            };
            server.on_session(dialogue).unwrap();
        });
        let mut peer = served.connect();
        if idle_timeout_ms == 0 {
            peer.finish();
        }
        assert_eq!(peer.read_to_end(), b"");
        assert_eq!((served.close_reason(peer.addr()), served.stop_hooks(peer.addr())), (reason, 1));
        assert_eq!(error.lock().unwrap().as_deref(), Some("the connection is closed"));
    }
}

pub(crate) fn the_raw_stream_begins_behind_its_message_and_ends_before_the_next(kind: TransportKind) {
    let served = start(kind, |server| server.add_router(BEGIN, uploads::upload).unwrap());
    let mut peer = served.connect();
    for len in [0, 4000, 300_000] {
        for cut in uploads::cuts(len) {
            uploads::check_upload(&mut peer, BEGIN, len, cut);
        }
    }
}

pub(crate) fn a_raw_write_that_is_out_of_time_has_written_nothing(kind: TransportKind) {
    // Much more than two sockets hold.
    let all = Arc::new(pattern(24 << 20));
    let (tell, told) = mpsc::channel();
    let (tell, theirs) = (Mutex::new(tell), Arc::clone(&all));
    let served = start(kind, |server| {
        let write = move |request: &dyn IRequest| {
            let conn = request.get_connection();
            let written = conn.take_over(|stream| {
                stream.set_timeout(Some(Duration::from_millis(20)));
                let mut written = 0;
                loop {
                    match stream.write(&theirs[written..][..16 * 1024]) {
                        Ok(n) => written += n,
                        Err(error) if error.kind() == ErrorKind::TimedOut => return Ok(written),
                        Err(error) => return Err(error.into()),
                    }
                }
            })?;
            tell.lock().unwrap().send(written).map_err(Error::other)?;
            conn.send_msg(DONE, "")
        };
        server.add_router(BEGIN, write).unwrap();
    });
    let mut peer = served.connect();
    peer.send(&frame(BEGIN, b""));
    let written = told.recv_timeout(LONG).unwrap();
    assert!(peer.read_exactly(written) == all[..written], "{written} bytes");
    assert_eq!(peer.read_frame(), (DONE, Vec::new()));
}

// Groups.

fn start_with_room(kind: TransportKind) -> Served {
    start_alone_with(
        kind,
        |_| {},
        |server| {
            let join = |request: &dyn IRequest| {
                request.get_connection().join_group("room")?;
                request.get_connection().send_msg(BEGIN, "")
            };
            server.add_router(BEGIN, join).unwrap();
            server.set_on_conn_stop(|conn| {
                conn.get_group("room").broadcast_except(conn.get_conn_id(), DONE, "gone")?;
                Ok(())
            });
        },
    )
}

fn member(served: &Served) -> Peer {
    let mut peer = served.connect();
    peer.send(&frame(BEGIN, b""));
    assert_eq!(peer.read_frame().0, BEGIN);
    peer
}

pub(crate) fn broadcasts_reach_the_members_in_order_and_those_that_go_leave(kind: TransportKind) {
    let served = start_with_room(kind);
    let mut peers: Vec<_> = (0..4).map(|_| member(&served)).collect();
    let room = served.server.get_group("room");
    assert_eq!(room.len(), 4);
    let large = pattern(100_000);
    for round in 0..10_u8 {
        assert_eq!(room.broadcast(DONE, [round]).unwrap(), Broadcast { queued: 4, missed: 0 });
    }
    room.broadcast(DONE, &large).unwrap();
    for peer in &mut peers {
        for round in 0..10 {
            assert_eq!(peer.read_frame(), (DONE, vec![round]));
        }
        assert!(peer.read_frame() == (DONE, large.clone()));
    }
    let mut leaves = peers.pop().unwrap();
    leaves.finish();
    assert_eq!(leaves.read_to_end(), b"");
    peers.iter_mut().for_each(|peer| assert_eq!(peer.read_frame(), (DONE, b"gone".to_vec())));
    assert_eq!(room.len(), 3);
    let mut cut = peers.pop().unwrap();
    served.conn(cut.addr()).abort();
    let _ = cut.stream.read(&mut [0]);
    peers.iter_mut().for_each(|peer| assert_eq!(peer.read_frame(), (DONE, b"gone".to_vec())));
    wait_until("the group", || room.len() == 2);
}

// Heartbeats.

const INTERVAL: Duration = Duration::from_millis(100);

pub(crate) fn a_silent_peer_is_found_by_its_heartbeat(kind: TransportKind) {
    let option = HeartBeatOption::new().misses(5);
    let served = start_alone_with(
        kind,
        |_| {},
        |server| server.start_heart_beat_with_option(INTERVAL, option).unwrap(),
    );
    let begun = Instant::now();
    let peer = served.connect();
    assert_eq!(served.close_reason(peer.addr()), CloseReason::HeartbeatLost);
    assert!(begun.elapsed() >= 5 * INTERVAL, "{:?}", begun.elapsed());
    assert_eq!(served.stop_hooks(peer.addr()), 1);
}

pub(crate) fn a_peer_that_answers_its_heartbeats_is_kept(kind: TransportKind) {
    // A busy machine may take longer than it may for an answer.
    assert!((0..3).any(|_| is_kept(kind)), "three times in a row it was not kept");
}

/// Whether a peer is kept for longer than a silent one would be.
fn is_kept(kind: TransportKind) -> bool {
    let option = HeartBeatOption::new().misses(20);
    let served = start_alone_with(
        kind,
        |_| {},
        |server| server.start_heart_beat_with_option(INTERVAL, option).unwrap(),
    );
    let (mut peer, begun) = (served.connect(), Instant::now());
    let body = format!("heartbeat [{}->{}]", served.address(), peer.addr());
    let (beat, mut heard) = (frame(HEART_BEAT_DEFAULT_MSG_ID, body.as_bytes()), Vec::new());
    while begun.elapsed() < 25 * INTERVAL {
        heard.resize(beat.len(), 0);
        if peer.stream.read_exact(&mut heard).is_err() || peer.stream.write_all(&heard).is_err() {
            return false;
        }
        assert_eq!(heard, beat);
    }
    served.stop_hooks(peer.addr()) == 0
}

pub(crate) fn a_silent_peer_that_is_only_watched_is_asked_by_the_hook(kind: TransportKind) {
    let option = HeartBeatOption::new()
        .misses(2)
        .direction(HeartBeatDirection::WatchOnly)
        .on_remote_not_alive(|conn: &Arc<dyn IConnection>| conn.send_msg(9, "hello?"));
    let served = start_alone_with(
        kind,
        |_| {},
        |server| {
            server.start_heart_beat_with_option(INTERVAL, option).unwrap();
        },
    );
    let mut peer = served.connect();
    for _ in 0..3 {
        assert_eq!(peer.read_frame(), (9, b"hello?".to_vec()));
    }
    assert_eq!(served.stop_hooks(peer.addr()), 0);
}
