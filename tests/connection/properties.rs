//! What a connection carries: its id, its addresses, and properties of any type.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::common::{config, start, start_alone};
use zinx::ziface::{IConnection, IServer};

#[test]
fn properties_hold_values_of_any_type() {
    #[derive(Debug, PartialEq)]
    struct Player {
        name: String,
    }
    let running = start(config(), |_| {});
    let peer = running.connect();
    let conn = running.conn(peer.addr());
    assert!(conn.get_property("player").is_none());
    conn.set_property("player", Arc::new(Player { name: "ann".to_string() }));
    conn.set_property("score", Arc::new(7_u64));
    conn.set_property("closure", Arc::new(Mutex::new(vec!["any", "type"])));
    assert_eq!(conn.get_property_as::<Player>("player").unwrap().name, "ann");
    assert_eq!(conn.get_property_as::<u64>("score").as_deref(), Some(&7));
    assert_eq!(conn.get_property_as::<u32>("score"), None, "another type");
    assert!(conn.get_property_as::<Mutex<Vec<&str>>>("closure").is_some());
    conn.set_property("score", Arc::new("text"));
    assert_eq!(conn.get_property_as::<&str>("score").as_deref(), Some(&"text"));
    conn.remove_property("score");
    conn.remove_property("score");
    assert!(conn.get_property("score").is_none());
    conn.abort();
    assert!(conn.wait_closed(Duration::from_secs(20)).unwrap());
    assert!(conn.get_property_as::<Player>("player").is_some(), "also past the end");
}

#[test]
fn a_property_may_use_its_connection_when_dropped() {
    struct Guard(Arc<dyn IConnection>, Arc<AtomicUsize>);
    impl Drop for Guard {
        fn drop(&mut self) {
            assert!(self.0.get_property("other").is_some());
            self.1.fetch_add(1, Ordering::Relaxed);
        }
    }
    let running = start(config(), |_| {});
    let peer = running.connect();
    let conn = running.conn(peer.addr());
    let dropped = Arc::new(AtomicUsize::new(0));
    conn.set_property("other", Arc::new(()));
    for _ in 0..2 {
        conn.set_property("guard", Arc::new(Guard(Arc::clone(&conn), Arc::clone(&dropped))));
    }
    conn.remove_property("guard");
    assert_eq!(dropped.load(Ordering::Relaxed), 2);
}

#[test]
fn ids_count_from_zero_and_are_never_reused() {
    let running = start_alone(config(), |_| {});
    for id in 0..5 {
        let peer = running.connect();
        let conn = running.conn(peer.addr());
        assert_eq!(conn.get_conn_id(), id);
        assert_eq!(conn.get_remote_addr(), peer.addr());
        assert_eq!(Some(conn.get_local_addr()), running.server.local_addr());
        assert!(running.server.get_conn_mgr().get(id).is_some());
        peer.finish();
        assert!(conn.wait_closed(Duration::from_secs(20)).unwrap());
        assert!(running.server.get_conn_mgr().get(id).is_none());
    }
}
