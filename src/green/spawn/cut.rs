//! Code that can be cut short in a coroutine that is never killed: the part that runs code of the program, not what its
//! owner does before and after.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use super::interrupt::Interrupt;
use crate::green::runtime::worker;

/// Runs `body`, which [`Group::cut`](crate::green::Group::cut) may cut short: its next wait, or the one it is in,
/// unwinds to here. `None` if it was cut short. Within another such call it is part of that.
///
/// If the body returns in spite of the cut, its value is returned.
pub(crate) fn cuttable<T>(body: impl FnOnce() -> T) -> Option<T> {
    let Some(me) = worker::current().filter(|me| me.interrupts().begin_cuttable()) else {
        return Some(body());
    };
    let outcome = catch_unwind(AssertUnwindSafe(body));
    me.interrupts().end_cuttable();
    match outcome {
        Ok(value) => Some(value),
        Err(payload) if payload.downcast_ref() == Some(&Interrupt::Cut) => None,
        Err(payload) => resume_unwind(payload),
    }
}
