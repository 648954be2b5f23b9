//! Setting the gate for peers that have not logged in.

use super::login_gate::{LoginGate, Refusal};
use crate::error::Result;
use crate::znet::server::server::Server;
use std::ops::RangeInclusive;

impl Server {
    /// Lets messages with these ids pass to their routers only if their connection is
    /// [logged in](trait.IConnection.html#method.login). Also for routers and slices added before, and for ids without a router:
    /// the not-found route does not get them.
    /// Without a gate nothing is looked at.
    ///
    /// # Errors
    ///
    /// [`AlreadyStarted`](crate::Error::AlreadyStarted) after the start.
    ///
    /// # Examples
    ///
    /// ```
    /// use zinx::prelude::*;
    ///
    /// # fn set_up(server: &Server) -> zinx::Result<()> {
    /// server.require_login(10..=99, Refusal::answer(1, "log in first"))
    /// # }
    /// ```
    pub fn require_login(&self, msg_ids: RangeInclusive<u32>, refusal: Refusal) -> Result<()> {
        self.core().handler().add_gate(LoginGate { msg_ids, refusal })
    }
}
