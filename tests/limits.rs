//! Limits: what is too large, too slow, too idle or too much is bounded or closed, and nobody else notices.

#![expect(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "tests are plain threads and speak raw sockets"
)]

#[expect(dead_code, reason = "each test file uses its share")]
mod common;

use std::fs::File;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use common::{ECHO, Peer, Running, comes_true, config, frame, pattern, start, start_alone, wait_until};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use zinx::zconf::{MaxConnPolicy, QueueFull};
use zinx::ziface::{CloseReason, IConnection, IRequest, IServer};
use zinx::znet::IdleAction;
use zinx::{Config, Error};

/// The message id whose handler sends more than a socket takes.
const FLOOD: u32 = 9;

/// Messages in a flood, each of [`FLOOD_BYTES`]: 64 MiB together.
const FLOOD_MESSAGES: u32 = 1024;
const FLOOD_BYTES: usize = 64 << 10;

/// Bytes that may be queued to the peer that is flooded.
const QUEUE_BYTES: usize = 256 << 10;

#[test]
fn an_oversized_frame_closes_only_its_connection_and_delivers_replies_due() {
    let mut config = config();
    config.max_packet_size = 64;
    let running = start(config, |_| {});
    let mut peer = running.connect();
    let replies = [frame(ECHO, &pattern(64)), frame(ECHO, b"due")].concat();
    let too_large = frame(ECHO, &pattern(65));
    let start = Instant::now();
    peer.send(&[&replies[..], &too_large].concat());
    assert_eq!(peer.read_to_end(), replies);
    assert!(start.elapsed() < Duration::from_secs(2), "the end came after {:?}", start.elapsed());
    assert_eq!(running.close_reason(peer.addr()), CloseReason::PacketTooLarge { len: 65, max: 64 });
    assert_eq!(running.stop_hooks(peer.addr()), 1);
}

#[test]
fn the_largest_length_on_a_thousand_connections_takes_no_memory() {
    in_child("the_largest_length_on_a_thousand_connections_takes_no_memory", || {
        let count = 1000;
        assert!(zinx::green::raise_open_files(2 * count + 100) >= 2 * count + 100, "too few open files");
        let running = start_alone(config(), |_| {});
        let mut peers: Vec<_> = (0..count).map(|_| running.connect()).collect();
        for peer in &mut peers {
            peer.check_echo();
        }
        thread::sleep(Duration::from_millis(200));
        let idle = resident_kib();
        for peer in &mut peers {
            peer.send(&[&u32::MAX.to_le_bytes()[..], &ECHO.to_le_bytes()].concat());
        }
        let mut most = 0;
        for peer in &mut peers {
            assert_eq!(peer.read_to_end(), b"");
            most = most.max(resident_kib());
        }
        let max = config().max_packet_size;
        let reason = CloseReason::PacketTooLarge { len: u64::from(u32::MAX), max };
        for peer in &peers {
            assert_eq!(running.close_reason(peer.addr()), reason);
        }
        eprintln!("{idle} KiB idle, at most {most} KiB after");
        assert!(most <= idle + 1024, "{idle} KiB idle, {most} KiB after");
    });
}

#[test]
fn a_peer_that_sends_nothing_is_closed_at_the_first_frame_timeout() {
    let mut config = config();
    config.first_frame_timeout_ms = 300;
    let running = start(config, |_| {});
    let mut other = running.connect();
    other.check_echo();
    let start = Instant::now();
    let mut silent = running.connect();
    assert_eq!(silent.read_to_end(), b"");
    assert!(start.elapsed() > Duration::from_millis(250), "after {:?}", start.elapsed());
    assert_eq!(running.close_reason(silent.addr()), CloseReason::FirstFrameTimeout);
    // One that has sent a frame may be silent as long as it likes.
    other.check_echo();
}

#[test]
fn a_head_and_then_silence_is_closed_at_the_frame_timeout() {
    let running = start(with_frame_timeout(), |_| {});
    let mut other = running.connect();
    let mut peer = running.connect();
    peer.check_echo();
    let start = Instant::now();
    peer.send(&frame(ECHO, b"never all of it")[..8]);
    assert_eq!(peer.read_to_end(), b"");
    assert!(start.elapsed() > Duration::from_millis(250), "after {:?}", start.elapsed());
    assert_eq!(running.close_reason(peer.addr()), CloseReason::FrameTimeout);
    assert_eq!(running.stop_hooks(peer.addr()), 1);
    // Silent between two frames: no frame has begun.
    other.check_echo();
}

