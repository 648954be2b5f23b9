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
//! # What you can do
//!
//! | | with | guide |
//! |---|---|---|
//! | answer messages by their id | [`Server::add_router`], [`ziface::IRequest`], [`ziface::IConnection`] | [tutorial][guide-tutorial] |
//! | ask the peer in the middle of a handler, and go on with its answer in the next line | [`call`](ziface::IConnection#method.call) | [ask][guide-ask] |
//! | write the whole dialogue of a connection as one function | [`Server::on_session`], [`znet::Session`] | [session][guide-session] |
//! | know users, gather connections in groups, send to all of one | [`login`](ziface::IConnection#method.login), [`znet::Sessions`], [`join_group`](ziface::IConnection#method.join_group), [`znet::Group`] | [chat][guide-chat] |
//! | keep a connection while its socket is lost | `ResumeMs`, [`is_away`](ziface::IConnection#method.is_away) | [resume][guide-resume] |
//! | speak the protocol of a device | [`Server::set_decoder`], [`ziface::IDecoder`], [`zpack`] | [device][guide-device] |
//! | read payloads with a type | [`text`](ziface::IRequest#method.text); features `json`, `protobuf`: [`json`](ziface::IRequest#method.json), [`proto`](ziface::IRequest#method.proto) | |
//! | connect to a server, and again when it goes | [`Client`] | |
//! | run tasks beside the connections, and block where one must | [`Server::spawn`], [`green::blocking`] | [safety][guide-safety] |
//! | write servers without messages, as in gevent and bluelet | [`green`], [`green::StreamServer`] | [gevent][guide-gevent] |
//! | watch and steer a server that runs, over HTTP | the key `Admin`, feature `admin` | |
//! | set limits and timeouts, stop without losing a reply | [`Config`], [`serve`](ziface::IServer::serve) | [configuration][guide-configuration], [operations][guide-operations] |
//!
//! New here? [Getting started][guide-getting-started]. Coming from Zinx: [Go][guide-go] and [Python][guide-python], name by name; a search for a name of Zinx, such as
//! `SendMsg`, finds ours. [All guides][guide-all].
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
//!
// The guides are files beside the source: on docs.rs, or on this machine.
#![cfg_attr(docsrs, doc = include_str!("guides.md"))]
#![cfg_attr(not(docsrs), doc = concat!("[guide-all]: file://", env!("CARGO_MANIFEST_DIR"), "/docs/README.md"))]
#![cfg_attr(not(docsrs), doc = concat!("[guide-getting-started]: file://", env!("CARGO_MANIFEST_DIR"), "/docs/getting-started.md"))]
#![cfg_attr(not(docsrs), doc = concat!("[guide-tutorial]: file://", env!("CARGO_MANIFEST_DIR"), "/docs/tutorial/README.md"))]
#![cfg_attr(not(docsrs), doc = concat!("[guide-ask]: file://", env!("CARGO_MANIFEST_DIR"), "/docs/ask.md"))]
#![cfg_attr(not(docsrs), doc = concat!("[guide-session]: file://", env!("CARGO_MANIFEST_DIR"), "/docs/session.md"))]
#![cfg_attr(not(docsrs), doc = concat!("[guide-chat]: file://", env!("CARGO_MANIFEST_DIR"), "/docs/chat.md"))]
#![cfg_attr(not(docsrs), doc = concat!("[guide-resume]: file://", env!("CARGO_MANIFEST_DIR"), "/docs/resume.md"))]
#![cfg_attr(not(docsrs), doc = concat!("[guide-device]: file://", env!("CARGO_MANIFEST_DIR"), "/docs/device.md"))]
#![cfg_attr(not(docsrs), doc = concat!("[guide-safety]: file://", env!("CARGO_MANIFEST_DIR"), "/docs/safety.md"))]
#![cfg_attr(not(docsrs), doc = concat!("[guide-gevent]: file://", env!("CARGO_MANIFEST_DIR"), "/docs/gevent.md"))]
#![cfg_attr(not(docsrs), doc = concat!("[guide-configuration]: file://", env!("CARGO_MANIFEST_DIR"), "/docs/configuration.md"))]
#![cfg_attr(not(docsrs), doc = concat!("[guide-operations]: file://", env!("CARGO_MANIFEST_DIR"), "/docs/operations.md"))]
#![cfg_attr(not(docsrs), doc = concat!("[guide-go]: file://", env!("CARGO_MANIFEST_DIR"), "/docs/porting-from-go.md"))]
#![cfg_attr(not(docsrs), doc = concat!("[guide-python]: file://", env!("CARGO_MANIFEST_DIR"), "/docs/porting-from-python.md"))]
#![cfg_attr(docsrs, feature(doc_cfg))]

pub mod error;
pub mod green;
#[cfg(feature = "admin")]
mod http;
mod lock;
mod log_line;
#[cfg(feature = "admin")]
mod longest;
mod rounded;
pub mod zasync_op;
pub mod zconf;
pub mod ziface;
pub mod zlog;
pub mod znet;
pub mod znotify;
pub mod zpack;
#[cfg(feature = "redis")]
mod zredis;
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
