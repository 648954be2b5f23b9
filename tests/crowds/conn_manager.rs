//! The connection manager: what `remove` and `clear_conn` take out is gone for the program at once, and closes in order.

use std::sync::Arc;
use std::time::Duration;

use crate::common::{Peer, Running, config, frame, start, start_alone, wait_until};
use zinx::Error;
use zinx::green::Event;
use zinx::ziface::{CloseReason, ConnRef, IConManager, IConnection, IRequest, IServer};

#[test]
fn remove_takes_a_connection_or_its_id_and_counts_one_less_at_once() {
    let running = start_alone(config(), |_| {});
    let (peers, conns) = connect(&running, 3);
    let server = running.server.clone();
    let manager: Arc<dyn IConManager> = server.get_conn_mgr();
    assert!(manager.remove(0));
    assert_eq!((manager.len(), ids(&*manager)), (2, vec![1, 2]));
    assert!(manager.remove(&conns[1]));
    assert_eq!((manager.len(), ids(&*manager)), (1, vec![2]));
    assert!(manager.get(0).is_none() && manager.get2("1").is_none() && manager.get(2).is_some());
    let again = [ConnRef::Id(0), ConnRef::from(&conns[0]), ConnRef::from(1), (&*conns[1]).into()];
    assert_eq!(again.map(|conn| manager.remove(conn)), [false; 4]);
    assert_eq!(manager.len(), 1);
    for conn in &conns[..2] {
        assert!(conn.wait_closed(SOON).unwrap());
        assert_eq!(conn.get_close_reason(), Some(CloseReason::Stopped));
    }
    assert_eq!(manager.len(), 1, "a close does not count a second time");
    drop(peers);
    wait_until("the last to go", || manager.is_empty());
}

#[test]
fn clear_conn_leaves_none_at_once_and_all_close_in_order() {
    const ASK: u32 = 7;
    let running = start_alone(config(), |server| {
        server.set_on_conn_stop(|conn| conn.send_msg(9, "last words"));
        server
            .add_router(ASK, |request: &dyn IRequest| {
                let server = request.get_connection().get_tcp_server();
                server.get_conn_mgr().clear_conn();
                request.get_connection().send_msg(ASK, server.get_conn_mgr().len().to_string())
            })
            .unwrap();
    });
    let (mut peers, conns) = connect(&running, 5);
    peers[3].send(&frame(ASK, b"clear"));
    let answer = [frame(ASK, b"0"), frame(9, b"last words")].concat();
    assert_eq!(peers[3].read_to_end(), answer, "it may still send");
    for (n, peer) in peers.iter_mut().enumerate().filter(|(n, _)| *n != 3) {
        assert_eq!(peer.read_to_end(), frame(9, b"last words"), "connection {n}");
    }
    for conn in &conns {
        assert!(conn.wait_closed(SOON).unwrap());
    }
    running.server.get_conn_mgr().clear_conn();
    running.connect().check_echo();
    let stats = running.stop();
    assert_eq!((stats.accepted, stats.start_hooks, stats.stop_hooks), (6, 6, 6));
}

#[test]
fn a_connection_taken_out_holds_its_place_until_it_is_closed() {
    let mut config = config();
    config.max_conn = 1;
    let (begun, go_on) = (Arc::new(Event::new()), Arc::new(Event::new()));
    let running = start_alone(config, |server| {
        let (begun, go_on) = (Arc::clone(&begun), Arc::clone(&go_on));
        let wait = move |request: &dyn IRequest| {
            begun.set();
            go_on.wait();
            request.get_connection().send_msg(2, "done")
        };
        server.add_router(2, wait).unwrap();
    });
    let mut peer = running.connect();
    peer.send(&frame(2, b""));
    assert!(begun.wait_timeout(SOON));
    let conn = running.conn(peer.addr());
    assert!(running.server.get_conn_mgr().remove(&conn));
    assert!(running.server.get_conn_mgr().is_empty());
    assert_eq!(running.connect().read_to_end(), b"", "turned away: the socket of the first is still open");
    assert_eq!(running.server.stats().over_max_conn, 1);
    go_on.set();
    assert_eq!(peer.read_to_end(), frame(2, b"done"));
    assert!(conn.wait_closed(SOON).unwrap());
    running.connect().check_echo();
    let stats = running.stop();
    assert_eq!((stats.accepted, stats.over_max_conn, stats.stop_hooks), (2, 1, 2));
}

