//! Routing: the steps of classic routers, slices of handlers, groups, and what a request carries through them.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::common::{Peer, Running, config, frame, start, wait_until};
use zinx::green::{Event, sleep};
use zinx::zconf::WorkerMode;
use zinx::ziface::{BaseRouter, CloseReason, HandleStep, IRequest, IServer, RouterHandler};
use zinx::znet::{new_func_request, router_recovery, router_time};
use zinx::{Error, Result, Server, handlers};

/// The message id that each test routes.
const TEST: u32 = 7;

/// Sends a step's name to the peer.
fn say(request: &dyn IRequest, what: &str) -> Result<()> {
    request.get_connection().send_msg(TEST, what)
}

/// A handler that says its name.
fn named(name: &'static str) -> impl Fn(&dyn IRequest) -> Result<()> {
    move |request| say(request, name)
}

/// A layer: says its name, runs those behind it, says its name again.
fn layer(name: &'static str) -> impl Fn(&dyn IRequest) -> Result<()> {
    move |request| {
        say(request, name)?;
        request.router_slices_next()?;
        say(request, name)
    }
}

/// What comes back for one message, up to an echo behind it.
fn said(peer: &mut Peer, msg_id: u32, data: &[u8]) -> Vec<String> {
    peer.send(&frame(msg_id, data));
    peer.send(&frame(crate::common::ECHO, b"end"));
    let mut said = Vec::new();
    loop {
        match peer.read_frame() {
            (crate::common::ECHO, _) => return said,
            (_, data) => said.push(String::from_utf8(data).unwrap()),
        }
    }
}

fn ask(set_up: impl FnOnce(&Server)) -> (Running, Peer) {
    let running = start(config(), set_up);
    let peer = running.connect();
    (running, peer)
}

/// Does at each step what the message's bytes say: `a`bort, `e`rr, goto `0` to `3`, else nothing.
struct Steps;

impl Steps {
    fn step(request: &dyn IRequest, at: usize, name: &str) -> Result<()> {
        say(request, name)?;
        let back = request.get("back").is_none();
        match request.get_data().get(at) {
            Some(b'a') => request.abort(),
            Some(b'e') => return Err(Error::other("as the test wants")),
            Some(b'0') if back => {
                request.set("back", Arc::new(()));
                request.goto(HandleStep::PreHandle);
            }
            Some(b'2') => request.goto(HandleStep::PostHandle),
            Some(b'3') => request.goto(HandleStep::HandleOver),
            _ => {}
        }
        Ok(())
    }
}

impl BaseRouter for Steps {
    fn pre_handle(&self, request: &dyn IRequest) -> Result<()> {
        Self::step(request, 0, "pre")
    }
    fn handle(&self, request: &dyn IRequest) -> Result<()> {
        Self::step(request, 1, "handle")
    }
    fn post_handle(&self, request: &dyn IRequest) -> Result<()> {
        Self::step(request, 2, "post")
    }
}

#[test]
fn a_classic_router_runs_its_steps_and_abort_and_goto_skip_some() {
    let (_running, mut peer) = ask(|server| server.add_router(TEST, Steps).unwrap());
    assert_eq!(said(&mut peer, TEST, b"..."), ["pre", "handle", "post"]);
    assert_eq!(said(&mut peer, TEST, b"a.."), ["pre"]);
    assert_eq!(said(&mut peer, TEST, b".a."), ["pre", "handle"]);
    assert_eq!(said(&mut peer, TEST, b"2.."), ["pre", "post"]);
    assert_eq!(said(&mut peer, TEST, b"3.."), ["pre"]);
    assert_eq!(said(&mut peer, TEST, b".0."), ["pre", "handle", "pre", "handle", "post"]);
    assert_eq!(said(&mut peer, TEST, b"e.."), ["pre"]);
    // What one message has done to its route does not outlive it.
    assert_eq!(said(&mut peer, TEST, b"..."), ["pre", "handle", "post"]);
}

#[test]
fn slices_run_in_the_order_of_an_onion() {
    let (_running, mut peer) = ask(|server| {
        server.use_(handlers![layer("used")]).unwrap();
        let handlers = handlers![layer("outer"), named("one"), layer("inner"), named("two"), named("three")];
        server.add_router_slices(TEST, handlers).unwrap();
    });
    let expected = ["used", "outer", "one", "inner", "two", "three", "inner", "outer", "used"];
    assert_eq!(said(&mut peer, TEST, b""), expected);
    assert_eq!(said(&mut peer, TEST, b""), expected);
}

#[test]
fn a_slice_has_as_many_handlers_as_wanted() {
    let (_running, mut peer) = ask(|server| {
        let handlers: Vec<RouterHandler> = (0..1000).flat_map(|_| handlers![named("x")]).collect();
        server.add_router_slices(TEST, handlers).unwrap();
    });
    assert_eq!(said(&mut peer, TEST, b"").len(), 1000);
}

