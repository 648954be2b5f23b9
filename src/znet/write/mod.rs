//! From `send_msg` to the socket.

// How much may wait for peers,
pub(super) mod bounds;

// which is counted here for all peers together.
pub(super) mod ledger;

// The queue of one connection:
pub(super) mod outbox;

// whether there is room for one more frame,
pub(super) mod room;

// what it needs only under load,
pub(super) mod pressure;

// whether its socket is watched,
pub(super) mod holding;

// and how it keeps what it sends for a peer that comes back:
pub(super) mod keeping;

// the last frames,
pub(super) mod replay;

// which may go to another node,
pub(super) mod moving;

// or be in Redis before they leave:
pub(super) mod durable;

// when they are put there,
mod saving;

// when they leave,
mod releasing;

// and the coroutine that takes the answers.
mod attending;

// The frames in it,
pub(super) mod frame_queue;

// those that go before the last few,
pub(super) mod backlog;

// in pieces that one system call can send.
pub(super) mod chunk;

// Queues a message,
pub(super) mod enqueue;

// waits if there is no room,
pub(super) mod wait_for_room;

// counts it meanwhile,
pub(super) mod waiting;

// sends what is queued,
pub(super) mod writer;

// and watches a full socket until the peer reads on.
pub(super) mod watch;