#[test]
fn a_connection_taken_out_that_nobody_reads_still_meets_its_write_timeout() {
    let mut config = config();
    config.drain_ms = 0;
    config.write_timeout_ms = 200;
    config.queue_wait_ms = 1;
    let running = start(config, |_| {});
    let data = vec![0; 64 << 10];
    // On a busy machine its time may be over before it is taken out.
    let taken_out = (0..20).find_map(|_| {
        let peer = running.connect();
        let conn = running.conn(peer.addr());
        while conn.send_msg(9, &data).is_ok() {}
        running.server.get_conn_mgr().remove(&conn).then_some((peer, conn))
    });
    let (_peer, conn) = taken_out.expect("one of twenty that is still there");
    assert!(conn.wait_closed(SOON).unwrap(), "the sweeper has lost sight of it");
    assert!(conn.get_unsent().messages > 0);
}

#[test]
fn a_stopping_server_waits_for_connections_taken_out_and_cuts_them_off_at_its_deadline() {
    let mut config = config();
    config.drain_ms = 300;
    config.write_timeout_ms = 0;
    config.queue_wait_ms = 1;
    let running = start_alone(config, |_| {});
    let peer = running.connect();
    let conn = running.conn(peer.addr());
    let data = vec![0; 64 << 10];
    while conn.send_msg(9, &data).is_ok() {}
    running.server.get_conn_mgr().clear_conn();
    running.server.stop();
    assert!(running.server.wait_stopped(SOON));
    assert!(conn.wait_closed(Duration::ZERO).unwrap(), "the server has not waited for it");
    drop(peer);
}

#[test]
fn a_connection_of_another_server_is_not_taken_for_the_one_of_its_id() {
    let [ours, theirs] = [(); 2].map(|()| start_alone(config(), |_| {}));
    let ((_peer, conns), (mut other, _)) = (connect(&ours, 1), connect(&theirs, 1));
    assert_eq!(conns[0].get_conn_id(), 0);
    assert!(!theirs.server.get_conn_mgr().remove(&conns[0]));
    assert_eq!(theirs.server.get_conn_mgr().len(), 1);
    other[0].check_echo();
    assert!(ours.server.get_conn_mgr().remove(&conns[0]));
    assert!(matches!(conns[0].wait_closed(SOON), Ok(true)));
    assert!(matches!(conns[0].send_msg(1, "late"), Err(Error::ConnectionClosed)));
}

#[test]
fn taking_out_while_clients_come_and_go_leaves_nobody_counted() {
    let running = start(config(), |_| {});
    let server = running.server.clone();
    std::thread::scope(|scope| {
        let coming: Vec<_> =
            (0..4).map(|_| scope.spawn(|| (0..100).for_each(|_| drop(running.connect())))).collect();
        while coming.iter().any(|thread| !thread.is_finished()) {
            // All but the healthy client, which asks without a pause.
            for id in server.get_conn_mgr().get_all_conn_id() {
                if id > 0 {
                    server.get_conn_mgr().remove(id);
                }
            }
            assert!(server.get_conn_mgr().len() < 1000);
        }
    });
    wait_until("all to be accepted", || server.stats().accepted >= 401);
    wait_until("all but the healthy one to go", || server.get_conn_mgr().len() == 1);
    let stats = running.stop();
    assert_eq!(stats.start_hooks, stats.stop_hooks);
}

/// So many peers, in the order of their connections' ids.
fn connect(running: &Running, count: usize) -> (Vec<Peer>, Vec<Arc<dyn IConnection>>) {
    let mut peers: Vec<_> = (0..count).map(|_| running.connect()).collect();
    // An answer says that the start hook has run.
    peers.iter_mut().for_each(Peer::check_echo);
    let conns = peers.iter().map(|peer| running.conn(peer.addr())).collect();
    (peers, conns)
}

fn ids(manager: &dyn IConManager) -> Vec<u64> {
    let mut visited = Vec::new();
    manager.range(&mut |conn| {
        visited.push(conn.get_conn_id());
        true
    });
    visited.sort_unstable();
    let mut ids = manager.get_all_conn_id();
    ids.sort_unstable();
    assert_eq!(ids, visited);
    ids
}

/// The longest that anything here may take.
const SOON: Duration = Duration::from_secs(20);
