//! Code of the program that panics, wherever the framework calls it: contained, and its connection ends as any other.

#![expect(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "tests are plain threads and speak raw sockets"
)]

#[expect(dead_code, reason = "each test file uses its share")]
mod common;

#[path = "contained/bad.rs"]
mod bad;

#[path = "contained/cases.rs"]
mod cases;

use std::io::{ErrorKind, Read};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use bad::{BadPack, Bomb, Unspeakable};
use cases::{ANSWER, BAD, CASES, Case, ENTER, LONG, on_bad, send_bad};
use common::coroutines::within;
use common::{config, frame, log_lines, start, wait_until};
use zinx::green::{self, Builder, Event, Group};
use zinx::prelude::*;
use zinx::ziface::{Head, HeartBeatOption};
use zinx::znet::{IdleAction, router_recovery};

fn count(count: &AtomicUsize) {
    count.fetch_add(1, Ordering::AcqRel);
}

fn check(Case(what, set_up, act, reason): &Case, workers: usize) {
    eprintln!("{what} panics, {workers} workers");
    // Without a logger errors are not displayed.
    log_lines::keep();
    let mut config = config();
    (config.worker_pool_size, config.idle_timeout_ms) = (workers, 300);
    let ended = Arc::new(AtomicUsize::new(0));
    let callback = Arc::clone(&ended);
    let running = start(config, |server| {
        let enter = move |request: &dyn IRequest| {
            let (conn, ended) = (request.get_connection(), Arc::clone(&callback));
            conn.join_group("room")?;
            conn.login("anna", OnDuplicate::Reject)?;
            conn.add_close_callback("enter", "", move || count(&ended))?;
            conn.send_msg(ENTER, "")
        };
        server.add_router(ENTER, enter).unwrap();
        server.set_on_idle(|_| IdleAction::Keep);
        set_up(server);
    });
    let mut peer = running.connect();
    let addr = peer.addr();
    peer.send(&frame(ENTER, b""));
    assert_eq!(peer.read_frame().0, ENTER);
    act(&mut peer);
    let expected = if reason.is_empty() {
        peer.check_echo();
        peer.finish();
        "the peer closed"
    } else {
        reason
    };
    // A peer that is cut off gets a reset, others the end of the stream.
    if let Err(error) = peer.stream.read_to_end(&mut Vec::new()) {
        assert_eq!(error.kind(), ErrorKind::ConnectionReset, "{what}: {error}");
    }
    drop(peer);
    let closed = running.close_reason(addr).to_string();
    assert!(closed.contains(expected), "{what}: {closed}");
    let server = &running.server;
    // The healthy client is left.
    wait_until("its place free", || server.get_conn_mgr().len() == 1);
    assert_eq!((running.stop_hooks(addr), ended.load(Ordering::Acquire)), (1, 1), "{what}");
    assert!(server.sessions().is_empty() && server.get_group("room").is_empty(), "{what}");
    running.connect().check_echo();
    let stats = running.stop();
    assert_eq!(stats.start_hooks, stats.stop_hooks, "{what}");
}

#[test]
fn code_of_the_program_that_panics_ends_its_connection_as_any_other_or_not_at_all() {
    for case in &CASES {
        check(case, 0);
    }
}

#[test]
fn the_same_where_workers_handle_the_requests() {
    // These need a handler on the connection's own coroutine, or are not called on the worker anyway.
    let not = ["the talk on a raw stream", "the sequence function"];
    for case in CASES.iter().filter(|case| !not.contains(&case.0)) {
        check(case, 2);
    }
}

#[test]
fn an_error_of_a_hook_that_cannot_be_displayed_is_a_panic_of_the_hook() {
    log_lines::keep();
    for is_start in [true, false] {
        let hook = |conn: &Arc<dyn IConnection>| match conn.get_conn_id() {
            1 => Err(Error::other(Unspeakable)),
            _ => Ok(()),
        };
        let running = start(config(), |server| match is_start {
            true => server.set_on_conn_start(hook),
            false => server.set_on_conn_stop(hook),
        });
        let mut peer = running.connect();
        peer.finish();
        assert_eq!(peer.read_to_end(), b"");
        wait_until("its place free", || running.server.get_conn_mgr().len() == 1);
        running.connect().check_echo();
        let stats = running.stop();
        assert_eq!((stats.start_hooks, stats.stop_hooks, stats.hook_panics), (3, 3, 1));
    }
}