#[test]
fn a_trickle_of_bytes_does_not_put_off_the_frame_timeout() {
    let running = start(with_frame_timeout(), |_| {});
    let mut peer = running.connect();
    let start = Instant::now();
    for byte in frame(ECHO, &pattern(2000)) {
        if running.stop_hooks(peer.addr()) > 0 || peer.stream.write_all(&[byte]).is_err() {
            break;
        }
        thread::sleep(Duration::from_millis(20));
    }
    assert!(start.elapsed() < Duration::from_secs(10), "after {:?}", start.elapsed());
    assert_eq!(running.close_reason(peer.addr()), CloseReason::FrameTimeout);
}

#[test]
fn a_full_queue_fails_a_send_by_policy_and_the_connection_stays() {
    let (running, outcome) = start_flooding(QueueFull::Fail);
    let mut peer = flood(&running);
    let sent = wait_for(&outcome);
    let Err(Error::QueueFull { bytes, messages, .. }) = sent.result else { panic!("{:?}", sent.result) };
    assert!(bytes <= QUEUE_BYTES && messages > 0, "{bytes} bytes, {messages} messages");
    assert_eq!(read_flood(&mut peer, sent.accepted), (0..sent.accepted).collect::<Vec<_>>());
    peer.check_echo();
}

#[test]
fn a_full_queue_fails_a_send_that_has_waited_in_vain() {
    let (running, outcome) = start_flooding(QueueFull::Wait);
    let mut peer = flood(&running);
    let sent = wait_for(&outcome);
    let Err(Error::QueueFull { bytes, waited, .. }) = sent.result else { panic!("{:?}", sent.result) };
    assert!(bytes <= QUEUE_BYTES, "{bytes} bytes");
    assert!(waited >= Duration::from_millis(QUEUE_WAIT_MS), "{waited:?}");
    assert_eq!(read_flood(&mut peer, sent.accepted), (0..sent.accepted).collect::<Vec<_>>());
    peer.check_echo();
}

#[test]
fn a_full_queue_drops_the_oldest_by_policy_and_counts_them() {
    let (running, outcome) = start_flooding(QueueFull::DropOldest);
    let mut peer = flood(&running);
    let sent = wait_for(&outcome);
    sent.result.unwrap();
    assert_eq!(sent.accepted, FLOOD_MESSAGES);
    let dropped = sent.conn.get_unsent();
    assert!(dropped.messages > 0);
    assert_eq!(dropped.bytes, dropped.messages * (FLOOD_BYTES + 8));
    let numbers = read_flood(&mut peer, FLOOD_MESSAGES - u32::try_from(dropped.messages).unwrap());
    assert!(numbers.is_sorted_by(|a, b| a < b));
    assert_eq!(numbers.last(), Some(&(FLOOD_MESSAGES - 1)));
    peer.check_echo();
}

#[test]
fn a_full_queue_disconnects_by_policy() {
    let (running, outcome) = start_flooding(QueueFull::Disconnect);
    let peer = flood(&running);
    let sent = wait_for(&outcome);
    assert!(matches!(sent.result, Err(Error::QueueFull { .. })), "{:?}", sent.result);
    assert_eq!(running.close_reason(peer.addr()), CloseReason::QueueFull);
    assert!(matches!(sent.conn.send_msg(FLOOD, "more"), Err(Error::ConnectionClosed)));
    assert!(sent.conn.wait_closed(Duration::from_secs(10)).unwrap());
    let unsent = sent.conn.get_unsent();
    assert!(unsent.messages > 0 && unsent.bytes <= QUEUE_BYTES, "{unsent:?}");
}

#[test]
fn a_slow_reader_is_closed_at_the_write_timeout() {
    let running = start_flooding_with(QueueFull::Fail, |config| config.write_timeout_ms = 300).0;
    let mut peer = flood(&running);
    let mut bytes = [0; 64];
    let closed = comes_true(Duration::from_secs(20), || {
        let _ = peer.stream.read(&mut bytes);
        thread::sleep(Duration::from_millis(50));
        running.stop_hooks(peer.addr()) > 0
    });
    assert!(closed, "a slow reader is kept");
    assert_eq!(running.close_reason(peer.addr()), CloseReason::SlowReader);
    assert_eq!(running.stop_hooks(peer.addr()), 1);
}

