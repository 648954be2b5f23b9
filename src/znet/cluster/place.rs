//! How far a node has read its stream, and what it has missed.

use redis::Value;

use super::entry::{id, number, text};

/// How far a node has read its stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Place {
    /// The entry that was read last.
    pub(super) last: (u64, u64),
    /// How many of the entries that were ever added are behind it: read, missed, or older than this node.
    pub(super) read: u64,
}

/// What Redis says of a stream. One that is not there has had no entry.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Facts {
    /// Entries that were ever added.
    added: u64,
    len: u64,
    newest: (u64, u64),
}

impl Place {
    /// Behind all that is there.
    pub(super) const fn behind(facts: &Facts) -> Self {
        Self { last: facts.newest, read: facts.added }
    }

    /// How many entries are missed since they are gone, at least. What was read is never read again: if the stream begins anew, or
    /// ends earlier than before since a replica has taken over, the place is behind what is there or before what is new.
    pub(super) fn lost(&mut self, facts: &Facts) -> u64 {
        let gone = facts.added.saturating_sub(facts.len);
        // A replica that has taken over may have fewer entries than were read, or others since, by a clock that is behind.
        if facts.added < self.read || facts.newest < self.last {
            let is_new = facts.newest > self.last;
            self.read = if is_new { gone } else { facts.added };
            self.last = self.last.min(facts.newest);
            return 1;
        }
        let lost = gone.saturating_sub(self.read);
        self.read += lost;
        lost
    }
}

impl Facts {
    /// How many entries a node has not read that has so many behind it.
    #[cfg(feature = "admin")]
    pub(super) const fn unread(&self, behind: u64) -> u64 {
        self.added.saturating_sub(behind)
    }

    /// Names and values, in turn.
    pub(super) fn of(facts: &[Value]) -> Option<Self> {
        let fact = |name: &str| {
            let named = facts.chunks_exact(2).find(|pair| text(&pair[0]).as_deref() == Some(name));
            named.map(|pair| &pair[1])
        };
        Some(Self {
            added: number(fact("entries-added")?)?,
            len: number(fact("length")?)?,
            newest: id(&text(fact("last-generated-id")?)?)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn facts(added: u64, len: u64, newest: u64) -> Facts {
        Facts { added, len, newest: (newest, 0) }
    }

    #[test]
    fn what_is_gone_unread_is_counted_once() {
        let mut place = Place::behind(&facts(10, 5, 100));
        assert_eq!(place, Place { last: (100, 0), read: 10 });
        assert_eq!(place.lost(&facts(14, 4, 104)), 0);
        assert_eq!((place.lost(&facts(20, 7, 110)), place.lost(&facts(20, 7, 110))), (3, 0));
        assert_eq!(place, Place { last: (100, 0), read: 13 });
    }

    #[test]
    fn a_stream_that_begins_anew_or_falls_back_is_not_read_again() {
        // Redis has forgotten it, and there are new entries, of which one is gone.
        let mut place = Place { last: (100, 0), read: 10 };
        assert_eq!(place.lost(&facts(3, 2, 200)), 1);
        assert_eq!(place, Place { last: (100, 0), read: 1 });
        // It is not there any more.
        let mut place = Place { last: (100, 0), read: 10 };
        assert_eq!((place.lost(&Facts::default()), place), (1, Place::default()));
        // A replica without the last two entries has taken over.
        let mut place = Place { last: (100, 0), read: 10 };
        assert_eq!((place.lost(&facts(8, 8, 98)), place), (1, Place { last: (98, 0), read: 8 }));
        assert_eq!(place.lost(&facts(9, 9, 120)), 0);
        // Others have come there since, but its clock is behind: what comes now is read.
        let mut place = Place { last: (100, 0), read: 10 };
        assert_eq!((place.lost(&facts(13, 13, 99)), place), (1, Place { last: (99, 0), read: 13 }));
    }

    #[test]
    fn what_redis_says_is_read_and_nonsense_is_none() {
        let text = |text: &str| Value::BulkString(text.as_bytes().to_vec());
        let mut said = vec![text("length"), Value::Int(2), text("last-generated-id"), text("7-1")];
        assert_eq!(Facts::of(&said), None);
        said.extend([text("entries-added"), Value::Int(5)]);
        assert_eq!(Facts::of(&said), Some(Facts { added: 5, len: 2, newest: (7, 1) }));
    }
}
