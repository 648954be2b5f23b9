//! Worker modes: which worker handles the requests of which connection, and what a full queue of requests means.

use std::io::{ErrorKind, Write};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::common::in_time::in_time;
use crate::common::{ECHO, Peer, config, frame, start, start_alone, wait_until};
use zinx::green::{Event, sleep, yield_now};
use zinx::zconf::WorkerMode;
use zinx::ziface::{CloseReason, IMessage, IRequest, IServer};
use zinx::{Config, Error, Result};

/// Answers a number with itself, at times after a yield.
const NUMBER: u32 = 2;
/// Answers with the number of the worker.
const WORKER: u32 = 3;
/// Waits at the test's gate.
const GATE: u32 = 4;

const MODES: [WorkerMode; 3] = [WorkerMode::Hash, WorkerMode::Bind, WorkerMode::DynamicBind];

fn pool(mode: WorkerMode, size: usize) -> Config {
    let mut config = config();
    config.worker_mode = mode;
    config.worker_pool_size = size;
    config
}

fn number(request: &dyn IRequest) -> Result<()> {
    if request.get_data()[0].is_multiple_of(7) {
        yield_now();
    }
    request.get_connection().send_msg(NUMBER, request.get_data())
}

fn worker(request: &dyn IRequest) -> Result<()> {
    let id = request.get_connection().get_worker_id();
    request.get_connection().send_msg(WORKER, format!("{id:?}"))
}

/// A handler that counts itself in, then waits until the gate opens.
fn gate(gate: &Arc<Event>, reached: &Arc<AtomicUsize>) -> impl Fn(&dyn IRequest) -> Result<()> + use<> {
    let (gate, reached) = (Arc::clone(gate), Arc::clone(reached));
    move |request| {
        reached.fetch_add(1, Ordering::AcqRel);
        gate.wait();
        request.get_connection().send_msg(GATE, request.get_data())
    }
}

fn worker_of(peer: &mut Peer) -> String {
    peer.send(&frame(WORKER, b""));
    String::from_utf8(peer.read_frame().1).unwrap()
}

#[test]
fn every_mode_keeps_the_order_of_a_connection() {
    for mode in MODES {
        let running = start(pool(mode, 3), |server| server.add_router(NUMBER, number).unwrap());
        let mut peers: Vec<_> = (0..8).map(|_| running.connect()).collect();
        let stream: Vec<u8> = (0..500_u32).flat_map(|n| frame(NUMBER, &n.to_le_bytes())).collect();
        for peer in &mut peers {
            peer.send(&stream);
        }
        for peer in &mut peers {
            assert!(peer.read_exactly(stream.len()) == stream, "{mode:?}");
        }
    }
}

#[test]
fn without_a_pool_a_connection_has_no_worker() {
    let running = start(config(), |server| server.add_router(WORKER, worker).unwrap());
    assert_eq!(worker_of(&mut running.connect()), "None");
}

#[test]
fn hash_gives_a_connection_the_worker_of_its_id_modulo_the_size() {
    let running = start_alone(pool(WorkerMode::Hash, 3), |server| server.add_router(WORKER, worker).unwrap());
    let mut peers: Vec<_> = (0..7).map(|_| running.connect()).collect();
    let workers: Vec<_> = peers.iter_mut().map(worker_of).collect();
    let expected: Vec<_> = (0..7).map(|id| format!("Some({})", id % 3)).collect();
    assert_eq!(workers, expected);
}

#[test]
fn bound_workers_serve_one_connection_at_a_time_and_then_the_next() {
    for (mode, made_by_need) in [(WorkerMode::Bind, true), (WorkerMode::DynamicBind, false)] {
        let running = start_alone(pool(mode, 2), |server| server.add_router(WORKER, worker).unwrap());
        let mut peers: Vec<_> = (0..5).map(|_| running.connect()).collect();
        let mut workers: Vec<_> = peers.iter_mut().map(worker_of).collect();
        workers.sort();
        assert_eq!(workers, ["Some(0)", "Some(1)", "Some(2)", "Some(3)", "Some(4)"]);
        let conns = running.server.get_conn_mgr().all();
        drop(peers);
        // Then their workers are free.
        assert!(conns.iter().all(|conn| conn.wait_closed(Duration::from_secs(20)).unwrap()));
        // Bind keeps every worker it made, DynamicBind as many as the pool has; the next ones have new numbers.
        let mut peers: Vec<_> = (0..5).map(|_| running.connect()).collect();
        let new = peers.iter_mut().map(worker_of).filter(|worker| !workers.contains(worker)).count();
        assert_eq!(new, if made_by_need { 0 } else { 3 }, "{mode:?}");
    }
}

