//! Groups: joining and leaving, broadcasts with and without exceptions, members that do not read.

use std::sync::Arc;
use std::time::{Duration, Instant};

use zinx::green::{self, TcpStream};
use zinx::prelude::*;
use zinx::zconf::QueueFull;
use zinx::ziface::CloseReason;
use zinx::znet::Broadcast;
use zinx::zpack::read_message;

use crate::common::child::in_child;
use crate::common::{Peer, Running, comes_true, config, frame, start, start_alone, wait_until};

const JOIN: u32 = 2;
const LEAVE: u32 = 3;
const SAY: u32 = 4;
const SAID: u32 = 5;

fn name(request: &dyn IRequest) -> String {
    String::from_utf8(request.get_data().to_vec()).unwrap()
}

fn set_up(server: &Server) {
    let join = |request: &dyn IRequest| {
        request.get_connection().join_group(&name(request))?;
        request.get_connection().send_msg(JOIN, "")
    };
    let leave = |request: &dyn IRequest| {
        let left = request.get_connection().leave_group(&name(request));
        request.get_connection().send_msg(LEAVE, left.to_string())
    };
    let say = |request: &dyn IRequest| {
        let conn = request.get_connection();
        conn.get_group("room").broadcast_except(conn.get_conn_id(), SAID, request.get_data())?;
        Ok(())
    };
    server.add_router(JOIN, join).unwrap();
    server.add_router(LEAVE, leave).unwrap();
    server.add_router(SAY, say).unwrap();
}

fn member(running: &Running) -> Peer {
    let mut peer = running.connect();
    peer.send(&frame(JOIN, b"room"));
    assert_eq!(peer.read_frame().0, JOIN);
    peer
}

#[test]
fn members_come_and_go_and_an_empty_group_is_none() {
    let running = start(config(), set_up);
    let room = running.server.get_group("room");
    assert!(room.is_empty() && running.server.get_groups().is_empty());
    let (mut ann, mut bob) = (member(&running), member(&running));
    ann.send(&frame(JOIN, b"room"));
    ann.read_frame();
    assert_eq!((room.len(), room.members().len()), (2, 2), "joining twice is the same as once");
    ann.send(&frame(JOIN, b"other"));
    ann.read_frame();
    let conn = running.conn(ann.addr());
    assert_eq!(conn.get_groups().iter().map(|name| &**name).collect::<Vec<_>>(), ["room", "other"]);
    assert!(conn.is_in_group("room") && conn.is_in_group("other") && !conn.is_in_group("roo"));
    assert!(!running.conn(bob.addr()).is_in_group("other"));
    for expected in [b"true".to_vec(), b"false".to_vec()] {
        bob.send(&frame(LEAVE, b"room"));
        assert_eq!(bob.read_frame(), (LEAVE, expected));
    }
    assert_eq!(room.len(), 1);
    ann.finish();
    ann.read_to_end();
    assert!(conn.wait_closed(Duration::from_secs(10)).unwrap());
    assert!(running.server.get_groups().is_empty(), "a close leaves all groups");
    assert!(matches!(conn.join_group("room"), Err(Error::ConnectionClosed)));
    assert!(!conn.is_in_group("room"));
    assert!(!conn.leave_group("room"));
}

#[test]
fn the_stop_hook_still_finds_the_groups_and_can_say_goodbye() {
    let running = start_alone(config(), |server| {
        set_up(server);
        server.set_on_conn_stop(|conn| {
            for name in conn.get_groups() {
                conn.get_group(&name).broadcast_except(conn.get_conn_id(), SAID, "gone")?;
            }
            Ok(())
        });
    });
    let (ann, mut bob) = (member(&running), member(&running));
    ann.finish();
    assert_eq!(bob.read_frame(), (SAID, b"gone".to_vec()));
}

