//! Coroutine-local values.

use std::any::Any;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

use super::record::Record;

/// A value of which each coroutine, and each plain thread, has its own; dropped when the coroutine ends.
///
/// As `thread_local!` does for threads; a thread-local is shared by all coroutines of a worker.
///
/// # Examples
///
/// ```
/// use zinx::green::{self, Local};
///
/// static REQUEST: Local<u32> = Local::new(|| 0);
///
/// REQUEST.set(7);
/// let theirs = green::spawn(|| REQUEST.replace(8)).get().unwrap();
/// assert_eq!((theirs, REQUEST.get()), (0, 7));
/// ```
#[doc(alias("ContextVar", "copy_context"))]
pub struct Local<T> {
    first: fn() -> T,
    /// Tells it apart from all others. 0: not used yet.
    key: AtomicU64,
}

impl<T: Send + 'static> Local<T> {
    /// A value that is `first()` for each coroutine that has not set it.
    pub const fn new(first: fn() -> T) -> Self {
        Self { first, key: AtomicU64::new(0) }
    }

    /// A copy of the caller's value.
    pub fn get(&self) -> T
    where
        T: Clone,
    {
        // Out of its place meanwhile: the copying is code of others.
        let value = self.take();
        let copy = value.clone();
        self.set(value);
        copy
    }

    /// Sets the caller's value.
    pub fn set(&self, value: T) {
        drop(self.put(value));
    }

    /// Sets the caller's value, and returns the one before.
    pub fn replace(&self, value: T) -> T {
        self.put(value).unwrap_or_else(self.first)
    }

    /// Takes the caller's value out: the next look makes a new one.
    pub fn take(&self) -> T {
        let value = Record::of_caller().with_locals(|locals| locals.remove(self.key()));
        value.unwrap_or_else(self.first)
    }

    fn put(&self, value: T) -> Option<T> {
        Record::of_caller().with_locals(|locals| {
            let before = locals.remove(self.key());
            locals.insert(self.key(), value);
            before
        })
    }

    fn key(&self) -> u64 {
        static LAST: AtomicU64 = AtomicU64::new(0);
        match self.key.load(Ordering::Relaxed) {
            0 => {
                let new = LAST.fetch_add(1, Ordering::Relaxed) + 1;
                let set = self.key.compare_exchange(0, new, Ordering::Relaxed, Ordering::Relaxed);
                set.map_or_else(|by_another| by_another, |_| new)
            }
            key => key,
        }
    }
}

impl<T> fmt::Debug for Local<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Local")
    }
}

/// The values of one coroutine, by the key of their [`Local`].
#[derive(Default)]
pub(super) struct Locals(Vec<(u64, Box<dyn Any + Send>)>);

impl Locals {
    fn insert(&mut self, key: u64, value: impl Any + Send) {
        self.0.push((key, Box::new(value)));
    }

    fn remove<T: 'static>(&mut self, key: u64) -> Option<T> {
        let at = self.0.iter().position(|(of, _)| *of == key)?;
        self.0.swap_remove(at).1.downcast().ok().map(|value| *value)
    }
}
