//! `imap` and `imap_unordered`: results as soon as they are there, none lost, and never further ahead than allowed.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::common::child::in_child;
use crate::common::coroutines::{LONG, within};
use crate::common::wait_until;
use zinx::green::{self, Event, Failed, Pool, Queue};

type Results<T> = Box<dyn Iterator<Item = Result<T, Failed>> + Send>;

/// Both kinds, from the same source. Where all work takes no time and one place does it, they give the same.
fn both<I, T>(
    pool: &Pool,
    items: impl Fn() -> I,
    work: impl Fn(I::Item) -> T + Send + Sync + Clone + 'static,
) -> [Results<T>; 2]
where
    I: Iterator<Item: Send> + Send + 'static,
    T: Send + 'static,
{
    [Box::new(pool.imap(items(), work.clone())), Box::new(pool.imap_unordered(items(), work))]
}

#[test]
fn imap_is_never_further_ahead_than_allowed() {
    within(30, || {
        for ahead in [1, 2, 5] {
            let started = Arc::new(AtomicUsize::new(0));
            let count = Arc::clone(&started);
            let work = move |n: usize| {
                count.fetch_add(1, Ordering::Relaxed);
                n
            };
            let (pool, mut taken) = (Pool::new(3), 0);
            let mut check = |result: Result<usize, Failed>| {
                result.unwrap();
                taken += 1;
                let started = started.load(Ordering::Relaxed);
                assert!(started < taken + ahead, "{started} started, {taken} taken, {ahead} allowed");
            };
            pool.imap(0..50, work.clone()).look_ahead(ahead).for_each(&mut check);
            pool.imap_unordered(50..100, work).look_ahead(ahead).for_each(&mut check);
            assert_eq!(taken, 100);
        }
    });
}

#[test]
fn imap_unordered_gives_results_as_they_come() {
    within(30, || {
        let gates: Vec<_> = (0..3).map(|_| Arc::new(Event::new())).collect();
        let theirs = gates.clone();
        let work = move |n: usize| {
            theirs[n].wait();
            n
        };
        let mut results = Pool::new(3).imap_unordered(0..3, work);
        for expected in [2, 0, 1] {
            gates[expected].set();
            assert_eq!(results.next().unwrap().unwrap(), expected);
        }
        assert!(results.next().is_none());
    });
}

#[test]
fn a_result_is_given_out_while_the_source_waits_for_the_next_item() {
    within(60, || {
        for places in [1, 3] {
            let pages = Arc::new(Queue::unbounded());
            let source = || {
                let pages = Arc::clone(&pages);
                std::iter::from_fn(move || pages.get().filter(|page| *page != 0))
            };
            for mut results in both(&Pool::new(places), source, |page: u32| page) {
                pages.put(1).unwrap();
                // Each result is what the source waits for.
                for expected in 1..20 {
                    assert_eq!(results.next().unwrap().unwrap(), expected);
                    pages.put(if expected < 19 { expected + 1 } else { 0 }).unwrap();
                }
                assert!(results.next().is_none() && results.next().is_none());
            }
        }
    });
}

#[test]
fn a_next_cut_short_loses_no_result() {
    within(60, || {
        for n in 0..2 {
            let late = Arc::new(Event::new());
            let theirs = Arc::clone(&late);
            // The first is not there before a `next` was cut short.
            let nap = move |n: u64| {
                if n == 0 {
                    theirs.wait();
                }
                green::sleep(Duration::from_millis(if n == 0 { 60 } else { n % 3 }));
                n
            };
            let mut results = both(&Pool::new(4), || 0..50, nap).into_iter().nth(n).unwrap();
            let mut got = green::run(move || {
                let mut got = Vec::new();
                loop {
                    match green::with_timeout(Duration::from_micros(500), || results.next()) {
                        Ok(Some(n)) => got.push(n.unwrap()),
                        Ok(None) => return got,
                        Err(_) => late.set(),
                    }
                }
            });
            got.sort_unstable();
            assert_eq!(got, (0..50).collect::<Vec<_>>());
        }
    });
}

