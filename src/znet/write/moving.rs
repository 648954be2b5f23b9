//! How the frames that are kept for a peer go from one node to another with its connection.

use super::bounds::Bounds;
use super::ledger::Kind;
use super::outbox::State;
use super::replay::Replay;
use crate::znet::resume::parcel::Kept;

impl State {
    /// Keeps what is sent from now on, and sends nothing of it, until the frames are there that come before.
    pub(crate) fn keep_only(&mut self, max: (usize, usize)) {
        let mut kept = Replay::new(max);
        kept.away = true;
        self.pressure().kept = Some(Box::new(kept));
    }

    /// Puts frames before those that are kept. `false` if nothing is kept, or the server's bound is reached.
    pub(crate) fn put_before(&mut self, bounds: &Bounds, before: Kept) -> bool {
        let Some(kept) = self.kept_mut() else { return false };
        kept.put_before(before);
        let held = kept.held();
        kept.share.cover(&bounds.ledger, Kind::Resume, held)
    }
}

#[cfg(feature = "redis")]
impl State {
    /// Forgets the frames that are kept.
    pub(crate) fn forget_all(&mut self, bounds: &Bounds) {
        if let Some(kept) = self.kept_mut() {
            kept.take_all();
            kept.share.shrink_to(&bounds.ledger, Kind::Resume, 0);
        }
    }

    /// Closes, and takes the frames that are kept.
    pub(crate) fn take_kept(&mut self, bounds: &Bounds) -> Option<Kept> {
        self.close();
        let taken = self.kept_mut()?.take_all();
        self.stop_keeping(bounds);
        Some(taken)
    }
}
