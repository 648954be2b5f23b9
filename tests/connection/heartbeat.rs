//! Heartbeats: what is sent, which peers are found silent and how soon, and what a program may choose.

use std::io::{ErrorKind, Read};
use std::net::TcpListener;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant};

use crate::common::in_time::in_time;
use crate::common::{ECHO, Running, Watchdog, config, frame, start, start_alone, wait_until};
use zinx::ziface::{
    CloseReason, HEART_BEAT_DEFAULT_MSG_ID, HeartBeatDirection, HeartBeatOption, IClient, IConnection,
    IRequest, IServer,
};
use zinx::znet::Reconnect;
use zinx::{Error, green, new_client_with_config, new_server_with_config};

#[test]
fn the_default_heartbeat_has_the_documented_id_and_body() {
    let running = start_alone(config(), |server| server.start_heart_beat(INTERVAL).unwrap());
    let mut peer = running.connect();
    let (ours, theirs) = (running.server.local_addr().unwrap(), peer.addr());
    for _ in 0..3 {
        let (id, body) = peer.read_frame();
        assert_eq!(id, 99_999);
        assert_eq!(String::from_utf8(body).unwrap(), format!("heartbeat [{ours}->{theirs}]"));
    }
}

#[test]
fn heartbeats_keep_to_a_schedule_and_do_not_drift() {
    // On a busy machine they may be late, and the schedule does not count time in which the process stood still.
    assert!((0..5).any(|_| is_on_schedule()), "five times in a row they have drifted");
}

/// Whether one of the seventh to the ninth heartbeat came within a quarter of the interval. If each began with the one
/// before, they would drift by 4 % of the interval each time, and none would.
fn is_on_schedule() -> bool {
    const INTERVAL: Duration = Duration::from_secs(1);
    let running = start_alone(patient(), |server| server.start_heart_beat(INTERVAL).unwrap());
    let begun = Instant::now();
    let mut peer = running.connect();
    let late = |_| {
        assert_eq!(peer.read_frame().0, HEART_BEAT_DEFAULT_MSG_ID);
        begun.elapsed().as_nanos() % INTERVAL.as_nanos()
    };
    let late: Vec<_> = (0..9).map(late).collect();
    late[6..].iter().any(|late| *late < INTERVAL.as_nanos() / 4)
}

#[test]
fn a_silent_peer_is_found_within_its_misses_and_a_second() {
    let option = HeartBeatOption::new().misses(3);
    let running =
        start_alone(config(), |server| server.start_heart_beat_with_option(INTERVAL, option).unwrap());
    is_found(&running, 3 * INTERVAL);
}

#[test]
fn heartbeat_max_is_the_limit_where_no_misses_are_given() {
    let mut config = config();
    config.heartbeat_max = 1;
    let running = start_alone(config, |server| server.start_heart_beat(INTERVAL).unwrap());
    assert_eq!(running.server.get_heart_beat().unwrap().limit, Some(Duration::from_secs(1)));
    is_found(&running, Duration::from_secs(1));
}

/// A silent peer is found when it has been silent for so long, and a second later at most. A busy machine may keep the server from it
/// once, but not each time.
fn is_found(running: &Running, silent: Duration) {
    let find = || {
        let begun = Instant::now();
        let peer = running.connect();
        assert_eq!(running.close_reason(peer.addr()), CloseReason::HeartbeatLost);
        begun.elapsed()
    };
    let in_time = |_| {
        let found = find();
        assert!(found >= silent, "{found:?}");
        found < silent + Duration::from_secs(1)
    };
    assert!((0..5).any(in_time), "not within a second");
}

#[test]
fn a_connection_may_have_a_heartbeat_of_its_own() {
    let plain = start_alone(config(), |_| {});
    assert!(!plain.conn(plain.connect().addr()).set_heart_beat(INTERVAL, None), "there is none for all");
    let running = start_alone(patient(), |server| {
        server.start_heart_beat(8 * INTERVAL).unwrap();
        server.set_on_conn_start(|conn| {
            match conn.get_conn_id() {
                0 => assert!(conn.set_heart_beat(INTERVAL, None)),
                1 => {}
                _ => assert!(conn.set_heart_beat(INTERVAL, Some(3 * INTERVAL))),
            }
            Ok(())
        });
    });
    let begun = Instant::now();
    let (mut often, other) = (running.connect(), running.connect());
    (0..10).for_each(|_| assert_eq!(often.read_frame().0, HEART_BEAT_DEFAULT_MSG_ID));
    // As often as all, they would take that long.
    assert!(begun.elapsed() < 80 * INTERVAL, "{:?}", begun.elapsed());
    // A busy machine may keep the server from sending before the limit.
    let heard = in_time(|| {
        let (begun, mut watched) = (Instant::now(), running.connect());
        assert_eq!(running.close_reason(watched.addr()), CloseReason::HeartbeatLost);
        let found = begun.elapsed();
        assert!(found >= 3 * INTERVAL, "{found:?}");
        let mut head = [0; 8];
        watched.stream.read_exact(&mut head).is_ok().then_some(head)
    });
    assert_eq!(heard[4..], HEART_BEAT_DEFAULT_MSG_ID.to_le_bytes());
    assert_eq!(running.stop_hooks(often.addr()) + running.stop_hooks(other.addr()), 0);
}

