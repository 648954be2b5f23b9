//! A pool beyond spawning: work whose result is waited for or not, members from elsewhere, and waiting for a place.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::time::Duration;

use super::coroutine::{Coroutine, current};
use super::interrupt::Interrupt;
use super::members::{MemberFailed, detached};
use crate::green::runtime::fair;
use crate::green::runtime::until::Until;
use crate::green::sync::select::wait_for_any;
use crate::green::{Failed, Greenlet, Pool};

impl Pool {
    /// Runs `body` as a member and waits for its result. Called by a member of the pool, it runs `body` right there, since
    /// a member that waited for a place might wait for itself.
    ///
    /// # Errors
    ///
    /// [`Failed`], if `body` panicked or was killed.
    ///
    /// # Examples
    ///
    /// ```
    /// use zinx::green::Pool;
    ///
    /// let pool = Pool::new(1);
    /// let theirs = pool.clone();
    /// assert_eq!(pool.apply(move || theirs.apply(|| 7).unwrap()).unwrap(), 7);
    /// ```
    pub fn apply<F, T>(&self, body: F) -> Result<T, Failed>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        if current().is_none_or(|me| !self.contains(&me)) {
            return self.spawn(body).get();
        }
        catch_unwind(AssertUnwindSafe(body)).map_err(|payload| {
            if payload.is::<Interrupt>() {
                resume_unwind(payload);
            }
            Failed::from_payload(payload)
        })
    }

    /// Runs `body` as a member, without waiting: it waits for its place by itself.
    ///
    /// # Panics
    ///
    /// As [`spawn`](crate::green::spawn()).
    pub fn apply_async<F, T>(&self, body: F) -> Greenlet<T>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        let pool = self.clone();
        detached(move || {
            let place = pool.places.acquire();
            let me = current().expect("a coroutine runs this");
            let membership = pool.members.enter_with(me.clone(), place);
            let _place = membership.place();
            me.hold(membership);
            body()
        })
    }

    /// As [`map`](Self::map), on a coroutine of its own that is no member: returns its handle at once.
    ///
    /// # Examples
    ///
    /// ```
    /// use zinx::green::Pool;
    ///
    /// let later = Pool::new(2).map_async(1..=3, |n| n * n);
    /// let squares: Vec<i32> = later.get().unwrap().into_iter().map(Result::unwrap).collect();
    /// assert_eq!(squares, [1, 4, 9]);
    /// ```
    pub fn map_async<I, F, T>(&self, items: I, work: F) -> Greenlet<Vec<Result<T, Failed>>>
    where
        I: IntoIterator + Send + 'static,
        I::Item: Send + 'static,
        F: Fn(I::Item) -> T + Send + Sync + 'static,
        T: Send + 'static,
    {
        let pool = self.clone();
        detached(move || pool.map(items, work))
    }

    /// Makes a coroutine a member until it ends, waiting for a place. `false` if it is a member already: no place is taken.
    pub fn add(&self, coroutine: &Coroutine) -> bool {
        !self.contains(coroutine) && self.members.add_with(coroutine, self.places.acquire())
    }

    /// As [`add`](Self::add), at most for `timeout`. `false` also if there was no place in time.
    pub fn add_timeout(&self, coroutine: &Coroutine, timeout: Duration) -> bool {
        if self.contains(coroutine) {
            return false;
        }
        let place = self.places.acquire_timeout(timeout);
        place.is_some_and(|place| self.members.add_with(coroutine, place))
    }

    /// Lets a member go, and frees its place: the pool neither waits for it any more nor ends it. `false` if it was none.
    pub fn discard(&self, coroutine: &Coroutine) -> bool {
        self.members.discard(coroutine)
    }

    /// Whether it is a member.
    pub fn contains(&self, coroutine: &Coroutine) -> bool {
        self.members.contains(coroutine)
    }

    /// The members that are alive, in no order.
    #[doc(alias = "greenlets")]
    pub fn coroutines(&self) -> Vec<Coroutine> {
        self.members.coroutines()
    }

    /// Ends one member and waits until it has ended: see [`Coroutine::kill`]. `false` if it was no member.
    pub fn killone(&self, coroutine: &Coroutine) -> bool {
        self.members.killone(coroutine)
    }

    /// Whether no place is free.
    #[doc(alias = "full")]
    pub fn is_full(&self) -> bool {
        self.places.is_locked()
    }

    /// Waits until a place is free, without taking it: another may be first. Returns how many are free.
    pub fn wait_available(&self) -> usize {
        self.wait_for_place(Until::never())
    }

    /// As [`wait_available`](Self::wait_available), at most for `timeout`. 0 if none became free in time.
    pub fn wait_available_timeout(&self, timeout: Duration) -> usize {
        self.wait_for_place(Until::after(timeout))
    }

    /// As [`Group::join_raise_error`](crate::green::Group::join_raise_error).
    ///
    /// # Errors
    ///
    /// [`MemberFailed`], when all have ended.
    pub fn join_raise_error(&self) -> Result<(), MemberFailed> {
        self.members.join_raise_error()
    }

    fn wait_for_place(&self, until: Until) -> usize {
        fair::fairness_point();
        loop {
            let left = until.to_wait();
            match (self.free_count(), left) {
                (0, Some(left)) => drop(wait_for_any(&[&self.places], left)),
                (free, _) => return free,
            }
        }
    }
}

/// The members that are alive, in no order.
impl IntoIterator for &Pool {
    type Item = Coroutine;
    type IntoIter = std::vec::IntoIter<Coroutine>;

    fn into_iter(self) -> Self::IntoIter {
        self.coroutines().into_iter()
    }
}
