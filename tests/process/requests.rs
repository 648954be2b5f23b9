//! What a message does not cost: no request is allocated for it, and no connection owns a read buffer. So `RequestPoolMode`
//! and `IOReadBuffSize` have nothing to choose.

use std::collections::HashSet;
use std::ptr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use crate::common::child::{in_child, resident_kib};
use crate::common::{config, frame, start_alone, wait_until};
use zinx::Config;
use zinx::green::{Event, raise_open_files};
use zinx::ziface::{IRequest, IServer};

/// More than carry a few connections whose handlers do not wait.
const CARRIERS: usize = 8;

#[test]
fn one_request_serves_all_messages_of_a_carrier_or_of_a_worker() {
    // In a process of its own: other tests have more carriers.
    in_child("requests::one_request_serves_all_messages_of_a_carrier_or_of_a_worker", count_requests);
}

fn count_requests() {
    // Without workers, each carrier has one.
    for (workers, connections, most) in [(0, 1, CARRIERS), (0, 3, CARRIERS), (1, 3, 1)] {
        let mut config = config();
        config.worker_pool_size = workers;
        let seen = Arc::new(Mutex::new(HashSet::new()));
        let noted = Arc::clone(&seen);
        let running = start_alone(config, |server| {
            let note = move |request: &dyn IRequest| {
                noted.lock().unwrap().insert(ptr::from_ref(request).addr());
                request.get_connection().send_msg(2, request.get_data())
            };
            server.add_router(2, note).unwrap();
        });
        let mut peers: Vec<_> = (0..connections).map(|_| running.connect()).collect();
        for n in 0..200_u8 {
            for peer in &mut peers {
                peer.send(&frame(2, &[n]));
                assert_eq!(peer.read_frame(), (2, vec![n]));
            }
        }
        let requests = seen.lock().unwrap().len();
        assert!(requests <= most, "{requests} requests: {workers} workers, {connections} connections");
    }
}

#[test]
fn a_read_takes_all_there_is_whatever_the_size_of_the_buffer_asked_for() {
    let mut config = Config::from_yaml("RequestPoolMode: true\nIOReadBuffSize: 10\nTcpPort: 0").unwrap();
    assert!(config.warnings().is_empty(), "{:?}", config.warnings());
    config.workers = crate::common::config().workers;
    config.handle_signals = false;
    config.max_packet_size = LARGE as u32;
    let places = Arc::new(Mutex::new(Vec::new()));
    let noted = Arc::clone(&places);
    let running = start_alone(config, |server| {
        let note = move |request: &dyn IRequest| {
            noted.lock().unwrap().push(request.get_data().as_ptr().addr());
            request.get_connection().send_msg(2, "")
        };
        server.add_router(2, note).unwrap();
    });
    let mut peer = running.connect();
    let two = frame(2, &[7; LARGE]).repeat(2);
    // Payloads of this size stay in the buffer they were read into: side by side, if one read took both. What one
    // write sends, the system may still deliver in two pieces.
    let by_one_read = (0..100).any(|_| {
        peer.send(&two);
        assert_eq!([peer.read_frame(), peer.read_frame()], [(2, vec![]), (2, vec![])]);
        let places = std::mem::take(&mut *places.lock().unwrap());
        places[1].wrapping_sub(places[0]) == LARGE + 8
    });
    assert!(by_one_read);
}

#[test]
fn a_thousand_handlers_that_wait_keep_a_bounded_memory_of_read_buffers() {
    in_child("requests::a_thousand_handlers_that_wait_keep_a_bounded_memory_of_read_buffers", || {
        raise_open_files(2 * HANDLERS + 100);
        let (waiting, gate) = (Arc::new(AtomicUsize::new(0)), Arc::new(Event::new()));
        let (begun, opened) = (Arc::clone(&waiting), Arc::clone(&gate));
        let running = start_alone(config(), |server| {
            let wait = move |request: &dyn IRequest| {
                begun.fetch_add(1, Ordering::AcqRel);
                opened.wait();
                request.get_connection().send_msg(2, "")
            };
            server.add_router(2, wait).unwrap();
        });
        let mut peers: Vec<_> = (0..HANDLERS).map(|_| running.connect()).collect();
        wait_until("all of them", || running.server.get_conn_mgr().len() == HANDLERS);
        let idle = resident_kib();
        // Memory that comes a second time is cleared by hand, and so counts in full.
        for round in 1..=3 {
            gate.clear();
            peers.iter_mut().for_each(|peer| peer.send(&frame(2, b"wait")));
            wait_until("all wait", || waiting.load(Ordering::Acquire) == round * HANDLERS);
            let busy = resident_kib();
            eprintln!("round {round}: {HANDLERS} idle {idle} KiB, waiting {busy} KiB");
            assert!(busy < idle + MOST_KIB, "round {round}: {idle} KiB idle, {busy} KiB while all wait");
            gate.set();
            peers.iter_mut().for_each(|peer| assert_eq!(peer.read_frame(), (2, vec![])));
        }
    });
}

const HANDLERS: usize = 1000;

/// 64 MiB of large buffers, 16 KiB for each handler more, and what their stacks take; far less than 256 KiB each.
const MOST_KIB: usize = 120 * 1024;

/// More than a payload that is copied out of its buffer.
const LARGE: usize = 5000;
