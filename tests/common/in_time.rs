//! What a busy machine may spoil, by keeping a thread from running for a second or two, is tried again.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::time::{Duration, Instant};

/// Tries until it was in time: then `attempt` returns what it has found.
pub(crate) fn in_time<T>(attempt: impl FnMut() -> Option<T>) -> T {
    std::iter::repeat_with(attempt).take(ATTEMPTS).flatten().next().expect("not once in time")
}

/// Tries until nothing fails. A failure counts if the attempt took less than `limit`: then no thread was late.
pub(crate) fn unless_late(limit: Duration, mut attempt: impl FnMut()) {
    in_time(|| {
        let begun = Instant::now();
        match catch_unwind(AssertUnwindSafe(&mut attempt)) {
            Ok(()) => Some(()),
            Err(_) if begun.elapsed() >= limit => None,
            Err(failure) => resume_unwind(failure),
        }
    });
}

const ATTEMPTS: usize = 10;