#[test]
fn a_client_and_a_server_keep_each_other_alive() {
    // A busy machine may keep either from sending for longer than the other waits, but not each time.
    assert!((0..5).any(|_| keep_each_other_alive()), "not once");
}

fn keep_each_other_alive() -> bool {
    let beats = Arc::new(AtomicUsize::new(0));
    let running = start_alone(config(), |server| {
        let option = HeartBeatOption::new().misses(20).router(counting(&beats));
        server.start_heart_beat_with_option(QUICK, option).unwrap();
    });
    let client = client(running.server.local_addr().unwrap().port());
    let heard = Arc::new(AtomicUsize::new(0));
    let option = HeartBeatOption::new().misses(20).router(counting(&heard));
    client.start_heart_beat_with_option(QUICK, option).unwrap();
    client.start().unwrap();
    // Three times the silence after which either would give up.
    let is_alive = || client.conn().is_some_and(|conn| conn.is_alive() && conn.get_conn_id() == 0);
    wait_until("heartbeats in both directions", || {
        beats.load(Ordering::Acquire) > 60 && heard.load(Ordering::Acquire) > 60 || !is_alive()
    });
    let was_kept = is_alive();
    client.stop();
    assert!(client.wait_stopped(Duration::from_secs(10)));
    was_kept
}

#[test]
fn a_client_finds_a_dead_server_and_connects_again() {
    let _watchdog = Watchdog::start(Duration::from_secs(60));
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let client = client(listener.local_addr().unwrap().port());
    client.start_heart_beat_with_option(QUICK, HeartBeatOption::new().misses(5)).unwrap();
    client.set_reconnect(Reconnect { first_pause: QUICK, longest_pause: QUICK, attempts: 0 });
    let (tell, told) = mpsc::channel();
    let tell = Mutex::new(tell);
    client.set_on_conn_start(move |conn: &Arc<dyn IConnection>| {
        // The test may be over.
        let _ = tell.lock().unwrap().send(Arc::clone(conn));
        Ok(())
    });
    client.start().unwrap();
    let first = told.recv().unwrap();
    let _silent: Vec<_> = (0..3).map(|_| listener.accept().unwrap()).collect();
    assert_eq!(first.get_close_reason(), Some(CloseReason::HeartbeatLost));
    client.stop();
    assert!(client.wait_stopped(Duration::from_secs(10)));
}

#[test]
fn message_id_and_router_may_be_ones_own() {
    let seen = Arc::new(AtomicUsize::new(0));
    let option = HeartBeatOption::new()
        .msg_id(7)
        .make_msg(|conn| format!("conn {}", conn.get_conn_id()).into_bytes())
        .router(counting(&seen));
    let running = start_alone(config(), |server| server.start_heart_beat_with_option(QUICK, option).unwrap());
    let mut peer = running.connect();
    assert_eq!(peer.read_frame(), (7, b"conn 0".to_vec()));
    peer.send(&frame(7, b"mine"));
    wait_until("the router", || seen.load(Ordering::Acquire) == 1);
}

#[test]
fn a_function_may_beat_instead() {
    let option = HeartBeatOption::new().heart_beat_func(|conn| conn.try_send_msg(8, "own"));
    let running = start_alone(config(), |server| server.start_heart_beat_with_option(QUICK, option).unwrap());
    assert_eq!(running.connect().read_frame(), (8, b"own".to_vec()));
}

#[test]
fn a_heartbeat_sent_only_leaves_a_silent_peer_alone() {
    let option = HeartBeatOption::new().misses(1).direction(HeartBeatDirection::SendOnly);
    let running = start_alone(config(), |server| server.start_heart_beat_with_option(QUICK, option).unwrap());
    let mut peer = running.connect();
    for _ in 0..30 {
        assert_eq!(peer.read_frame().0, HEART_BEAT_DEFAULT_MSG_ID);
    }
    assert_eq!(running.stop_hooks(peer.addr()), 0);
}

