//! The errors of this module as errors of the crate, so that a handler passes them on with `?`.

use crate::error::Error;
use crate::green::{Elapsed, Failed, GetError, Panicked, PutError, TooManyPermits};

macro_rules! other {
    ($($source:ty),+) => {$(
        impl From<$source> for Error {
            fn from(source: $source) -> Self {
                Self::other(source)
            }
        }
    )+};
}

other!(GetError, Failed, Panicked, Elapsed, TooManyPermits);

/// The item that was not put is dropped.
impl<T> From<PutError<T>> for Error {
    fn from(source: PutError<T>) -> Self {
        Self::other(source.to_string())
    }
}