/// What the program has kept with a connection is dropped with its last handle.
#[test]
fn a_property_that_panics_in_drop_ends_nothing_else() {
    let held = Arc::new(Mutex::new(None));
    let theirs = Arc::clone(&held);
    let mut config = config();
    // Looked after every few milliseconds, by a coroutine that holds each connection for a moment.
    config.idle_timeout_ms = 40;
    let last = Arc::new(Mutex::new(None));
    let noted = Arc::clone(&last);
    let running = start(config, |server| {
        server.set_on_idle(|conn| match conn.get_property("bomb") {
            Some(_) => IdleAction::Close,
            None => IdleAction::Keep,
        });
        server.set_on_conn_start(move |conn| {
            if conn.get_conn_id() > 1 {
                conn.set_property("bomb", Arc::new(Bomb));
                conn.set_property("another", Arc::new(Bomb));
                *noted.lock().unwrap() = Some(Arc::clone(conn));
            }
            Ok(())
        });
        on_bad(server, move |_| {
            drop(theirs.lock().unwrap().take());
            Ok(())
        });
    });
    let mut dropping = running.connect();
    let conn = running.conn(dropping.addr());
    for _ in 0..50 {
        let mut peer = running.connect();
        assert_eq!(peer.read_to_end(), b"", "closed for being idle: the sweeper lives");
        drop(peer);
        let its_conn = last.lock().unwrap().take().unwrap();
        assert!(its_conn.wait_closed(LONG).unwrap());
        *held.lock().unwrap() = Some(its_conn);
        send_bad(&mut dropping);
        dropping.check_echo();
        assert!(held.lock().unwrap().is_none());
    }
    assert_eq!(conn.get_close_reason(), None);
}

/// What the program has set is dropped with the last handle of the server.
#[test]
fn a_server_is_dropped_whatever_of_the_program_panics_then() {
    let server = new_server_with_config(config()).unwrap();
    let with_bomb = |bomb: Bomb| move |_: &dyn IRequest| bomb.is_there();
    for id in 1..4 {
        server.add_router(id, with_bomb(Bomb)).unwrap();
    }
    server.add_router_slices(4, zinx::handlers![with_bomb(Bomb), with_bomb(Bomb)]).unwrap();
    server.set_not_found(with_bomb(Bomb)).unwrap();
    let (start, stop, idle) = (Bomb, Bomb, Bomb);
    server.set_on_conn_start(move |_| start.is_there());
    server.set_on_conn_stop(move |_| stop.is_there());
    server.set_on_idle(move |_| {
        idle.is_there().unwrap();
        IdleAction::Keep
    });
    let (sequence, dialogue, beat) = (Bomb, Bomb, Bomb);
    server
        .set_call_sequence(move |_| {
            sequence.is_there().unwrap();
            None
        })
        .unwrap();
    server.on_session(move |_| dialogue.is_there()).unwrap();
    let option = HeartBeatOption::new().make_msg(move |_| {
        beat.is_there().unwrap();
        Vec::new()
    });
    server.start_heart_beat_with_option(LONG, option).unwrap();
    for name in ["one", "another"] {
        let task = Bomb;
        server.spawn(name, move |_| task.is_there()).unwrap();
    }
    server.start().unwrap();
    server.stop();
    assert!(server.wait_stopped(LONG));
    drop(server);
    // Neither those of a server that was never started, nor stopped.
    for stops in [false, true] {
        let server = new_server_with_config(config()).unwrap();
        for name in ["one", "another"] {
            let task = Bomb;
            server.spawn(name, move |_| task.is_there()).unwrap();
        }
        if stops {
            server.stop();
        }
        drop(server);
    }
}

