//! `gevent.queue`.

use std::cmp::Ordering;
use std::sync::Arc;
use std::time::Duration;

use zinx::green::{
    self, Channel, GetError, JoinableQueue, LifoQueue, PriorityQueue, PutError, Queue, SimpleQueue,
};

use super::common::coroutines::LONG;
use super::{SHORT, test, until_it, waiting};

#[test]
fn a_queue_begins_with_the_items_it_is_given() {
    test(|| {
        let queue = Queue::with_items(3, [1, 2]);
        assert_eq!((queue.len(), queue.maxsize(), queue.is_full()), (2, 3, false));
        queue.try_put(3).unwrap();
        assert!(queue.is_full());
        assert_eq!(queue.try_put(4), Err(PutError::Full(4)));
        assert_eq!(queue.unfinished(), 3);
        assert_eq!((queue.get(), queue.get(), queue.get()), (Some(1), Some(2), Some(3)));
        assert_eq!(queue.try_get(), Err(GetError::Empty));
    });
}

#[test]
fn more_items_than_room_are_all_kept_and_the_queue_is_full_until_they_are_fewer() {
    test(|| {
        let queue = Queue::with_items(1, [1, 2, 3]);
        assert_eq!((queue.len(), queue.is_full()), (3, true));
        assert_eq!((queue.get(), queue.get()), (Some(1), Some(2)));
        assert!(queue.put_timeout(4, SHORT).is_err());
        assert_eq!(queue.get(), Some(3));
        assert_eq!(queue.put_timeout(4, SHORT), Ok(()));
        assert_eq!(Queue::with_items(0, [0; 0]).maxsize(), 1);
    });
}

#[test]
fn each_kind_gives_its_initial_items_out_in_its_order() {
    test(|| {
        let items = || [2, 3, 1];
        let in_order = |queue: Queue<i32>| std::iter::from_fn(|| queue.try_get().ok()).collect::<Vec<_>>();
        assert_eq!(in_order(items().into_iter().collect()), [2, 3, 1]);
        let smallest: PriorityQueue<i32> = items().into_iter().collect();
        smallest.close();
        assert_eq!(smallest.iter().collect::<Vec<_>>(), [1, 2, 3]);
        let last = LifoQueue::with_items(9, items());
        last.close();
        assert_eq!(last.iter().collect::<Vec<_>>(), [1, 3, 2]);
    });
}

#[test]
fn equals_leave_a_priority_queue_in_the_order_in_which_they_came() {
    test(|| {
        #[derive(Debug)]
        struct Job(u32, &'static str);
        impl PartialEq for Job {
            fn eq(&self, other: &Self) -> bool {
                self.cmp(other).is_eq()
            }
        }
        impl Eq for Job {}
        impl PartialOrd for Job {
            fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
                Some(self.cmp(other))
            }
        }
        impl Ord for Job {
            fn cmp(&self, other: &Self) -> Ordering {
                self.0.cmp(&other.0)
            }
        }
        let queue = PriorityQueue::with_items(9, [Job(1, "first"), Job(0, "urgent"), Job(1, "second")]);
        queue.close();
        assert_eq!(queue.iter().map(|job| job.1).collect::<Vec<_>>(), ["urgent", "first", "second"]);
    });
}

#[test]
fn a_copy_is_a_queue_of_its_own_and_open() {
    test(|| {
        let queue = PriorityQueue::with_items(4, ["b", "a"]);
        queue.close();
        let copy = queue.copy();
        assert_eq!((copy.len(), copy.maxsize(), copy.unfinished()), (2, 4, 2));
        assert!(!copy.is_closed());
        copy.put("c").unwrap();
        assert_eq!((copy.get(), copy.get(), copy.get()), (Some("a"), Some("b"), Some("c")));
        assert_eq!(queue.len(), 2);
        assert_eq!(LifoQueue::with_items(4, [1, 2]).copy().get(), Some(2));
    });
}

#[test]
fn a_queue_has_room_for_its_size_and_tells_who_waits_for_it() {
    test(|| {
        let queue = Arc::new(Queue::bounded(1));
        assert!(queue.is_empty() && !queue.is_full());
        queue.put(1).unwrap();
        let theirs = Arc::clone(&queue);
        let putter = waiting(move || theirs.put(2));
        assert_eq!(putter.coroutine().activity(), "waits for room in a queue");
        assert_eq!(queue.get(), Some(1));
        assert_eq!(putter.get().unwrap(), Ok(()));
        assert_eq!(queue.peek(), Some(2));
        assert_eq!((queue.try_peek(), queue.len()), (Ok(2), 1));
        assert_eq!(queue.peek_timeout(SHORT), Ok(2));
        queue.get();
        assert_eq!(queue.peek_timeout(SHORT), Err(GetError::Empty));
        assert_eq!(queue.get_timeout(SHORT), Err(GetError::Empty));
        assert_eq!(GetError::Empty.to_string(), "queue empty");
    });
}

#[test]
fn a_getter_that_gives_up_or_is_killed_takes_no_item_along() {
    test(|| {
        let queue = Arc::new(Queue::<u32>::unbounded());
        let (one, other) = (Arc::clone(&queue), Arc::clone(&queue));
        let killed = waiting(move || one.get());
        let late = waiting(move || other.get_timeout(SHORT));
        killed.kill();
        assert_eq!(late.get().unwrap(), Err(GetError::Empty));
        queue.put(7).unwrap();
        assert_eq!((queue.len(), queue.try_get()), (1, Ok(7)));
    });
}