#[test]
fn abort_and_errors_skip_the_handlers_behind() {
    fn aborts(request: &dyn IRequest) -> Result<()> {
        say(request, "aborts")?;
        request.abort();
        Ok(())
    }
    let (_running, mut peer) = ask(|server| {
        server.add_router_slices(TEST, handlers![layer("outer"), aborts, named("never")]).unwrap();
        let errs = |request: &dyn IRequest| {
            say(request, "errs")?;
            Err(Error::other("as the test wants"))
        };
        let swallows = |request: &dyn IRequest| {
            let error = request.router_slices_next().unwrap_err();
            say(request, &error.to_string())
        };
        server.add_router_slices(TEST + 1, handlers![swallows, errs, named("never")]).unwrap();
    });
    assert_eq!(said(&mut peer, TEST, b""), ["outer", "aborts", "outer"]);
    assert_eq!(said(&mut peer, TEST + 1, b""), ["errs", "as the test wants"]);
}

#[test]
fn groups_put_handlers_in_front_of_a_range_of_ids() {
    let (_running, mut peer) = ask(|server| {
        server.use_(handlers![named("all")]).unwrap();
        let mut group = server.group(10, 12, handlers![named("group")]);
        group.add_handler(10, handlers![named("ten")]).unwrap();
        group.use_(handlers![named("later")]);
        group.add_handler(12, handlers![named("twelve")]).unwrap();
        for msg_id in [9, 13] {
            let refused = group.add_handler(msg_id, handlers![named("never")]).unwrap_err();
            assert_eq!(refused.to_string(), format!("message id {msg_id} is not in the group from 10 to 12"));
        }
        let repeated = group.add_handler(10, handlers![named("never")]).unwrap_err();
        assert!(matches!(repeated, Error::RepeatedRouter { msg_id: 10 }), "{repeated}");
        // Only what is added later stands behind what is used later.
        server.use_(handlers![named("too late")]).unwrap();
    });
    assert_eq!(said(&mut peer, 10, b""), ["all", "group", "ten"]);
    assert_eq!(said(&mut peer, 12, b""), ["all", "group", "later", "twelve"]);
    assert_eq!(said(&mut peer, 11, b""), [""; 0]);
}

#[test]
fn recovery_contains_a_panic_and_the_connection_goes_on() {
    let (running, mut peer) = ask(|server| {
        let panics = |_: &dyn IRequest| panic!("as the test wants");
        server.use_(handlers![router_time, layer("outer"), router_recovery]).unwrap();
        server.add_router_slices(TEST, handlers![named("before"), panics, named("never")]).unwrap();
    });
    for _ in 0..2 {
        assert_eq!(said(&mut peer, TEST, b""), ["outer", "before", "outer"]);
    }
    assert_eq!(running.server.stats().handler_panics, 2);
}

#[test]
fn without_recovery_a_panic_ends_its_connection() {
    let (running, mut peer) = ask(|server| {
        let panics = |_: &dyn IRequest| panic!("as the test wants");
        server.add_router_slices(TEST, handlers![layer("outer"), panics]).unwrap();
    });
    peer.send(&frame(TEST, b""));
    assert_eq!(peer.read_to_end(), frame(TEST, b"outer"));
    assert_eq!(running.close_reason(peer.addr()), CloseReason::HandlerPanicked { msg_id: TEST });
}

#[test]
fn an_unknown_id_takes_the_not_found_route_and_the_connection_stays() {
    let (running, mut peer) = ask(|server| server.set_not_found(Steps).unwrap());
    assert_eq!(said(&mut peer, 404, b"..."), ["pre", "handle", "post"]);
    assert_eq!(said(&mut peer, 405, b"2.."), ["pre", "post"]);
    assert_eq!(running.server.stats().unknown_ids, 2);
}

#[test]
fn a_repeated_id_is_an_error_that_names_it() {
    let (running, _peer) = ask(|server| {
        server.add_router(TEST, Steps).unwrap();
        let again = [server.add_router(TEST, Steps), server.add_router_slices(TEST, handlers![named("x")])];
        for error in again.map(Result::unwrap_err) {
            assert_eq!(error.to_string(), "message id 7 already has a router");
        }
    });
    let late = running.server.add_router_slices(99, handlers![named("x")]).unwrap_err();
    assert!(matches!(late, Error::AlreadyStarted { .. }), "{late}");
    assert!(matches!(running.server.use_(handlers![]).unwrap_err(), Error::AlreadyStarted { .. }));
}

