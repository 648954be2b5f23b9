//! What a program learns of a connection's end: close callbacks, the context, entries under ids of its own.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::common::{ECHO, Peer, Running, config, frame, start, wait_until};
use zinx::Error;
use zinx::green;
use zinx::ziface::{CloseReason, IConnection, IServer};
use zinx::znotify::ZNotify;

#[test]
fn close_callbacks_run_once_in_order_after_the_stop_hook() {
    let said = Arc::new(Mutex::new(Vec::new()));
    let (in_start, in_stop) = (Arc::clone(&said), Arc::clone(&said));
    let running = start(config(), move |server| {
        server.set_on_conn_start(move |conn| {
            for n in 0..3 {
                let said = Arc::clone(&in_start);
                let id = conn.get_conn_id();
                conn.add_close_callback("test", "key", move || said.lock().unwrap().push((id, n)))?;
            }
            Ok(())
        });
        server.set_on_conn_stop(move |conn| {
            in_stop.lock().unwrap().push((conn.get_conn_id(), 9));
            Ok(())
        });
    });
    let (peer, conn) = connect(&running);
    drop(peer);
    assert!(conn.wait_closed(SOON).unwrap());
    let id = conn.get_conn_id();
    let said: Vec<_> = said.lock().unwrap().iter().filter(|(of, _)| *of == id).copied().collect();
    assert_eq!(said, [(id, 9), (id, 0), (id, 1), (id, 2)]);
    let late = conn.add_close_callback("test", "late", || panic!("must not run"));
    assert!(matches!(late, Err(Error::ConnectionClosed)));
    conn.invoke_close_callbacks();
}

#[test]
fn removed_callbacks_do_not_run_and_a_panic_stops_no_other() {
    let running = start(config(), |_| {});
    let (peer, conn) = connect(&running);
    let ran = Arc::new(AtomicUsize::new(0));
    for (handler, key) in [("a", "1"), ("a", "1"), ("a", "2"), ("b", "1")] {
        let ran = Arc::clone(&ran);
        conn.add_close_callback(handler, key, move || {
            ran.fetch_add(1, Ordering::AcqRel);
        })
        .unwrap();
        conn.add_close_callback("c", "panics", || panic!("on purpose")).unwrap();
    }
    assert_eq!(conn.remove_close_callback("a", "1"), 2);
    assert_eq!(conn.remove_close_callback("a", "1"), 0);
    drop(peer);
    assert!(conn.wait_closed(SOON).unwrap());
    assert_eq!(ran.load(Ordering::Acquire), 2);
    assert_eq!(running.server.stats().hook_panics, 4);
}

#[test]
fn a_context_ends_what_runs_for_its_connection() {
    let running = start(config(), |_| {});
    let (peer, conn) = connect(&running);
    let context = conn.context();
    assert!(!context.is_done() && context.reason().is_none());
    let (theirs, ticks) = (conn.context(), Arc::new(AtomicUsize::new(0)));
    let counted = Arc::clone(&ticks);
    let ticker = green::spawn(move || {
        while !theirs.wait_done_timeout(Duration::from_millis(2)) {
            counted.fetch_add(1, Ordering::AcqRel);
        }
    });
    wait_until("a few ticks", || ticks.load(Ordering::Acquire) > 5);
    assert!(!ticker.ready());
    drop(peer);
    context.wait_done();
    assert_eq!(context.reason(), Some(CloseReason::PeerClosed));
    ticker.get().unwrap();
}

#[test]
fn a_context_is_done_before_the_stop_hook_and_at_once_when_stop_is_asked() {
    let done = Arc::new(Mutex::new(Vec::new()));
    let noted = Arc::clone(&done);
    let running = start(config(), |server| {
        server.set_on_conn_stop(move |conn| {
            noted.lock().unwrap().push(conn.context().is_done());
            Ok(())
        });
    });
    let (_peer, conn) = connect(&running);
    conn.stop();
    assert!(conn.context().is_done());
    assert!(conn.wait_closed(SOON).unwrap());
    assert_eq!(*done.lock().unwrap(), [true]);
}

