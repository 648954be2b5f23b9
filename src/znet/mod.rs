//! The machinery of a server. Its folders stand in the order in which a message travels; the front page of each says
//! what is in it.

// What a program builds, and what its connections share.
mod server;
pub use server::client::{Client, new_client, new_client_with_config};
pub use server::clients::new_client_with_url;
#[cfg(feature = "kcp")]
pub use server::clients::{new_kcp_client, new_kcp_client_with_config};
#[cfg(feature = "tls")]
pub use server::clients::{new_tls_client, new_tls_client_with_options};
#[cfg(feature = "websocket")]
pub use server::clients::{new_ws_client, new_ws_client_with_options};
pub use server::core::IdleAction;
pub use server::server::{Server, exit, new_server, new_server_with_config};
pub use server::stats::Stats;

// A peer enters,
mod enter;
pub use enter::dialer::Reconnect;

// on something that carries its bytes,
mod transport;
#[cfg(feature = "tls")]
pub use transport::tls_info::TlsInfo;
#[cfg(feature = "tls")]
pub use transport::tls_options::TlsOptions;
#[cfg(feature = "websocket")]
pub use transport::ws_options::WsOptions;
#[cfg(feature = "websocket")]
pub use transport::ws_rules::{WsRefusal, WsRequest};

// and is a connection.
mod conn;

// What it sends is read,
mod read;
pub use crate::zconf::OverRate;
pub use read::rate::{Rate, RateLimits};

// and goes to the handler of the program,
mod route;
pub use route::bad_payload::BadPayload;
pub use route::login_gate::Refusal;
pub use route::middleware::{router_recovery, router_time};
pub use route::request::new_func_request;

// which may ask its peer and go on with the answer,
mod talk;
pub use talk::call::Call;
pub use talk::session::Session;
pub use talk::takeover::{ByByte, RawStream};

// and knows which users and groups are connected.
mod people;
pub use people::groups::{Broadcast, Group};
pub use people::registry::OnDuplicate;
pub use people::users::Sessions;

// on this server or on any other of its cluster.
mod cluster;
pub use cluster::cluster::{Cluster, ClusterNode};
pub use cluster::delivery::Delivery;
pub use cluster::group::{ClusterBroadcast, ClusterGroup};
pub use cluster::member::ClusterMember;
pub use cluster::stats::ClusterStats;
pub use cluster::tasks::ClusterTask;
pub use cluster::user::ClusterUser;

// What the handler answers is written,
mod write;
pub use write::ledger::HeldBytes;

// also to a peer that has lost its connection and comes back.
mod resume;

// At last the connection leaves.
mod leave;

#[cfg(feature = "admin")]
// Whoever operates the server looks at all of this from outside.
mod admin;

// The lines that the framework of the tutorial prints.
mod tutorial;
