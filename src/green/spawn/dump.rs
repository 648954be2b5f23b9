//! Which coroutines are alive, and what each waits for.

use std::fmt::Write;
use std::sync::{Arc, MutexGuard, Weak};

use super::record::Record;
use crate::green::Coroutine;
use crate::green::runtime::awaits::Awaits;
use crate::green::runtime::slots::Slots;
use crate::lock::Lock;

/// All coroutines that are alive, also those that have not started, by number.
///
/// It walks over all of them and stops none meanwhile, so the list is not a snapshot of one moment.
pub fn coroutines() -> Vec<Coroutine> {
    let known = (0..SHARDS.len() as u64).flat_map(|at| shard(at).iter().cloned().collect::<Vec<_>>());
    let alive = known.filter_map(|record| record.upgrade());
    let mut found: Vec<_> = alive.map(Coroutine::new).filter(|coroutine| !coroutine.ready()).collect();
    found.sort_unstable_by_key(Coroutine::id);
    found
}

/// A line for each coroutine that is alive: its number, its name, and what it waits for. Below them a line for the writer of each
/// connection, which is a coroutine only while the socket is full and the connection is busy.
///
/// For a hook or a signal that asks why nothing moves.
///
/// # Examples
///
/// ```
/// use zinx::green::{self, Builder, Event};
///
/// let waits = Builder::new().name("idler").spawn(|| Event::new().wait()).unwrap();
/// while !green::dump().contains("\"idler\" waits for an event") {
///     green::yield_now();
/// }
/// waits.kill();
/// assert!(!green::dump().contains("idler"));
/// ```
#[doc(alias = "print_run_info")]
#[doc(alias("GreenletTree", "LoopExit", "format_run_info"))]
pub fn dump() -> String {
    let mut text = String::new();
    for coroutine in coroutines() {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{} {:?} {}", coroutine.id(), coroutine.name(), coroutine.activity());
    }
    let others: Vec<_> = OTHERS.lock().iter().filter_map(Weak::upgrade).collect();
    for other in others {
        other.list(&mut |name, awaits| {
            let _ = writeln!(text, "- {name:?} {}", awaits.as_str());
        });
    }
    text
}

/// What has parts that do the work of coroutines without being any.
pub(crate) trait Lists: Send + Sync {
    /// Calls `line` for each, with its name and what it waits for.
    fn list(&self, line: &mut dyn FnMut(&str, Awaits));
}

/// Has [`dump`] list the parts of `other` too, for as long as it lives.
pub(crate) fn list_also(other: Weak<dyn Lists>) {
    let mut others = OTHERS.lock();
    others.retain(|other| other.strong_count() > 0);
    others.push(other);
}

static OTHERS: Lock<Vec<Weak<dyn Lists>>> = Lock::new(Vec::new());

/// Makes a coroutine known, until its record is dropped. Returns its place.
pub(super) fn add(record: &Arc<Record>) -> u32 {
    shard(record.id()).insert(Arc::downgrade(record))
}

/// A number that belongs to a place alone.
pub(super) fn number_of(id: u64, place: u32) -> u64 {
    let shards = SHARDS.len() as u64;
    u64::from(place) * shards + id % shards
}

pub(super) fn remove(id: u64, place: u32) {
    shard(id).remove(place);
}

type Known = Slots<Weak<Record>>;

fn shard(id: u64) -> MutexGuard<'static, Known> {
    let at = (id % SHARDS.len() as u64) as usize;
    SHARDS[at].lock()
}

/// Several, so that coroutines started at once do not wait for each other.
static SHARDS: [Lock<Known>; 16] = [const { Lock::new(Slots::new()) }; 16];
