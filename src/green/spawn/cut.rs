//! Code that can be cut short in a coroutine that is never killed: the part that runs code of the program, not what its
//! owner does before and after.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;

use super::interrupt::Interrupt;
use super::record::Record;
use crate::green::runtime::worker;

/// Runs `body`, which [`Group::cut`](crate::green::Group::cut) may cut short: its next wait, or the one it is in,
/// unwinds to here. `None` if it was cut short. Within another such call it is part of that.
///
/// If the body returns in spite of the cut, its value is returned.
pub(crate) fn cuttable<T>(body: impl FnOnce() -> T) -> Option<T> {
    match worker::current() {
        Some(me) => Me(me).cuttable(body),
        None => Some(body()),
    }
}

/// The green thread that calls, for those that would ask for it again and again.
pub(crate) struct Me(Arc<Record>);

impl Me {
    pub(in crate::green) const fn new(record: Arc<Record>) -> Self {
        Self(record)
    }

    /// A plain thread is one too.
    pub(crate) fn caller() -> Self {
        Self(Record::of_caller())
    }

    pub(in crate::green) const fn record(&self) -> &Arc<Record> {
        &self.0
    }

    /// As [`cuttable`].
    pub(crate) fn cuttable<T>(&self, body: impl FnOnce() -> T) -> Option<T> {
        let interrupts = self.0.interrupts();
        if !interrupts.begin_cuttable() {
            return Some(body());
        }
        let outcome = catch_unwind(AssertUnwindSafe(body));
        interrupts.end_cuttable();
        match outcome {
            Ok(value) => Some(value),
            Err(payload) if payload.downcast_ref() == Some(&Interrupt::Cut) => None,
            Err(payload) => resume_unwind(payload),
        }
    }
}
