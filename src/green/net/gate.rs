//! Keeps a thread that accepts from running ahead of the coroutines that serve.
//!
//! A worker runs what is in its queue before it looks at the network. A thread that keeps filling the queue would starve
//! all that wait for the network. So only a few of its coroutines may be waiting to begin, and each that begins lets
//! others run before the next may come.

use crate::green::runtime::fair;
use crate::green::{Event, Permit, Select, Semaphore};

/// Lets in a few at a time. Clones are the same gate.
#[derive(Clone)]
pub(crate) struct Gate(Semaphore);

impl Gate {
    pub(crate) fn new() -> Self {
        Self(Semaphore::new(AT_A_TIME))
    }

    /// Waits until one more may come. `None` once `closed` is set.
    pub(crate) fn wait(&self, closed: &Event) -> Option<Newcomer> {
        let permit = Select::new().on(closed, |()| None).on(&self.0, Some).wait();
        permit.map(Newcomer)
    }
}

/// One that was let in. Dropped, it makes room for the next.
pub(crate) struct Newcomer(Permit);

impl Newcomer {
    /// Its coroutine calls this first of all.
    pub(crate) fn begin(self) {
        fair::take_turn();
        drop(self.0);
    }
}

const AT_A_TIME: usize = 32;
