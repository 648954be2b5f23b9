//! Code that can be cut short in a coroutine that is never killed: the part that runs code of the program, not what its
//! owner does before and after.

use super::interrupt::Me;
use crate::green::runtime::worker;

/// Runs `body`, which [`Group::cut`](crate::green::Group::cut) may cut short: its next wait, or the one it is in,
/// unwinds to here. `None` if it was cut short. Within another such call it is part of that.
///
/// If the body returns in spite of the cut, its value is returned.
pub(crate) fn cuttable<T>(body: impl FnOnce() -> T) -> Option<T> {
    match worker::current() {
        Some(me) => Me::new(me).cuttable(body),
        None => Some(body()),
    }
}
