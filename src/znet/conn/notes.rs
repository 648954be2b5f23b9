//! What is noted of a connection for those who look from outside; nothing unless there is an admin plane.

use std::sync::Arc;

use super::position::Position;
use super::tap::Tap;
use super::traffic::Traffic;

/// What is noted of a connection, if anything is.
pub(crate) struct Notes(#[cfg(feature = "admin")] Option<Box<(Traffic, Position)>>);

#[cfg(feature = "admin")]
impl Notes {
    /// That of a connection accepted at `now`.
    pub(super) fn new(is_watched: bool, now: u64) -> Self {
        Self(is_watched.then(|| (Traffic::since(now), Position::default()).into()))
    }

    /// What went over the connection.
    pub(crate) fn traffic(&self) -> Option<&Traffic> {
        self.0.as_ref().map(|noted| &noted.0)
    }

    /// Where the code of the program is.
    pub(crate) fn position(&self) -> Option<&Position> {
        self.0.as_ref().map(|noted| &noted.1)
    }
}

/// Nothing is noted that nobody can look at.
#[cfg(not(feature = "admin"))]
impl Notes {
    pub(super) const fn new(_is_watched: bool, _now: u64) -> Self {
        Self()
    }

    pub(crate) const fn traffic(&self) -> Option<&Traffic> {
        None
    }

    pub(crate) const fn position(&self) -> Option<&Position> {
        None
    }
}

impl Notes {
    /// Who follows the frames of the connection, if anybody does.
    #[inline]
    pub(crate) fn tap(&self) -> Option<Arc<Tap>> {
        self.traffic()?.tapped()
    }
}
