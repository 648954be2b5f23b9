//! The TCP side of a connection: addresses and socket options, never bytes.

use std::net::SocketAddr;
use std::time::Duration;

use super::sealed::Sealed;
use crate::error::Result;

/// What may be asked of a connection's socket. Bytes may not: they would fall between the frames of others.
///
/// # Errors
///
/// Every option: [`ConnectionClosed`](crate::Error::ConnectionClosed) once the socket is closed,
/// [`Io`](crate::Error::Io) if the system refuses.
pub trait ITcpConnection: Sealed + Send + Sync {
    /// Our own address.
    #[doc(alias = "LocalAddr")]
    fn local_addr(&self) -> SocketAddr;

    /// The peer's address.
    #[doc(alias = "RemoteAddr")]
    fn peer_addr(&self) -> SocketAddr;

    /// Whether small writes leave at once instead of waiting for more. On by default, since replies leave in batches.
    ///
    /// # Errors
    ///
    /// As every option.
    #[doc(alias = "SetNoDelay")]
    fn set_nodelay(&self, on: bool) -> Result<()>;

    /// After how long a silence the system asks the peer whether it is still there; `None` for never, the default.
    /// The system counts in whole seconds, from one to nine hours; a longer time is taken as nine hours.
    ///
    /// # Errors
    ///
    /// As every option.
    #[doc(alias = "SetKeepAlive")]
    #[doc(alias = "SetKeepAlivePeriod")]
    fn set_keepalive(&self, idle: Option<Duration>) -> Result<()>;

    /// How much received data the system keeps for us, in bytes. Linux doubles it, within `net.core.rmem_max`.
    ///
    /// # Errors
    ///
    /// As every option.
    #[doc(alias = "SetReadBuffer")]
    fn set_recv_buffer_bytes(&self, bytes: usize) -> Result<()>;

    /// How much data to be sent the system takes from us, in bytes. Linux doubles it, within `net.core.wmem_max`.
    ///
    /// # Errors
    ///
    /// As every option.
    #[doc(alias = "SetWriteBuffer")]
    fn set_send_buffer_bytes(&self, bytes: usize) -> Result<()>;
}
