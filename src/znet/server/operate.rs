//! What a program does with a server that runs, as its operator would.

#[cfg(feature = "admin")]
use std::net::SocketAddr;
use std::time::Duration;

use super::server::Server;
use super::stats::Stats;

impl Server {
    /// Counts since the server was made.
    pub fn stats(&self) -> Stats {
        self.core().stats()
    }

    /// Stops the server as [`stop`](crate::ziface::IServer::stop) does, but closes its connections one after the other, the
    /// oldest first, spread over `pace`: so its clients do not all connect elsewhere at once. Returns at once.
    ///
    /// No connection is accepted from now on, and tasks learn that the server stops. `DrainMs` begins when the last connection
    /// is asked to close, or has gone by itself. A `stop` meanwhile, or a signal, closes those that are left at once. After a
    /// `stop`, or a second time, it does nothing.
    pub fn drain(&self, pace: Duration) {
        self.core().drain(pace);
    }

    /// Where the admin plane listens, with the port that the system chose. `None` if there is none, before the start and once
    /// the server stops.
    #[cfg(feature = "admin")]
    #[cfg_attr(docsrs, doc(cfg(feature = "admin")))]
    pub fn admin_addr(&self) -> Option<SocketAddr> {
        self.core().life().admin.as_ref().map(|(address, _)| *address)
    }
}
