//! WebSocket: what is its own. What a connection promises holds on it too: see `tests/each_transport`.

use std::io::Write;
use std::thread;
use std::time::{Duration, Instant};

use tungstenite::protocol::CloseFrame;
use tungstenite::protocol::frame::coding::{CloseCode, Data, OpCode};
use tungstenite::protocol::frame::{Frame, FrameHeader};
use tungstenite::{Message, Utf8Bytes};
use zinx::green::Runtime;
use zinx::ziface::{CloseReason, IRequest, IServer, TransportKind};
use zinx::znet::{OverRate, Rate, RateLimits};

use crate::common::in_time::in_time;
use crate::common::phone::{OPEN, TOKEN};
use crate::common::{ECHO, frame, pattern, start_alone, wait_until};
use crate::ws_peer::{WsPeer, address, config, connected};

#[test]
fn frames_split_at_every_byte_over_messages_come_back_one_in_each_message() {
    let running = start_alone(config(), |_| {});
    let mut peer = WsPeer::connect(&running);
    let frames = [frame(ECHO, b"first"), frame(ECHO, b""), frame(ECHO, b"third")];
    let all = frames.concat();
    for at in 1..all.len() {
        peer.send(&all[..at]);
        peer.send(&all[at..]);
        frames.iter().for_each(|frame| assert_eq!(&peer.read(), frame, "cut at {at}"));
    }
    // One byte in each message, and an empty one between them.
    for byte in &all {
        peer.send(&[*byte]);
        peer.send(&[]);
    }
    frames.iter().for_each(|frame| assert_eq!(&peer.read(), frame));
}

#[test]
fn each_answer_is_a_message_however_many_leave_at_once() {
    let running = start_alone(config(), |_| {});
    let mut peer = WsPeer::connect(&running);
    let requests: Vec<_> = (0..500_u32).map(|n| frame(ECHO, &n.to_le_bytes())).collect();
    peer.send(&requests.concat());
    requests.iter().for_each(|request| assert_eq!(&peer.read(), request));
}

#[test]
fn frames_without_content_that_come_without_end_hold_up_nobody_else() {
    let mut config = config();
    // They send no frame at all, however long a busy machine takes for the others.
    config.first_frame_timeout_ms = 0;
    let running = start_alone(config, |_| {});
    let to = address(&running.server, TransportKind::WebSocket);
    let floods: Vec<_> = (0..2 * Runtime::current().unwrap().workers)
        .map(|_| {
            let mut stream = connected(to);
            let addr = stream.local_addr().unwrap();
            let shaken = WsPeer::over(Box::new(stream.try_clone().unwrap()), addr, "ws://localhost/");
            assert!(shaken.is_ok());
            let pongs = [0x8a, 0x80, 0, 0, 0, 0].repeat(10_000);
            (addr, thread::spawn(move || while stream.write_all(&pongs).is_ok() {}))
        })
        .collect();
    thread::sleep(Duration::from_millis(200));
    let mut peer = WsPeer::connect(&running);
    (0..10).for_each(|_| peer.check_echo());
    for (addr, flood) in floods {
        running.conn(addr).abort();
        flood.join().unwrap();
    }
}

/// A write may take less than it is given, and its caller need not go on with the rest.
#[test]
fn what_a_write_to_the_raw_stream_has_taken_arrives_whole() {
    const RAW: u32 = 2;
    let running = start_alone(config(), |server| {
        let talk = |request: &dyn IRequest| {
            let conn = request.get_connection();
            let taken = conn.take_over(|stream| Ok(stream.write(&[7; 100_000])?))?;
            conn.send_msg(RAW, (taken as u64).to_le_bytes().to_vec())
        };
        server.add_router(RAW, talk).unwrap();
    });
    let mut peer = WsPeer::connect(&running);
    peer.send(&frame(RAW, b""));
    let mut raw = 0_u64;
    let last = loop {
        let message = peer.read();
        if message.iter().any(|byte| *byte != 7) {
            break message;
        }
        raw += message.len() as u64;
    };
    assert!(raw > 0);
    assert_eq!(last, frame(RAW, &raw.to_le_bytes()));
    peer.check_echo();
}

