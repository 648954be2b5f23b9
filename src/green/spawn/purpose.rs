//! What a wait is for, in words of a layer above: this one keeps a number, and says since when.

use std::sync::Arc;

use super::record::Record;
use crate::green::runtime::awaits::are_timed;
use crate::green::runtime::worker;

/// Waits for a purpose that the caller has a number for, not 0. Kept with the coroutine that calls, and only if waits are
/// [timed](crate::green::time_waits): otherwise it costs a look.
pub(crate) fn with_purpose<T>(purpose: u64, wait: impl FnOnce() -> T) -> T {
    if !are_timed() {
        return wait();
    }
    let Some(me) = worker::current() else { return wait() };
    let before = me.set_purpose(purpose);
    let _restored = Restored { me, before };
    wait()
}

/// The purpose before, which is that again when this is dropped: also if the wait unwinds.
struct Restored {
    me: Arc<Record>,
    before: u64,
}

impl Drop for Restored {
    fn drop(&mut self) {
        self.me.set_purpose(self.before);
    }
}
