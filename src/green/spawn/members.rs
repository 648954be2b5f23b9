//! The members of a group one by one: taking in, letting go, ending one, and doing work as a group.

use std::fmt;

use super::coroutine::{Coroutine, Exit};
use super::imap::{IMap, IMapUnordered};
use crate::green::sync::semaphore::Permit;
use crate::green::{Builder, Failed, Greenlet, Group, Pool};

impl Group {
    /// Makes a coroutine a member until it ends. `false` if it is one already. One that has ended is none for long.
    ///
    /// # Examples
    ///
    /// ```
    /// use zinx::green::{self, Event, Group};
    ///
    /// let (group, waits) = (Group::new(), green::spawn(|| Event::new().wait()));
    /// assert!(group.add(waits.coroutine()));
    /// group.kill();
    /// assert!(waits.ready() && group.is_empty());
    /// ```
    #[doc(alias("apply_cb", "map_cb"))]
    pub fn add(&self, coroutine: &Coroutine) -> bool {
        self.add_with(coroutine, Permit::none())
    }

    /// Lets a member go: the group neither waits for it any more nor ends it. `false` if it was none.
    pub fn discard(&self, coroutine: &Coroutine) -> bool {
        self.leave(coroutine.id())
    }

    /// Whether it is a member.
    pub fn contains(&self, coroutine: &Coroutine) -> bool {
        self.coroutines().contains(coroutine)
    }

    /// Ends one member and waits until it has ended: see [`Coroutine::kill`]. `false` if it was no member.
    pub fn killone(&self, coroutine: &Coroutine) -> bool {
        let is_member = self.contains(coroutine);
        if is_member {
            coroutine.kill();
        }
        is_member
    }

    /// Spawns a member and returns its handle: [`spawn`](Self::spawn) for those whose result is wanted.
    ///
    /// # Panics
    ///
    /// As [`spawn`](crate::green::spawn()).
    ///
    /// # Examples
    ///
    /// ```
    /// use zinx::green::Group;
    ///
    /// let group = Group::new();
    /// let answer = group.apply_async(|| 6 * 7);
    /// group.join();
    /// assert_eq!(answer.get().unwrap(), 42);
    /// ```
    pub fn apply_async<F, T>(&self, body: F) -> Greenlet<T>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        Pool::of(self.clone()).spawn(body)
    }

    /// As [`apply_async`](Self::apply_async), and waits for the result.
    ///
    /// # Errors
    ///
    /// [`Failed`], if the member panicked or was killed.
    pub fn apply<F, T>(&self, body: F) -> Result<T, Failed>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        self.apply_async(body).get()
    }

    /// Does `work` for each item, all at once; results in the order of the items. A [`Pool`] bounds how many.
    pub fn map<I, F, T>(&self, items: I, work: F) -> Vec<Result<T, Failed>>
    where
        I: IntoIterator,
        I::Item: Send + 'static,
        F: Fn(I::Item) -> T + Send + Sync + 'static,
        T: Send + 'static,
    {
        Pool::of(self.clone()).map(items, work)
    }

    /// As [`map`](Self::map), on a coroutine of its own that is no member: returns its handle at once.
    pub fn map_async<I, F, T>(&self, items: I, work: F) -> Greenlet<Vec<Result<T, Failed>>>
    where
        I: IntoIterator + Send + 'static,
        I::Item: Send + 'static,
        F: Fn(I::Item) -> T + Send + Sync + 'static,
        T: Send + 'static,
    {
        Pool::of(self.clone()).map_async(items, work)
    }

    /// As [`map`](Self::map), lazily: see [`Pool::imap`]. [`look_ahead`](IMap::look_ahead) bounds how far it runs ahead;
    /// without it, all items are started at once.
    pub fn imap<I, F, T>(&self, items: I, work: F) -> IMap<I::IntoIter, F, T>
    where
        I: IntoIterator<IntoIter: Send + 'static>,
    {
        Pool::of(self.clone()).imap(items, work)
    }

    /// As [`imap`](Self::imap), results in the order in which they are there.
    pub fn imap_unordered<I, F, T>(&self, items: I, work: F) -> IMapUnordered<I::IntoIter, F, T>
    where
        I: IntoIterator<IntoIter: Send + 'static>,
    {
        Pool::of(self.clone()).imap_unordered(items, work)
    }

    /// As [`join`](Self::join), and tells of a member that panicked: of those who are members now, the first in no
    /// particular order. One that was killed has not failed.
    ///
    /// # Errors
    ///
    /// [`MemberFailed`], when all have ended.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::panic::resume_unwind;
    /// use zinx::green::{Builder, Event, Group};
    ///
    /// let (group, name) = (Group::new(), Builder::new().name("unlucky"));
    /// let ready = std::sync::Arc::new(Event::new());
    /// let waits = std::sync::Arc::clone(&ready);
    /// group.spawn(name, move || { waits.wait(); resume_unwind(Box::new("ouch")) })?;
    /// # zinx::green::spawn(move || { zinx::green::sleep(std::time::Duration::from_millis(5)); ready.set() });
    /// let failed = group.join_raise_error().unwrap_err();
    /// assert_eq!(failed.coroutine.name(), "unlucky");
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn join_raise_error(&self) -> Result<(), MemberFailed> {
        let members = self.coroutines();
        self.join();
        let failed = members.into_iter().find(|member| member.exit() == Some(Exit::Panicked));
        failed.map_or(Ok(()), |coroutine| Err(MemberFailed { coroutine }))
    }

    pub(super) fn add_with(&self, coroutine: &Coroutine, permit: Permit) -> bool {
        let membership = self.enter_once(coroutine, permit);
        membership.map(|membership| coroutine.hold(membership)).is_some()
    }
}

/// The members that are alive, in no order.
impl IntoIterator for &Group {
    type Item = Coroutine;
    type IntoIter = std::vec::IntoIter<Coroutine>;

    fn into_iter(self) -> Self::IntoIter {
        self.coroutines().into_iter()
    }
}

/// A member of a group or a pool panicked: what [`Group::join_raise_error`] returns.
#[derive(Clone, Debug)]
pub struct MemberFailed {
    /// The member. What it panicked with is in the log, or with its handle.
    pub coroutine: Coroutine,
}

impl fmt::Display for MemberFailed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "coroutine {} {:?} panicked", self.coroutine.id(), self.coroutine.name())
    }
}

impl std::error::Error for MemberFailed {}

/// A coroutine spawned for a pool or a group from elsewhere.
pub(super) fn detached<F, T>(body: F) -> Greenlet<T>
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    let spawned = Builder::new().name("pool").spawn(body);
    spawned.unwrap_or_else(|error| panic!("cannot spawn a coroutine: {error}"))
}
