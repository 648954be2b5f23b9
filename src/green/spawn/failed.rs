//! Why a coroutine left no value.

use std::any::Any;
use std::fmt;

use super::contain::drop_contained;
use super::interrupt::Interrupt;
use crate::lock::Lock;

/// Why a coroutine left no value.
#[derive(Debug)]
pub enum Failed {
    /// It panicked.
    Panicked(Panicked),
    /// It was killed.
    Killed,
}

impl Failed {
    pub(super) fn from_payload(payload: Box<dyn Any + Send>) -> Self {
        match payload.downcast_ref::<Interrupt>() {
            Some(Interrupt::Kill) => Self::Killed,
            _ => Self::Panicked(Panicked::new(payload)),
        }
    }

    /// What the coroutine panicked with, or the text `killed`: to go on unwinding with it.
    pub fn into_payload(self) -> Box<dyn Any + Send> {
        match self {
            Self::Panicked(panicked) => panicked.into_payload(),
            Self::Killed => Box::new("killed"),
        }
    }
}

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Panicked(panicked) => panicked.fmt(f),
            Self::Killed => f.write_str("killed"),
        }
    }
}

impl std::error::Error for Failed {}

/// A coroutine ended by a panic.
#[doc(alias("ThreadException", "reraise"))]
pub struct Panicked {
    payload: Lock<Box<dyn Any + Send>>,
}

impl Panicked {
    pub(crate) fn new(payload: Box<dyn Any + Send>) -> Self {
        Self { payload: Lock::new(payload) }
    }

    /// What the coroutine panicked with.
    pub fn into_payload(mut self) -> Box<dyn Any + Send> {
        self.take_payload()
    }

    fn take_payload(&mut self) -> Box<dyn Any + Send> {
        std::mem::replace(self.payload.get_mut(), Box::new(()))
    }
}

/// The payload is a value of the program, and may be dropped by code that has nothing to do with it.
impl Drop for Panicked {
    fn drop(&mut self) {
        drop_contained(self.take_payload());
    }
}

impl fmt::Display for Panicked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let payload = self.payload.lock();
        let text = payload.downcast_ref::<&str>().copied();
        f.write_str(
            text.or_else(|| payload.downcast_ref::<String>().map(String::as_str)).unwrap_or("(no text)"),
        )
    }
}

impl fmt::Debug for Panicked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Panicked({self})")
    }
}

impl std::error::Error for Panicked {}