/// As many clients do that only listen.
#[test]
fn a_peer_that_sends_nothing_but_pings_is_not_idle() {
    in_time(|| {
        let mut config = config();
        config.idle_timeout_ms = 2000;
        let running = start_alone(config, |_| {});
        let mut peer = WsPeer::connect(&running);
        // On a busy machine it may be idle before it begins, too.
        peer.socket.send(Message::Binary(frame(ECHO, b"first").into())).ok()?;
        peer.socket.read().ok().filter(Message::is_binary)?;
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_secs(5) {
            peer.socket.send(Message::Ping(vec![7].into())).ok()?;
            thread::sleep(Duration::from_millis(50));
        }
        (running.server.stats().stop_hooks == 0).then_some(())
    });
}

#[test]
fn pings_and_frames_without_content_count_for_the_rate() {
    let ping = [0x89, 0x80, 0, 0, 0, 0];
    let empty = [0x82, 0x80, 0, 0, 0, 0];
    for (rate, frame) in [
        (Rate { messages: 100, bytes: 0 }, ping),
        (Rate { messages: 0, bytes: 600 }, ping),
        (Rate { messages: 100, bytes: 0 }, empty),
        (Rate { messages: 0, bytes: 600 }, empty),
    ] {
        let limits = RateLimits::new(OverRate::Close).per_connection(rate);
        let running = start_alone(config(), |server| server.set_rate_limits(limits).unwrap());
        let mut stream = connected(address(&running.server, TransportKind::WebSocket));
        let addr = stream.local_addr().unwrap();
        let shaken = WsPeer::over(Box::new(stream.try_clone().unwrap()), addr, "ws://localhost/");
        assert!(shaken.is_ok());
        let conn = running.conn(addr);
        // It may be gone before all of this has left.
        let _ = stream.write_all(&frame.repeat(1000));
        wait_until("the close", || conn.get_close_reason().is_some());
        assert_eq!(conn.get_close_reason(), Some(CloseReason::RateLimited), "{rate:?} {frame:x?}");
    }
}

/// Messages of which the content comes in pieces, with a ping between them.
#[test]
fn messages_in_pieces_are_put_together_and_pings_between_them_answered() {
    let running = start_alone(config(), |_| {});
    let mut peer = WsPeer::connect(&running);
    let message = frame(ECHO, &pattern(1000));
    let mut opcode = OpCode::Data(Data::Binary);
    for (n, piece) in message.chunks(100).enumerate() {
        let is_final = n == message.len() / 100;
        let head = FrameHeader { opcode, is_final, mask: Some([0; 4]), ..FrameHeader::default() };
        let frame = Frame::from_payload(head, piece.to_vec().into());
        peer.socket.send(Message::Frame(frame)).unwrap();
        peer.socket.send(Message::Ping(vec![n as u8].into())).unwrap();
        opcode = OpCode::Data(Data::Continue);
    }
    let mut pongs = Vec::new();
    let echo = loop {
        match peer.socket.read().unwrap() {
            Message::Pong(pong) => pongs.push(pong[0]),
            Message::Binary(echo) => break echo,
            other => panic!("{other:?}"),
        }
    };
    assert!(echo == message);
    assert_eq!(pongs[0], 0);
}

#[test]
fn a_text_message_is_refused() {
    let running = start_alone(config(), |_| {});
    let mut peer = WsPeer::connect(&running);
    peer.check_echo();
    peer.socket.send(Message::Text(Utf8Bytes::from_static("hello"))).unwrap();
    assert_eq!(peer.read_close(), 1003);
    let reason = running.close_reason(peer.addr());
    assert!(
        matches!(&reason, CloseReason::Failed { error } if error.contains("a text message")),
        "{reason:?}"
    );
}

#[test]
fn what_breaks_the_protocol_is_told_so() {
    let running = start_alone(config(), |_| {});
    let mut peer = WsPeer::connect(&running);
    let head = FrameHeader {
        opcode: OpCode::Data(Data::Binary),
        rsv1: true,
        mask: Some([0; 4]),
        ..FrameHeader::default()
    };
    let compressed = Frame::from_payload(head, vec![1, 2, 3].into());
    peer.socket.send(Message::Frame(compressed)).unwrap();
    assert_eq!(peer.read_close(), 1002);
}

