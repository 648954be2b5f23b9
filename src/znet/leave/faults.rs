//! What a peer has done wrong, counted against its address: see [`bans`](crate::znet::enter::bans).

use crate::ziface::{CloseReason, IConnection};
use crate::znet::conn::connection::Connection;

impl dyn IConnection {
    /// Counts a fault of the peer that the program has found, such as a wrong password, against its address. More than `BanFaults`
    /// within a minute, bad frames and failed handshakes included, and the address is refused for `BanMs`. Connections that are
    /// open stay. `what` stands in the log.
    ///
    /// Returns whether that has banned the address; `false` also if `BanFaults` is 0, on a client, and for an address of
    /// `TrustedProxies`.
    ///
    /// # Examples
    ///
    /// ```
    /// use zinx::prelude::*;
    ///
    /// fn login(request: &dyn IRequest) -> zinx::Result<()> {
    ///     let conn = request.get_connection();
    ///     if request.get_data() != b"secret" {
    ///         conn.report_fault("a wrong password");
    ///         return conn.send_msg(2, "no");
    ///     }
    ///     conn.login("ann", OnDuplicate::KickOld)?;
    ///     conn.send_msg(2, "welcome")
    /// }
    /// # let _ = login;
    /// ```
    #[doc(alias = "ban")]
    pub fn report_fault(&self, what: &str) -> bool {
        self.connection().core().note_fault(self.get_remote_addr().ip(), &what)
    }
}

impl Connection {
    /// Counts the end of the connection, if it is the fault of its peer.
    pub(super) fn note_fault(&self) {
        if let Some(reason) = self.get_close_reason().filter(is_fault) {
            self.core().note_fault(self.get_remote_addr().ip(), &reason);
        }
    }

    /// Counts it, while there is a transport, if the peer has broken the protocol of that: its frames cannot be read either.
    pub(super) fn note_breach(&self) {
        if self.line().is_breached()
            && let Some(reason) = self.get_close_reason().filter(|reason| !is_fault(reason))
        {
            self.core().note_fault(self.get_remote_addr().ip(), &reason);
        }
    }
}

/// Not what a bad network or a server that has started again can cause as well.
const fn is_fault(reason: &CloseReason) -> bool {
    matches!(
        reason,
        CloseReason::PacketTooLarge { .. }
            | CloseReason::FrameTooLarge { .. }
            | CloseReason::BadFrame { .. }
            | CloseReason::BadPayload { .. }
            | CloseReason::FirstFrameTimeout
            | CloseReason::FrameTimeout
            | CloseReason::RateLimited
    )
}
