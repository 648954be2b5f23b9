//! A server's own coroutines are not killed: it closes what they wait on, in its own order.

#![expect(clippy::disallowed_methods, clippy::disallowed_types, reason = "tests speak raw sockets")]

#[expect(dead_code, reason = "shared by all test files")]
mod common;

use std::time::Duration;

use common::{config, frame, start};
use zinx::green;
use zinx::ziface::IRequest;

#[test]
fn a_server_stands_whoever_kills_its_coroutines() {
    let server = start(config(), |server| {
        let kill_myself = |request: &dyn IRequest| {
            green::current().unwrap().kill();
            request.get_connection().send_msg(7, "alive")
        };
        server.add_router(7, kill_myself).unwrap();
    });
    let mut peer = server.connect();
    peer.check_echo();
    for coroutine in green::coroutines() {
        coroutine.kill_timeout(Duration::ZERO);
    }
    peer.check_echo();
    peer.send(&frame(7, b""));
    assert_eq!(peer.read_frame(), (7, b"alive".to_vec()));
    server.connect().check_echo();
    peer.finish();
    assert_eq!(peer.read_to_end(), b"");
}
