//! Full queues: what is sent to a peer that does not read stays bounded, and the policy acts.

use std::io::{Read, Write};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use crate::common::flooding::{
    self, FLOOD, FLOOD_BYTES, FLOOD_MESSAGES, Outcome, QUEUE_BYTES, QUEUE_WAIT_MS, add_flood, read_flood,
    send_until_refused, wait_for,
};
use crate::common::in_time::in_time;
use crate::common::process::SLACK;
use crate::common::{ECHO, Peer, Running, comes_true, config, frame, start, wait_until};
use zinx::green::Event;
use zinx::zconf::QueueFull;
use zinx::ziface::{CloseReason, IConnection, IRequest};
use zinx::{Config, Error};

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
fn a_full_queue_fails_a_send_that_has_waited_too_long() {
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
    let mut peer = running.connect();
    let conn = running.conn(peer.addr());
    peer.send(&frame(FLOOD, b""));
    let mut bytes = [0; 64];
    let closed = comes_true(Duration::from_secs(20), || {
        // The system may take all that was queued at first: its buffers grow.
        let _ = conn.try_send_msg(FLOOD, vec![0; FLOOD_BYTES]);
        let _ = peer.stream.read(&mut bytes);
        thread::sleep(Duration::from_millis(50));
        running.stop_hooks(peer.addr()) > 0
    });
    assert!(closed, "a slow reader is kept");
    assert_eq!(running.close_reason(peer.addr()), CloseReason::SlowReader);
    assert_eq!(running.stop_hooks(peer.addr()), 1);
}

#[test]
fn a_close_ends_the_wait_of_a_sender_with_an_error() {
    let (running, outcome) = start_flooding_with(QueueFull::Wait, |config| config.queue_wait_ms = 0);
    let mut peer = flood(&running);
    peer.read_frame();
    let conn = running.conn(peer.addr());
    // The handler has begun, and waits once a send of ours finds no room either.
    wait_until("a full queue", || {
        matches!(conn.try_send_msg(FLOOD, vec![0; FLOOD_BYTES]), Err(Error::QueueFull { .. }))
    });
    assert!(outcome.lock().unwrap().is_none(), "the handler has not waited");
    let start = Instant::now();
    conn.abort();
    let sent = wait_for(&outcome);
    assert!(matches!(sent.result, Err(Error::ConnectionClosed)), "{:?}", sent.result);
    // Nothing else would end it.
    assert!(start.elapsed() < SLACK, "after {:?}", start.elapsed());
    assert!(conn.wait_closed(Duration::from_secs(10)).unwrap());
}

#[test]
fn a_peer_that_is_not_read_from_because_it_does_not_read_is_not_idle() {
    let (mut config, outcome) = (config(), Outcome::default());
    flooding::bound(&mut config, QueueFull::Fail);
    // More than the system takes later, when it seemed to be full on a busy machine: its buffers grow.
    config.max_msg_chan_bytes = 48 << 20;
    // On a busy machine the healthy client too is silent for a while.
    config.idle_timeout_ms = 800;
    let (noted, go_on) = (Arc::clone(&outcome), Arc::new(Event::new()));
    let waits = Arc::clone(&go_on);
    let running = start(config, |server| {
        let router = move |request: &dyn IRequest| {
            request.get_connection().send_msg(BEGUN, "")?;
            // Meanwhile its connection is not idle, however long a busy machine keeps the peer from sending.
            waits.wait();
            *noted.lock().unwrap() = Some(send_until_refused(request.get_connection()));
            Ok(())
        };
        server.add_router(FLOOD, router).unwrap();
    });
    let mut peer = in_time(|| {
        let mut peer = running.connect();
        let asked = peer.stream.write_all(&frame(FLOOD, b""));
        (asked.is_ok() && peer.stream.read_exact(&mut [0; 8]).is_ok()).then_some(peer)
    });
    // The request stays in the socket until the flood has been read.
    peer.send(&frame(ECHO, b"sent in time"));
    go_on.set();
    let sent = wait_for(&outcome);
    thread::sleep(Duration::from_secs(2));
    assert_eq!(running.stop_hooks(peer.addr()), 0, "closed for what it had sent");
    read_flood(&mut peer, sent.accepted);
    assert_eq!(peer.read_frame(), (ECHO, b"sent in time".to_vec()));
}

/// A destructor must not wait while its coroutine unwinds, whatever the policy says.
#[test]
fn a_guard_of_a_handler_that_panics_sends_until_the_queue_is_full_and_never_waits() {
    let mut config = config();
    config.queue_full = QueueFull::Wait;
    config.queue_wait_ms = 0;
    config.max_msg_chan_bytes = QUEUE_BYTES;
    config.write_timeout_ms = 0;
    // The peer, whose thread may be held up, reads all that was sent.
    config.drain_ms = 60_000;
    let outcome = Outcome::default();
    let noted = Arc::clone(&outcome);
    let running = start(config, |server| {
        let router = move |request: &dyn IRequest| {
            let _guard = FloodsWhenDropped(Arc::clone(request.get_connection()), Arc::clone(&noted));
            panic!("on purpose");
        };
        server.add_router(FLOOD, router).unwrap();
    });
    let mut peer = flood(&running);
    let sent = wait_for(&outcome);
    let Err(Error::QueueFull { bytes, .. }) = sent.result else { panic!("{:?}", sent.result) };
    assert!(bytes <= QUEUE_BYTES, "{bytes} bytes");
    assert_eq!(read_flood(&mut peer, sent.accepted), (0..sent.accepted).collect::<Vec<_>>());
    assert!(matches!(running.close_reason(peer.addr()), CloseReason::HandlerPanicked { .. }));
    running.connect().check_echo();
}

/// What the handler of a flood says first.
const BEGUN: u32 = 8;

struct FloodsWhenDropped(Arc<dyn IConnection>, Outcome);

impl Drop for FloodsWhenDropped {
    fn drop(&mut self) {
        let asked = self.0.call(FLOOD, "", FLOOD, Duration::from_secs(3600));
        assert!(matches!(asked, Err(Error::TimedOut { .. })), "{asked:?}");
        let sent = send_until_refused(&self.0);
        self.1.lock().unwrap().replace(sent);
    }
}

fn start_flooding(policy: QueueFull) -> (Running, Outcome) {
    start_flooding_with(policy, |_| {})
}

/// A server whose [`FLOOD`] handler sends numbered messages until one is refused.
fn start_flooding_with(policy: QueueFull, change: impl FnOnce(&mut Config)) -> (Running, Outcome) {
    let (mut config, outcome) = (config(), Outcome::default());
    flooding::bound(&mut config, policy);
    change(&mut config);
    (start(config, |server| add_flood(server, &outcome)), outcome)
}

fn flood(running: &Running) -> Peer {
    let mut peer = running.connect();
    peer.send(&frame(FLOOD, b""));
    peer
}
