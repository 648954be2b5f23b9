//! Floods: a handler that sends more than a socket takes, and a peer that does not read until it is told to.

use std::sync::{Arc, Mutex};

use super::wire::Wire;
use super::{Peer, wait_until};
use zinx::zconf::QueueFull;
use zinx::ziface::{IConnection, IRequest};
use zinx::{Config, Server};

/// The message id whose handler sends more than a socket takes.
pub(crate) const FLOOD: u32 = 9;

/// Messages in a flood, each of [`FLOOD_BYTES`]: 64 MiB together.
pub(crate) const FLOOD_MESSAGES: u32 = 1024;
pub(crate) const FLOOD_BYTES: usize = 64 << 10;

/// Bytes that may be queued to the peer that is flooded.
pub(crate) const QUEUE_BYTES: usize = 256 << 10;
pub(crate) const QUEUE_WAIT_MS: u64 = 200;

/// How a flood ended.
pub(crate) struct Sent {
    pub(crate) accepted: u32,
    pub(crate) result: zinx::Result<()>,
    pub(crate) conn: Arc<dyn IConnection>,
}

pub(crate) type Outcome = Arc<Mutex<Option<Sent>>>;

/// Bounds for a server with a flood.
pub(crate) fn bound(config: &mut Config, policy: QueueFull) {
    (config.queue_full, config.queue_wait_ms) = (policy, QUEUE_WAIT_MS);
    (config.max_msg_chan_bytes, config.write_timeout_ms) = (QUEUE_BYTES, 0);
    config.drain_ms = 500;
}

/// Adds a [`FLOOD`] handler that sends numbered messages until one is refused.
pub(crate) fn add_flood(server: &Server, outcome: &Outcome) {
    let noted = Arc::clone(outcome);
    let router = move |request: &dyn IRequest| {
        let sent = send_until_refused(request.get_connection());
        *noted.lock().unwrap() = Some(sent);
        Ok(())
    };
    server.add_router(FLOOD, router).unwrap();
}

/// Sends numbered messages until one is refused.
pub(crate) fn send_until_refused(conn: &Arc<dyn IConnection>) -> Sent {
    let (mut accepted, mut result) = (0, Ok(()));
    while accepted < FLOOD_MESSAGES && result.is_ok() {
        let mut data = vec![0; FLOOD_BYTES];
        data[..4].copy_from_slice(&accepted.to_le_bytes());
        result = conn.send_msg(FLOOD, data);
        accepted += u32::from(result.is_ok());
    }
    Sent { accepted, result, conn: Arc::clone(conn) }
}

pub(crate) fn wait_for(outcome: &Outcome) -> Sent {
    wait_until("the end of the flood", || outcome.lock().unwrap().is_some());
    outcome.lock().unwrap().take().unwrap()
}

/// Reads so many messages of a flood; returns their numbers.
pub(crate) fn read_flood<S: Wire>(peer: &mut Peer<S>, count: u32) -> Vec<u32> {
    let number = |_| {
        let (msg_id, data) = peer.read_frame();
        assert_eq!((msg_id, data.len()), (FLOOD, FLOOD_BYTES));
        u32::from_le_bytes(data[..4].try_into().unwrap())
    };
    (0..count).map(number).collect()
}
