//! What a program sets on a server alone: groups of handlers, the dialogue, how answers are told apart, rates.

use std::sync::Arc;

use crate::error::{Error, Result};
use crate::ziface::{GroupRouterSlices, IMsgHandler, IServer, RouterHandler};
use crate::znet::read::rate::RateLimits;
use crate::znet::server::server::Server;
use crate::znet::talk::session::Session;
use crate::zpack::Message;

impl Server {
    /// A group of the ids from `first` to `last`, both included, with handlers in front of theirs.
    #[doc(alias = "Group")]
    pub fn group(&self, first: u32, last: u32, handlers: Vec<RouterHandler>) -> GroupRouterSlices<'_> {
        self.get_msg_handler().group(first, last, handlers)
    }

    /// Puts handlers in front of those that [`add_router_slices`](Self::add_router_slices) and groups add from now on,
    /// in order. Classic routers do without.
    ///
    /// # Errors
    ///
    /// [`Error::AlreadyStarted`] after the start.
    #[doc(alias = "Use")]
    pub fn use_(&self, handlers: Vec<RouterHandler>) -> Result<()> {
        self.core().handler().use_(handlers)
    }
}

impl Server {
    /// Sets the dialogue of every connection: it runs on the connection's own coroutine after the start hook, and the
    /// connection closes in order when it returns. Routers serve the same port: a message whose id has a router goes to
    /// it whenever the dialogue waits, one that has none is the dialogue's.
    ///
    /// An error ends the connection and is logged, unless it says that the connection is closed; so does a panic.
    ///
    /// # Errors
    ///
    /// [`Error::AlreadyStarted`] the second time.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    /// use zinx::prelude::*;
    ///
    /// # fn set_up(server: &Server) -> zinx::Result<()> {
    /// server.on_session(|s| {
    ///     let name = s.with_timeout(Duration::from_secs(10), |s| s.recv_id(1))?;
    ///     s.send(2, name.get_data())?;
    ///     while s.ask(3, "again?", 4)?.get_data() == "yes" {}
    ///     s.send(5, "bye")
    /// })
    /// # }
    /// ```
    pub fn on_session(
        &self,
        dialogue: impl Fn(&mut Session) -> Result<()> + Send + Sync + 'static,
    ) -> Result<()> {
        let set = self
            .core()
            .talk()
            .dialogue
            .set(Box::new(move |conn| dialogue(&mut Session::of(Arc::clone(conn)))));
        set.map_err(|_| Error::AlreadyStarted { what: "set the session" })
    }
}

impl Server {
    /// Says where answers carry a sequence number, for [`Call::sequence`](crate::znet::Call::sequence): `None` if a message has none.
    ///
    /// # Errors
    ///
    /// [`Error::AlreadyStarted`] the second time.
    pub fn set_call_sequence(
        &self,
        sequence: impl Fn(&Message) -> Option<u64> + Send + Sync + 'static,
    ) -> Result<()> {
        let set = self.core().talk().sequence.set(Box::new(sequence));
        set.map_err(|_| Error::AlreadyStarted { what: "set the sequence number" })
    }
}

impl Server {
    /// Limits what peers may send, in place of the keys `RateMessages` and so on. Off by default; then nothing is counted.
    ///
    /// # Errors
    ///
    /// [`Error::AlreadyStarted`] the second time.
    ///
    /// # Examples
    ///
    /// ```
    /// use zinx::prelude::*;
    /// use zinx::znet::{OverRate, Rate, RateLimits};
    ///
    /// # fn set_up(server: &Server) -> zinx::Result<()> {
    /// let limits = RateLimits::new(OverRate::Wait)
    ///     .per_connection(Rate { messages: 100, bytes: 64 * 1024 })
    ///     .per_address(Rate { messages: 1000, bytes: 0 });
    /// server.set_rate_limits(limits)
    /// # }
    /// ```
    pub fn set_rate_limits(&self, limits: RateLimits) -> Result<()> {
        let is_first = self.core().talk().rates.set_in_code(limits);
        if is_first { Ok(()) } else { Err(Error::AlreadyStarted { what: "set the rate limits" }) }
    }
}
