//! What an idle connection does without: made when first asked for, and at the latest when the connection closes.

use std::any::Any;
use std::sync::{Arc, MutexGuard, OnceLock};
use std::time::Duration;

use crate::green::{Event, Queue, drop_each};
use crate::lock::Lock;
use crate::ziface::CloseReason;
use crate::znet::leave::beat::OwnBeat;
use crate::znet::leave::close_listeners::CloseListeners;
use crate::znet::people::membership::Membership;
use crate::znet::read::backlog::ReadAhead;
use crate::znet::read::held::Held;
use crate::znet::read::rate::Meter;
use crate::znet::read::read_deadline::ReadDeadline;
use crate::znet::resume::state::Resume;
use crate::znet::route::request::Request;
use crate::znet::talk::calls::Calls;

pub(crate) type Property = Arc<dyn Any + Send + Sync>;

/// The state of a connection that most connections never have. One that looks may find nothing made; one that waits,
/// or must be found by the close, makes it.
#[derive(Default)]
pub(crate) struct OnDemand {
    /// What its handlers have read and not handled.
    pub(crate) ahead: ReadAhead,
    /// What its peer has been asked.
    pub(crate) calls: Calls,
    /// Where it belongs: its user, its groups.
    pub(crate) membership: Membership,
    /// What it has used of its rate.
    pub(crate) meter: Lock<Meter>,
    /// What came from its peer and is held.
    pub(crate) held: Held,
    /// What others have queued to its reader.
    pub(crate) queue: OnceLock<Box<Queue<Request>>>,
    /// What is known of its being resumed.
    pub(crate) resume: Option<Box<Resume>>,
    /// Few, so searched one by one.
    properties: Lock<Vec<(String, Property)>>,
    pub(crate) reason: OnceLock<CloseReason>,
    pub(crate) close_listeners: CloseListeners,
    pub(crate) own_beat: OwnBeat,
    pub(crate) read_deadline: ReadDeadline,
    pub(crate) closed: Event,
}

/// Any code may hold the last handle of a connection. A value of the program that panics when it is dropped there must not
/// end that code.
impl Drop for OnDemand {
    fn drop(&mut self) {
        let properties = self.properties.get_mut();
        drop_each(properties.drain(..).map(|(_, value)| value));
    }
}

impl OnDemand {
    /// Of a connection that can be resumed.
    pub(crate) fn resumable(window: Duration, now: u64) -> Self {
        let mut on_demand = Self::default();
        on_demand.resume = Some(Resume::new(window, now).into());
        on_demand
    }

    pub(crate) fn set_property(&self, name: &str, value: Property) {
        let mut properties = self.properties();
        let replaced = match properties.iter_mut().find(|(known, _)| known == name) {
            Some((_, old)) => Some(std::mem::replace(old, value)),
            None => {
                properties.push((name.to_string(), value));
                None
            }
        };
        drop(properties);
        // Dropped after the lock: its destructor may use the connection.
        drop(replaced);
    }

    pub(crate) fn get_property(&self, name: &str) -> Option<Property> {
        self.properties().iter().find(|(known, _)| known == name).map(|(_, value)| Arc::clone(value))
    }

    pub(crate) fn remove_property(&self, name: &str) {
        let mut properties = self.properties();
        let at = properties.iter().position(|(known, _)| known == name);
        let removed = at.map(|at| properties.swap_remove(at));
        drop(properties);
        drop(removed);
    }

    fn properties(&self) -> MutexGuard<'_, Vec<(String, Property)>> {
        self.properties.lock()
    }
}
