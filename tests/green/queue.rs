//! Queues give out what was put, each item once, in their order, however they are waited on and closed.

use std::cmp::Ordering;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use crate::common::coroutines::{LONG, within};
use crate::common::random::{Random, all_at_once, with_seeds};
use zinx::green::{self, GetError, JoinableQueue, LifoQueue, PriorityQueue, PutError, Queue};

#[test]
fn a_priority_queue_gives_the_smallest_first_and_equals_in_the_order_they_were_put() {
    within(30, || {
        let queue = PriorityQueue::unbounded();
        let ranks = [3, 1, 2, 1, 3, 2, 1];
        for (n, rank) in ranks.into_iter().enumerate() {
            queue.put(Ranked { rank, n }).unwrap();
        }
        assert_eq!(queue.try_peek().map(|first| first.n), Ok(1));
        queue.close();
        let order: Vec<_> = queue.iter().map(|item| item.n).collect();
        assert_eq!(order, [1, 3, 6, 2, 5, 0, 4]);
    });
}

/// Compares as numbers do, unless it is armed: then comparing panics.
#[derive(Debug, PartialEq, Eq)]
struct Touchy(u32);

static ARMED: AtomicBool = AtomicBool::new(false);

impl Ord for Touchy {
    fn cmp(&self, other: &Self) -> Ordering {
        assert!(!ARMED.load(Relaxed), "on purpose");
        self.0.cmp(&other.0)
    }
}

