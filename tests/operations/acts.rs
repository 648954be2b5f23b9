//! What is done to a server over its admin plane.

use std::time::{Duration, Instant};

use zinx::prelude::*;
use zinx::ziface::CloseReason;

use crate::common::child::in_child;
use crate::common::{frame, start_alone, wait_until};
use crate::http::{config, get, get_json, post};

const LOGIN: u32 = 20;

#[test]
fn a_connection_is_kicked_in_order_and_others_stay() {
    let running = start_alone(config(), |_| {});
    let (mut kicked, mut other) = (running.connect(), running.connect());
    kicked.check_echo();
    other.check_echo();
    let answer = post(&running, "/connz/0/kick");
    assert_eq!((answer.status, answer.json()["kicked"].clone()), (200, serde_json::json!([0])));
    assert!(kicked.read_to_end().is_empty());
    kicked.finish();
    assert_eq!(running.close_reason(kicked.addr()), CloseReason::Kicked);
    other.check_echo();
    wait_until("it is closed", || get_json(&running, "/connz/0")["state"] == "closed");
    assert_eq!(get_json(&running, "/connz/0")["reason"], "closed by an operator");
    assert_eq!(post(&running, "/connz/0/kick").status, 404);
}

#[test]
fn all_connections_of_a_user_are_kicked() {
    let login = |request: &dyn IRequest| {
        let conn = request.get_connection();
        conn.login(String::from_utf8_lossy(request.get_data()), OnDuplicate::Multi)?;
        conn.send_msg(LOGIN, "welcome")
    };
    let running = start_alone(config(), |server| server.add_router(LOGIN, login).unwrap());
    let mut peers: Vec<_> = (0..3).map(|_| running.connect()).collect();
    for (peer, name) in peers.iter_mut().zip(["bob", "bob", "ann"]) {
        peer.send(&frame(LOGIN, name.as_bytes()));
        peer.read_frame();
    }
    assert_eq!(post(&running, "/userz/bob/kick").json()["kicked"], serde_json::json!([0, 1]));
    for peer in &mut peers[..2] {
        assert!(peer.read_to_end().is_empty());
    }
    peers[2].check_echo();
    wait_until("they are logged out", || post(&running, "/userz/bob/kick").status == 404);
}

#[test]
fn a_drain_is_seen_at_once_and_closes_the_oldest_first() {
    let mut config = config();
    // However slow the machine, nobody is cut off.
    config.drain_ms = 0;
    let running = start_alone(config, |_| {});
    let mut peers: Vec<_> = (0..10).map(|_| running.connect()).collect();
    peers.iter_mut().for_each(|peer| peer.check_echo());
    assert_eq!(get(&running, "/readyz").status, 200);
    let plane = running.server.admin_addr().unwrap();
    let begun = Instant::now();
    assert_eq!(
        post(&running, "/drain?seconds=2").json(),
        serde_json::json!({ "connections": 10, "seconds": 2 })
    );
    let ready = crate::http::ask(plane, "GET", "/readyz", "");
    assert_eq!((ready.status, ready.body.as_str()), (503, "stopping\n"));
    assert_eq!(crate::http::ask(plane, "GET", "/healthz", "").status, 200);
    let mut ends = Vec::new();
    for peer in &mut peers {
        assert!(peer.read_to_end().is_empty());
        peer.finish();
        ends.push(begun.elapsed());
    }
    // The first goes at the beginning, the last at the end; on a busy machine both come later.
    assert!(ends[9] > Duration::from_millis(1500), "{ends:?}");
    assert!(ends.is_sorted() && ends[0] < ends[9], "{ends:?}");
    assert!(running.server.wait_stopped(Duration::from_secs(20)));
    // A child that another test is starting may have inherited its listener, for a moment.
    wait_until("the plane goes last, but it goes", || std::net::TcpStream::connect(plane).is_err());
}

#[test]
fn a_drain_is_over_when_all_have_gone_by_themselves() {
    let running = start_alone(config(), |_| {});
    let mut peers: Vec<_> = (0..3).map(|_| running.connect()).collect();
    peers.iter_mut().for_each(|peer| peer.check_echo());
    running.server.drain(Duration::from_secs(3600));
    drop(peers);
    assert!(running.server.wait_stopped(Duration::from_secs(20)));
}

#[test]
fn a_drain_with_a_parameter_that_it_does_not_know_stops_nothing() {
    let running = start_alone(config(), |_| {});
    assert_eq!(post(&running, "/drain?second=60").status, 400);
    assert_eq!(get(&running, "/readyz").status, 200);
    running.connect().check_echo();
}

#[test]
fn a_stop_ends_the_pace_of_a_drain() {
    let running = start_alone(config(), |_| {});
    let mut peers: Vec<_> = (0..10).map(|_| running.connect()).collect();
    peers.iter_mut().for_each(|peer| peer.check_echo());
    running.server.drain(Duration::from_secs(3600));
    running.server.stop();
    for peer in &mut peers {
        assert!(peer.read_to_end().is_empty());
        peer.finish();
    }
    assert!(running.server.wait_stopped(Duration::from_secs(20)));
}

#[test]
fn at_max_conn_the_server_is_not_ready() {
    let mut config = config();
    config.max_conn = 1;
    let running = start_alone(config, |_| {});
    assert_eq!(get(&running, "/readyz").status, 200);
    let mut peer = running.connect();
    peer.check_echo();
    assert_eq!(get(&running, "/readyz").status, 503);
    drop(peer);
    wait_until("there is room again", || get(&running, "/readyz").status == 200);
}

#[test]
fn places_that_handshakes_take_are_not_free_either() {
    let mut config = config();
    (config.max_conn, config.proxy_protocol) = (1, true);
    config.trusted_proxies = Config::from_yaml("TrustedProxies: 127.0.0.0/8").unwrap().trusted_proxies;
    // However slow the machine, the silent one keeps its place.
    config.handshake_timeout_ms = 100_000;
    let running = start_alone(config, |_| {});
    let silent = std::net::TcpStream::connect(running.server.local_addr().unwrap()).unwrap();
    wait_until("its place is taken", || get(&running, "/readyz").status == 503);
    assert_eq!(get_json(&running, "/varz")["connections"]["places"], 1);
    drop(silent);
    wait_until("there is room again", || get(&running, "/readyz").status == 200);
}

/// The level is the process's.
#[test]
fn the_log_level_changes_while_the_server_runs() {
    in_child("acts::the_log_level_changes_while_the_server_runs", || {
        let running = start_alone(config(), |_| {});
        for level in ["error", "trace", "off"] {
            let answer = post(&running, &format!("/loglevel?level={level}"));
            assert_eq!((answer.status, answer.json()["level"].clone()), (200, level.into()));
            assert_eq!(get_json(&running, "/loglevel")["level"], level);
            assert_eq!(log::max_level().to_string().to_lowercase(), level);
        }
        assert_eq!(post(&running, "/loglevel?level=loud").status, 400);
        assert_eq!(post(&running, "/loglevel").status, 400);
    });
}