#[test]
fn broadcasts_reach_whom_they_should_in_order() {
    let running = start(config(), set_up);
    let mut peers: Vec<_> = (0..5).map(|_| member(&running)).collect();
    let large = vec![7; 100_000];
    peers[0].send(&[frame(SAY, b"1"), frame(SAY, b""), frame(SAY, b"3")].concat());
    for peer in &mut peers[1..] {
        for expected in ["1", "", "3"] {
            assert_eq!(peer.read_frame(), (SAID, expected.as_bytes().to_vec()));
        }
    }
    let room = running.server.get_group("room");
    assert_eq!(room.broadcast(SAID, &large).unwrap(), Broadcast { queued: 5, missed: 0 });
    let first = running.conn(peers[0].addr()).get_conn_id();
    let sent = room.broadcast_if(SAID, "odd", |conn| (conn.get_conn_id() - first) % 2 == 1).unwrap();
    assert_eq!(sent, Broadcast { queued: 2, missed: 0 });
    room.broadcast(SAID, "end").unwrap();
    for (n, peer) in peers.iter_mut().enumerate() {
        assert!(peer.read_frame() == (SAID, large.clone()), "and the one who said it has none of its own");
        if n % 2 == 1 {
            assert_eq!(peer.read_frame(), (SAID, b"odd".to_vec()));
        }
        assert_eq!(peer.read_frame(), (SAID, b"end".to_vec()));
    }
    assert_eq!(running.server.get_group("nobody").broadcast(SAID, "").unwrap(), Broadcast::default());
}

/// Fills the queue to one member.
fn fill(running: &Running, conn: &Arc<dyn IConnection>) {
    let broadcast = |len| {
        let only = |member: &Arc<dyn IConnection>| member.get_conn_id() == conn.get_conn_id();
        running.server.get_group("room").broadcast_if(SAID, vec![0; len], only).unwrap()
    };
    while broadcast(60_000).queued > 0 {}
    // The last bytes too, so that the smallest frame finds no room; the system's buffers grow for a while.
    while comes_true(Duration::from_millis(300), || broadcast(1).queued > 0) {}
}

fn slow_config(policy: QueueFull) -> Config {
    let mut config = config();
    config.queue_full = policy;
    config.max_msg_chan_bytes = 64 * 1024;
    config.queue_wait_ms = 600_000;
    config.write_timeout_ms = 0;
    config
}

#[test]
fn one_of_a_thousand_that_never_reads_holds_nobody_up() {
    // A thousand readers on few workers would hold up other tests of this process.
    in_child("groups::one_of_a_thousand_that_never_reads_holds_nobody_up", || {
        let running = start(slow_config(QueueFull::Wait), set_up);
        let silent = member(&running);
        fill(&running, &running.conn(silent.addr()));
        let address = running.server.local_addr().unwrap();
        let readers: Vec<_> = (1..MEMBERS)
            .map(|_| green::spawn(move || read_all(&TcpStream::connect(address).unwrap())))
            .collect();
        let room = running.server.get_group("room");
        wait_until("all members", || room.len() == MEMBERS);
        let data = vec![1; 1000];
        for n in 0..ROUNDS {
            let begun = Instant::now();
            let sent = room.broadcast(SAID, &data).unwrap();
            assert!(sent.queued >= MEMBERS - 1, "round {n}: {sent:?}");
            // To wait for the silent one would take ten minutes.
            assert!(begun.elapsed() < Duration::from_secs(5), "round {n} took {:?}", begun.elapsed());
        }
        room.broadcast(SAID, "end").unwrap();
        for reader in readers {
            assert_eq!(reader.get().unwrap(), ROUNDS, "each of the others got all");
        }
        running.conn(silent.addr()).abort();
    });
}

#[test]
fn the_policy_of_the_member_acts_on_the_one_that_never_reads() {
    let running = start(slow_config(QueueFull::Disconnect), set_up);
    let (silent, mut other) = (member(&running), member(&running));
    let conn = running.conn(silent.addr());
    fill(&running, &conn);
    assert!(conn.wait_closed(Duration::from_secs(10)).unwrap());
    assert_eq!(conn.get_close_reason(), Some(CloseReason::QueueFull));
    assert_eq!(
        running.server.get_group("room").broadcast(SAID, "on").unwrap(),
        Broadcast { queued: 1, missed: 0 }
    );
    assert_eq!(other.read_frame(), (SAID, b"on".to_vec()));
}

/// Joins, and reads until the end is announced. Returns how many messages came before.
fn read_all(stream: &TcpStream) -> usize {
    use std::io::Write;
    let mut stream = stream;
    stream.write_all(&frame(JOIN, b"room")).unwrap();
    let pack = new_data_pack();
    let mut count = 0;
    loop {
        let message = read_message(&mut stream, &pack, 1 << 20).unwrap().unwrap();
        match message.get_data_len() {
            3 => return count,
            0 => {}
            _ => count += 1,
        }
    }
}

const MEMBERS: usize = 1000;
const ROUNDS: usize = 100;
