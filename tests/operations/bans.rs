//! Addresses that are refused for a time.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::{Value, json};
use zinx::prelude::*;

use crate::common::{ECHO, Peer, Running, frame, log_lines, start_alone, wait_until};
use crate::http::{config, get, get_json, post};

const LOGIN: u32 = 20;

/// A server that bans, and counts logins that have failed.
fn start(change: impl FnOnce(&mut Config)) -> Running {
    let mut config = config();
    change(&mut config);
    start_alone(config, |server| {
        let login = |request: &dyn IRequest| {
            let is_banned = request.get_connection().report_fault("a wrong password");
            request.get_connection().send_msg(LOGIN, is_banned.to_string())
        };
        server.add_router(LOGIN, login).unwrap();
    })
}

fn is_refused(running: &Running) -> bool {
    let address = running.server.local_addr().unwrap();
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    // A connection would answer; one that is refused ends, or is reset.
    stream.write_all(&frame(ECHO, b"x")).and_then(|()| stream.read(&mut [0])).unwrap_or(0) == 0
}

fn banned(running: &Running) -> Vec<Value> {
    get_json(running, "/varz")["banned"].as_array().unwrap().clone()
}

#[test]
fn an_address_whose_frames_are_bad_too_often_is_refused_until_the_ban_is_lifted() {
    log_lines::keep();
    let running = start(|config| config.ban_faults = 3);
    let mut open = running.connect();
    open.check_echo();
    for n in 1..=4 {
        assert_eq!(banned(&running), [Value::Null; 0], "after {n}");
        let mut bad = running.connect();
        bad.send(&frame(1, &vec![0; 5000])[..8]);
        assert!(bad.read_to_end().is_empty());
        bad.finish();
        running.close_reason(bad.addr());
        wait_until("it is counted", || get_json(&running, "/connz?state=closed")["matched"] == n);
    }
    wait_until("it is banned", || running.server.stats().bans == 1);
    assert!(is_refused(&running));
    open.check_echo();
    let ban = &banned(&running)[0];
    let left = ban["left_ms"].as_u64().unwrap();
    assert!(left > 200_000 && left <= 300_000, "{ban}");
    assert_eq!(ban["address"], "127.0.0.1");
    let why = ban["why"].as_str().unwrap();
    assert!(why.starts_with("4 faults, the last: packet of 5000 bytes"), "{why}");
    let lines = log_lines::with(&format!("banned 127.0.0.1 for 300 s, for a minute of {why}"));
    assert_eq!(lines.len(), 1);
    let stats = running.server.stats();
    assert_eq!((stats.bans, stats.refused_banned), (1, 1));
    let metrics = get(&running, "/metrics").body;
    for line in ["zinx_bans_total 1", "zinx_addresses_banned 1", "refused_total{reason=\"banned\"} 1"] {
        assert!(metrics.contains(line), "{line}");
    }
    assert_eq!(get_json(&running, "/banz")["entries"][0]["address"], "127.0.0.1");
    assert_eq!(post(&running, "/banz/127.0.0.1/lift").json(), json!({ "lifted": "127.0.0.1" }));
    running.connect().check_echo();
    assert_eq!(post(&running, "/banz/127.0.0.1/lift").status, 404);
    assert_eq!(post(&running, "/banz/here/lift").status, 404);
}

#[test]
fn an_address_that_connects_too_often_is_refused_for_a_time() {
    let running = start(|config| (config.ban_connects, config.ban_ms) = (5, 500));
    let mut peers: Vec<_> = (0..5).map(|_| running.connect()).collect();
    peers.iter_mut().for_each(Peer::check_echo);
    assert!(is_refused(&running));
    assert_eq!(running.server.stats().bans, 1);
    wait_until("the ban is over", || !is_refused(&running));
    peers.iter_mut().for_each(Peer::check_echo);
}

#[test]
fn logins_that_fail_too_often_ban_their_address() {
    let running = start(|config| config.ban_faults = 2);
    let mut peer = running.connect();
    for is_banned in ["false", "false", "true", "false"] {
        peer.send(&frame(LOGIN, b"bob"));
        assert_eq!(peer.read_frame(), (LOGIN, is_banned.as_bytes().to_vec()));
    }
    assert!(is_refused(&running));
    assert_eq!(banned(&running)[0]["why"], "3 faults, the last: a wrong password");
}

#[test]
fn without_the_keys_nothing_is_counted_and_proxies_that_are_trusted_are_never_banned() {
    for trusted in ["", "127.0.0.0/8"] {
        let running = start(|config| {
            (config.ban_faults, config.ban_connects) = if trusted.is_empty() { (0, 0) } else { (1, 1) };
            config.trusted_proxies =
                Config::from_yaml(&format!("TrustedProxies: \"{trusted}\"")).unwrap().trusted_proxies;
        });
        for _ in 0..10 {
            let mut peer = running.connect();
            peer.send(&frame(LOGIN, b"bob"));
            assert_eq!(peer.read_frame(), (LOGIN, b"false".to_vec()));
        }
        assert_eq!((running.server.stats().bans, banned(&running).len()), (0, 0));
    }
}

/// Comes through a proxy, for this client. Whether its first message is answered.
fn comes_for(running: &Running, client: &str) -> bool {
    let address = running.server.local_addr().unwrap();
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let header = format!("PROXY TCP6 {client} ::1 4000 5000\r\n");
    let sent = stream.write_all(&[header.as_bytes(), &frame(ECHO, b"x")].concat());
    sent.and_then(|()| stream.read(&mut [0])).unwrap_or(0) == 1
}

#[test]
fn clients_of_a_proxy_are_banned_one_by_one_and_a_home_has_one_address() {
    let running = start(|config| {
        config.ban_connects = 2;
        config.proxy_protocol = true;
        config.trusted_proxies = Config::from_yaml("TrustedProxies: 127.0.0.0/8").unwrap().trusted_proxies;
    });
    assert!(comes_for(&running, "2001:db8:1:2::1") && comes_for(&running, "2001:db8:1:2::2"));
    assert!(!comes_for(&running, "2001:db8:1:2:3::"));
    assert!(comes_for(&running, "2001:db8:1:3::1"));
    assert_eq!(banned(&running)[0]["address"], "2001:db8:1:2::/64");
    assert_eq!(post(&running, "/banz/2001:db8:1:2::%2F64/lift").status, 200);
    for n in ["1", "2"] {
        assert!(comes_for(&running, &format!("2001:db8:1:2::{n}")));
    }
    assert!(!comes_for(&running, "2001:db8:1:2::3"));
    // As it is shown, without a thought of what a slash is in a path.
    assert_eq!(get(&running, "/banz/2001:db8:1:2::/64/lift").status, 405);
    let lifted = post(&running, "/banz/2001:db8:1:2::/64/lift");
    assert_eq!((lifted.status, lifted.json()), (200, json!({ "lifted": "2001:db8:1:2::/64" })));
    assert!(comes_for(&running, "2001:db8:1:2::1"));
}
