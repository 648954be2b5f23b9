//! A server's own coroutines are not killed: it closes what they wait on, in its own order.

use std::time::Duration;

use crate::common::child::in_child;
use crate::common::{config, frame, start};
use zinx::green;
use zinx::ziface::IRequest;

#[test]
fn a_server_stands_when_its_coroutines_are_killed() {
    // It kills all coroutines of its process.
    in_child("shield::a_server_stands_when_its_coroutines_are_killed", || {
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
    });
}
