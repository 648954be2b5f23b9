//! Closes: what a connection gets to end in, and that it ends.

#![expect(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "tests are plain threads and speak raw sockets"
)]

#[expect(dead_code, reason = "each test file uses its share")]
mod common;

use std::io::Write;
use std::time::Duration;

use common::{ECHO, comes_true, config, frame, start};
use zinx::ziface::{CloseReason, IRequest};

#[test]
fn a_peer_that_goes_on_sending_past_the_end_is_closed_also_without_a_drain_deadline() {
    const STOP: u32 = 2;
    let mut config = config();
    config.drain_ms = 0;
    let running = start(config, |server| {
        let router = |request: &dyn IRequest| {
            request.get_connection().stop();
            Ok(())
        };
        server.add_router(STOP, router).unwrap();
    });
    let mut peer = running.connect();
    peer.send(&frame(STOP, b""));
    let closed = comes_true(Duration::from_secs(30), || {
        // An error once the socket is closed on the other side.
        peer.stream.write_all(&frame(ECHO, b"more")).is_err()
    });
    assert!(closed, "a peer that sends for ever is kept for ever");
    assert_eq!(running.close_reason(peer.addr()), CloseReason::Stopped);
    assert_eq!(running.stop_hooks(peer.addr()), 1);
}
