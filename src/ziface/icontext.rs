//! The context of a connection or a server: what runs for it learns that it ends.

use std::time::Duration;

use super::CloseReason;
use super::sealed::Sealed;

/// Tells what runs on behalf of a connection that it is no longer wanted: done as soon as the connection begins to
/// close, before its stop hook. A clone may be kept as long as one likes.
///
/// A connection that is in a handler of its own reads nothing meanwhile, and does not learn that its peer has gone.
///
/// The context of a server (`Server::context`, and what `Server::spawn` gives its tasks) is the same for the whole
/// server: done as soon as it begins to stop, before its connections close.
pub trait IContext: Sealed + Send + Sync {
    /// Whether the connection has begun to close, or the server to stop.
    #[doc(alias = "Done")]
    fn is_done(&self) -> bool;

    /// Waits until the connection begins to close, or the server to stop.
    fn wait_done(&self);

    /// As [`wait_done`](Self::wait_done), at most for `timeout`: a sleep that the end of the connection or the server cuts
    /// short. `false` if it was not.
    fn wait_done_timeout(&self, timeout: Duration) -> bool;

    /// Why the connection closes, of a server why its connections close; `None` while it is not done.
    #[doc(alias = "Err")]
    fn reason(&self) -> Option<CloseReason>;
}
