//! The Zinx contracts: what a Zinx user already knows, a small file a trait, no machinery.
//!
//! You implement [`IRouter`], [`IInterceptor`], [`IDecoder`] and [`IDataPack`]. The others are sealed, so that they can grow without breaking anyone:
//! this crate implements them and hands them out as `&dyn IRequest`, `Arc<dyn IConnection>` and so on. What is generic
//! sits on `impl dyn IConnection` and on `Server`.

mod imessage;
pub use imessage::IMessage;

mod idatapack;
pub use idatapack::{Head, IDataPack, Payload};

mod idecoder;
pub use idecoder::{Decoded, IDecoder, LengthField, Order};

mod data;
pub use data::Data;

mod irequest;
pub use irequest::{IRequest, Value};

mod irouter;
pub use irouter::{HandleStep, IRouter, IRouter as BaseRouter};

mod irouterslices;
pub use irouterslices::{GroupRouterSlices, RouterHandler, router_handler};

mod iinterceptor;
pub use iinterceptor::{IChain, IInterceptor};

mod imsghandler;
pub use imsghandler::IMsgHandler;

mod iconnection;
pub use iconnection::{IConnection, SendWait};

mod closereason;
pub use closereason::{CloseReason, Unsent};

mod resume_refusal;
pub use resume_refusal::ResumeRefusal;

mod itcpconnection;
pub use itcpconnection::ITcpConnection;

mod transport_kind;
pub use transport_kind::TransportKind;

mod icontext;
pub use icontext::IContext;

mod iconnmanager;
pub use iconnmanager::{ConnRef, IConnManager, IConnManager as IConManager};

mod iclient;
pub use iclient::IClient;

mod iheartbeat;
pub use iheartbeat::{
    HEART_BEAT_DEFAULT_MSG_ID, HeartBeat, HeartBeatDirection, HeartBeatMsgFunc, HeartBeatOption,
};

mod iserver;
pub use iserver::{ConnHook, IServer};

/// Keeps the traits that this crate alone implements from being implemented elsewhere.
pub(crate) mod sealed {
    /// Implemented by this crate's types only, one a trait: `Any` leads the machinery back to its own.
    pub trait Sealed: std::any::Any {}

    /// As [`Sealed`], for types that borrow.
    pub trait Closed {}
}
