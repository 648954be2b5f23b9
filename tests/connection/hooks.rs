//! Hooks: once each, around the handlers, with their last words delivered and their panics contained.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::common::{Running, config, frame, start, start_alone};
use zinx::ziface::{CloseReason, IRequest, IServer};
use zinx::{Error, Server, green};

const LONG: Duration = Duration::from_secs(20);

#[test]
fn hooks_frame_the_handlers() {
    let (steps, sent) = (Arc::new(Mutex::new(Vec::new())), Arc::new(green::Event::new()));
    let note = |steps: &Arc<Mutex<Vec<String>>>| {
        let steps = Arc::clone(steps);
        move |step: &str| steps.lock().unwrap().push(step.to_string())
    };
    let (start, handler, stop) = (note(&steps), note(&steps), note(&steps));
    let theirs = Arc::clone(&sent);
    let running = start_alone(config(), |server| {
        server.set_on_conn_start(move |_| {
            assert!(theirs.wait_timeout(LONG));
            start("start");
            Ok(())
        });
        server.set_on_conn_stop(move |_| {
            stop("stop");
            Ok(())
        });
        let router = move |request: &dyn IRequest| {
            green::yield_now();
            handler(std::str::from_utf8(request.get_data()).unwrap());
            Ok(())
        };
        server.add_router(7, router).unwrap();
    });
    let mut peer = running.connect();
    for request in ["1", "2", "3"] {
        peer.send(&frame(7, request.as_bytes()));
    }
    peer.finish();
    sent.set();
    assert_eq!(peer.read_to_end(), b"");
    assert_eq!(*steps.lock().unwrap(), ["start", "1", "2", "3", "stop"]);
}

#[test]
fn last_words_of_the_stop_hook_are_delivered() {
    let running = start(config(), |server| {
        server.set_on_conn_stop(|conn| {
            assert!(conn.is_alive());
            for _ in 0..500 {
                conn.send_msg(9, [9; 1000])?;
            }
            conn.send_msg(10, "bye")
        });
    });
    let mut peer = running.connect();
    peer.check_echo();
    peer.finish();
    for _ in 0..500 {
        assert_eq!(peer.read_frame(), (9, vec![9; 1000]));
    }
    assert_eq!(peer.read_frame(), (10, b"bye".to_vec()));
    assert_eq!(peer.read_to_end(), b"");
    assert_eq!(running.server.stats().unsent_messages, 0);
}

#[test]
fn last_words_are_delivered_also_when_the_server_stops() {
    let running = start_alone(config(), say_bye);
    let mut peer = running.connect();
    peer.check_echo();
    running.server.stop();
    assert_eq!(peer.read_frame(), (10, b"bye".to_vec()));
    assert_eq!(peer.read_to_end(), b"");
}

fn say_bye(server: &Server) {
    server.set_on_conn_stop(|conn| conn.send_msg(10, "bye"));
}

#[test]
fn a_panic_of_the_start_hook_closes_its_connection_only() {
    let running = start_with_a_bad_start_hook(|| panic!("on purpose"));
    let mut peer = running.connect();
    let addr = peer.addr();
    assert_eq!(peer.read_to_end(), b"");
    assert_eq!(running.close_reason(addr), CloseReason::StartHookFailed);
    running.connect().check_echo();
    let stats = running.stop();
    assert_eq!((stats.start_hooks, stats.stop_hooks, stats.hook_panics), (3, 3, 1));
}

#[test]
fn an_error_of_the_start_hook_closes_its_connection_only() {
    let running = start_with_a_bad_start_hook(|| Err(Error::other("not today")));
    let mut peer = running.connect();
    let addr = peer.addr();
    assert_eq!(peer.read_to_end(), b"");
    assert_eq!(running.close_reason(addr), CloseReason::StartHookFailed);
    running.connect().check_echo();
    let stats = running.stop();
    assert_eq!((stats.start_hooks, stats.stop_hooks, stats.hook_panics), (3, 3, 0));
}

/// A server whose start hook fails for the connection after the healthy client's.
fn start_with_a_bad_start_hook(fail: fn() -> zinx::Result<()>) -> Running {
    start(config(), move |server| {
        server.set_on_conn_start(move |conn| if conn.get_conn_id() == 1 { fail() } else { Ok(()) });
    })
}

#[test]
fn a_panic_of_the_stop_hook_is_contained_and_the_clean_up_runs() {
    let running = start(config(), |server| {
        server.set_on_conn_stop(|conn| {
            conn.send_msg(10, "last words")?;
            panic!("on purpose")
        });
    });
    let mut peer = running.connect();
    let conn = running.conn(peer.addr());
    peer.check_echo();
    peer.finish();
    assert_eq!(peer.read_to_end(), frame(10, b"last words"), "queued before the panic, sent after it");
    assert!(conn.wait_closed(LONG).unwrap());
    assert_eq!(conn.get_close_reason(), Some(CloseReason::PeerClosed));
    assert!(running.server.get_conn_mgr().get(conn.get_conn_id()).is_none());
    running.connect().check_echo();
    let stats = running.stop();
    assert_eq!((stats.start_hooks, stats.stop_hooks, stats.hook_panics), (3, 3, 3));
}