/// Also one that could come back: what it has sent is nothing to go on with.
#[test]
fn a_peer_that_can_resume_is_told_that_it_has_broken_the_protocol() {
    let mut config = config();
    config.resume_ms = 60_000;
    let running = start_alone(config, |_| {});
    let mut peer = WsPeer::connect(&running);
    peer.send(&frame(OPEN, b""));
    assert_eq!(peer.read()[4..8], TOKEN.to_le_bytes());
    peer.socket.send(Message::Text(Utf8Bytes::from_static("hello"))).unwrap();
    assert_eq!(peer.read_close(), 1003);
    wait_until("its end", || running.server.get_conn_mgr().is_empty());
}

#[test]
fn what_breaks_the_protocol_is_a_fault() {
    let mut config = config();
    config.ban_faults = 1;
    let running = start_alone(config, |_| {});
    for _ in 0..2 {
        let mut peer = WsPeer::connect(&running);
        peer.check_echo();
        peer.socket.send(Message::Text(Utf8Bytes::from_static("hello"))).unwrap();
        assert_eq!(peer.read_close(), 1003);
        wait_until("its end", || running.server.get_conn_mgr().is_empty());
    }
    wait_until("the ban", || running.server.stats().bans == 1);
}

#[test]
fn a_frame_that_is_too_large_is_told_so_before_it_comes() {
    let running = start_alone(config(), |_| {});
    let (mut bad, mut good) = (WsPeer::connect(&running), WsPeer::connect(&running));
    bad.send(&[&5000_u32.to_le_bytes()[..], &1_u32.to_le_bytes()].concat());
    assert_eq!(bad.read_close(), 1009);
    let reason = running.close_reason(bad.addr());
    assert_eq!(reason, CloseReason::PacketTooLarge { len: 5000, max: 4096 });
    good.check_echo();
}

#[test]
fn a_stop_answers_what_was_read_and_says_that_it_goes_away() {
    let mut config = config();
    config.drain_ms = 20_000;
    let running = start_alone(config, |_| {});
    let mut peer = WsPeer::connect(&running);
    peer.check_echo();
    let requests: Vec<_> = (0..100_u32).map(|n| frame(ECHO, &n.to_le_bytes())).collect();
    peer.send(&requests.concat());
    assert_eq!(peer.read(), requests[0]);
    let stopping = thread::spawn(move || running.stop());
    requests[1..].iter().for_each(|request| assert_eq!(&peer.read(), request));
    assert_eq!(peer.read_close(), 1001);
    drop(peer);
    let stats = stopping.join().unwrap();
    assert_eq!((stats.start_hooks, stats.stop_hooks), (1, 1));
}

#[test]
fn a_peer_that_closes_is_still_answered_and_gets_its_code_back() {
    let running = start_alone(config(), |_| {});
    let mut peer = WsPeer::connect(&running);
    let requests: Vec<_> = (0..50_u32).map(|n| frame(ECHO, &n.to_le_bytes())).collect();
    peer.send(&requests.concat());
    let close = CloseFrame { code: CloseCode::from(4321), reason: "bye".into() };
    peer.socket.close(Some(close)).unwrap();
    requests.iter().for_each(|request| assert_eq!(&peer.read(), request));
    assert_eq!(peer.read_close(), 4321);
    assert_eq!(running.close_reason(peer.addr()), CloseReason::PeerClosed);
    assert_eq!(running.stop_hooks(peer.addr()), 1);
}

#[test]
fn a_peer_that_vanishes_within_a_frame_is_told_apart() {
    let running = start_alone(config(), |_| {});
    let mut peer = WsPeer::connect(&running);
    peer.check_echo();
    peer.send(&frame(ECHO, b"whole")[..9]);
    let addr = peer.addr();
    drop(peer);
    assert_eq!(running.close_reason(addr), CloseReason::PeerClosedInFrame { received: 9 });
}

#[test]
fn a_program_may_close_by_itself() {
    let running = start_alone(config(), |_| {});
    let mut peer = WsPeer::connect(&running);
    peer.check_echo();
    running.conn(peer.addr()).stop();
    assert_eq!(peer.read_close(), 1000);
    wait_until("the stop hook", || running.stop_hooks(peer.addr()) == 1);
}
