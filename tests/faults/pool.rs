//! Peers that do not read hold up no other, also when handlers run on a pool of workers.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use zinx::ziface::{IRequest, IServer};
use zinx::znet::new_func_request;
use zinx::{Config, green};

use crate::common::{ECHO, Peer, Running, config, frame, start_alone, wait_until};

/// Answered with a megabyte, behind the number that was sent.
const MUCH: u32 = 2;
const ASK: u32 = 3;
const LARGE: usize = 1 << 20;

/// A pool of two workers, and senders who wait for long.
fn pool() -> Config {
    let mut config = config();
    (config.worker_pool_size, config.queue_wait_ms, config.write_timeout_ms) = (2, 60_000, 60_000);
    config
}

fn answering(config: Config, handled: &Arc<AtomicUsize>) -> Running {
    counting(config, &Arc::default(), handled)
}

fn counting(config: Config, begun: &Arc<AtomicUsize>, handled: &Arc<AtomicUsize>) -> Running {
    let (begun, handled) = (Arc::clone(begun), Arc::clone(handled));
    start_alone(config, |server| {
        let much = move |request: &dyn IRequest| {
            begun.fetch_add(1, Ordering::AcqRel);
            let mut data = vec![0; LARGE];
            data[..4].copy_from_slice(request.get_data());
            request.get_connection().send_msg(MUCH, data)?;
            handled.fetch_add(1, Ordering::AcqRel);
            Ok(())
        };
        server.add_router(MUCH, much).unwrap();
        let ask = |request: &dyn IRequest| {
            let conn = request.get_connection();
            let answer = conn.call(ASK, "?", ASK + 1, Duration::from_secs(60))?;
            conn.send_msg(ASK, zinx::ziface::IMessage::get_data(&answer))
        };
        server.add_router(ASK, ask).unwrap();
    })
}

fn questions(count: u32) -> Vec<u8> {
    (0..count).flat_map(|n| frame(MUCH, &n.to_le_bytes())).collect()
}

/// A peer that asks for more than it reads.
fn slow(running: &Running, count: u32) -> Peer {
    let mut peer = running.connect();
    peer.send(&questions(count));
    peer
}

/// The time of each of so many echoes, the slowest last.
fn echoes(peer: &mut Peer, count: usize) -> Vec<Duration> {
    let mut times: Vec<_> = (0..count)
        .map(|_| {
            let begun = Instant::now();
            peer.check_echo();
            begun.elapsed()
        })
        .collect();
    times.sort();
    times
}

#[test]
fn peers_that_do_not_read_hold_up_nobody_else_on_their_worker() {
    let running = answering(pool(), &Arc::default());
    let mut healthy: Vec<_> = (0..4).map(|_| running.connect()).collect();
    let alone = echoes(&mut healthy[0], 200);
    let slow: Vec<_> = (0..20).map(|_| slow(&running, 30)).collect();
    for peer in &mut healthy {
        let beside = echoes(peer, 200);
        // Times are of the machine; before, the first would not have come for a minute.
        assert!(beside[190] < alone[190] * 2 + Duration::from_secs(2), "{:?} {:?}", alone[190], beside[190]);
    }
    drop(slow);
}

#[test]
fn what_waits_for_a_slow_peer_is_handled_in_order_and_nothing_is_lost() {
    let handled = Arc::default();
    let running = answering(pool(), &handled);
    let mut peers: Vec<_> = (0..4).map(|_| slow(&running, 40)).collect();
    let mut other = running.connect();
    other.check_echo();
    assert!(handled.load(Ordering::Acquire) < 4 * 40, "they wait");
    for peer in &mut peers {
        for n in 0..40_u32 {
            let (id, data) = peer.read_frame();
            assert_eq!((id, data.len(), &data[..4]), (MUCH, LARGE, &n.to_le_bytes()[..]));
        }
        // It is the worker's again.
        peer.send(&[questions(3), frame(ECHO, b"behind")].concat());
        (0..3).for_each(|_| assert_eq!(peer.read_frame().0, MUCH));
        assert_eq!(peer.read_frame(), (ECHO, b"behind".to_vec()));
    }
}

/// What the system takes of a reply that is not read, no bound counts, and its worker copies.
#[test]
fn of_a_reply_that_is_not_read_the_system_takes_little() {
    let begun = Arc::default();
    let running = counting(pool(), &begun, &Arc::default());
    let mut peer = slow(&running, 3);
    let queued = || running.server.stats().held.queued;
    wait_until("the socket is full", || queued() > LARGE / 4);
    // What the peer's side of the line takes it takes at once, or after a moment in which it grows.
    (0..20).for_each(|_| running.connect().check_echo());
    assert!(queued() > LARGE / 4, "{}", queued());
    assert_eq!(begun.load(Ordering::Acquire), 1);
    (0..3_u32).for_each(|n| assert_eq!(peer.read_frame().1[..4], n.to_le_bytes()));
}

/// What it would make could not be sent, and would only be held.
#[test]
fn while_replies_pile_up_no_handler_begins() {
    let mut config = pool();
    // Room for what is left of one reply beside a second.
    config.max_msg_chan_bytes = 4 * LARGE;
    let (begun, handled) = (Arc::default(), Arc::default());
    let running = counting(config, &begun, &handled);
    let mut peer = slow(&running, 40);
    // One of them on the same worker.
    let mut others = [running.connect(), running.connect()];
    // The system may take more of the first replies later.
    for _ in 0..3 {
        wait_until("a reply fills the socket, and no handler waits", || {
            others.iter_mut().for_each(Peer::check_echo);
            let held = running.server.stats().held;
            held.queued > LARGE / 4
                && held.waiting == 0
                && begun.load(Ordering::Acquire) == handled.load(Ordering::Acquire)
        });
    }
    assert!(begun.load(Ordering::Acquire) < 40);
    for n in 0..40_u32 {
        assert_eq!(peer.read_frame().1[..4], n.to_le_bytes());
    }
}