#[test]
fn a_handler_that_waits_holds_up_its_own_worker_only() {
    for mode in MODES {
        let (open, reached) = (Arc::new(Event::new()), Arc::default());
        let running = start_alone(pool(mode, 2), |server| {
            server.add_router(GATE, gate(&open, &reached)).unwrap();
        });
        let (mut waits, mut other) = (running.connect(), running.connect());
        waits.send(&frame(GATE, b"gate"));
        wait_until("the handler", || reached.load(Ordering::Acquire) == 1);
        other.check_echo();
        open.set();
        assert_eq!(waits.read_frame(), (GATE, b"gate".to_vec()));
    }
}

#[test]
fn a_full_worker_queue_stops_the_reader_and_loses_nothing() {
    for mode in MODES {
        let (open, reached) = (Arc::new(Event::new()), Arc::default());
        let mut config = pool(mode, 2);
        config.max_worker_task_len = 4;
        // The healthy client is connection 0, on the other worker.
        let running = start(config, |server| server.add_router(GATE, gate(&open, &reached)).unwrap());
        let mut peer = running.connect();
        let request = frame(GATE, &[7; 4000]);
        peer.send(&request);
        wait_until("the handler", || reached.load(Ordering::Acquire) == 1);
        let sent = request.len() + send_until_nobody_reads(&mut peer, &request);
        assert_eq!(reached.load(Ordering::Acquire), 1, "{mode:?}");
        open.set();
        peer.stream.set_nonblocking(false).unwrap();
        let whole = sent.div_ceil(request.len());
        peer.send(&request[request.len() - (whole * request.len() - sent)..]);
        peer.finish();
        assert_eq!(peer.read_to_end().len(), whole * request.len(), "{mode:?}");
        assert_eq!(reached.load(Ordering::Acquire), whole, "{mode:?}");
    }
}

/// Sends requests until the sockets between are full for a while. Returns the bytes sent.
fn send_until_nobody_reads(peer: &mut Peer, request: &[u8]) -> usize {
    peer.stream.set_nonblocking(true).unwrap();
    let stream = request.repeat(64 << 20 >> 12);
    let (mut sent, mut refused) = (0, 0);
    while refused < 100 {
        assert!(sent < stream.len(), "64 MiB were read while the queue was full");
        match peer.stream.write(&stream[sent..]) {
            Ok(n) => (sent, refused) = (sent + n, 0),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                refused += 1;
                std::thread::sleep(Duration::from_millis(2));
            }
            Err(error) => panic!("{error}"),
        }
    }
    sent
}

#[test]
fn what_was_read_is_handled_before_the_stop_hook() {
    for mode in MODES {
        let (handled, at_stop) = (Arc::new(AtomicUsize::new(0)), Arc::new(Mutex::new(None)));
        let running = start(pool(mode, 2), |server| {
            let (handled, seen, at_stop) = (Arc::clone(&handled), Arc::clone(&handled), Arc::clone(&at_stop));
            server
                .add_router(NUMBER, move |request: &dyn IRequest| {
                    sleep(Duration::from_millis(1));
                    handled.fetch_add(1, Ordering::AcqRel);
                    request.get_connection().send_msg(NUMBER, request.get_data())
                })
                .unwrap();
            server.set_on_conn_stop(move |conn| {
                at_stop.lock().unwrap().get_or_insert(seen.load(Ordering::Acquire));
                conn.send_msg(NUMBER, "bye")
            });
        });
        let mut peer = running.connect();
        let requests: Vec<u8> = (0..100_u8).flat_map(|n| frame(NUMBER, &[n])).collect();
        peer.send(&requests);
        peer.finish();
        assert_eq!(peer.read_to_end(), [requests, frame(NUMBER, b"bye")].concat(), "{mode:?}");
        assert_eq!(*at_stop.lock().unwrap(), Some(100), "{mode:?}");
    }
}

