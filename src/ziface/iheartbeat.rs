//! Heartbeats: what is sent to a silent peer, and what happens to one that stays silent.

use std::sync::Arc;
use std::time::Duration;

use super::{ConnHook, IConnection, IRouter};
use crate::error::Result;

/// Makes the body of a heartbeat for a connection.
pub type HeartBeatMsgFunc = dyn Fn(&Arc<dyn IConnection>) -> Vec<u8> + Send + Sync;

/// How a heartbeat differs from the default one.
///
/// # Examples
///
/// ```
/// use zinx::ziface::HeartBeatOption;
///
/// let option = HeartBeatOption::new().msg_id(7).misses(3).make_msg(|_| b"are you there?".to_vec());
/// # drop(option);
/// ```
#[derive(Default)]
pub struct HeartBeatOption {
    pub(crate) msg_id: Option<u32>,
    pub(crate) misses: Option<u32>,
    pub(crate) direction: HeartBeatDirection,
    pub(crate) make_msg: Option<Box<HeartBeatMsgFunc>>,
    pub(crate) heart_beat_func: Option<Box<ConnHook>>,
    pub(crate) on_remote_not_alive: Option<Box<ConnHook>>,
    pub(crate) router: Option<Box<dyn IRouter>>,
}

/// Which way heartbeats go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HeartBeatDirection {
    /// We send them, and a peer from which nothing comes is not alive. The default.
    #[default]
    Both,
    /// We send them, and may hear nothing: a peer that only listens stays.
    SendOnly,
    /// We send none, and a peer from which nothing comes is not alive.
    WatchOnly,
}

impl HeartBeatOption {
    /// The default heartbeat: message id [`HEART_BEAT_DEFAULT_MSG_ID`], the body `heartbeat [local->remote]` with the
    /// two addresses, both directions; a peer from which nothing has come for `HeartbeatMax` seconds, or two intervals
    /// if these are longer, is not alive, and its connection is aborted. Heartbeats that come are swallowed.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sends another message id. A router of the program for this id must be given by [`router`](Self::router).
    #[must_use]
    #[doc(alias = "HeartBeatMsgID")]
    pub const fn msg_id(mut self, msg_id: u32) -> Self {
        self.msg_id = Some(msg_id);
        self
    }

    /// A peer from which nothing has come for so many intervals is not alive; 0 is taken as 1.
    #[must_use]
    pub const fn misses(mut self, misses: u32) -> Self {
        self.misses = Some(misses);
        self
    }

    /// Which way heartbeats go.
    #[must_use]
    pub const fn direction(mut self, direction: HeartBeatDirection) -> Self {
        self.direction = direction;
        self
    }

    /// Makes the body. It runs beside the connection's coroutine and must not wait: it would hold up all heartbeats.
    #[must_use]
    #[doc(alias = "MakeMsg")]
    #[doc(alias = "SetHeartbeatMsgFunc")]
    pub fn make_msg(
        mut self,
        make: impl Fn(&Arc<dyn IConnection>) -> Vec<u8> + Send + Sync + 'static,
    ) -> Self {
        self.make_msg = Some(Box::new(make));
        self
    }

    /// Does this in place of sending a heartbeat. As [`make_msg`](Self::make_msg), it must not wait; it sends by
    /// `try_send_msg`.
    #[must_use]
    #[doc(alias = "HeartBeatFunc")]
    #[doc(alias = "SetHeartbeatFunc")]
    pub fn heart_beat_func(
        mut self,
        beat: impl Fn(&Arc<dyn IConnection>) -> Result<()> + Send + Sync + 'static,
    ) -> Self {
        self.heart_beat_func = Some(Box::new(beat));
        self
    }

    /// Runs on the connection's own coroutine when the peer is not alive, in place of aborting. A connection that it
    /// leaves open is watched again.
    #[must_use]
    #[doc(alias = "OnRemoteNotAlive")]
    #[doc(alias = "SetOnRemoteNotAlive")]
    pub fn on_remote_not_alive(
        mut self,
        hook: impl Fn(&Arc<dyn IConnection>) -> Result<()> + Send + Sync + 'static,
    ) -> Self {
        self.on_remote_not_alive = Some(Box::new(hook));
        self
    }

    /// Handles the heartbeats of the peer.
    #[must_use]
    #[doc(alias = "Router")]
    #[doc(alias = "BindRouter")]
    pub fn router(mut self, router: impl IRouter + 'static) -> Self {
        self.router = Some(Box::new(router));
        self
    }
}

/// A heartbeat that has been set up, to look at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct HeartBeat {
    /// The message id.
    pub msg_id: u32,
    /// The time from one heartbeat to the next. Each is due whole intervals after the connection began, and leaves at most
    /// an eighth of an interval (at most 0.4 s) later; that does not add up.
    pub interval: Duration,
    /// The silence after which a peer is not alive; `None` if that is not watched.
    pub limit: Option<Duration>,
}

/// The message id of a heartbeat unless another is asked for.
#[doc(alias = "HeartBeatDefaultMsgID")]
pub const HEART_BEAT_DEFAULT_MSG_ID: u32 = 99_999;
