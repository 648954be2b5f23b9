//! Containing code that is not ours: a panic of it ends neither the coroutine that happens to run it, nor a lock.

use std::any::Any;
use std::ops::Deref;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use super::interrupt::Interrupt;
use crate::log_line::{Throttle, throttled};

/// Runs code of the program. A kill and a time limit pass through: they are meant for a scope around it.
///
/// # Errors
///
/// The words of its panic.
#[inline]
pub(crate) fn contain<T>(body: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(body)).map_err(words_of)
}

/// Drops a value of the program. A panic of its destructor is logged.
pub(crate) fn drop_contained<T>(value: T) {
    if std::mem::needs_drop::<T>()
        && let Err(words) = contain(|| drop(value))
    {
        static LOG: Throttle = Throttle::new();
        throttled!(error, LOG, "the destructor of a value panicked: {words}");
    }
}

/// Drops values of the program one by one: of two destructors that panic in one drop, the second would end the process.
pub(crate) fn drop_each<T>(values: impl IntoIterator<Item = T>) {
    values.into_iter().for_each(drop_contained);
}

/// What a panic says.
#[cold]
fn words_of(payload: Box<dyn Any + Send>) -> String {
    if payload.is::<Interrupt>() {
        resume_unwind(payload);
    }
    let text = payload.downcast_ref::<&str>().copied();
    let text = text.or_else(|| payload.downcast_ref::<String>().map(String::as_str));
    let words = text.unwrap_or("(no text)").to_string();
    // What was thrown is a value of the program too. If its destructor panics as well, that payload is leaked.
    if let Err(second) = catch_unwind(AssertUnwindSafe(|| drop(payload))) {
        std::mem::forget(second);
    }
    words
}

/// A value of the program that is dropped wherever its last user happens to be: a panic of its destructor is logged.
pub(crate) struct Contained<T>(Option<T>);

impl<T> Contained<T> {
    pub(crate) const fn new(value: T) -> Self {
        Self(Some(value))
    }
}

impl<T> Deref for Contained<T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.0.as_ref().expect("taken by `drop` alone")
    }
}

impl<T> Drop for Contained<T> {
    fn drop(&mut self) {
        drop_contained(self.0.take());
    }
}

#[cfg(test)]
mod tests {
    use std::panic::panic_any;

    use super::*;

    struct Bomb;

    impl Drop for Bomb {
        fn drop(&mut self) {
            panic!("dropped");
        }
    }

    #[test]
    fn the_words_of_a_panic_are_told() {
        assert_eq!(contain(|| 7), Ok(7));
        assert_eq!(contain(|| panic!("at {}", 7)), Err::<(), _>("at 7".to_string()));
        assert_eq!(contain(|| panic!("plain")), Err::<(), _>("plain".to_string()));
        assert_eq!(contain(|| panic_any(7)), Err::<(), _>("(no text)".to_string()));
    }

    #[test]
    fn a_destructor_that_panics_is_contained_also_that_of_what_was_thrown() {
        drop(Contained::new(Bomb));
        assert_eq!(contain(|| panic_any(Bomb)), Err::<(), _>("(no text)".to_string()));
    }

    #[test]
    fn a_destructor_that_panics_is_contained_while_its_thread_unwinds() {
        let unwinds = || {
            let _held = Contained::new(Bomb);
            panic!("first");
        };
        assert_eq!(contain(unwinds), Err::<(), _>("first".to_string()));
    }
}
