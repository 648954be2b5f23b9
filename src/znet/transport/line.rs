//! The transport that a connection has now.

use super::{Begun, Transport};
use crate::lock::Lock;

/// The transport of a connection. There is none while the peer is away and once all is closed; after the connection was
/// resumed it is another one.
///
/// If the lock of the outbox is held too, it was taken first.
pub(crate) struct Line(Lock<Option<Transport>>);

impl Line {
    pub(crate) const fn new(transport: Transport) -> Self {
        Self(Lock::new(Some(transport)))
    }

    #[inline]
    pub(crate) fn get(&self) -> Option<Transport> {
        self.0.lock().clone()
    }

    pub(crate) fn replace(&self, transport: Transport) {
        *self.0.lock() = Some(transport);
    }

    /// Lets the transport go: its descriptor closes with its last user.
    pub(crate) fn release(&self) {
        // Closed after the lock.
        let released = self.0.lock().take();
        drop(released);
    }

    /// Whether the connection ends because its peer has broken the protocol of the transport: it is told so, and there is nothing to be
    /// gone on with.
    pub(crate) fn is_breached(&self) -> bool {
        match self.get() {
            #[cfg(feature = "websocket")]
            Some(Transport::Ws(ws)) => ws.is_breached(),
            _ => false,
        }
    }

    pub(crate) fn interrupt(&self) {
        if let Some(transport) = self.get() {
            transport.interrupt();
        }
    }
}

/// The transport as the connection's own coroutine uses it. A connection that can be resumed looks it up each time, so that
/// a lost one closes at once; any other keeps it, which saves a lock for each read.
pub(crate) struct OwnLine<'a> {
    line: &'a Line,
    only: Option<&'a Transport>,
}

impl<'a> OwnLine<'a> {
    pub(crate) const fn new(line: &'a Line, only: Option<&'a Transport>) -> Self {
        Self { line, only }
    }

    /// The transport, if there never is another.
    pub(crate) const fn only(&self) -> Option<&'a Transport> {
        self.only
    }

    /// See [`Transport::begun`].
    pub(crate) fn begun(&self) -> Begun {
        self.with(Transport::begun).unwrap_or_default()
    }

    /// Uses the transport. `None` if there is none.
    #[inline]
    pub(crate) fn with<T>(&self, work: impl FnOnce(&Transport) -> T) -> Option<T> {
        match &self.only {
            Some(transport) => Some(work(transport)),
            None => self.look_up(work),
        }
    }

    /// Not in line, so that nothing is dropped behind the work where the transport is known.
    #[inline(never)]
    fn look_up<T>(&self, work: impl FnOnce(&Transport) -> T) -> Option<T> {
        self.line.get().as_ref().map(work)
    }
}