#[test]
fn values_and_the_response_go_from_handler_to_handler_and_not_to_the_next_request() {
    let (_running, mut peer) = ask(|server| {
        let outer = |request: &dyn IRequest| {
            assert!(request.get("user").is_none() && request.get_response().is_none(), "left over");
            request.set("user", Arc::new("nobody".to_string()));
            request.set("user", Arc::new("ann".to_string()));
            request.router_slices_next()?;
            let response = request.get_response().unwrap().downcast::<usize>().unwrap();
            say(request, &response.to_string())
        };
        let inner = |request: &dyn IRequest| {
            assert!(request.get_as::<u32>("user").is_none(), "of another type");
            say(request, &request.get_as::<String>("user").unwrap())?;
            request.set_response(Arc::new(request.get_message().get_data().len()));
            Ok(())
        };
        server.add_router_slices(TEST, handlers![outer, inner]).unwrap();
    });
    assert_eq!(said(&mut peer, TEST, b"12345"), ["ann", "5"]);
    assert_eq!(said(&mut peer, TEST, b""), ["ann", "0"]);
}

#[test]
fn a_request_can_be_given_another_router_and_be_called() {
    let (_running, mut peer) = ask(|server| {
        let other = |request: &dyn IRequest| {
            request.bind_router(Arc::new(Steps));
            request.call()?;
            say(request, "called")
        };
        server.add_router_slices(TEST, handlers![other, named("skipped")]).unwrap();
        let copies = |request: &dyn IRequest| {
            request.set("key", Arc::new(5_u8));
            let copy = request.copy();
            copy.bind_router_slices(handlers![|request: &dyn IRequest| {
                say(request, &format!("copy {}", request.get_as::<u8>("key").unwrap()))
            }]);
            copy.call()?;
            copy.call()
        };
        server.add_router_slices(TEST + 1, handlers![copies, named("goes on")]).unwrap();
    });
    assert_eq!(said(&mut peer, TEST, b"..."), ["pre", "handle", "post", "called"]);
    assert_eq!(said(&mut peer, TEST + 1, b""), ["copy 5", "goes on"]);
}

#[test]
fn a_closure_queued_to_a_connection_runs_between_its_messages() {
    for size in [0, 2] {
        let (running, go_on) = (Arc::new(AtomicUsize::new(0)), Arc::new(Event::new()));
        let conns = Arc::new(Mutex::new(Vec::new()));
        let mut config = config();
        (config.worker_pool_size, config.worker_mode) = (size, WorkerMode::Hash);
        let server = start(config, |server| {
            let (running, conns, go_on) = (Arc::clone(&running), Arc::clone(&conns), Arc::clone(&go_on));
            let slow = move |request: &dyn IRequest| {
                conns.lock().unwrap().push(Arc::clone(request.get_connection()));
                running.fetch_add(1, Ordering::AcqRel);
                go_on.wait();
                sleep(Duration::from_millis(50));
                running.fetch_sub(1, Ordering::AcqRel);
                say(request, "handled")
            };
            server.add_router(TEST, slow).unwrap();
        });
        let mut peer = server.connect();
        peer.send(&frame(TEST, b""));
        wait_until("the handler", || running.load(Ordering::Acquire) == 1);
        let conn = Arc::clone(&conns.lock().unwrap()[0]);
        for n in 0..3 {
            let (theirs, running) = (Arc::clone(&conn), Arc::clone(&running));
            let closure = new_func_request(&conn, move || {
                assert_eq!(running.load(Ordering::Acquire), 0, "beside a handler");
                theirs.send_msg(TEST, format!("closure {n}")).unwrap();
            });
            conn.get_msg_handler().send_msg_to_task_queue(closure).unwrap();
        }
        go_on.set();
        for expected in ["handled", "closure 0", "closure 1", "closure 2"] {
            assert_eq!(peer.read_frame(), (TEST, expected.as_bytes().to_vec()), "{size} workers");
        }
        // What is queued before the end is run before the end, also where the reader waits for input.
        let theirs = Arc::clone(&conn);
        let last = new_func_request(&conn, move || theirs.send_msg(TEST, "last").unwrap());
        conn.get_msg_handler().send_msg_to_task_queue(last).unwrap();
        conn.stop();
        assert_eq!(peer.read_to_end(), frame(TEST, b"last"));
        assert!(conn.wait_closed(Duration::from_secs(10)).unwrap());
        let refused = conn.get_msg_handler().send_msg_to_task_queue(new_func_request(&conn, || {}));
        assert!(matches!(refused, Err(Error::ConnectionClosed)), "{refused:?}");
    }
}

#[test]
fn a_closure_that_panics_ends_its_connection() {
    let (running, mut peer) = ask(|_| {});
    assert_eq!(said(&mut peer, 404, b""), [""; 0]);
    let conn = running.server.get_conn_mgr().get(1).unwrap();
    let panics = new_func_request(&conn, || panic!("as the test wants"));
    running.server.get_msg_handler().send_msg_to_task_queue(panics).unwrap();
    assert_eq!(peer.read_to_end(), b"");
    assert_eq!(running.close_reason(peer.addr()), CloseReason::HandlerPanicked { msg_id: 0 });
}