#[test]
fn one_connection_too_many_is_closed_and_the_others_untouched() {
    let mut config = config();
    config.max_conn = 3;
    let running = start(config, |_| {});
    let mut others = [running.connect(), running.connect()];
    others.iter_mut().for_each(Peer::check_echo);
    let mut extra = running.connect();
    assert_eq!(extra.read_to_end(), b"");
    others.iter_mut().for_each(Peer::check_echo);
    let stats = running.server.stats();
    assert_eq!((stats.accepted, stats.over_max_conn, stats.start_hooks), (3, 1, 3));
    let [first, mut second] = others;
    drop(first);
    // The place is free again, if not at once.
    wait_until("a free place", || {
        let mut next = running.connect();
        let ping = frame(ECHO, b"?");
        let mut pong = vec![0; ping.len()];
        next.stream.write_all(&ping).and_then(|()| next.stream.read_exact(&mut pong)).is_ok()
    });
    second.check_echo();
}

#[test]
fn one_connection_too_many_waits_for_a_free_place_by_policy() {
    let mut config = config();
    config.max_conn = 3;
    config.max_conn_policy = MaxConnPolicy::Wait;
    let running = start(config, |_| {});
    let mut others = [running.connect(), running.connect()];
    others.iter_mut().for_each(Peer::check_echo);
    let mut extra = running.connect();
    extra.send(&frame(ECHO, b"patient"));
    extra.stream.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
    extra.stream.read_exact(&mut [0]).expect_err("served although there is no place");
    extra.stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let [first, mut second] = others;
    drop(first);
    assert_eq!(extra.read_frame(), (ECHO, b"patient".to_vec()));
    second.check_echo();
    assert_eq!(running.server.stats().over_max_conn, 0);
}

#[test]
fn without_descriptors_the_server_rests_and_serves_again_when_one_is_free() {
    in_child("without_descriptors_the_server_rests_and_serves_again_when_one_is_free", || {
        let mut config = config();
        config.max_conn = 10;
        let running = start(config, |_| {});
        let mut before = running.connect();
        before.check_echo();
        let old = getrlimit(Resource::Nofile);
        setrlimit(Resource::Nofile, Rlimit { current: Some(128), maximum: old.maximum }).unwrap();
        let mut files = Vec::new();
        while let Ok(file) = File::open("/dev/null") {
            files.push(file);
        }
        // The last descriptor is the client's: none is left to accept with.
        files.pop();
        let address = running.server.local_addr().unwrap();
        let mut late = Peer { stream: TcpStream::connect(address).unwrap() };
        late.stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        late.send(&frame(ECHO, b"late"));
        wait_until("a refused accept", || running.server.stats().refused > 0);
        let refused = running.server.stats().refused;
        thread::sleep(Duration::from_secs(1));
        let more = running.server.stats().refused - refused;
        assert!(more < 50, "{more} accepts refused in a second: no pause between them");
        before.check_echo();
        files.truncate(files.len() - 2);
        let start = Instant::now();
        assert_eq!(late.read_frame(), (ECHO, b"late".to_vec()));
        assert!(start.elapsed() < Duration::from_secs(3), "after {:?}", start.elapsed());
    });
}

#[test]
fn an_idle_connection_is_closed_at_the_idle_timeout() {
    let running = start(with_idle_timeout(), |_| {});
    let mut peer = running.connect();
    peer.check_echo();
    let start = Instant::now();
    assert_eq!(peer.read_to_end(), b"");
    assert!(start.elapsed() > Duration::from_millis(250), "after {:?}", start.elapsed());
    assert_eq!(running.close_reason(peer.addr()), CloseReason::IdleTimeout);
}

#[test]
fn the_idle_hook_closes_an_idle_connection_after_its_last_words() {
    let running = start(with_idle_timeout(), |server| {
        server.set_on_idle(|conn| {
            conn.send_msg(ECHO, "idle").unwrap();
            IdleAction::Close
        });
    });
    let mut peer = running.connect();
    assert_eq!(peer.read_to_end(), frame(ECHO, b"idle"));
    assert_eq!(running.close_reason(peer.addr()), CloseReason::IdleTimeout);
    assert_eq!(running.stop_hooks(peer.addr()), 1);
}

