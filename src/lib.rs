//! **zinx**: TCP servers that hold many long connections, written as straight-line code.
//!
//! Every connection is served by coroutines of its own, so a handler may wait (for room in a queue, for another
//! connection, for time to pass) in the middle of plain sequential code. The names are those of Zinx, the Go framework
//! and its Python tutorial; [`green`] has those of gevent and bluelet.
//!
//! ```no_run
//! use zinx::prelude::*;
//!
//! fn main() -> zinx::Result<()> {
//!     let server = zinx::new_server()?; // zinx.yaml, then the environment
//!     server.add_router(1, |request: &dyn IRequest| {
//!         request.get_connection().send_msg(1, "pong\n")
//!     })?;
//!     server.serve()
//! }
//! ```
//!
//! # The data path, one file a step
//!
//! ```text
//!             acceptor ── connection ───────────────────────────────┐
//!                             │ reader coroutine                    │ state, properties, reasons
//!  socket ──> reader ──> zpack frames ──> dispatch ──> YOUR HANDLER ─┤
//!    ▲                                                             │ send_msg
//!    └────────────────── writer <────── outbox (bounded) <───────────┘
//! ```
//!
//! | module | what it is |
//! |---|---|
//! | [`znet`] | the machinery: server, connections, reader, dispatch, outbox, writer |
//! | [`ziface`] | the Zinx contracts, a trait a file |
//! | [`zpack`] | bytes to messages and back |
//! | [`zconf`] | the configuration: defaults, `zinx.yaml`, environment, code |
//! | [`green`] | coroutines made safe: spawn, queues, events, sockets |
//! | [`zasync_op`] | work that blocks, its result handled on the connection's coroutine |
//! | [`zlog`] | logging to files that are set aside and deleted in time |
//! | [`znotify`] | connections by ids of the program's own, to send to one or to all |
//! | [`ztimer`] | work done later, or again and again |
//! | [`zutils`] | snowflake ids, a map in shards |
//! | [`error`] | everything that can go wrong, with its numbers |

pub mod error;
pub mod green;
mod log_line;
mod rounded;
pub mod zasync_op;
pub mod zconf;
pub mod ziface;
pub mod zlog;
pub mod znet;
pub mod znotify;
pub mod zpack;
pub mod ztimer;
pub mod zutils;

#[cfg(doctest)]
mod documents;

pub use error::{Error, Result};
pub use zconf::Config;
pub use znet::{
    Client, Server, exit, new_client, new_client_with_config, new_server, new_server_with_config,
};
pub use zpack::{new_data_pack, new_message};

/// What most programs need: `use zinx::prelude::*;`.
pub mod prelude {
    pub use crate::error::{Error, Result};
    pub use crate::handlers;
    pub use crate::zconf::Config;
    pub use crate::ziface::{
        BaseRouter, HandleStep, IChain, IClient, IConnManager, IConnection, IContext, IDataPack, IDecoder,
        IInterceptor, IMessage, IMsgHandler, IRequest, IRouter, IServer,
    };
    pub use crate::znet::{
        Call, Client, OnDuplicate, Refusal, Server, Session, exit, new_client, new_client_with_config,
        new_server, new_server_with_config,
    };
    pub use crate::zpack::{Message, new_data_pack, new_message};
}
