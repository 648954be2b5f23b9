//! Asynchronous operations: done off the workers, in order if they have one id, the result back on the coroutine that
//! handles the connection's messages.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::common::{ECHO, Watchdog, config, frame, start, wait_until};
use zinx::green::{self, Event};
use zinx::zasync_op::{AsyncOpResult, AsyncOps};
use zinx::ziface::{IConnection, IRequest};
use zinx::{Config, Error};

#[test]
fn the_result_comes_back_while_the_connection_serves_other_messages() {
    check_completion(config());
}

#[test]
fn with_a_worker_pool_it_comes_back_on_the_worker() {
    let mut config = config();
    config.worker_pool_size = 2;
    check_completion(config);
}

fn check_completion(config: Config) {
    let (ops, go_on) = (AsyncOps::new(), Arc::new(Event::new()));
    let opened = Arc::clone(&go_on);
    let running = start(config, move |server| {
        server
            .add_router(2, move |request: &dyn IRequest| {
                let conn = Arc::clone(request.get_connection());
                let (result, gate) = (AsyncOpResult::new(&conn), Arc::clone(&opened));
                let theirs = result.clone();
                ops.process(1, move || {
                    gate.wait();
                    theirs.set_returned_obj("saved".to_string());
                })?;
                result.on_complete(move |answer| {
                    // `wait_closed` is an error on the connection's own coroutine, and only there.
                    let at_home =
                        matches!(conn.wait_closed(Duration::ZERO), Err(Error::WouldDeadlock { .. }));
                    conn.send_msg(3, format!("{answer}, at home: {at_home}")).unwrap();
                });
                Ok(())
            })
            .unwrap();
    });
    let mut peer = running.connect();
    peer.send(&frame(2, b""));
    // The handler has returned, the operation has not: the connection echoes.
    peer.check_echo();
    go_on.set();
    assert_eq!(peer.read_frame(), (3, b"saved, at home: true".to_vec()));
    peer.check_echo();
}

#[test]
fn operations_of_one_id_are_done_in_order_and_one_at_a_time() {
    let _watchdog = set_up();
    let ops = AsyncOps::new();
    let (done, running) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicUsize::new(0)));
    for n in 0..200 {
        let (done, running) = (Arc::clone(&done), Arc::clone(&running));
        ops.process(7, move || {
            assert_eq!(running.fetch_add(1, Ordering::AcqRel), 0);
            done.lock().unwrap().push(n);
            running.fetch_sub(1, Ordering::AcqRel);
        })
        .unwrap();
    }
    ops.join();
    assert!(done.lock().unwrap().iter().copied().eq(0..200));
}

#[test]
fn operations_of_different_ids_do_not_wait_for_each_other() {
    let _watchdog = set_up();
    let (ops, gate, passed) = (AsyncOps::new(), Arc::new(Event::new()), Arc::new(Event::new()));
    let (theirs, bell) = (Arc::clone(&gate), Arc::clone(&passed));
    ops.process(1, move || theirs.wait()).unwrap();
    ops.process(2, move || bell.set()).unwrap();
    assert!(passed.wait_timeout(Duration::from_secs(10)));
    gate.set();
    ops.join();
}

#[test]
fn one_operation_too_many_is_refused() {
    let _watchdog = set_up();
    let (ops, gate) = (AsyncOps::new(), Arc::new(Event::new()));
    let (begun, theirs) = (Arc::new(Event::new()), Arc::clone(&gate));
    let bell = Arc::clone(&begun);
    ops.process(1, move || {
        bell.set();
        theirs.wait();
    })
    .unwrap();
    assert!(begun.wait_timeout(Duration::from_secs(10)));
    for _ in 0..2048 {
        ops.process(1, || {}).unwrap();
    }
    assert!(matches!(ops.process(1, || {}), Err(Error::TaskQueueFull { len: 2048 })));
    gate.set();
    ops.join();
    ops.process(1, || {}).unwrap();
    ops.join();
}

#[test]
fn a_panic_leaves_the_operations_after_it() {
    let _watchdog = set_up();
    let (ops, done) = (AsyncOps::new(), Arc::new(Event::new()));
    let bell = Arc::clone(&done);
    ops.process(1, || panic!("on purpose")).unwrap();
    ops.process(1, move || bell.set()).unwrap();
    ops.join();
    assert!(done.is_set());
}

#[test]
fn the_result_may_come_first_and_is_handled_once() {
    let (count, kept) = (Arc::new(AtomicUsize::new(0)), Arc::new(Mutex::new(None::<Arc<dyn IConnection>>)));
    let noted = Arc::clone(&kept);
    let running = start(config(), move |server| {
        server
            .add_router(2, move |request: &dyn IRequest| {
                *noted.lock().unwrap() = Some(Arc::clone(request.get_connection()));
                Ok(())
            })
            .unwrap();
    });
    let mut peer = running.connect();
    peer.send(&[frame(2, b""), frame(ECHO, b"")].concat());
    peer.read_frame();
    let conn = kept.lock().unwrap().clone().unwrap();
    let result = AsyncOpResult::new(&conn);
    result.set_returned_obj(1);
    result.set_returned_obj(2);
    for _ in 0..2 {
        let count = Arc::clone(&count);
        result.on_complete(move |value| {
            green::yield_now();
            count.fetch_add(value, Ordering::AcqRel);
        });
    }
    wait_until("the result", || count.load(Ordering::Acquire) > 0);
    peer.check_echo();
    assert_eq!(count.load(Ordering::Acquire), 1);
}

/// For a test without a server: the runtime with the workers that a server of the other tests would ask for.
fn set_up() -> Watchdog {
    green::Runtime { workers: config().workers, ..Default::default() }.start().unwrap();
    Watchdog::start(Duration::from_secs(60))
}
