//! What a server knows beyond its routers: how answers are told apart, the dialogue of its connections, their
//! groups and users.

use std::sync::{Arc, OnceLock};

use crate::error::Result;
use crate::green::drop_contained;
use crate::znet::enter::dialer::Dialer;
use crate::znet::people::groups::Groups;
use crate::znet::people::users::Users;
use crate::znet::read::rate::Rates;
use crate::znet::route::payload::BadPayload;
use crate::znet::talk::session::Session;
use crate::zpack::Message;

/// What a server knows beyond its routers.
#[derive(Default)]
pub(crate) struct Talk {
    /// Tells the sequence number of an answer.
    pub(crate) sequence: OnceLock<Box<SequenceOf>>,
    /// The dialogue of every connection.
    pub(crate) dialogue: OnceLock<Box<Dialogue>>,
    /// The groups, by name.
    pub(crate) groups: Groups,
    /// The users that are logged in.
    pub(crate) users: Users,
    pub(crate) bad_payload: OnceLock<BadPayload>,
    pub(crate) rates: OnceLock<Rates>,
    /// On a client that resumes: who connects again.
    pub(crate) redial: OnceLock<Arc<Dialer>>,
}

/// What the program has set is dropped by whoever holds the last handle of its server.
impl Drop for Talk {
    fn drop(&mut self) {
        drop_contained(self.sequence.take());
        drop_contained(self.dialogue.take());
    }
}

pub(crate) type SequenceOf = dyn Fn(&Message) -> Option<u64> + Send + Sync;

pub(crate) type Dialogue = dyn Fn(&mut Session) -> Result<()> + Send + Sync;
