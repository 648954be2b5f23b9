//! What a socket and the poller share: what is ready, and which green threads wait for it.

use std::sync::MutexGuard;
use std::sync::atomic::{AtomicU32, Ordering};

use rustix::event::epoll::EventFlags;

use super::readiness::Readiness;
use crate::green::runtime::park::Sleeper;
use crate::green::runtime::ride::Ride;
use crate::lock::Lock;

/// What a socket and the poller share.
#[derive(Default)]
pub(in crate::green) struct Watching {
    /// How often something was noted. Changed under the lock.
    noted: AtomicU32,
    watch: Lock<Watch>,
}

/// What is ready, and which green threads wait for it.
#[derive(Default)]
pub(super) struct Watch {
    /// What has become ready and was not taken yet. Edge-triggered: what is lost here is not reported again.
    ready: u8,
    pub(super) place: Place,
    /// The first one that waits, and for what. Mostly there is only one.
    first: Option<(Waits, Readiness)>,
    #[expect(clippy::box_collection, reason = "one word while empty")]
    others: Option<Box<Vec<(Waits, Readiness)>>>,
}

/// A green thread that waits for a socket.
pub(super) enum Waits {
    Parked(Sleeper),
    /// One that has no stack meanwhile.
    AtRest(Box<Ride>),
}

/// Where the socket is watched: on the worker where it was first waited for.
#[derive(Clone, Copy, Default)]
pub(super) enum Place {
    #[default]
    Nowhere,
    /// Somebody sees to it.
    Soon,
    At {
        home: u16,
        number: u64,
    },
    /// Nothing is to be watched.
    #[cfg(feature = "kcp")]
    Told,
}

impl Watching {
    /// That of a socket of which nothing is to be watched.
    #[cfg(feature = "kcp")]
    pub(super) fn told() -> Self {
        let watch = Lock::new(Watch { place: Place::Told, ..Watch::default() });
        Self { watch, ..Self::default() }
    }

    /// How often something was noted until now. If that has changed since an attempt, something has come of which the attempt
    /// knew nothing, even if another has taken it.
    pub(super) fn noted(&self) -> u32 {
        self.noted.load(Ordering::Acquire)
    }

    /// Notes an event, and wakes all that wait for it. Rides go on by `go_on`.
    pub(in crate::green) fn note(&self, flags: EventFlags, go_on: impl FnMut(Box<Ride>, Readiness)) {
        self.note_and(Readiness::from_epoll(flags), go_on);
    }

    /// As [`note`](Self::note), for what the system does not tell.
    pub(super) fn tell(&self, ready: Readiness) {
        self.note_and(ready, Ride::go_on);
    }

    #[inline]
    fn note_and(&self, ready: Readiness, go_on: impl FnMut(Box<Ride>, Readiness)) {
        let mut watch = self.lock();
        self.noted.store(self.noted.load(Ordering::Relaxed).wrapping_add(1), Ordering::Release);
        watch.note_and(ready, go_on);
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Watch> {
        self.watch.lock()
    }
}

impl Watch {
    /// Takes what is ready of `interest`.
    pub(super) fn take(&mut self, interest: Readiness) -> Readiness {
        let hit = self.ready & interest.bits();
        self.ready &= !hit;
        Readiness::from_bits(hit)
    }

    /// Each looks for itself: one takes what came, another waits on.
    #[inline]
    fn note_and(&mut self, ready: Readiness, mut go_on: impl FnMut(Box<Ride>, Readiness)) {
        self.ready |= ready.bits();
        let ready = Readiness::from_bits(self.ready);
        if let Some((first, interest)) = self.first.take_if(|(_, interest)| ready.meets(*interest)) {
            first.wake(interest, &mut self.ready, &mut go_on);
        }
        if let Some(others) = &mut self.others {
            for (other, interest) in others.extract_if(.., |(_, interest)| ready.meets(*interest)) {
                other.wake(interest, &mut self.ready, &mut go_on);
            }
        }
    }

    pub(super) fn enlist(&mut self, waits: Waits, interest: Readiness) {
        if self.first.is_none() {
            self.first = Some((waits, interest));
        } else {
            self.others.get_or_insert_default().push((waits, interest));
        }
    }

    pub(super) fn forget(&mut self, gone: &Sleeper) {
        self.first.take_if(|(waits, _)| waits.is(gone));
        if let Some(others) = &mut self.others {
            others.retain(|(waits, _)| !waits.is(gone));
        }
    }

    /// Whether the caller is to see to it that the socket is watched.
    pub(super) fn is_to_be_placed(&mut self) -> bool {
        let nowhere = matches!(self.place, Place::Nowhere);
        if nowhere {
            self.place = Place::Soon;
        }
        nowhere
    }
}

impl Waits {
    /// Wakes it, if it still waits. One that parks looks for itself what is ready; to one without a stack it is given.
    fn wake(self, interest: Readiness, ready: &mut u8, go_on: impl FnOnce(Box<Ride>, Readiness)) {
        match self {
            Self::Parked(sleeper) => drop(sleeper.wake()),
            Self::AtRest(ride) => {
                let hit = *ready & interest.bits();
                *ready &= !hit;
                go_on(ride, Readiness::from_bits(hit));
            }
        }
    }

    fn is(&self, other: &Sleeper) -> bool {
        matches!(self, Self::Parked(sleeper) if sleeper.is(other))
    }
}
