//! The calls that keep a time for later, or do not wait themselves.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use zinx::green;
use zinx::prelude::*;
use zinx::ziface::HeartBeatOption;
use zinx::znet::{Call, Reconnect};
use zinx::ztimer::TimerScheduler;

use super::common::coroutines::LONG;
use super::common::{frame, start_alone, wait_until};
use super::{client_of, config, server};

type Set = fn(Duration);

/// Each does what it does with a time, and looks whether it was right.
pub(super) const SETTINGS: &[(&str, Set)] = &[
    ("spawn_later", |d| {
        let later = green::spawn_later(d, || ());
        assert!(later.kill_timeout(LONG));
    }),
    ("Builder::start_later", |d| {
        let later = green::Builder::new().start_later(d, || ()).unwrap();
        assert!(later.kill_timeout(LONG));
    }),
    ("BackdoorServer::idle", |d| {
        let backdoor = green::BackdoorServer::bind("127.0.0.1:0").unwrap().idle(d);
        backdoor.start().unwrap();
        let mut typed = TcpStream::connect(backdoor.local_addr()).unwrap();
        typed.set_read_timeout(Some(LONG)).unwrap();
        // A session that is over may be reset.
        let _ = typed.write_all(b"help\nquit\n");
        let mut said = String::new();
        let read = typed.read_to_string(&mut said);
        assert!(d.is_zero() || read.is_ok() && said.contains("dump"), "{said}");
        assert!(backdoor.stop(LONG));
    }),
    ("TimerScheduler::create_timer_after", |d| {
        let timers = TimerScheduler::new();
        timers.create_timer_after(d, || ());
    }),
    ("TimerScheduler::create_timer_every", |d| {
        let timers = TimerScheduler::new();
        let timer = timers.create_timer_every(d, || ());
        assert!(timers.cancel_timer(timer));
        assert!(timers.stop(LONG));
    }),
    ("Server::start_heart_beat", |d| {
        let server = server();
        server.start_heart_beat(d).unwrap();
        beats(&server, d);
    }),
    ("Server::start_heart_beat_with_option", |d| {
        let server = server();
        server.start_heart_beat_with_option(d, HeartBeatOption::new().misses(u32::MAX)).unwrap();
        beats(&server, d);
    }),
    ("Client::set_dial_timeout", |d| {
        let running = start_alone(config(), |_| {});
        let client = client_of(&running);
        client.start_heart_beat(d).unwrap();
        client.set_dial_timeout(d);
        client.set_reconnect(Reconnect { first_pause: d, longest_pause: d, attempts: 0 });
        // At once is too early for a connection, but not for an answer.
        client.start().unwrap();
        assert!(d.is_zero() || client.conn().is_some());
        client.stop();
        assert!(client.wait_stopped(LONG));
    }),
    ("IConnection::set_heart_beat", |d| {
        let running = start_alone(config(), |server| server.start_heart_beat(LONG).unwrap());
        let mut peer = running.connect();
        assert!(running.conn(peer.addr()).set_heart_beat(d, Some(d.max(LONG))));
        if !d.is_zero() {
            peer.check_echo();
        }
    }),
    ("Server::drain", |d| {
        let running = start_alone(config(), |_| {});
        let mut peers = [running.connect(), running.connect()];
        peers.iter_mut().for_each(|peer| peer.check_echo());
        running.server.drain(d);
        if !d.is_zero() {
            assert!(!running.server.wait_stopped(Duration::from_millis(200)));
            // The last is told to close when the time is over.
            peers[1].check_echo();
            running.server.stop();
        }
        assert!(running.server.wait_stopped(LONG));
    }),
    ("ITcpConnection::set_keepalive", |d| {
        let running = start_alone(config(), |_| {});
        let peer = running.connect();
        let conn = running.conn(peer.addr());
        conn.get_tcp_connection().set_keepalive(Some(d)).unwrap();
    }),
    ("Call::grace", |d| {
        let running = start_alone(config(), |_| {});
        let mut peer = running.connect();
        let conn = running.conn(peer.addr());
        let soon = Duration::from_millis(1);
        assert!(conn.call_with(7, "?", 8, Call::new(soon).grace(d)).is_err());
        // The late answer frees the place, however long it is kept.
        peer.send(&frame(8, b"late"));
        let answer = green::spawn(move || conn.call(7, "again?", 8, LONG));
        assert_eq!(peer.read_frame().0, 7);
        if d.is_zero() {
            return;
        }
        assert_eq!(peer.read_frame(), (7, b"again?".to_vec()));
        peer.send(&frame(8, b"in time"));
        assert_eq!(answer.get().unwrap().unwrap().get_data(), "in time");
    }),
];

/// The heartbeat comes if it is due at once, and does not come if it is never due.
fn beats(server: &Server, interval: Duration) {
    server.start().unwrap();
    let address = server.local_addr().unwrap();
    let mut stream = TcpStream::connect(address).unwrap();
    wait_until("the connection", || server.get_conn_mgr().len() == 1);
    let due = interval.is_zero();
    stream.set_read_timeout(Some(if due { LONG } else { Duration::from_millis(30) })).unwrap();
    assert_eq!(stream.read(&mut [0; 1]).is_ok(), due);
    server.stop();
    assert!(server.wait_stopped(LONG));
}
