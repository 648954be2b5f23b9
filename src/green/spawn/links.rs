//! Where a coroutine leaves its result, and the calls that get to see it before anybody takes it.

use std::sync::MutexGuard;

use super::contain::contain;
use super::failed::Failed;
use crate::lock::Lock;
use crate::log_line::{Throttle, throttled};

/// A call that was [linked](crate::green::Greenlet::link), to take it back with
/// [`unlink`](crate::green::Greenlet::unlink).
#[derive(Debug, PartialEq, Eq)]
pub struct Link {
    number: u64,
    /// Tells apart the links of two greenlets.
    of: usize,
}

/// Where a coroutine leaves its result until it is taken.
pub(super) struct Outcome<T> {
    kept: Lock<Kept<T>>,
}

struct Kept<T> {
    /// Not there before the end, while calls look at it, and once it is taken.
    result: Option<Result<T, Failed>>,
    has_ended: bool,
    /// One word while there is none, as with most coroutines.
    links: Option<Box<Links<T>>>,
}

struct Links<T> {
    last: u64,
    calls: Vec<(u64, Call<T>)>,
}

pub(super) type Call<T> = Box<dyn FnOnce(Result<&T, &Failed>) + Send>;

impl<T> Outcome<T> {
    pub(super) const fn new() -> Self {
        Self { kept: Lock::new(Kept { result: None, has_ended: false, links: None }) }
    }

    /// Keeps the result, once all calls have seen it.
    pub(super) fn keep(&self, result: Result<T, Failed>) {
        Lent { outcome: self, result: Some(result) }.call_all();
    }

    pub(super) fn take(&self) -> Option<Result<T, Failed>> {
        self.lock().result.take()
    }

    /// Calls `call` with the result. It is called here if the result is there already.
    pub(super) fn link(&self, call: Call<T>) -> Link {
        let mut kept = self.lock();
        let links = kept.links.get_or_insert_with(|| Box::new(Links { last: 0, calls: Vec::new() }));
        links.last += 1;
        let number = links.last;
        links.calls.push((number, call));
        // If it is lent, the borrower makes this call too.
        let result = if kept.has_ended { kept.result.take() } else { None };
        drop(kept);
        if result.is_some() {
            Lent { outcome: self, result }.call_all();
        }
        Link { number, of: self.address() }
    }

    pub(super) fn unlink(&self, link: &Link) -> bool {
        if link.of != self.address() {
            return false;
        }
        let mut kept = self.lock();
        let Some(links) = &mut kept.links else { return false };
        let at = links.calls.iter().position(|(number, _)| *number == link.number);
        let taken = at.map(|at| links.calls.remove(at));
        drop(kept);
        taken.is_some()
    }

    pub(super) fn unlink_all(&self) {
        let taken = self.lock().links.as_mut().map(|links| std::mem::take(&mut links.calls));
        // Dropped without the lock.
        drop(taken);
    }

    pub(super) fn has_links(&self) -> bool {
        self.lock().links.as_ref().is_some_and(|links| !links.calls.is_empty())
    }

    fn address(&self) -> usize {
        std::ptr::from_ref(self).addr()
    }

    fn lock(&self) -> MutexGuard<'_, Kept<T>> {
        self.kept.lock()
    }
}

/// A result that calls look at. Dropped, it is where it is looked for, also if a call has unwound.
struct Lent<'a, T> {
    outcome: &'a Outcome<T>,
    result: Option<Result<T, Failed>>,
}

impl<T> Lent<'_, T> {
    fn call_all(mut self) {
        while let Some(calls) = self.next_calls() {
            let Some(result) = &self.result else { return };
            for (_, call) in calls {
                if let Err(words) = contain(|| call(result.as_ref())) {
                    static LOG: Throttle = Throttle::new();
                    throttled!(error, LOG, "a call linked to a coroutine panicked: {words}");
                }
            }
        }
    }

    /// Those that have not been made. If there is none the result is put back in the same moment, so that no call is
    /// left out.
    fn next_calls(&mut self) -> Option<Vec<(u64, Call<T>)>> {
        let mut kept = self.outcome.lock();
        let calls = kept.links.as_mut().map(|links| std::mem::take(&mut links.calls));
        let calls = calls.filter(|calls| !calls.is_empty());
        if calls.is_none() {
            (kept.result, kept.has_ended) = (self.result.take(), true);
        }
        calls
    }
}

impl<T> Drop for Lent<'_, T> {
    fn drop(&mut self) {
        if self.result.is_some() {
            let mut kept = self.outcome.lock();
            (kept.result, kept.has_ended) = (self.result.take(), true);
        }
    }
}

impl<T> std::fmt::Debug for Outcome<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Outcome").field("is_there", &self.lock().result.is_some()).finish()
    }
}