#[test]
fn shutdown_refuses_puts_and_gives_out_what_is_left() {
    test(|| {
        let queue = Arc::new(Queue::with_items(2, [1, 2]));
        let theirs = Arc::clone(&queue);
        let putter = waiting(move || theirs.put(3));
        queue.shutdown(false);
        assert_eq!(putter.get().unwrap(), Err(PutError::Closed(3)), "also of one that waits");
        assert!(queue.is_closed());
        assert_eq!(queue.try_put(4), Err(PutError::Closed(4)));
        assert_eq!(queue.put_timeout(4, LONG).unwrap_err().into_inner(), 4);
        assert_eq!((queue.get(), queue.try_get()), (Some(1), Ok(2)));
        assert_eq!((queue.get(), queue.try_get()), (None, Err(GetError::Closed)));
        assert_eq!(queue.get_timeout(LONG), Err(GetError::Closed));
        assert_eq!(queue.peek(), None);
        queue.shutdown(false);
        assert_eq!(GetError::Closed.to_string(), "queue closed");
        assert_eq!(PutError::Closed(0).to_string(), "queue closed");
        assert_eq!(PutError::Full(0).to_string(), "queue full");
    });
}

#[test]
fn shutdown_wakes_getters_that_wait() {
    test(|| {
        for immediate in [false, true] {
            let queue = Arc::new(Queue::<u32>::unbounded());
            let getters: Vec<_> = (0..3)
                .map(|_| {
                    let queue = Arc::clone(&queue);
                    waiting(move || queue.get())
                })
                .collect();
            queue.shutdown(immediate);
            assert_eq!(green::joinall(getters).unwrap(), [None; 3]);
        }
    });
}

#[test]
fn immediate_shutdown_drops_what_is_left_and_ends_the_joins() {
    test(|| {
        let queue = Arc::new(JoinableQueue::with_items(8, [1, 2, 3]));
        assert_eq!(queue.get(), Some(1));
        let theirs = Arc::clone(&queue);
        let joiner = waiting(move || theirs.join());
        queue.shutdown(true);
        assert_eq!((queue.len(), queue.get(), queue.unfinished()), (0, None, 1));
        assert!(!joiner.ready(), "one is still worked on");
        queue.task_done();
        joiner.get().unwrap();
        queue.shutdown(true);
        let another = Queue::with_items(8, [1, 2]);
        assert_eq!(another.close_now(), [1, 2]);
    });
}

#[test]
fn a_joinable_queue_is_joined_when_all_is_done() {
    test(|| {
        let queue = Arc::new(JoinableQueue::bounded(4));
        queue.join();
        assert!(queue.join_timeout(Duration::ZERO), "nothing was put");
        queue.put(1).unwrap();
        queue.put(2).unwrap();
        let theirs = Arc::clone(&queue);
        let joiner = waiting(move || theirs.join());
        until_it(joiner.coroutine(), "waits for a queue to be done");
        assert_eq!((queue.get(), queue.get()), (Some(1), Some(2)));
        assert_eq!(queue.unfinished(), 2);
        assert!(!queue.join_timeout(SHORT));
        queue.task_done();
        assert!(!joiner.ready());
        queue.task_done();
        joiner.get().unwrap();
        assert!(queue.join_timeout(LONG));
        assert!(green::spawn(move || queue.task_done()).get().is_err(), "once too often");
    });
}

#[test]
fn iteration_ends_when_the_queue_is_closed_and_empty() {
    test(|| {
        let queue = Arc::new(SimpleQueue::unbounded());
        let theirs = Arc::clone(&queue);
        let reader = waiting(move || {
            let mut sum = 0;
            for item in &*theirs {
                sum += item;
            }
            sum
        });
        for n in 1..=100 {
            queue.put(n).unwrap();
        }
        queue.close();
        assert_eq!(reader.get().unwrap(), 5050);
        assert_eq!(queue.iter().next(), None);
    });
}

#[test]
fn several_that_iterate_share_the_items() {
    test(|| {
        let queue = Arc::new(Queue::bounded(2));
        let readers: Vec<_> = (0..3)
            .map(|_| {
                let queue = Arc::clone(&queue);
                green::spawn(move || queue.iter().collect::<Vec<u32>>())
            })
            .collect();
        (0..300).for_each(|n| queue.put(n).unwrap());
        queue.shutdown(false);
        let mut all: Vec<_> = green::joinall(readers).unwrap().concat();
        all.sort_unstable();
        assert_eq!(all, (0..300).collect::<Vec<_>>());
    });
}

#[test]
fn a_channel_hands_over_from_one_to_the_other() {
    test(|| {
        let channel = Arc::new(Channel::new());
        assert_eq!(channel.balance(), 0);
        assert_eq!(channel.try_put(1), Err(PutError::Full(1)));
        assert_eq!(channel.try_get(), Err(GetError::Empty));
        assert_eq!(channel.put_timeout(1, SHORT), Err(PutError::Full(1)));
        assert_eq!(channel.get_timeout(SHORT), Err(GetError::Empty));
        let theirs = Arc::clone(&channel);
        let putter = waiting(move || theirs.put(5));
        assert_eq!((channel.balance(), putter.ready()), (1, false));
        assert_eq!(channel.get(), Some(5));
        assert_eq!(putter.get().unwrap(), Ok(()));
        let theirs = Arc::clone(&channel);
        let getter = waiting(move || theirs.get());
        assert_eq!(channel.balance(), -1);
        channel.close();
        assert_eq!(getter.get().unwrap(), None);
        assert_eq!(channel.put(6), Err(PutError::Closed(6)));
        assert_eq!(channel.iter().next(), None);
        assert!(channel.is_closed());
    });
}
