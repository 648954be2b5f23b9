//! The demos, each server and client in processes of their own, and programs in other languages that they talk to.

#![expect(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "tests are plain threads and speak raw sockets"
)]

#[path = "../common/mod.rs"]
#[expect(dead_code, reason = "each group uses its share")]
mod common;

mod chapters;
mod client;
mod echo_forms;
mod green;
mod interop;
mod interop_go;
mod seeds;
mod talk;
#[cfg(all(feature = "tls", feature = "websocket", feature = "kcp"))]
mod transports;
#[cfg(all(feature = "protobuf", feature = "websocket"))]
mod world;
#[cfg(all(feature = "protobuf", feature = "websocket"))]
mod world_go;
#[cfg(all(feature = "protobuf", feature = "websocket"))]
mod world_page;
#[cfg(all(feature = "protobuf", feature = "websocket"))]
mod world_player;
mod zinx_names;
