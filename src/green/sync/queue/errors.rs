//! Why an item was not put, or not got.

use std::fmt;

/// Why an item was not appended; gives it back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PutError<T> {
    /// The queue was full, and stayed so.
    Full(T),
    /// The queue is closed.
    Closed(T),
}

/// Why no item was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[doc(alias = "ShutDown")]
pub enum GetError {
    /// The queue was empty, and stayed so.
    Empty,
    /// The queue is closed and empty.
    Closed,
}

impl<T> PutError<T> {
    /// The item that was not put.
    pub fn into_inner(self) -> T {
        match self {
            Self::Full(item) | Self::Closed(item) => item,
        }
    }
}

impl<T> fmt::Display for PutError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full(_) => "queue full",
            Self::Closed(_) => "queue closed",
        })
    }
}

impl fmt::Display for GetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "queue empty",
            Self::Closed => "queue closed",
        })
    }
}

impl<T: fmt::Debug> std::error::Error for PutError<T> {}
impl std::error::Error for GetError {}