#[test]
fn an_aborted_connection_has_no_more_requests_handled() {
    for mode in MODES {
        let (open, reached) = (Arc::new(Event::new()), Arc::default());
        let running = start(pool(mode, 2), |server| {
            server.add_router(GATE, gate(&open, &reached)).unwrap();
        });
        let mut peer = running.connect();
        peer.send(&frame(GATE, b"").repeat(10));
        wait_until("the handler", || reached.load(Ordering::Acquire) == 1);
        running.server.get_conn_mgr().get(1).unwrap().abort();
        open.set();
        assert_eq!(running.close_reason(peer.addr()), CloseReason::Aborted);
        assert_eq!(reached.load(Ordering::Acquire), 1, "{mode:?}");
    }
}

#[test]
fn a_panic_ends_its_connection_and_the_worker_goes_on() {
    for mode in MODES {
        let running = start(pool(mode, 1), |server| {
            server.add_router(NUMBER, |_: &dyn IRequest| panic!("as the test wants")).unwrap();
        });
        let mut peer = running.connect();
        peer.send(&frame(NUMBER, b""));
        assert_eq!(peer.read_to_end(), b"");
        let reason = running.close_reason(peer.addr());
        assert_eq!(reason, CloseReason::HandlerPanicked { msg_id: NUMBER });
        running.connect().check_echo();
    }
}

#[test]
fn a_value_that_panics_when_it_is_dropped_leaves_the_worker_alive() {
    struct Bomb;
    impl Drop for Bomb {
        fn drop(&mut self) {
            panic!("as the test wants");
        }
    }
    let running = start(pool(WorkerMode::Hash, 1), |server| {
        server
            .add_router(NUMBER, |request: &dyn IRequest| {
                request.set("bomb", Arc::new(Bomb));
                request.get_connection().send_msg(NUMBER, "set")
            })
            .unwrap();
    });
    let mut peer = running.connect();
    for _ in 0..2 {
        peer.send(&frame(NUMBER, b""));
        assert_eq!(peer.read_frame(), (NUMBER, b"set".to_vec()));
    }
    peer.check_echo();
}

#[test]
fn a_handler_on_a_worker_may_ask_its_peer() {
    for mode in MODES {
        let running = start(pool(mode, 2), |server| {
            server
                .add_router(NUMBER, |request: &dyn IRequest| {
                    let conn = request.get_connection();
                    let answer = conn.call(NUMBER, "who?", WORKER, Duration::from_secs(10))?;
                    conn.send_msg(NUMBER, answer.get_data())
                })
                .unwrap();
        });
        let mut peer = running.connect();
        peer.send(&frame(NUMBER, b""));
        assert_eq!(peer.read_frame(), (NUMBER, b"who?".to_vec()));
        peer.send(&frame(WORKER, b"me"));
        assert_eq!(peer.read_frame(), (NUMBER, b"me".to_vec()));
    }
}

#[test]
fn a_request_that_is_being_handled_is_not_idleness() {
    let mut config = pool(WorkerMode::Hash, 2);
    // On a busy machine the healthy client too is silent for a while.
    config.idle_timeout_ms = 500;
    let begun = Arc::new(AtomicUsize::new(0));
    let begins = Arc::clone(&begun);
    let running = start(config, |server| {
        let slow = move |request: &dyn IRequest| {
            begins.fetch_add(1, Ordering::AcqRel);
            sleep(Duration::from_millis(1500));
            request.get_connection().send_msg(NUMBER, "done")
        };
        server.add_router(NUMBER, slow).unwrap();
    });
    // On a busy machine one may be idle before it asks, and before what it asks is read.
    let mut peer = in_time(|| {
        let (before, mut peer) = (begun.load(Ordering::Acquire), running.connect());
        // Nothing may be there any more that would take it.
        let _ = peer.stream.write_all(&frame(NUMBER, b""));
        let mut is_handled = false;
        wait_until("the handler, or the end", || {
            is_handled = begun.load(Ordering::Acquire) > before;
            is_handled || running.stop_hooks(peer.addr()) > 0
        });
        is_handled.then_some(peer)
    });
    assert_eq!(peer.read_frame(), (NUMBER, b"done".to_vec()));
    assert_eq!(running.close_reason(peer.addr()), CloseReason::IdleTimeout);
}