impl PartialOrd for Touchy {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

#[test]
fn an_order_that_panics_is_the_callers_and_the_queue_goes_on() {
    within(30, || {
        let queue = Arc::new(PriorityQueue::bounded(4));
        let armed = |call: &dyn Fn() -> bool| {
            ARMED.store(true, Relaxed);
            let panicked = catch_unwind(AssertUnwindSafe(call)).is_err();
            ARMED.store(false, Relaxed);
            panicked
        };
        (0..3).for_each(|n| queue.put(Touchy(n)).unwrap());
        assert!(armed(&|| queue.try_put(Touchy(3)).is_ok()));
        assert_eq!((queue.len(), queue.unfinished()), (4, 4), "it is in there all the same");
        let theirs = Arc::clone(&queue);
        let putter = green::spawn(move || theirs.put(Touchy(4)).unwrap());
        while putter.coroutine().activity() != "waits for room in a queue" {
            green::yield_now();
        }
        assert!(armed(&|| queue.try_get().is_ok()), "the item taken is lost");
        assert!(putter.join_timeout(LONG), "a place is free");
        queue.close();
        let left = queue.iter().inspect(|_| queue.task_done()).count();
        assert_eq!((left, queue.unfinished()), (4, 0));
        queue.join();
        let other = PriorityQueue::with_items(4, (0..4).map(Touchy));
        assert!(armed(&|| other.close_now().is_empty()), "all that were taken are lost");
        assert_eq!((other.len(), other.unfinished(), other.is_closed()), (0, 0, true));
        other.join();
    });
}

#[test]
fn a_lifo_queue_gives_the_last_first() {
    within(30, || {
        let queue = LifoQueue::bounded(3);
        (0..3).for_each(|n| queue.put(n).unwrap());
        assert_eq!(queue.try_put(3), Err(PutError::Full(3)));
        assert!(queue.is_full());
        assert_eq!(queue.peek(), Some(2));
        queue.close();
        assert_eq!(queue.iter().collect::<Vec<_>>(), [2, 1, 0]);
    });
}

#[test]
fn a_full_priority_queue_makes_its_putter_wait() {
    within(30, || {
        let queue = Arc::new(PriorityQueue::bounded(1));
        queue.put(2).unwrap();
        let theirs = Arc::clone(&queue);
        let putter = green::spawn(move || theirs.put(1));
        assert!(!putter.join_timeout(Duration::from_millis(5)));
        assert_eq!((queue.get(), queue.get()), (Some(2), Some(1)));
        putter.get().unwrap().unwrap();
    });
}

#[test]
fn an_unbounded_queue_is_never_full() {
    within(30, || {
        let queue = Queue::unbounded();
        (0..10_000).for_each(|n| queue.try_put(n).unwrap());
        assert!(!queue.is_full());
        assert_eq!(queue.len(), 10_000);
    });
}

#[test]
fn peek_waits_for_an_item_and_leaves_it_to_a_getter_that_waits_behind() {
    within(30, || {
        let queue = Arc::new(Queue::bounded(4));
        assert_eq!(queue.try_peek(), Err(GetError::Empty));
        assert_eq!(queue.peek_timeout(Duration::from_millis(2)), Err(GetError::Empty));
        let peekers: Vec<_> = (0..3)
            .map(|_| {
                let queue = Arc::clone(&queue);
                green::spawn(move || queue.peek())
            })
            .collect();
        let theirs = Arc::clone(&queue);
        let getter = green::spawn(move || {
            // Behind the peekers: they have begun to wait where the machine is not very busy.
            green::sleep(Duration::from_millis(10));
            theirs.get()
        });
        getter.join_timeout(Duration::from_millis(20));
        queue.put(7).unwrap();
        assert_eq!(getter.get().unwrap(), Some(7));
        queue.put(8).unwrap();
        for peeker in peekers {
            let seen = peeker.get().unwrap();
            assert!(seen == Some(7) || seen == Some(8), "{seen:?}");
        }
        assert_eq!(queue.len(), 1, "peeking takes nothing");
        queue.close();
        assert_eq!((queue.peek(), queue.get(), queue.peek()), (Some(8), Some(8), None));
    });
}

#[test]
fn join_returns_when_the_work_on_every_item_is_done() {
    within(30, || {
        let jobs = Arc::new(JoinableQueue::bounded(4));
        jobs.join();
        jobs.put(1).unwrap();
        jobs.put(2).unwrap();
        assert!(!jobs.join_timeout(Duration::from_millis(2)));
        let theirs = Arc::clone(&jobs);
        let joiner = green::spawn(move || theirs.join());
        jobs.get();
        jobs.get();
        assert_eq!((jobs.is_empty(), jobs.unfinished()), (true, 2));
        jobs.task_done();
        assert!(!joiner.join_timeout(Duration::from_millis(5)), "taken is not done");
        jobs.task_done();
        assert!(joiner.join_timeout(LONG));
        assert!(jobs.join_timeout(Duration::ZERO));
        let too_often = catch_unwind(|| jobs.task_done());
        assert!(too_often.is_err());
        jobs.put(3).unwrap();
        assert_eq!(jobs.get(), Some(3), "the queue lives");
    });
}

#[test]
fn closed_a_queue_gives_out_what_it_has_and_closed_at_once_hands_it_back() {
    within(30, || {
        let queue = Queue::bounded(4);
        queue.put(1).unwrap();
        queue.put(2).unwrap();
        queue.close();
        assert_eq!(queue.put(3), Err(PutError::Closed(3)));
        assert_eq!(queue.get(), Some(1));
        assert_eq!(queue.close_now(), [2]);
        assert_eq!((queue.get(), queue.try_get()), (None, Err(GetError::Closed)));

        let jobs = Arc::new(JoinableQueue::bounded(4));
        jobs.put(1).unwrap();
        jobs.put(2).unwrap();
        let theirs = Arc::clone(&jobs);
        let joiner = green::spawn(move || theirs.join());
        assert_eq!(jobs.get(), Some(1));
        assert_eq!(jobs.close_now(), [2]);
        assert!(!joiner.join_timeout(Duration::from_millis(5)), "the first is still in work");
        jobs.task_done();
        assert!(joiner.join_timeout(LONG));
    });
}

#[test]
fn every_item_is_got_once_under_random_schedules() {
    within(120, || {
        with_seeds(20, |seed| {
            check(seed, &Arc::new(Queue::bounded(3)), true);
            check(seed, &Arc::new(PriorityQueue::bounded(3)), true);
            check(seed, &Arc::new(LifoQueue::bounded(3)), false);
        });
    });
}

/// What is put under [`check`]: who put it, and its number there. Ordered so that a putter's items keep their order.
type Item = (u64, u64);

/// Putters and getters of all kinds; `in_order` if a getter sees the items of a putter in the order they were put.
fn check(seed: u64, queue: &Arc<impl QueueOf<Item>>, in_order: bool) {
    const PUTTERS: u64 = 4;
    const ITEMS: u64 = 60;
    let theirs = Arc::clone(queue);
    let getters = green::spawn(move || {
        all_at_once(4, move |getter| {
            let mut random = Random::new(seed * 100 + 50 + getter);
            let mut got = Vec::new();
            loop {
                random.pause();
                match theirs.get_somehow(&mut random) {
                    Ok(item) => got.push(item),
                    Err(GetError::Empty) => {}
                    Err(GetError::Closed) => return got,
                }
            }
        })
    });
    let theirs = Arc::clone(queue);
    all_at_once(PUTTERS, move |putter| {
        let mut random = Random::new(seed * 100 + putter);
        for n in 0..ITEMS {
            random.pause();
            while theirs.put_somehow((n, putter), &mut random).is_err() {}
        }
    });
    queue.close_queue();
    let mut all = Vec::new();
    for got in getters.get().unwrap() {
        for putter in 0..PUTTERS {
            let theirs = got.iter().filter(|item| item.1 == putter);
            assert!(!in_order || theirs.is_sorted(), "seed {seed}");
        }
        all.extend(got);
    }
    all.sort_unstable();
    let expected: Vec<_> = (0..ITEMS).flat_map(|n| (0..PUTTERS).map(move |putter| (n, putter))).collect();
    assert_eq!(all, expected, "seed {seed}");
}

/// The three queues, as far as the check goes.
trait QueueOf<T>: Send + Sync + 'static {
    fn put_somehow(&self, item: T, random: &mut Random) -> Result<(), PutError<T>>;
    fn get_somehow(&self, random: &mut Random) -> Result<T, GetError>;
    fn close_queue(&self);
}

macro_rules! queue_of {
    ($queue:ty) => {
        impl QueueOf<Item> for $queue {
            fn put_somehow(&self, item: Item, random: &mut Random) -> Result<(), PutError<Item>> {
                match random.below(3) {
                    0 => self.put(item),
                    1 => self.put_timeout(item, random.short()),
                    _ => self.try_put(item),
                }
            }

            fn get_somehow(&self, random: &mut Random) -> Result<Item, GetError> {
                match random.below(4) {
                    0 => self.get().ok_or(GetError::Closed),
                    1 => self.get_timeout(random.short()),
                    2 => self.peek().ok_or(GetError::Closed).and_then(|_| self.try_get()),
                    _ => self.try_get(),
                }
            }

            fn close_queue(&self) {
                self.close();
            }
        }
    };
}

queue_of!(Queue<Item>);
queue_of!(PriorityQueue<Item>);
queue_of!(LifoQueue<Item>);

#[derive(Clone, Debug)]
struct Ranked {
    rank: i32,
    n: usize,
}

impl Ord for Ranked {
    fn cmp(&self, other: &Self) -> Ordering {
        self.rank.cmp(&other.rank)
    }
}

impl PartialOrd for Ranked {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Ranked {
    fn eq(&self, other: &Self) -> bool {
        self.rank == other.rank
    }
}

impl Eq for Ranked {}
