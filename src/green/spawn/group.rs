//! A group of coroutines that are joined together. It owns coroutines whose handles are not kept.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use super::builder::Builder;
use super::coroutine::Coroutine;
use super::record::Record;
use crate::green::net::readiness::Readiness;
use crate::green::runtime::awaits::Awaits;
use crate::green::runtime::park::{WaitList, wait_unless};
use crate::green::runtime::ride::{Passenger, Ride};
use crate::green::runtime::settings;
use crate::green::runtime::slots::Slots;
use crate::green::sync::select::{Waitable, Watch, Watcher};
use crate::green::sync::semaphore::Permit;
use crate::green::with_timeout;
use crate::lock::Lock;

/// Coroutines that are waited for together. Clones share the group.
///
/// # Examples
///
/// ```
/// use zinx::green::{Builder, Group};
///
/// let group = Group::new();
/// for n in 0..10 {
///     group.spawn(Builder::new().name("worker"), move || drop(n)).unwrap();
/// }
/// group.join();
/// assert!(group.is_empty());
/// ```
#[doc(alias = "GlobalGevents")]
#[derive(Clone, Debug, Default)]
pub struct Group {
    members: Arc<Lock<Members>>,
}

#[derive(Default)]
struct Members {
    alive: Slots<Member>,
    waiting: WaitList,
}

impl Group {
    /// An empty group.
    pub fn new() -> Self {
        Self::default()
    }

    /// Spawns a member. See [`spawn`](crate::green::spawn()) for the contract.
    ///
    /// # Errors
    ///
    /// As [`Builder::spawn`].
    pub fn spawn(&self, builder: Builder, body: impl FnOnce() + Send + 'static) -> io::Result<()> {
        settings::ensure_started().map_err(io::Error::other)?;
        let record = builder.record();
        let membership = self.enter(&record);
        builder.detach_as(record, membership, body)
    }

    /// Lets a passenger be carried, as a member until its end: a green thread that has no stack while it rests.
    ///
    /// # Errors
    ///
    /// If the runtime does not start.
    pub(crate) fn carry(&self, builder: Builder, passenger: impl Passenger + 'static) -> io::Result<()> {
        settings::ensure_started().map_err(io::Error::other)?;
        let record = builder.carried();
        let membership = self.enter(&record);
        Ride::new(record, Box::new(passenger), membership).go_on(Readiness::NONE);
        Ok(())
    }

    /// How many members are alive.
    pub fn len(&self) -> usize {
        self.lock().alive.len()
    }

    /// Whether no member is alive.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The members that are alive, in no order.
    #[doc(alias = "greenlets")]
    pub fn coroutines(&self) -> Vec<Coroutine> {
        self.lock().alive.iter().map(|member| member.coroutine.clone()).collect()
    }

    /// Cuts short whatever its members run that [may be](crate::green::cuttable).
    pub(crate) fn cut(&self) {
        self.coroutines().iter().for_each(Coroutine::cut);
    }

    /// Ends all that are members now, and waits until they have ended: see [`Coroutine::kill`].
    pub fn kill(&self) {
        self.ask_to_end().iter().for_each(Coroutine::join);
    }

    /// As [`kill`](Self::kill), waiting at most for `timeout`. `false` if some still run; they are killed all the
    /// same.
    pub fn kill_timeout(&self, timeout: Duration) -> bool {
        let asked = self.ask_to_end();
        let all_ended = || asked.iter().for_each(Coroutine::join);
        let _ = with_timeout(timeout, all_ended);
        asked.iter().all(Coroutine::ready)
    }

    /// Waits until no member is alive: each has ended, and so have the calls that are
    /// [linked](crate::green::Greenlet::link) to it.
    pub fn join(&self) {
        self.wait(None);
    }

    /// As [`join`](Self::join), at most for `timeout`. `false` if members are still alive.
    pub fn join_timeout(&self, timeout: Duration) -> bool {
        self.wait(Some(timeout))
    }

    fn wait(&self, timeout: Option<Duration>) -> bool {
        let is_empty = |members: &mut Members| members.alive.len() == 0;
        wait_unless(&self.members, is_empty, |members| &mut members.waiting, Awaits::Group, timeout)
    }

    pub(super) fn ask_to_end(&self) -> Vec<Coroutine> {
        let mut members = self.coroutines();
        members.retain(Coroutine::ask_to_end);
        members
    }