#[test]
fn users_are_told_by_id_and_all_at_once() {
    let running = start(config(), |_| {});
    let users = ZNotify::new();
    let mut peers: Vec<_> = (1..=3).map(|id| (id, connect(&running))).collect();
    for (id, (_, conn)) in &peers {
        users.set_notify_id(*id, conn).unwrap();
    }
    assert_eq!((users.conn_nums(), users.has_id_conn(2), users.has_id_conn(4)), (3, true, false));
    users.notify_to_conn_by_id(2, 20, "to two").unwrap();
    assert_eq!(users.notify_all(30, "to all"), 3);
    for (id, (peer, _)) in &mut peers {
        if *id == 2 {
            assert_eq!(peer.read_frame(), (20, b"to two".to_vec()));
        }
        assert_eq!(peer.read_frame(), (30, b"to all".to_vec()));
    }
    let missing = users.notify_to_conn_by_id(4, 1, "nobody");
    assert!(matches!(missing, Err(Error::ConnectionNotFound { conn_id: 4 })));
    assert!(users.del_notify_by_id(1) && !users.del_notify_by_id(1));
    assert_eq!(users.notify_all(31, ""), 2);
}

#[test]
fn entries_go_when_their_connection_closes_and_only_then() {
    let running = start(config(), |_| {});
    let (users, rooms) = (ZNotify::new(), ZNotify::new());
    let (first_peer, first) = connect(&running);
    let (_second_peer, second) = connect(&running);
    users.set_notify_id(7, &first).unwrap();
    rooms.set_notify_id(7, &first).unwrap();
    // The user comes back on another connection before the old one has gone.
    users.set_notify_id(7, &second).unwrap();
    drop(first_peer);
    assert!(first.wait_closed(SOON).unwrap());
    assert_eq!((users.conn_nums(), rooms.conn_nums()), (1, 0));
    assert_eq!(users.get_notify_by_id(7).unwrap().get_conn_id(), second.get_conn_id());
    assert!(matches!(rooms.set_notify_id(8, &first), Err(Error::ConnectionClosed)));
    assert_eq!(rooms.conn_nums(), 0);
}

#[test]
fn telling_all_waits_for_nobody() {
    let mut config = config();
    config.write_timeout_ms = 0;
    let running = start(config, |_| {});
    let users = ZNotify::new();
    // It never reads: its socket and then its queue fill.
    let (_deaf, deaf) = connect(&running);
    let (mut peer, conn) = connect(&running);
    users.set_notify_id(1, &deaf).unwrap();
    users.set_notify_id(2, &conn).unwrap();
    let payload = vec![7; 1 << 16];
    let mut told = 0;
    let mut rounds = 0;
    while told != 1 {
        told = users.notify_all(5, &payload);
        assert_eq!(peer.read_frame().1.len(), payload.len());
        rounds += 1;
        assert!(rounds < 1000, "the deaf one never fills");
    }
}

#[test]
fn text_ids_find_connections_too() {
    let running = start(config(), |_| {});
    let (_peer, conn) = connect(&running);
    let manager = running.server.get_conn_mgr();
    let text = conn.get_conn_id_str();
    assert_eq!(manager.get2(&text).unwrap().get_conn_id(), conn.get_conn_id());
    assert!(manager.get_all_conn_id_str().contains(&text));
    assert!(manager.get2("no id").is_none() && manager.get2("99").is_none());
}

#[test]
fn range_stops_early_where_the_visitor_says_so() {
    let running = start(config(), |_| {});
    let _peers: Vec<_> = (0..5).map(|_| connect(&running)).collect();
    let mut visited = 0;
    running.server.get_conn_mgr().range(&mut |_| {
        visited += 1;
        visited < 3
    });
    assert_eq!(visited, 3);
}

/// A peer and its connection.
fn connect(running: &Running) -> (Peer, Arc<dyn IConnection>) {
    let mut peer = running.connect();
    peer.send(&frame(ECHO, b"hello"));
    peer.read_frame();
    let mut found = None;
    wait_until("the connection", || {
        running.server.get_conn_mgr().range(&mut |conn| {
            let is_it = conn.get_remote_addr() == peer.addr();
            if is_it {
                found = Some(Arc::clone(conn));
            }
            !is_it
        });
        found.is_some()
    });
    (peer, found.unwrap())
}

const SOON: Duration = Duration::from_secs(10);
