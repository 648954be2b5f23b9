//! The connections whose peers are away: how many there may be, and which goes if there is one too many.
//!
//! A peer that opens, loses its socket, and does so again and again would fill any bound. So the bound is one for each
//! address too, and the connection goes whose peer was there for the shortest time.

use std::cmp::Reverse;
use std::collections::{BTreeSet, HashMap};
use std::net::IpAddr;
use std::sync::MutexGuard;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::lock::Lock;
use crate::zconf::Config;

/// The connections of a server whose peers are away.
#[derive(Default)]
pub(crate) struct Absent {
    len: AtomicUsize,
    table: Lock<Table>,
}

/// One of them. The shortest there comes first, and of those the latest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Absence {
    /// How long its peer was there, in milliseconds.
    pub(crate) there: u64,
    pub(crate) conn_id: Reverse<u64>,
    /// The network its peer was in.
    pub(crate) from: IpAddr,
}

/// Whether an absence was noted.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Noted {
    Yes,
    /// The connection with this id has to go for it.
    Instead(u64),
    /// There are enough who were there for longer.
    No,
}

/// How many there may be.
#[derive(Clone, Copy)]
struct Most {
    all: usize,
    from_one: usize,
}

#[derive(Default)]
struct Table {
    all: BTreeSet<Absence>,
    by_network: HashMap<IpAddr, BTreeSet<Absence>>,
}

impl Absent {
    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.len.load(Ordering::Acquire)
    }

    /// Takes note of one more, in place of another where there are as many as there may be.
    pub(crate) fn note(&self, absence: Absence, config: &Config) -> Noted {
        let mut table = self.lock();
        let noted = table.note(absence, Most::of(config));
        self.len.store(table.all.len(), Ordering::Release);
        noted
    }

    /// Whether it still is one of them.
    pub(crate) fn has(&self, absence: &Absence) -> bool {
        self.lock().all.contains(absence)
    }

    /// Its peer is back, or it has ended. Twice is the same as once.
    pub(crate) fn forget(&self, absence: &Absence) {
        let mut table = self.lock();
        table.forget(absence);
        self.len.store(table.all.len(), Ordering::Release);
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.table.lock()
    }
}

impl Most {
    fn of(config: &Config) -> Self {
        let or = |key: usize, default: usize| if key == 0 { default } else { key };
        let all = or(config.max_away, config.max_conn);
        Self { all, from_one: or(config.max_away_per_address, all.div_ceil(4)) }
    }
}

impl Table {
    fn note(&mut self, absence: Absence, most: Most) -> Noted {
        let same = self.by_network.get(&absence.from);
        let full = match same {
            Some(same) if same.len() >= most.from_one => same.first(),
            _ if self.all.len() >= most.all => self.all.first(),
            _ => None,
        };
        let noted = match full.copied() {
            None => Noted::Yes,
            Some(first) if first < absence => {
                self.forget(&first);
                Noted::Instead(first.conn_id.0)
            }
            Some(_) => return Noted::No,
        };
        self.all.insert(absence);
        self.by_network.entry(absence.from).or_default().insert(absence);
        noted
    }

    fn forget(&mut self, absence: &Absence) {
        self.all.remove(absence);
        if let Some(same) = self.by_network.get_mut(&absence.from) {
            same.remove(absence);
            if same.is_empty() {
                self.by_network.remove(&absence.from);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOST: Most = Most { all: 4, from_one: 2 };

    fn absence(there: u64, conn_id: u64, host: u8) -> Absence {
        Absence { there, conn_id: Reverse(conn_id), from: IpAddr::from([10, 0, 0, host]) }
    }

    #[test]
    fn the_one_that_was_there_for_the_shortest_time_goes() {
        let mut table = Table::default();
        let mut note = |there, id, host| table.note(absence(there, id, host), MOST);
        assert_eq!((note(1000, 0, 1), note(5, 1, 1)), (Noted::Yes, Noted::Yes));
        // There are enough of one address, however many others are away.
        assert_eq!((note(5, 2, 1), note(6, 3, 1)), (Noted::No, Noted::Instead(1)));
        assert_eq!((note(7, 4, 2), note(8, 5, 3)), (Noted::Yes, Noted::Yes));
        assert_eq!((note(1, 6, 4), note(9, 7, 4)), (Noted::No, Noted::Instead(3)));
        assert_eq!(table.all.iter().map(|absence| absence.conn_id.0).collect::<Vec<_>>(), [4, 5, 7, 0]);
        for absence in table.all.clone() {
            table.forget(&absence);
            table.forget(&absence);
        }
        assert!(table.all.is_empty() && table.by_network.is_empty());
    }
}