#[test]
fn a_format_whose_head_has_no_length_is_refused() {
    struct Heads(fn() -> usize);
    impl IDataPack for Heads {
        fn get_head_len(&self) -> usize {
            (self.0)()
        }

        fn unpack(&self, _: &[u8]) -> Result<Head> {
            Ok(Head { msg_id: 0, data_len: 0 })
        }

        fn pack_head(&self, _: u32, _: u32, _: &mut Vec<u8>) -> Result<()> {
            Ok(())
        }
    }
    let server = new_server_with_config(config()).unwrap();
    for (head_len, error) in [
        ((|| 65) as fn() -> usize, "a wire format with heads of 65 bytes, more than 64"),
        (|| panic!("on purpose"), "the wire format panicked: on purpose"),
    ] {
        assert_eq!(server.set_packet(Heads(head_len)).unwrap_err().to_string(), error);
    }
    server.set_packet(Heads(|| 64)).unwrap();
    let server = new_server_with_config(config()).unwrap();
    server.set_packet(Heads(|| 0)).unwrap();
    let error = server.start().unwrap_err().to_string();
    assert_eq!(error, "a wire format without a head, and no decoder to tell where a frame ends");
}

#[test]
fn a_time_limit_passes_through_what_contains_panics() {
    let running = start(config(), |server| {
        let limit = |request: &dyn IRequest| {
            let within = green::with_timeout(LONG / 400, || request.router_slices_next());
            request.abort();
            request.get_connection().send_msg(ANSWER, if within.is_err() { "too late" } else { "in time" })
        };
        let wait = |_: &dyn IRequest| {
            green::sleep(LONG);
            Ok(())
        };
        server.add_router_slices(BAD, zinx::handlers![limit, router_recovery, wait]).unwrap();
    });
    let mut peer = running.connect();
    send_bad(&mut peer);
    assert_eq!(peer.read_frame(), (ANSWER, b"too late".to_vec()));
    assert_eq!(running.stop().handler_panics, 0);
}

#[test]
fn a_client_contains_its_wire_format_as_a_server_does() {
    let running = start(config(), |_| {});
    let port = running.server.local_addr().unwrap().port();
    let client = new_client_with_config("127.0.0.1", port, config()).unwrap();
    client.set_packet(BadPack { unpack: || panic!("on purpose"), pack: || Ok(()) }).unwrap();
    let stops = Arc::new(AtomicUsize::new(0));
    let stopped = Arc::clone(&stops);
    client.set_on_conn_stop(move |_| {
        count(&stopped);
        Ok(())
    });
    client.start().unwrap();
    let conn = client.conn().unwrap();
    running.conn(conn.get_local_addr()).send_msg(BAD, "").unwrap();
    assert!(client.wait_stopped(LONG));
    let reason = conn.get_close_reason().unwrap().to_string();
    assert_eq!(reason, "bad frame: the wire format panicked: on purpose");
    assert_eq!(stops.load(Ordering::Acquire), 1);
}

/// What a coroutine leaves and nothing takes: its value, what it has thrown.
#[test]
fn a_coroutine_whose_value_panics_in_drop_ends_as_any_other() {
    within(60, || {
        let go = Arc::new(Event::new());
        let waits = Arc::clone(&go);
        let returns = green::spawn(move || {
            waits.wait();
            Bomb
        });
        let ended = returns.coroutine().clone();
        // Its value will not be taken.
        drop(returns);
        let group = Group::new();
        group.spawn(Builder::new(), || std::panic::panic_any(Bomb)).unwrap();
        go.set();
        assert!(ended.join_timeout(LONG));
        assert!(group.join_timeout(LONG));
    });
}

/// A thread of the pool drops what is no longer waited for.
#[test]
fn a_result_of_blocking_work_that_panics_in_drop_costs_no_thread() {
    within(60, || {
        for _ in 0..20 {
            let (begun, go) = (Arc::new(Event::new()), Arc::new(Event::new()));
            let (begins, waits) = (Arc::clone(&begun), Arc::clone(&go));
            let caller = green::spawn(move || {
                green::blocking(move || {
                    begins.set();
                    waits.wait();
                    Bomb
                })
            });
            assert!(begun.wait_timeout(LONG), "no thread takes the work");
            caller.kill();
            go.set();
        }
        // More than the pool has threads have been through it.
        let work = green::spawn(|| green::blocking(|| 7));
        assert_eq!(work.get_timeout(LONG).unwrap().unwrap(), 7);
    });
}
