//! What the peer of one connection makes us hold beside its queue: messages and frames that came from it, and messages whose
//! senders wait for room in the queue.

use std::sync::MutexGuard;
use std::time::Duration;

use crate::lock::Lock;
use crate::znet::write::ledger::{Kind, Ledger, Share};

/// How much of each kind is held. The lock is held for a few instructions.
#[derive(Default)]
pub(crate) struct Held(Lock<Amounts>);

/// What was granted, by kind.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Granted {
    pub(crate) kept: usize,
    pub(crate) arriving: usize,
    pub(crate) tasks: usize,
    pub(crate) waiting: usize,
}

#[derive(Default)]
struct Amounts {
    kept: Amount,
    arriving: Amount,
    tasks: Amount,
    waiting: Amount,
}

#[derive(Default)]
struct Amount {
    bytes: usize,
    share: Share,
}

impl Held {
    /// Sets how much of a kind is held. `false`, and nothing is changed, where the bound of the server is reached.
    pub(crate) fn set(&self, ledger: &Ledger, kind: Kind, to: impl FnOnce(usize) -> usize) -> bool {
        let mut amounts = self.lock();
        let amount = amounts.of(kind);
        let bytes = to(amount.bytes);
        let covered = amount.share.cover(ledger, kind, bytes);
        if covered {
            amount.bytes = bytes;
            amount.share.shrink_to(ledger, kind, bytes);
        }
        covered
    }

    pub(super) fn granted(&self) -> Granted {
        let amounts = self.lock();
        let [kept, arriving, tasks, waiting] =
            [&amounts.kept, &amounts.arriving, &amounts.tasks, &amounts.waiting]
                .map(|amount| amount.share.granted());
        Granted { kept, arriving, tasks, waiting }
    }

    pub(super) fn give_back(&self, ledger: &Ledger) {
        let mut amounts = self.lock();
        for kind in [Kind::Replay, Kind::Arriving, Kind::Tasks] {
            let amount = amounts.of(kind);
            amount.bytes = 0;
            amount.share.give_back(ledger, kind);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Amounts> {
        self.0.lock()
    }
}

impl Amounts {
    const fn of(&mut self, kind: Kind) -> &mut Amount {
        match kind {
            Kind::Replay => &mut self.kept,
            Kind::Arriving => &mut self.arriving,
            Kind::Waiting => &mut self.waiting,
            Kind::Tasks | Kind::Queued | Kind::Shared | Kind::Resume => &mut self.tasks,
        }
    }
}

/// How long until it is looked again whether there is room.
pub(crate) const LOOK_AGAIN: Duration = Duration::from_millis(20);