#[test]
fn a_connection_put_aside_is_not_read_beyond_its_bound() {
    let mut config = pool();
    config.max_worker_task_len = 8;
    let handled = Arc::default();
    let running = answering(config, &handled);
    let mut peer = slow(&running, 2000);
    let mut other = running.connect();
    other.check_echo();
    peer.finish();
    for n in 0..2000_u32 {
        assert_eq!(peer.read_frame().1[..4], n.to_le_bytes());
    }
    wait_until("it is closed", || running.server.get_conn_mgr().len() == 1);
    assert_eq!(handled.load(Ordering::Acquire), 2000);
}

#[test]
fn a_connection_put_aside_can_be_closed() {
    let running = answering(pool(), &Arc::default());
    let mut peer = slow(&running, 40);
    let mut other = running.connect();
    other.check_echo();
    running.conn(peer.addr()).abort();
    wait_until("it is closed", || running.server.get_conn_mgr().len() == 1);
    assert!(peer.stream.set_nonblocking(true).is_ok());
    peer = slow(&running, 40);
    other.check_echo();
    peer.reset();
    wait_until("it is closed", || running.server.get_conn_mgr().len() == 1);
    other.check_echo();
}

#[test]
fn a_handler_that_asks_a_silent_peer_holds_up_nobody_else_on_its_worker() {
    let running = answering(pool(), &Arc::default());
    let mut asked: Vec<_> = (0..2).map(|_| running.connect()).collect();
    for peer in &mut asked {
        peer.send(&[frame(ASK, b""), frame(ECHO, b"behind")].concat());
        assert_eq!(peer.read_frame(), (ASK, b"?".to_vec()));
    }
    let mut others: Vec<_> = (0..2).map(|_| running.connect()).collect();
    others.iter_mut().for_each(Peer::check_echo);
    for peer in &mut asked {
        peer.send(&frame(ASK + 1, b"yes"));
        assert_eq!(peer.read_frame(), (ASK, b"yes".to_vec()));
        assert_eq!(peer.read_frame(), (ECHO, b"behind".to_vec()));
    }
}

#[test]
fn a_handler_that_was_put_aside_is_still_known_as_the_connection_s_own() {
    let mut config = pool();
    config.max_msg_chan_bytes = LARGE;
    let outcome = Arc::new(AtomicUsize::new(0));
    let noted = Arc::clone(&outcome);
    let running = start_alone(config, move |server| {
        let router = move |request: &dyn IRequest| {
            let conn = request.get_connection();
            // Deep in its stack, it waits for the peer; after that it is not as deep any more.
            (0..16).try_for_each(|_| conn.send_msg(MUCH, vec![0; LARGE]))?;
            let waited = conn.wait_closed(Duration::from_millis(1));
            let is_refused = matches!(waited, Err(zinx::Error::WouldDeadlock { .. }));
            noted.store(1 + usize::from(is_refused), Ordering::Release);
            Ok(())
        };
        server.add_router(MUCH, router).unwrap();
    });
    let mut peer = running.connect();
    peer.send(&frame(MUCH, b""));
    wait_until("it waits", || running.server.stats().held.waiting > 0);
    (0..16).for_each(|_| assert_eq!(peer.read_frame().0, MUCH));
    wait_until("its end", || outcome.load(Ordering::Acquire) > 0);
    assert_eq!(outcome.load(Ordering::Acquire), 2, "it would have waited for itself");
}

/// It may be cut short by a time limit, or killed. What it has counted and held is given back, and the connection can close.
#[test]
fn one_that_gives_up_waiting_for_the_worker_leaves_nothing_behind() {
    let go = Arc::new(green::Event::new());
    let mut config = pool();
    (config.worker_pool_size, config.max_worker_task_len) = (1, 1);
    let goes = Arc::clone(&go);
    let running = start_alone(config, move |server| {
        let wait = move |_: &dyn IRequest| {
            goes.wait();
            Ok(())
        };
        server.add_router(ASK, wait).unwrap();
    });
    let mut peer = running.connect();
    let conn = running.conn(peer.addr());
    peer.send(&frame(ASK, b"").repeat(2));
    // One is handled, the other fills the queue.
    wait_until("both", || running.server.stats().requests == 2);
    let queue = || {
        let theirs = Arc::clone(&conn);
        move || {
            let request = new_func_request(&theirs, || {});
            theirs.get_msg_handler().send_msg_to_task_queue(request)
        }
    };
    let limited = queue();
    let elapsed = green::spawn(move || green::with_timeout(Duration::from_millis(50), limited).is_err());
    assert!(elapsed.get().unwrap());
    let waits = green::spawn(queue());
    wait_until("it to wait", || waits.coroutine().activity() == "waits for room in a queue");
    waits.coroutine().kill();
    go.set();
    peer.check_echo();
    assert_eq!(running.server.stats().held.tasks, 0);
    drop(peer);
    assert!(conn.wait_closed(Duration::from_secs(30)).unwrap());
}
