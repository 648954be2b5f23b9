//! Peers that reset and handlers that panic: each ends its own connection, with hooks paired and nothing left behind.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::common::child::{in_child, open_files};
use crate::common::{config, frame, start, start_alone, wait_until};
use zinx::zconf::MaxConnPolicy;
use zinx::ziface::{CloseReason, IRequest};
use zinx::{Error, Result, green};

/// The message id of the handler that fails.
const FAULT: u32 = 7;

#[test]
fn a_reset_during_a_handler_ends_its_sending_with_an_error() {
    let error = Arc::new(Mutex::new(None));
    let noted = Arc::clone(&error);
    let running = start(config(), |server| {
        let router = move |request: &dyn IRequest| {
            loop {
                if let Err(error) = request.get_connection().send_msg(FAULT, [7; 1000]) {
                    *noted.lock().unwrap() = Some(error);
                    return Ok(());
                }
            }
        };
        server.add_router(FAULT, router).unwrap();
    });
    let mut peer = running.connect();
    let addr = peer.addr();
    peer.send(&frame(FAULT, b""));
    peer.read_frame();
    peer.reset();
    wait_until("the error", || error.lock().unwrap().is_some());
    assert!(matches!(error.lock().unwrap().take(), Some(Error::ConnectionClosed)));
    let reason = running.close_reason(addr);
    assert!(matches!(reason, CloseReason::Failed { .. }), "{reason:?}");
    let stats = running.stop();
    assert_eq!((stats.start_hooks, stats.stop_hooks), (2, 2));
}

#[test]
fn a_handler_that_sends_now_and_then_learns_of_a_reset() {
    let error = Arc::new(Mutex::new(None));
    let noted = Arc::clone(&error);
    let running = start(config(), |server| {
        let router = move |request: &dyn IRequest| {
            let failed = loop {
                match request.get_connection().send_msg(FAULT, "tick") {
                    Ok(()) => green::sleep(Duration::from_millis(10)),
                    Err(error) => break error,
                }
            };
            *noted.lock().unwrap() = Some(failed);
            Ok(())
        };
        server.add_router(FAULT, router).unwrap();
    });
    let mut peer = running.connect();
    let addr = peer.addr();
    peer.send(&frame(FAULT, b""));
    peer.read_frame();
    peer.reset();
    wait_until("the error", || error.lock().unwrap().is_some());
    assert!(matches!(error.lock().unwrap().take(), Some(Error::ConnectionClosed)));
    running.close_reason(addr);
    assert_eq!(running.stop_hooks(addr), 1);
}

#[test]
fn a_peer_that_has_gone_before_it_is_accepted_begins_and_ends_under_its_own_address() {
    let mut config = config();
    (config.max_conn, config.max_conn_policy) = (1, MaxConnPolicy::Wait);
    let running = start_alone(config, |_| {});
    let mut first = running.connect();
    first.check_echo();
    let gone = running.connect();
    let addr = gone.addr();
    gone.reset();
    drop(first);
    let reason = running.close_reason(addr);
    assert!(matches!(reason, CloseReason::Failed { .. }), "{reason:?}");
}

#[test]
fn ten_thousand_resets_leave_hooks_paired_and_no_descriptor() {
    in_child("peer_faults::ten_thousand_resets_leave_hooks_paired_and_no_descriptor", || {
        // The runtime has its descriptors from here on.
        start(config(), |_| {}).stop();
        let before = open_files();
        let running = start(config(), |_| {});
        for _ in 0..10_000 {
            running.connect().reset();
        }
        // Connections are accepted in order: once this one is answered, all before it have begun.
        running.connect().check_echo();
        let stats = running.stop();
        assert_eq!((stats.accepted, stats.start_hooks, stats.stop_hooks), (10_002, 10_002, 10_002));
        assert_eq!(stats.refused, 0);
        assert_eq!(open_files(), before);
    });
}

#[test]
fn a_panic_in_a_handler_ends_that_connection_only() {
    let running = start(config(), |server| {
        server.add_router(FAULT, |_: &dyn IRequest| -> Result<()> { panic!("on purpose") }).unwrap();
    });
    let mut beside = running.connect();
    beside.check_echo();
    let mut victim = running.connect();
    let (due, fault) = (frame(crate::common::ECHO, b"due"), frame(FAULT, b""));
    victim.send(&[&due[..], &fault].concat());
    assert_eq!(victim.read_to_end(), due);
    assert_eq!(running.close_reason(victim.addr()), CloseReason::HandlerPanicked { msg_id: FAULT });
    beside.check_echo();
    running.connect().check_echo();
    let stats = running.stop();
    assert_eq!((stats.start_hooks, stats.stop_hooks, stats.handler_panics), (4, 4, 1));
}