#[test]
fn a_peer_watched_only_is_sent_nothing() {
    let option = HeartBeatOption::new().misses(2).direction(HeartBeatDirection::WatchOnly);
    let running =
        start_alone(config(), |server| server.start_heart_beat_with_option(INTERVAL, option).unwrap());
    let mut peer = running.connect();
    assert_eq!(running.close_reason(peer.addr()), CloseReason::HeartbeatLost);
    assert_eq!(peer.stream.read(&mut [0]).unwrap_err().kind(), ErrorKind::ConnectionReset);
}

#[test]
fn a_hook_decides_about_a_silent_peer_again_and_again() {
    let asked = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&asked);
    let option = HeartBeatOption::new()
        .misses(2)
        .direction(HeartBeatDirection::WatchOnly)
        .on_remote_not_alive(move |conn: &Arc<dyn IConnection>| {
            counted.fetch_add(1, Ordering::AcqRel);
            conn.send_msg(9, "hello?")
        });
    let running = start_alone(config(), |server| server.start_heart_beat_with_option(QUICK, option).unwrap());
    let mut peer = running.connect();
    for _ in 0..3 {
        assert_eq!(peer.read_frame(), (9, b"hello?".to_vec()));
    }
    assert!(asked.load(Ordering::Acquire) >= 3);
    assert_eq!(running.stop_hooks(peer.addr()), 0);
}

#[test]
fn a_peer_is_not_to_blame_while_its_handler_runs() {
    let option = HeartBeatOption::new().direction(HeartBeatDirection::WatchOnly);
    let running = start_alone(config(), |server| {
        server.start_heart_beat_with_option(QUICK, option).unwrap();
        server
            .add_router(2, |request: &dyn IRequest| {
                // From now on: before, a busy machine may keep the peer from sending.
                assert!(request.get_connection().set_heart_beat(QUICK, Some(4 * QUICK)));
                green::sleep(20 * QUICK);
                request.get_connection().send_msg(2, "done")
            })
            .unwrap();
    });
    let mut peer = running.connect();
    peer.send(&[frame(2, b""), frame(ECHO, b"after")].concat());
    assert_eq!(peer.read_frame(), (2, b"done".to_vec()));
    assert_eq!(peer.read_frame(), (ECHO, b"after".to_vec()));
}

#[test]
fn a_panic_of_the_message_function_is_contained() {
    let option = HeartBeatOption::new().make_msg(|_| panic!("on purpose"));
    let running = start(config(), |server| {
        server.start_heart_beat_with_option(INTERVAL, option).unwrap();
    });
    wait_until("a panic", || running.server.stats().hook_panics > 0);
    running.connect().check_echo();
}

#[test]
fn a_heartbeat_is_set_up_once_before_the_start() {
    let server = new_server_with_config(config()).unwrap();
    server.add_router(HEART_BEAT_DEFAULT_MSG_ID, |_: &dyn IRequest| Ok(())).unwrap();
    let repeated = server.start_heart_beat(INTERVAL);
    assert!(matches!(repeated, Err(Error::RepeatedRouter { msg_id: HEART_BEAT_DEFAULT_MSG_ID })));
    assert!(server.get_heart_beat().is_none());
    server.start_heart_beat_with_option(INTERVAL, HeartBeatOption::new().msg_id(5)).unwrap();
    assert!(matches!(server.start_heart_beat(INTERVAL), Err(Error::AlreadyStarted { .. })));
    let started = start_alone(config(), |_| {});
    assert!(matches!(started.server.start_heart_beat(INTERVAL), Err(Error::AlreadyStarted { .. })));
}

/// A configuration by which a peer may be silent for a minute, from the beginning.
fn patient() -> zinx::Config {
    let mut config = config();
    (config.heartbeat_max, config.first_frame_timeout_ms) = (60, 0);
    config
}

fn client(port: u16) -> zinx::Client {
    new_client_with_config("127.0.0.1", port, config()).unwrap()
}

fn counting(count: &Arc<AtomicUsize>) -> impl Fn(&dyn IRequest) -> zinx::Result<()> + use<> {
    let count = Arc::clone(count);
    move |_| {
        count.fetch_add(1, Ordering::AcqRel);
        Ok(())
    }
}

const INTERVAL: Duration = Duration::from_millis(200);
const QUICK: Duration = Duration::from_millis(20);
