//! Setting the read deadline of a connection, and keeping it.

use super::read_deadline::{LAST_READ, Over, ReadDeadline};
use crate::ziface::IConnection;
use crate::znet::conn::connection::Connection;
use std::sync::atomic::Ordering;
use std::time::Instant;

impl dyn IConnection {
    /// Sets until when the connection is read from. After `at` it closes in order, with
    /// [`ReadDeadline`](crate::ziface::CloseReason::ReadDeadline), whatever the peer sends. A later call moves the
    /// deadline, `None` clears it. So a peer can be made to log in within ten seconds, or to send a heartbeat every ninety,
    /// as programs in Go do with `SetReadDeadline`. It may be called from anywhere and for every message: it costs a store.
    ///
    /// - The close comes up to a second after `at`, never before. A time in the past closes at once. Time in which the
    ///   process stands still, stopped by a signal or with its machine, is added.
    /// - What has arrived by then is still read, once, and its handlers may move the deadline. While a handler of the
    ///   connection runs, or a worker has requests of it to handle, the deadline waits.
    /// - A handler or session that waits for a message (`call`, `recv`) gets
    ///   [`ConnectionClosed`](crate::Error::ConnectionClosed).
    /// - During `take_over` it does not count: the stream has a timeout of its own.
    /// - The connection closes for good, even if it could be resumed. Time in which the peer is away is added, too.
    /// - On a connection that is closing it has no effect.
    ///
    /// For all connections alike there are `IdleTimeoutMs`, `FirstFrameTimeoutMs` and `FrameTimeoutMs`; a time limit on a
    /// stretch of a dialogue is `Session::with_timeout`; a limit on a send is `send_buff_msg_timeout`.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::{Duration, Instant};
    /// use zinx::prelude::*;
    ///
    /// # fn set_up(server: &Server) -> zinx::Result<()> {
    /// server.set_on_conn_start(|conn| {
    ///     conn.set_read_deadline(Instant::now() + Duration::from_secs(10)); // to log in
    ///     Ok(())
    /// });
    /// server.add_router(1, |request: &dyn IRequest| {
    ///     let conn = request.get_connection();
    ///     conn.login(request.text()?, OnDuplicate::KickOld)?;
    ///     conn.set_read_deadline(None);
    ///     Ok(())
    /// })
    /// # }
    /// ```
    #[doc(alias = "SetReadDeadline")]
    #[doc(alias = "SetDeadline")]
    #[doc(alias = "settimeout")]
    pub fn set_read_deadline(&self, at: impl Into<Option<Instant>>) {
        let conn = self.connection();
        let at = at.into().map_or(0, |at| conn.core().clock().reads_at(at));
        if at == 0 && conn.on_demand().is_none() {
            return;
        }
        let old = conn.make_on_demand().read_deadline.set(at);
        conn.absence_begins_anew();
        if at != 0 {
            conn.core().clock().due_by(at);
        }
        if old & LAST_READ != 0 {
            // The reader may have left something in the socket, of which no event will tell.
            conn.line().interrupt();
        }
    }
}

impl Connection {
    pub(crate) fn is_read_deadline_over(&self, now: u64) -> Over {
        let deadline =
            self.on_demand().map_or(0, |on_demand| on_demand.read_deadline.0.load(Ordering::Relaxed));
        match ReadDeadline::is_over(deadline, now) {
            false => Over::No,
            true if deadline & LAST_READ == 0 => Over::Yes,
            true => Over::LastRead,
        }
    }

    /// When it is over; `u64::MAX` if there is none.
    pub(crate) fn read_deadline(&self) -> u64 {
        let deadline =
            self.on_demand().map_or(0, |on_demand| on_demand.read_deadline.0.load(Ordering::Relaxed));
        if deadline == 0 { u64::MAX } else { deadline / 2 }
    }

    /// Time in which the peer was away does not count.
    pub(crate) fn put_off_read_deadline(&self, by: u64) {
        if let Some(on_demand) = self.on_demand() {
            on_demand.read_deadline.put_off(by);
        }
    }

    /// Whether nothing may be read any more. The first time after the deadline it may, once: so a message that was there
    /// in time is not lost because a handler took long.
    pub(crate) fn is_past_its_last_read(&self) -> bool {
        let Some(on_demand) = self.on_demand() else { return false };
        let deadline = on_demand.read_deadline.0.load(Ordering::Relaxed);
        if !ReadDeadline::is_over(deadline, self.core().clock().now()) {
            return false;
        }
        // Another deadline may have been set meanwhile: then this is none.
        let last = deadline | LAST_READ;
        let marked =
            on_demand.read_deadline.0.compare_exchange(deadline, last, Ordering::Relaxed, Ordering::Relaxed);
        marked.is_ok() && deadline == last
    }
}
