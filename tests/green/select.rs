//! Waiting for several things at once: the first wins, and nothing is lost from the others.

use std::sync::Arc;
use std::time::Duration;

use crate::common::coroutines::{LONG, within};
use crate::common::random::{Random, all_at_once, with_seeds};
use zinx::green::{self, AsyncResult, Channel, Event, Queue, Select, Semaphore};

#[test]
fn of_several_that_are_there_the_first_named_wins_and_the_others_keep_what_they_have() {
    within(30, || {
        let (a, b) = (Queue::bounded(2), Queue::bounded(2));
        let semaphore = Semaphore::new(1);
        a.put(1).unwrap();
        b.put(2).unwrap();
        let won = || {
            Select::new()
                .on(&a, |item| format!("a {item:?}"))
                .on(&b, |item| format!("b {item:?}"))
                .on(&semaphore, |_permit| "permit".to_string())
                .wait()
        };
        assert_eq!((won(), won(), won()), ("a Some(1)".into(), "b Some(2)".into(), "permit".into()));
        assert_eq!(semaphore.available(), 1);
        a.close();
        assert_eq!(won(), "a None");
    });
}

#[test]
fn each_kind_of_thing_ends_the_wait() {
    within(60, || {
        for n in 0..5 {
            let (queue, event, channel) =
                (Arc::new(Queue::bounded(1)), Arc::new(Event::new()), Arc::new(Channel::new()));
            let (answer, semaphore) = (Arc::new(AsyncResult::<i32>::new()), Semaphore::new(0));
            let waiting = green::spawn({
                let (queue, event, channel) = (Arc::clone(&queue), Arc::clone(&event), Arc::clone(&channel));
                let (answer, semaphore) = (Arc::clone(&answer), semaphore.clone());
                move || {
                    Select::new()
                        .on(&*queue, |item: Option<i32>| format!("queue {item:?}"))
                        .on(&*event, |()| "event".to_string())
                        .on(&*channel, |item: Option<i32>| format!("channel {item:?}"))
                        .on(&*answer, |outcome| format!("answer {outcome:?}"))
                        .on(&semaphore, |_permit| "permit".to_string())
                        .wait()
                }
            });
            assert!(!waiting.join_timeout(Duration::from_millis(5)));
            let expected = match n {
                0 => queue.put(1).map(|()| "queue Some(1)").unwrap(),
                1 => {
                    event.set();
                    "event"
                }
                2 => channel.put(1).map(|()| "channel Some(1)").unwrap(),
                3 => {
                    assert!(answer.set(1));
                    "answer Ok(1)"
                }
                _ => {
                    semaphore.release();
                    "permit"
                }
            };
            assert_eq!(waiting.get().unwrap(), expected);
        }
    });
}

#[test]
fn the_end_of_a_greenlet_ends_the_wait_and_leaves_its_result() {
    within(30, || {
        let go = Arc::new(Event::new());
        let theirs = Arc::clone(&go);
        let greenlet = green::spawn(move || {
            theirs.wait();
            7
        });
        let ended =
            || Select::new().on(&greenlet, |()| true).after(Duration::from_millis(3), || false).wait();
        assert!(!ended());
        go.set();
        greenlet.join();
        assert!(ended());
        assert!(Select::new().on(greenlet.coroutine(), |()| true).wait());
        assert_eq!(greenlet.get().unwrap(), 7);
    });
}

#[test]
fn a_wait_ends_when_its_time_is_up_and_leaves_no_trace() {
    within(30, || {
        let queue = Queue::<i32>::bounded(1);
        let late = Select::new()
            .on(&queue, |_| "item")
            .after(LONG, || "very late")
            .after(Duration::from_millis(3), || "late")
            .wait();
        assert_eq!(late, "late");
        queue.put(1).unwrap();
        assert_eq!(queue.try_get(), Ok(1), "it was not taken");
        let at_once = Select::new().on(&queue, |_| "item").after(Duration::ZERO, || "late");
        assert_eq!(at_once.wait(), "late");
    });
}

#[test]
fn an_async_result_is_set_once_and_read_by_all() {
    within(30, || {
        let answer: Arc<AsyncResult<i32>> = Arc::new(AsyncResult::new());
        assert_eq!((answer.try_get(), answer.ready()), (None, false));
        assert_eq!(answer.get_timeout(Duration::from_millis(2)), None);
        let theirs = Arc::clone(&answer);
        let readers = green::spawn(move || all_at_once(6, move |_| theirs.get()));
        assert!(!readers.join_timeout(Duration::from_millis(5)));
        assert!(answer.set(7));
        assert!(!answer.set(8) && !answer.set_exception("late".to_string()), "the first stays");
        assert_eq!(readers.get().unwrap(), vec![Ok(7); 6]);
        assert!(answer.ready() && answer.successful());

        let failed: AsyncResult<i32, &str> = AsyncResult::new();
        assert!(failed.set_exception("no"));
        assert_eq!((failed.get(), failed.successful()), (Err("no"), false));
    });
}

#[test]
fn selecting_loses_no_item_under_random_schedules() {
    within(120, || with_seeds(20, check));
}

/// Getters that select among three queues and a channel beside getters that wait on one: each item is got once.
fn check(seed: u64) {
    const ITEMS: u64 = 60;
    let queues: Arc<Vec<_>> = Arc::new((0..3).map(|_| Queue::bounded(2)).collect());
    let channel = Arc::new(Channel::new());
    let stop = Arc::new(Event::new());
    let (theirs, meet, end) = (Arc::clone(&queues), Arc::clone(&channel), Arc::clone(&stop));
    let getters = green::spawn(move || {
        all_at_once(5, move |getter| {
            let mut random = Random::new(seed * 100 + 50 + getter);
            let mut got = Vec::new();
            loop {
                random.pause();
                let item = if getter == 0 {
                    theirs[0].get_timeout(random.short()).ok()
                } else {
                    Select::new()
                        .on(&theirs[random.below(3) as usize], |item| item)
                        .on(&theirs[random.below(3) as usize], |item| item)
                        .on(&*meet, |item| item)
                        .on(&*end, |()| None)
                        .after(random.short(), || None)
                        .wait()
                };
                match item {
                    Some(item) => got.push(item),
                    None if end.is_set() && theirs.iter().all(Queue::is_empty) => return got,
                    None => {}
                }
            }
        })
    });
    let (theirs, meet) = (Arc::clone(&queues), Arc::clone(&channel));
    all_at_once(4, move |putter| {
        let mut random = Random::new(seed * 100 + putter);
        for n in 0..ITEMS {
            random.pause();
            match random.below(4) {
                3 => meet.put((putter, n)).unwrap(),
                queue => theirs[queue as usize].put((putter, n)).unwrap(),
            }
        }
    });
    stop.set();
    let mut all: Vec<_> = getters.get().unwrap().concat();
    all.sort_unstable();
    let expected: Vec<_> = (0..4).flat_map(|putter| (0..ITEMS).map(move |n| (putter, n))).collect();
    assert_eq!(all, expected, "seed {seed}");
}
