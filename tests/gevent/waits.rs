//! `gevent.wait` and `gevent.iwait`, over mixed objects.

use std::sync::Arc;
use std::time::Duration;

use zinx::green::{self, AsyncResult, BoundedSemaphore, Builder, Channel, Event, Group, Queue, Semaphore};

use super::common::coroutines::LONG;
use super::{SHORT, endless, test, until_it, waiting};

const ALL: usize = usize::MAX;

#[test]
fn everything_that_can_be_waited_for_can_be_waited_for_together() {
    test(|| {
        let (event, result, queue) =
            (Event::new(), AsyncResult::<u32>::new(), Arc::new(Queue::<u32>::bounded(1)));
        let (semaphore, bounded, group) = (Semaphore::new(0), BoundedSemaphore::new(1), Group::new());
        let channel = Arc::new(Channel::<u32>::new());
        let greenlet = green::spawn(|| 1);
        greenlet.join();
        event.set();
        result.set(1);
        queue.put(1).unwrap();
        semaphore.release();
        channel.close();
        let coroutine = greenlet.coroutine();
        let ready = green::wait(
            &[&event, &result, &*queue, &semaphore, &bounded, &group, &*channel, &greenlet, coroutine],
            ALL,
        );
        assert_eq!(ready, [0, 1, 2, 3, 4, 5, 6, 7, 8]);
        // Nothing was taken.
        assert_eq!((queue.len(), semaphore.available(), bounded.available()), (1, 1, 1));
        assert_eq!(greenlet.get().unwrap(), 1);
    });
}

#[test]
fn wait_returns_as_many_as_were_asked_for() {
    test(|| {
        let (one, two, three) = (Event::new(), Event::new(), Event::new());
        one.set();
        three.set();
        assert_eq!(green::wait(&[&one, &two, &three], 1), [0]);
        assert_eq!(green::wait(&[&two, &three, &one], 1), [1]);
        assert_eq!(green::wait(&[&one, &two, &three], 2), [0, 2]);
        assert_eq!(green::wait(&[&one, &two, &three], 0), [0; 0]);
        assert_eq!(green::wait(&[], ALL), [0; 0]);
        assert_eq!(green::wait_timeout(&[&one, &two, &three], 3, SHORT), [0, 2]);
        two.set();
        assert_eq!(green::wait(&[&one, &two, &three], 9), [0, 1, 2]);
    });
}

#[test]
fn wait_waits_and_says_in_which_order_they_came() {
    test(|| {
        let (queue, event) = (Arc::new(Queue::<u32>::bounded(1)), Arc::new(Event::new()));
        let (theirs, too) = (Arc::clone(&queue), Arc::clone(&event));
        let waiter = waiting(move || {
            let never = endless();
            let ready = green::wait(&[&never, &*theirs, &*too], 2);
            never.kill();
            ready
        });
        until_it(waiter.coroutine(), "waits for the first of several");
        event.set();
        // It has taken note of the event when it waits again.
        until_it(waiter.coroutine(), "waits for the first of several");
        queue.put(1).unwrap();
        let mut ready = waiter.get().unwrap();
        ready.sort_unstable();
        assert_eq!(ready, [1, 2]);
        assert_eq!(queue.len(), 1);
    });
}

#[test]
fn a_wait_that_is_too_long_returns_what_is_ready() {
    test(|| {
        let (never, set) = (Event::new(), Event::new());
        assert_eq!(green::wait_timeout(&[&never], ALL, SHORT), [0; 0]);
        assert_eq!(green::wait_timeout(&[&never, &set], ALL, Duration::ZERO), [0; 0]);
        set.set();
        assert_eq!(green::wait_timeout(&[&never, &set], ALL, Duration::ZERO), [1]);
        assert_eq!(green::wait_timeout(&[&never, &set], 1, Duration::MAX), [1]);
    });
}

#[test]
fn iwait_any_gives_them_one_by_one_each_once() {
    test(|| {
        let (first, second, third) = (Event::new(), Semaphore::new(0), Queue::<u32>::unbounded());
        let mut ready = green::iwait_any(&[&first, &second, &third]);
        third.put(1).unwrap();
        assert_eq!(ready.next(), Some(2));
        third.put(2).unwrap();
        first.set();
        assert_eq!(ready.next(), Some(0));
        second.release();
        assert_eq!((ready.next(), ready.next(), ready.next()), (Some(1), None, None));
        let mut limited = green::iwait_any(&[&first, &third]).count(1);
        assert_eq!((limited.next(), limited.next()), (Some(0), None));
        let never = Event::new();
        let mut late = green::iwait_any(&[&never, &first]).timeout(SHORT);
        assert_eq!((late.next(), late.next()), (Some(1), None));
        assert!(format!("{late:?}").contains("left: 1"));
    });
}

#[test]
fn a_wait_that_is_killed_leaves_no_trace() {
    test(|| {
        let queue = Arc::new(Queue::<u32>::unbounded());
        let theirs = Arc::clone(&queue);
        let waiter = waiting(move || green::wait(&[&*theirs], ALL));
        waiter.kill();
        queue.put(1).unwrap();
        assert_eq!((queue.len(), queue.try_get()), (1, Ok(1)));
        let limited = green::with_timeout(SHORT, || green::wait(&[&*queue], ALL));
        assert!(limited.is_err());
    });
}

#[test]
fn greenlets_come_in_the_order_in_which_they_end() {
    test(|| {
        let gates: Vec<_> = (0..3).map(|_| Arc::new(Event::new())).collect();
        let greenlets: Vec<_> = gates
            .iter()
            .enumerate()
            .map(|(n, gate)| {
                let gate = Arc::clone(gate);
                green::spawn(move || {
                    gate.wait();
                    n
                })
            })
            .collect();
        let mut ended = green::iwait(greenlets);
        for n in [2, 0, 1] {
            gates[n].set();
            assert_eq!(ended.next().unwrap().get().unwrap(), n);
        }
        assert!(ended.next().is_none());
    });
}

#[test]
fn a_group_is_ready_when_nobody_is_in_it() {
    test(|| {
        let (group, gate) = (Group::new(), Arc::new(Event::new()));
        let theirs = Arc::clone(&gate);
        group.spawn(Builder::new(), move || theirs.wait()).unwrap();
        assert_eq!(green::wait_timeout(&[&group], 1, SHORT), [0; 0]);
        gate.set();
        assert_eq!(green::wait_timeout(&[&group], 1, LONG), [0]);
        assert_eq!(green::wait_any(&[&group]), 0);
        assert_eq!(green::wait_any_timeout(&[&Event::new()], SHORT), None);
    });
}

#[test]
fn joinall_and_killall_look_after_many() {
    test(|| {
        assert_eq!(green::joinall((0..4).map(|n| green::spawn(move || n))).unwrap(), [0, 1, 2, 3]);
        let fails = green::spawn(|| std::panic::resume_unwind(Box::new("first")));
        let stuck = [endless(), endless()];
        assert!(green::joinall([fails]).is_err());
        assert!(!green::joinall_timeout(&stuck, SHORT));
        green::killall(&stuck);
        assert!(stuck.iter().all(|one| one.ready() && !one.successful()));
        assert!(green::joinall_timeout(&stuck, Duration::ZERO));
    });
}
