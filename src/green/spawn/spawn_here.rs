//! Spawning beside the caller what is not `Send`.

use std::any::Any;
use std::marker::PhantomData;

use super::builder::Builder;
use super::greenlet::Greenlet;
use crate::green::runtime::worker;

/// As [`spawn`](crate::green::spawn()), on the worker of the green thread that calls. `body` never leaves its thread, and
/// so may own what is not `Send`: green threads of one worker share an `Rc` as they are. Its result may be
/// taken by another thread, and so must be `Send`.
///
/// A server whose green threads are all spawned like this uses one core.
///
/// # Panics
///
/// Outside of a green thread: a plain thread has no worker. Else as [`spawn`](crate::green::spawn()).
///
/// # Examples
///
/// ```
/// use std::cell::Cell;
/// use std::rc::Rc;
/// use zinx::green;
///
/// let sum = green::run(|| {
///     let sum = Rc::new(Cell::new(0));
///     let adders: Vec<_> = (1..=4).map(|n| {
///         let sum = Rc::clone(&sum);
///         green::spawn_here(move || sum.set(sum.get() + n))
///     }).collect();
///     adders.iter().for_each(|adder| adder.join());
///     sum.get()
/// });
/// assert_eq!(sum, 10);
/// ```
pub fn spawn_here<F, T>(body: F) -> Greenlet<T>
where
    F: FnOnce() -> T + 'static,
    T: Send + 'static,
{
    assert!(worker::home_index().is_some(), "spawn_here is called outside of a green thread");
    let left = Left::<F> { at: worker::leave_body(Box::new(body)), of: PhantomData };
    let spawned = Builder::new().here().spawn(move || left.take()());
    spawned.unwrap_or_else(|error| panic!("spawn: {error}"))
}

/// A body that stays with its worker until its green thread begins there, or is dropped there without.
struct Left<F> {
    at: u32,
    of: PhantomData<fn() -> F>,
}

impl<F: 'static> Left<F> {
    fn take(self) -> F {
        let body = worker::take_body(self.at).and_then(|body| body.downcast().ok());
        *body.expect("only this takes it, and on the same worker")
    }
}

impl<F> Drop for Left<F> {
    fn drop(&mut self) {
        let body: Option<Box<dyn Any>> = worker::take_body(self.at);
        drop(body);
    }
}