#[test]
fn a_request_queued_from_elsewhere_is_handled_where_those_of_the_connection_are() {
    for size in [0, 2] {
        let (kept, handled) = (Arc::new(Mutex::new(None)), Arc::new(AtomicUsize::new(0)));
        let running = start(pool(WorkerMode::Hash, size), |server| {
            let (kept, handled) = (Arc::clone(&kept), Arc::clone(&handled));
            server
                .add_router(NUMBER, move |request: &dyn IRequest| {
                    kept.lock().unwrap().get_or_insert_with(|| request.copy());
                    handled.fetch_add(1, Ordering::AcqRel);
                    let waits = request.get_connection().wait_closed(Duration::ZERO);
                    assert!(matches!(waits, Err(Error::WouldDeadlock { .. })), "{waits:?}");
                    request.get_connection().send_msg(NUMBER, request.get_data())
                })
                .unwrap();
        });
        let mut peer = running.connect();
        peer.send(&frame(NUMBER, b"again"));
        assert_eq!(peer.read_frame(), (NUMBER, b"again".to_vec()));
        let again = kept.lock().unwrap().take().unwrap();
        let handler = running.server.get_msg_handler();
        for _ in 0..20 {
            handler.send_msg_to_task_queue(again.copy()).unwrap();
        }
        for _ in 0..20 {
            assert_eq!(peer.read_frame(), (NUMBER, b"again".to_vec()));
        }
        let conn = Arc::clone(again.get_connection());
        peer.finish();
        peer.read_to_end();
        assert!(conn.wait_closed(Duration::from_secs(10)).unwrap());
        let refused = handler.send_msg_to_task_queue(again).unwrap_err();
        assert!(matches!(refused, Error::ConnectionClosed), "{refused}");
        assert_eq!(handled.load(Ordering::Acquire), 21);
    }
}

#[test]
fn a_queue_that_stays_full_is_an_error() {
    for size in [0, 1] {
        let (open, reached) = (Arc::new(Event::new()), Arc::default());
        let kept: Arc<Mutex<Option<Box<dyn IRequest>>>> = Arc::default();
        let mut config = pool(WorkerMode::Hash, size);
        config.max_worker_task_len = 3;
        config.queue_wait_ms = 50;
        let running = start_alone(config, |server| {
            let (kept, wait) = (Arc::clone(&kept), gate(&open, &reached));
            server
                .add_router(GATE, move |request: &dyn IRequest| {
                    kept.lock().unwrap().get_or_insert_with(|| request.copy());
                    wait(request)
                })
                .unwrap();
        });
        let mut peer = running.connect();
        peer.send(&frame(GATE, b""));
        wait_until("the handler", || reached.load(Ordering::Acquire) == 1);
        let request = kept.lock().unwrap().take().unwrap();
        let queue = || running.server.get_msg_handler().send_msg_to_task_queue(request.copy());
        for _ in 0..3 {
            queue().unwrap();
        }
        let refused = queue().unwrap_err();
        assert!(matches!(refused, Error::TaskQueueFull { len: 3 }), "{refused}");
        open.set();
        peer.finish();
        assert_eq!(peer.read_to_end(), frame(GATE, b"").repeat(4));
    }
}

#[test]
fn a_server_with_workers_stops_in_order() {
    for mode in MODES {
        let running = start_alone(pool(mode, 3), |server| server.add_router(NUMBER, number).unwrap());
        let mut peer = running.connect();
        let requests = frame(NUMBER, &[1]).repeat(50);
        peer.send(&requests);
        assert_eq!(peer.read_exactly(requests.len()), requests);
        let handler = running.server.get_msg_handler();
        handler.start_worker_pool().unwrap();
        running.server.stop();
        assert_eq!(peer.read_to_end(), b"");
        assert!(running.server.wait_stopped(Duration::from_secs(10)));
        assert_eq!(running.server.stats().start_hooks, running.server.stats().stop_hooks);
    }
}

#[test]
fn a_start_hook_may_send_more_than_the_socket_takes() {
    let mut config = config();
    config.max_msg_chan_bytes = 64 << 10;
    config.queue_wait_ms = 10_000;
    let running = start(config, |server| {
        server.set_on_conn_start(|conn| {
            if conn.get_conn_id() == 1 {
                for _ in 0..400 {
                    conn.send_msg(ECHO, [5; 32 << 10])?;
                }
            }
            Ok(())
        });
    });
    let mut peer = running.connect();
    for _ in 0..400 {
        assert_eq!(peer.read_frame().1.len(), 32 << 10);
    }
    peer.check_echo();
}