#[test]
fn a_panic_of_the_source_comes_after_the_results_before_it() {
    within(30, || {
        let source = || (0..5).inspect(|n| assert!(*n < 3, "three"));
        for mut results in both(&Pool::new(2), source, |n| n) {
            let mut got: Vec<_> = results.by_ref().take(3).map(Result::unwrap).collect();
            got.sort_unstable();
            assert_eq!(got, [0, 1, 2]);
            let panicked = catch_unwind(AssertUnwindSafe(|| results.next())).unwrap_err();
            assert_eq!(*panicked.downcast::<&str>().unwrap(), "three");
            assert!(results.next().is_none());
        }
    });
}

#[test]
fn dropped_early_it_takes_no_more_items_and_starts_those_it_has_taken() {
    within(60, || {
        for _ in 0..20 {
            let (items, ran) = (Arc::new(Queue::unbounded()), Arc::new(AtomicUsize::new(0)));
            (0..100).for_each(|n| items.put(n).unwrap());
            let pool = Pool::new(1);
            let source = || {
                let items = Arc::clone(&items);
                std::iter::from_fn(move || items.get())
            };
            let count = Arc::clone(&ran);
            let work = move |_: u32| {
                count.fetch_add(1, Ordering::AcqRel);
                green::sleep(Duration::from_micros(200));
            };
            for results in both(&pool, source, work) {
                assert_eq!(results.take(2).map(Result::unwrap).count(), 2);
            }
            let taken = || 100 - items.len();
            wait_until("all that were taken to run", || ran.load(Ordering::Acquire) == taken());
            let end = taken();
            assert!(end <= 8, "{end} taken");
            // The next to be taken is this one: there is no other.
            items.put(100).unwrap();
            assert_eq!((items.len(), pool.join_timeout(LONG)), (100 - end + 1, true));
        }
    });
}

#[test]
fn a_consumer_that_is_killed_leaves_nobody_behind() {
    // It counts the coroutines of its process.
    in_child("imap::a_consumer_that_is_killed_leaves_nobody_behind", || {
        within(60, || {
            let before = green::spawn(green::live_coroutines).get().unwrap();
            for n in 0..2 {
                let source = || std::iter::repeat_with(|| Event::new().wait());
                let results = both(&Pool::new(2), source, |()| ());
                let consumer = green::spawn(move || results.into_iter().nth(n).unwrap().count());
                assert!(!consumer.join_timeout(Duration::from_millis(5)));
                consumer.kill();
            }
            wait_until("the end of all", || green::spawn(green::live_coroutines).get().unwrap() <= before);
        });
    });
}

#[test]
fn a_source_that_waits_holds_no_place_of_the_pool() {
    within(30, || {
        let (pool, items) = (Pool::new(1), Arc::new(Queue::unbounded()));
        let theirs = Arc::clone(&items);
        let mut results = pool.imap(std::iter::from_fn(move || theirs.get()), |n: u32| n);
        items.put(1).unwrap();
        assert_eq!(results.next().unwrap().unwrap(), 1);
        let consumer = green::spawn(move || results.next());
        assert!(!consumer.join_timeout(Duration::from_millis(5)), "the source waits");
        assert_eq!(pool.spawn(|| 7).get().unwrap(), 7);
        items.put(2).unwrap();
        assert_eq!(consumer.get().unwrap().unwrap().unwrap(), 2);
    });
}

#[test]
fn map_takes_items_from_a_source_that_stays_where_it_is() {
    within(30, || {
        let local = Rc::new([1, 2, 3]);
        let items = local.iter().copied();
        let squares = Pool::new(2).map(items, |n| n * n).into_iter().map(Result::unwrap);
        assert_eq!(squares.collect::<Vec<_>>(), [1, 4, 9]);
    });
}