#[test]
fn the_idle_hook_keeps_an_idle_connection() {
    let calls = Arc::new(AtomicUsize::new(0));
    let called = Arc::clone(&calls);
    let running = start(with_idle_timeout(), |server| {
        server.set_on_idle(move |_| {
            called.fetch_add(1, Ordering::Relaxed);
            IdleAction::Keep
        });
    });
    let mut peer = running.connect();
    let start = Instant::now();
    wait_until("three calls of the idle hook", || calls.load(Ordering::Relaxed) >= 3);
    assert!(start.elapsed() > Duration::from_millis(700), "the idle time does not begin anew");
    peer.check_echo();
    assert_eq!(running.stop_hooks(peer.addr()), 0);
}

fn with_frame_timeout() -> Config {
    let mut config = config();
    config.frame_timeout_ms = 300;
    config
}

fn with_idle_timeout() -> Config {
    let mut config = config();
    config.idle_timeout_ms = 300;
    config
}

/// How a flood ended.
struct Sent {
    accepted: u32,
    result: zinx::Result<()>,
    conn: Arc<dyn IConnection>,
}

type Outcome = Arc<Mutex<Option<Sent>>>;

const QUEUE_WAIT_MS: u64 = 200;

fn start_flooding(policy: QueueFull) -> (Running, Outcome) {
    start_flooding_with(policy, |_| {})
}

/// A server whose [`FLOOD`] handler sends numbered messages until one is refused.
fn start_flooding_with(policy: QueueFull, change: impl FnOnce(&mut Config)) -> (Running, Outcome) {
    let mut config = config();
    config.queue_full = policy;
    config.queue_wait_ms = QUEUE_WAIT_MS;
    config.max_msg_chan_bytes = QUEUE_BYTES;
    config.write_timeout_ms = 0;
    config.drain_ms = 500;
    change(&mut config);
    let outcome = Outcome::default();
    let noted = Arc::clone(&outcome);
    let running = start(config, |server| {
        let router = move |request: &dyn IRequest| {
            let conn = Arc::clone(request.get_connection());
            let (mut accepted, mut result) = (0, Ok(()));
            while accepted < FLOOD_MESSAGES && result.is_ok() {
                let mut data = vec![0; FLOOD_BYTES];
                data[..4].copy_from_slice(&accepted.to_le_bytes());
                result = conn.send_msg(FLOOD, data);
                accepted += u32::from(result.is_ok());
            }
            *noted.lock().unwrap() = Some(Sent { accepted, result, conn });
            Ok(())
        };
        server.add_router(FLOOD, router).unwrap();
    });
    (running, outcome)
}

fn flood(running: &Running) -> Peer {
    let mut peer = running.connect();
    peer.send(&frame(FLOOD, b""));
    peer
}

fn wait_for(outcome: &Outcome) -> Sent {
    wait_until("the end of the flood", || outcome.lock().unwrap().is_some());
    outcome.lock().unwrap().take().unwrap()
}

/// Reads so many messages of a flood; returns their numbers.
fn read_flood(peer: &mut Peer, count: u32) -> Vec<u32> {
    let number = |_| {
        let (msg_id, data) = peer.read_frame();
        assert_eq!((msg_id, data.len()), (FLOOD, FLOOD_BYTES));
        u32::from_le_bytes(data[..4].try_into().unwrap())
    };
    (0..count).map(number).collect()
}

/// Runs a test in a process of its own: what it measures or exhausts belongs to the whole process.
fn in_child(name: &str, body: impl FnOnce()) {
    const CHILD: &str = "ZINX_TEST_CHILD";
    if std::env::var(CHILD).is_ok_and(|child| child == name) {
        return body();
    }
    let mut child = Command::new(std::env::current_exe().unwrap());
    let output = child.args([name, "--exact", "--nocapture"]).env(CHILD, name).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {said}", output.status);
}

/// Resident memory of this process.
fn resident_kib() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    statm.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() * rustix::param::page_size() / 1024
}
