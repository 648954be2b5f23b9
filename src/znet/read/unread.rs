//! What a reader leaves between two rides.

use super::input::Input;
use super::wait::Heard;
use crate::znet::resume::returning::Return;

/// What a reader leaves between two rides.
#[derive(Default)]
pub(super) struct Unread {
    /// The beginning of a frame.
    pub(super) input: Option<Box<Input>>,
    pub(super) heard: Heard,
    pub(super) holds_arriving: bool,
    pub(super) absence: Option<Box<Return>>,
}

impl Unread {
    /// Whether the rest was for a peer that is away.
    pub(super) const fn is_of_a_lost_peer(&self) -> bool {
        self.absence.is_some()
    }
}