    /// Makes a coroutine that is about to be spawned a member, until what this returns is dropped.
    pub(super) fn enter(&self, record: &Arc<Record>) -> Membership {
        self.enter_with(Coroutine::new(Arc::clone(record)), Permit::none())
    }

    /// As [`enter`](Self::enter), with a permit that goes back when it is no member any more.
    pub(super) fn enter_with(&self, coroutine: Coroutine, permit: Permit) -> Membership {
        let id = coroutine.id();
        let place = self.lock().alive.insert(Member { coroutine, permit });
        Membership(Seat { group: self.clone(), place, id })
    }

    /// As [`enter_with`](Self::enter_with), unless it is a member already.
    pub(super) fn enter_once(&self, coroutine: &Coroutine, permit: Permit) -> Option<Membership> {
        let id = coroutine.id();
        let mut members = self.lock();
        if members.alive.position(|member| member.coroutine.id() == id).is_some() {
            return None;
        }
        let place = members.alive.insert(Member { coroutine: coroutine.clone(), permit });
        Some(Membership(Seat { group: self.clone(), place, id }))
    }

    /// Ends a membership. `false` if it is no member.
    pub(super) fn leave(&self, id: u64) -> bool {
        let mut members = self.lock();
        let place = members.alive.position(|member| member.coroutine.id() == id);
        let gone = place.and_then(|place| members.remove(place));
        drop(members);
        gone.is_some()
    }

    /// Waits until no member is alive, whatever interrupts the caller.
    pub(super) fn join_out(&self) {
        loop {
            let waiter = {
                let mut members = self.lock();
                if members.alive.len() == 0 {
                    return;
                }
                members.waiting.enlist()
            };
            waiter.wait_out(Awaits::Group);
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Members> {
        self.members.lock()
    }
}

/// Gives `()` if no member is alive.
impl Waitable for Group {
    type Item = ();

    fn take_now(&self) -> Option<()> {
        self.is_empty().then_some(())
    }
}

impl Watch for Group {
    fn watch(&self, watcher: &Watcher) -> bool {
        let mut members = self.lock();
        let is_empty = members.alive.len() == 0;
        if !is_empty {
            members.waiting.enlist_also(watcher.waiter());
        }
        is_empty
    }

    fn unwatch(&self, watcher: &Watcher) {
        self.lock().waiting.forget(watcher.as_waiter());
    }
}

struct Member {
    coroutine: Coroutine,
    /// Its place in a pool; `None` in a group.
    permit: Permit,
}

impl Members {
    /// Takes a member out. Drop what it returns without the lock.
    fn remove(&mut self, place: u32) -> Option<Coroutine> {
        let Member { coroutine, permit } = self.alive.remove(place)?;
        // Back before it becomes known that none is left.
        drop(permit);
        if self.alive.len() == 0 {
            self.waiting.wake_all();
        }
        Some(coroutine)
    }
}

/// Where a member is in its group. It may have been taken out, and its place have gone to another.
#[derive(Clone)]
struct Seat {
    group: Group,
    place: u32,
    id: u64,
}

impl Seat {
    /// The one that sits here, if it still does.
    fn member<'a>(&self, members: &'a mut Members) -> Option<&'a mut Member> {
        members.alive.get_mut(self.place).filter(|member| member.coroutine.id() == self.id)
    }
}

/// A coroutine is a member until this is dropped.
pub(in crate::green) struct Membership(Seat);

impl Membership {
    /// Its place in a pool, which can be free before it has ended.
    pub(super) fn place(&self) -> Place {
        Place(self.0.clone())
    }
}

impl Drop for Membership {
    fn drop(&mut self) {
        let mut members = self.0.group.lock();
        let stays = self.0.member(&mut members).is_some();
        let gone = if stays { members.remove(self.0.place) } else { None };
        drop(members);
        drop(gone);
    }
}

/// The place of a member in its pool. Dropped, it is free.
pub(super) struct Place(Seat);

impl Drop for Place {
    fn drop(&mut self) {
        let mut members = self.0.group.lock();
        let member = self.0.member(&mut members);
        let permit = member.map(|member| std::mem::replace(&mut member.permit, Permit::none()));
        drop(members);
        drop(permit);
    }
}

impl std::fmt::Debug for Members {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Members").field("alive", &self.alive.len()).finish_non_exhaustive()
    }
}
