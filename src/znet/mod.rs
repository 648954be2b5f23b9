//! The machinery of a server. Its modules stand in the order in which data travels.

mod server;
pub use server::{Server, exit, new_server, new_server_with_config};

mod stats;
pub use stats::Stats;

mod client;
pub use client::{Client, new_client, new_client_with_config};

mod core;
pub use core::IdleAction;

mod life;

mod forced;

mod needs;

mod background;

// A peer comes,

mod acceptor;

mod crowd;

mod dialer;
pub use dialer::Reconnect;

mod place;

mod conn_manager;

mod connection;

mod asked;

mod rare;

mod ends;

mod times;

mod tcp_connection;

mod rate;
pub use crate::zconf::OverRate;
pub use rate::{Rate, RateLimits};

// what it sends becomes requests,

mod line;

mod reader;

mod hooks;

mod request;
pub use request::new_func_request;

mod chain;

mod codec;

mod dispatch;

mod route;

mod routing;

mod middleware;
pub use middleware::{router_recovery, router_time};

mod tasks;

mod worker_pool;

// while a worker would have to wait for a peer, another coroutine takes its queue over;
mod aside;

// a handler may ask its peer and go on with the answer,

mod ahead;

mod calls;

mod call;
pub use call::Call;

mod talk;

mod session;
pub use session::Session;

mod takeover;
pub use takeover::{ByByte, RawStream};

mod payload;
pub use payload::BadPayload;

// and belongs to users and groups,

mod belongs;

mod groups;
pub use groups::{Broadcast, Group};

mod users;
pub use users::{OnDuplicate, Sessions};

mod login_gate;
pub use login_gate::Refusal;

// what the handlers answer goes back,

mod frame_queue;

mod ledger;
pub use ledger::HeldBytes;

mod bounds;

mod held;

mod eviction;

mod outbox;

mod writer;

mod watch;

// also to a peer that has lost its connection and comes back,

mod away;

mod resume;

// and at last it goes.

mod last_word;

mod closing;

mod endings;

mod sweeper;

mod tidying;

mod read_deadline;

mod heartbeat;

mod tutorial;
