//! A server from its start to its stop: each once, and what is said where it cannot be.

#![expect(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "tests are plain threads and speak raw sockets"
)]

#[expect(dead_code, reason = "each test file uses its share")]
mod common;

use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use common::child::in_child;
use common::{config, start, start_alone, wait_until};
use rustix::process::Signal;
use zinx::ziface::{IRequest, IServer};
use zinx::{Error, new_server_with_config};

const LONG: Duration = Duration::from_secs(20);

#[test]
fn stopping_a_server_twice_is_stopping_it_once() {
    let running = start_alone(config(), |_| {});
    let mut peer = running.connect();
    peer.check_echo();
    running.server.stop();
    running.server.stop();
    assert_eq!(peer.read_to_end(), b"");
    let addr = peer.addr();
    drop(peer);
    assert!(running.server.wait_stopped(LONG));
    running.server.stop();
    assert!(TcpStream::connect(running.server.local_addr().unwrap()).is_err(), "the port is closed");
    assert_eq!(running.stop_hooks(addr), 1);
}

#[test]
fn a_server_stopped_before_its_start_cannot_start() {
    let server = new_server_with_config(config()).unwrap();
    assert!(!server.wait_stopped(Duration::from_millis(1)));
    server.stop();
    assert!(server.wait_stopped(LONG));
    assert!(matches!(server.start(), Err(Error::Stopped)));
    assert!(matches!(server.serve(), Err(Error::Stopped)));
    assert_eq!(server.local_addr(), None);
}

#[test]
fn starting_a_server_twice_is_an_error() {
    let running = start_alone(config(), |_| {});
    assert!(matches!(running.server.start(), Err(Error::AlreadyStarted { .. })));
    let late = running.server.add_router(3, |_: &dyn IRequest| Ok(()));
    assert!(matches!(late, Err(Error::AlreadyStarted { .. })));
    running.connect().check_echo();
    running.server.stop();
    assert!(running.server.wait_stopped(LONG));
    assert!(matches!(running.server.start(), Err(Error::Stopped)));
}

#[test]
fn serve_returns_when_the_server_stops() {
    let server = new_server_with_config(config()).unwrap();
    let theirs = server.clone();
    let serving = thread::spawn(move || theirs.serve());
    let mut address = None;
    wait_until("the address", || {
        address = server.local_addr();
        address.is_some()
    });
    let peer = TcpStream::connect(address.unwrap()).unwrap();
    server.stop();
    drop(peer);
    wait_until("the end of serve", || serving.is_finished());
    assert!(serving.join().unwrap().is_ok());
}

#[test]
fn serve_goes_on_with_a_server_that_was_started_and_hears_signals() {
    in_child("serve_goes_on_with_a_server_that_was_started_and_hears_signals", || {
        let mut config = config();
        config.handle_signals = true;
        let running = start_alone(config, |_| {});
        let mut peer = running.connect();
        peer.check_echo();
        let (first, second) = (running.server.clone(), running.server.clone());
        let serving = [thread::spawn(move || first.serve()), thread::spawn(move || second.serve())];
        wait_until("SIGTERM to be caught", || catches(Signal::TERM));
        peer.check_echo();
        rustix::process::kill_process(rustix::process::getpid(), Signal::TERM).unwrap();
        for serving in serving {
            wait_until("the end of serve", || serving.is_finished());
            serving.join().unwrap().unwrap();
        }
        assert_eq!(peer.read_to_end(), b"");
        assert!(matches!(running.server.serve(), Err(Error::Stopped)), "it has been served");
    });
}

/// Whether this process has a handler for a signal.
fn catches(signal: Signal) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:")).unwrap();
    u64::from_str_radix(caught.trim(), 16).unwrap() >> (signal.as_raw() - 1) & 1 == 1
}

#[test]
fn serve_returns_at_once_if_the_started_server_has_stopped_meanwhile() {
    let running = start_alone(config(), |_| {});
    running.server.stop();
    assert!(running.server.wait_stopped(LONG));
    running.server.serve().unwrap();
    assert!(matches!(running.server.serve(), Err(Error::Stopped)));
}

#[test]
fn a_port_in_use_is_an_error_that_names_the_address() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let mut config = config();
    config.tcp_port = address.port();
    let error = new_server_with_config(config).unwrap().start().unwrap_err();
    assert!(matches!(error, Error::Io { .. }), "{error:?}");
    assert!(error.to_string().contains(&address.to_string()), "{error}");
}

#[test]
fn two_servers_cannot_share_a_port() {
    let running = start(config(), |_| {});
    let mut config = config();
    config.tcp_port = running.server.local_addr().unwrap().port();
    let second = new_server_with_config(config).unwrap();
    assert!(matches!(second.start(), Err(Error::Io { .. })));
}

#[test]
fn a_repeated_router_is_an_error() {
    let server = new_server_with_config(config()).unwrap();
    server.add_router(5, |_: &dyn IRequest| Ok(())).unwrap();
    let again = server.add_router(5, |_: &dyn IRequest| Ok(()));
    assert!(matches!(again, Err(Error::RepeatedRouter { msg_id: 5 })), "{again:?}");
}
