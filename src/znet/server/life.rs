//! What runs between the start and the stop.

use std::borrow::Cow;
use std::net::SocketAddr;

use crate::error::Result;
use crate::green::Thread;
#[cfg(feature = "kcp")]
use crate::green::{Event, Until};
use crate::ziface::{IContext, TransportKind};

/// What runs between the start and the stop.
#[derive(Default)]
pub(crate) struct ServerLife {
    pub(crate) started: bool,
    pub(crate) stopping: bool,
    /// `serve` has waited for the end, or does.
    pub(super) served: bool,
    /// The addresses listened on, and what is spoken there.
    pub(crate) locals: Vec<(TransportKind, SocketAddr)>,
    /// Ends the waits of what makes connections, so that it looks whether all stops.
    pub(crate) interrupt: Option<Box<dyn FnOnce() + Send>>,
    /// Make connections; ended before they are, so that none comes after.
    pub(crate) acceptors: Vec<Thread>,
    /// Waits until all that connections have said has arrived, where that is not the system's work.
    #[cfg(feature = "kcp")]
    pub(crate) settle: Option<Box<Settle>>,
    /// Ends the sweeping of the connections.
    pub(super) sweeper: Option<Box<dyn FnOnce() + Send>>,
    /// The admin plane and where it is. Dropped, it ends: last of all, for it shows how a drain goes.
    pub(super) admin: Option<(SocketAddr, Box<dyn Send>)>,
    /// The place among the nodes of a cluster. Dropped, the server leaves it: after its connections.
    pub(super) cluster: Option<Box<dyn Send>>,
    /// Given before the start.
    pub(crate) tasks: Vec<Task>,
}

/// Waits, until the time is up or it is to be hurried.
#[cfg(feature = "kcp")]
pub(super) type Settle = dyn FnOnce(Until, &Event) + Send;

type TaskBody = dyn FnOnce(&dyn IContext) -> Result<()> + Send;

/// A task that has not begun.
pub(crate) struct Task {
    pub(super) name: Cow<'static, str>,
    pub(super) body: Box<TaskBody>,
}
