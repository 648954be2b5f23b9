//! What coroutines share: queues and events lose nothing and wake those that wait.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use crate::common::coroutines::{LONG, within};
use zinx::green::{self, Builder, Event, GetError, Greenlet, Group, PutError, Queue};

#[test]
fn put_waits_while_the_queue_is_full() {
    within(30, || {
        let queue = Arc::new(Queue::bounded(2));
        queue.put(1).unwrap();
        queue.put(2).unwrap();
        assert_eq!(queue.try_put(3), Err(PutError::Full(3)));
        assert_eq!(queue.put_timeout(3, Duration::from_millis(2)), Err(PutError::Full(3)));
        let theirs = Arc::clone(&queue);
        let putter = green::spawn(move || theirs.put(3));
        assert!(!putter.join_timeout(Duration::from_millis(5)));
        assert_eq!(queue.len(), 2);
        assert_eq!(queue.get(), Some(1));
        assert_eq!(putter.get().unwrap(), Ok(()));
        assert_eq!((queue.get(), queue.get()), (Some(2), Some(3)));
        assert_eq!(queue.try_get(), Err(GetError::Empty));
    });
}

#[test]
fn every_item_arrives_once_and_in_order() {
    within(60, || {
        const ITEMS: usize = 5000;
        let queue = Arc::new(Queue::bounded(3));
        let putters: Vec<_> = (0..4)
            .map(|putter| {
                let queue = Arc::clone(&queue);
                green::spawn(move || (0..ITEMS).for_each(|n| queue.put((putter, n)).unwrap()))
            })
            .collect();
        let getters: Vec<_> = (0..4)
            .map(|_| {
                let queue = Arc::clone(&queue);
                green::spawn(move || queue.iter().collect::<Vec<_>>())
            })
            .collect();
        putters.iter().for_each(Greenlet::join);
        queue.close();
        let mut all = Vec::new();
        for getter in getters {
            let got = getter.get().unwrap();
            for putter in 0..4 {
                assert!(got.iter().filter(|item| item.0 == putter).is_sorted());
            }
            all.extend(got);
        }
        all.sort_unstable();
        let expected: Vec<_> = (0..4).flat_map(|putter| (0..ITEMS).map(move |n| (putter, n))).collect();
        assert!(all == expected, "{} items", all.len());
    });
}

#[test]
fn a_getter_whose_time_is_up_never_takes_an_item() {
    within(60, || {
        let queue = Arc::new(Queue::bounded(1));
        let theirs = Arc::clone(&queue);
        // Waits as short as the pauses between two items: times run out at the moment of a put.
        let getters: Vec<_> = (0..4u64)
            .map(|getter| {
                let queue = Arc::clone(&queue);
                green::spawn(move || {
                    let (mut got, mut in_vain) = (Vec::new(), 0);
                    loop {
                        match queue.get_timeout(Duration::from_micros(300 + getter * 100)) {
                            Ok(item) => got.push(item),
                            Err(GetError::Empty) => in_vain += 1,
                            Err(GetError::Closed) => return (got, in_vain),
                        }
                    }
                })
            })
            .collect();
        let putter = green::spawn(move || {
            for n in 0..1000 {
                theirs.put(n).unwrap();
                green::sleep(Duration::from_micros(n % 1000));
            }
            theirs.close();
        });
        putter.join();
        let (mut all, mut in_vain) = (Vec::new(), 0);
        for getter in getters {
            let (got, times) = getter.get().unwrap();
            all.extend(got);
            in_vain += times;
        }
        all.sort_unstable();
        assert_eq!(all, Vec::from_iter(0..1000));
        assert!(in_vain > 0, "no getter has ever timed out");
    });
}

#[test]
fn closing_a_queue_wakes_everybody() {
    within(30, || {
        let (full, empty) = (Arc::new(Queue::bounded(1)), Arc::new(Queue::<i32>::bounded(1)));
        full.put(0).unwrap();
        let putters: Vec<_> = (1..=5)
            .map(|n| {
                let full = Arc::clone(&full);
                green::spawn(move || full.put(n))
            })
            .collect();
        let getters: Vec<_> = (0..5)
            .map(|_| {
                let empty = Arc::clone(&empty);
                green::spawn(move || empty.get())
            })
            .collect();
        let theirs = Arc::clone(&empty);
        let thread = thread::spawn(move || theirs.get_timeout(LONG));
        assert!(!putters[0].join_timeout(Duration::from_millis(2)) && !getters[0].ready());
        full.close();
        empty.close();
        empty.close();
        for (n, putter) in (1..).zip(putters) {
            assert_eq!(putter.get().unwrap(), Err(PutError::Closed(n)));
        }
        for getter in getters {
            assert_eq!(getter.get().unwrap(), None);
        }
        assert_eq!(thread.join().unwrap(), Err(GetError::Closed));
        assert!(full.is_closed());
        assert_eq!((full.get(), full.get()), (Some(0), None), "what it holds is still given out");
    });
}

#[test]
fn setting_an_event_wakes_those_who_waited_also_when_it_is_cleared_at_once() {
    within(30, || {
        let (event, waiting) = (Arc::new(Event::new()), Group::new());
        let about = Arc::new(Queue::bounded(64));
        for _ in 0..50 {
            let (event, about) = (Arc::clone(&event), Arc::clone(&about));
            let member = move || {
                about.put(()).unwrap();
                event.wait();
            };
            waiting.spawn(Builder::new(), member).unwrap();
        }
        for _ in 0..50 {
            about.get_timeout(LONG).unwrap();
        }
        // Each is about to wait, if it does not yet: set and clear until the last does.
        loop {
            event.set();
            event.clear();
            if waiting.join_timeout(Duration::from_millis(1)) {
                break;
            }
        }
        assert!(!event.is_set());
        assert!(!event.wait_timeout(Duration::from_millis(2)));
        event.set();
        event.set();
        assert!(event.wait_timeout(Duration::ZERO));
    });
}

#[test]
fn one_set_is_enough_for_those_who_wait_already() {
    within(60, || {
        let woken_by_one_set = || {
            let event = Arc::new(Event::new());
            let theirs = Arc::clone(&event);
            let waiter = green::spawn(move || theirs.wait());
            // Nothing tells from outside that it waits: on a busy machine it may not yet.
            waiter.join_timeout(Duration::from_millis(20));
            event.set();
            event.clear();
            let woken = waiter.join_timeout(Duration::from_secs(1));
            event.set();
            waiter.join();
            woken
        };
        assert!((0..10).any(|_| woken_by_one_set()));
    });
}
