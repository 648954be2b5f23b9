//! Which coroutines belong to which `run`.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, MutexGuard};

use crate::green::{Event, current};
use crate::lock::Lock;

/// A `run` and all that was spawned on its way.
pub(super) struct Family {
    alive: Lock<usize>,
    /// Set while none is alive. Written under the lock of `alive`.
    pub(super) nobody: Event,
}

/// One that was spawned. Dropped when it has ended, also if it was killed before it began.
pub(super) struct Member(Arc<Family>);

impl Family {
    pub(super) fn new() -> Arc<Self> {
        let nobody = Event::new();
        nobody.set();
        Arc::new(Self { alive: Lock::new(0), nobody })
    }

    /// The family of the coroutine that calls.
    pub(super) fn of_caller() -> Option<Arc<Self>> {
        let caller = current()?.id();
        families().get(&caller).cloned()
    }

    pub(super) fn enter(self: &Arc<Self>) -> Member {
        let mut alive = self.alive();
        *alive += 1;
        self.nobody.clear();
        Member(Arc::clone(self))
    }

    /// Runs `body` as one of the family: what it spawns belongs to it too.
    pub(super) fn adopt<T>(self: &Arc<Self>, body: impl FnOnce() -> T) -> T {
        let _adopted = Adopted::new(self);
        body()
    }

    fn alive(&self) -> MutexGuard<'_, usize> {
        self.alive.lock()
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        let mut alive = self.0.alive();
        *alive -= 1;
        if *alive == 0 {
            self.0.nobody.set();
        }
    }
}

/// A coroutine's entry in the list of families.
struct Adopted(Option<u64>);

impl Adopted {
    fn new(family: &Arc<Family>) -> Self {
        let caller = current().map(|coroutine| coroutine.id());
        if let Some(caller) = caller {
            families().insert(caller, Arc::clone(family));
        }
        Self(caller)
    }
}

impl Drop for Adopted {
    fn drop(&mut self) {
        let family = self.0.and_then(|caller| families().remove(&caller));
        drop(family);
    }
}

/// The family of each coroutine that has one, by its number.
fn families() -> MutexGuard<'static, HashMap<u64, Arc<Family>>> {
    static FAMILIES: LazyLock<Lock<HashMap<u64, Arc<Family>>>> = LazyLock::new(Lock::default);
    FAMILIES.lock()
}
