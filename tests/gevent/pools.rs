//! `gevent.pool`: `Group` and `Pool`.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use zinx::green::{self, Builder, Event, Failed, Greenlet, Group, Pool};

use super::common::coroutines::LONG;
use super::{Count, SHORT, comes_true, endless, test, waiting};

fn ouch() {
    std::panic::resume_unwind(Box::new("ouch"));
}

fn gate() -> (Arc<Event>, impl Fn() -> u32 + Clone + Send + Sync + 'static) {
    let gate = Arc::new(Event::new());
    let waits = Arc::clone(&gate);
    let wait = move || {
        waits.wait();
        1
    };
    (gate, wait)
}

fn values<T>(results: Vec<Result<T, Failed>>) -> Vec<T> {
    results.into_iter().map(Result::unwrap).collect()
}

#[test]
fn a_group_takes_members_in_and_lets_them_go() {
    test(|| {
        let group = Group::new();
        let (one, other) = (endless(), endless());
        assert!(group.is_empty());
        assert!(group.add(one.coroutine()) && group.add(other.coroutine()));
        assert!(!group.add(one.coroutine()), "it is one already");
        assert_eq!(group.len(), 2);
        assert!(group.contains(one.coroutine()));
        let members: Vec<_> = (&group).into_iter().collect();
        assert!(members.contains(one.coroutine()) && members.contains(other.coroutine()));
        assert!(group.discard(one.coroutine()));
        assert!(!group.discard(one.coroutine()) && !group.contains(one.coroutine()));
        group.kill();
        assert!(other.ready() && !one.ready(), "one that was let go is not ended");
        assert!(!group.killone(one.coroutine()));
        assert!(group.add(one.coroutine()));
        assert!(group.killone(one.coroutine()));
        assert!(one.ready());
        group.join();
        group.add(one.coroutine());
        assert!(group.is_empty(), "one that has ended is no member");
    });
}

#[test]
fn places_of_those_let_go_are_not_mixed_up() {
    test(|| {
        let group = Group::new();
        let first = endless();
        group.add(first.coroutine());
        group.discard(first.coroutine());
        let second = endless();
        group.add(second.coroutine());
        first.kill();
        assert!(group.contains(second.coroutine()), "the end of one is not that of another");
        assert!(!group.join_timeout(SHORT));
        second.kill();
        assert!(group.join_timeout(LONG));
    });
}

#[test]
fn a_group_runs_work_and_hands_back_handles() {
    test(|| {
        let group = Group::new();
        let (open, wait) = gate();
        let handle = group.apply_async(wait);
        assert_eq!((group.len(), group.contains(handle.coroutine())), (1, true));
        open.set();
        assert_eq!(handle.get().unwrap(), 1);
        assert_eq!(group.apply(|| 5).unwrap(), 5);
        assert!(matches!(group.apply(ouch), Err(Failed::Panicked(_))));
        assert_eq!(values(group.map(0..4, |n| n * n)), [0, 1, 4, 9]);
        assert_eq!(values(group.map_async(0..4, |n| n + 1).get().unwrap()), [1, 2, 3, 4]);
        assert_eq!(values(group.imap(0..4, |n| n + 2).collect()), [2, 3, 4, 5]);
        let mut unordered = values(group.imap_unordered(0..4, |n| n + 3).collect());
        unordered.sort_unstable();
        assert_eq!(unordered, [3, 4, 5, 6]);
        assert_eq!(values(group.imap(0..9, |n| n).look_ahead(1).collect()), (0..9).collect::<Vec<_>>());
        group.join();
        assert!(group.is_empty());
    });
}

#[test]
fn an_error_in_map_stays_in_its_place() {
    test(|| {
        let results = Group::new().map(0..3, |n| {
            if n == 1 {
                ouch()
            }
        });
        let ok: Vec<_> = results.iter().map(Result::is_ok).collect();
        assert_eq!(ok, [true, false, true]);
        let results = Pool::new(2).map(0..3, |n| {
            if n == 2 {
                ouch()
            }
        });
        let ok: Vec<_> = results.iter().map(Result::is_ok).collect();
        assert_eq!(ok, [true, true, false]);
    });
}

#[test]
fn join_raise_error_tells_of_one_that_panicked() {
    test(|| {
        let (group, pool) = (Group::new(), Pool::new(4));
        assert!(group.join_raise_error().is_ok() && pool.join_raise_error().is_ok());
        let (open, wait) = gate();
        group.apply_async(wait.clone());
        let waits = wait.clone();
        group
            .spawn(Builder::new().name("unlucky"), move || {
                waits();
                ouch();
            })
            .unwrap();
        pool.spawn(move || {
            wait();
            ouch();
        });
        let joins = group.clone();
        let joiner = waiting(move || joins.join_raise_error());
        let joins = pool.clone();
        let other = waiting(move || joins.join_raise_error());
        open.set();
        let failed = joiner.get().unwrap().unwrap_err();
        assert_eq!(failed.coroutine.name(), "unlucky");
        assert!(failed.to_string().ends_with("\"unlucky\" panicked"));
        assert!(other.get().unwrap().is_err());
        let killed = endless();
        group.add(killed.coroutine());
        killed.kill();
        assert!(group.join_raise_error().is_ok(), "a kill is no failure");
    });
}

#[test]
fn a_pool_of_two_has_two_places() {
    test(|| {
        let pool = Pool::new(2);
        assert_eq!((pool.size(), pool.free_count(), pool.is_full()), (2, 2, false));
        let (open, wait) = gate();
        let one = pool.spawn(wait.clone());
        assert_eq!((pool.free_count(), pool.wait_available()), (1, 1));
        let two = pool.spawn(wait.clone());
        assert_eq!((pool.free_count(), pool.is_full(), pool.len()), (0, true, 2));
        assert!(pool.try_spawn(wait.clone()).is_err());
        assert_eq!(pool.wait_available_timeout(SHORT), 0);
        assert_eq!(pool.wait_available_timeout(Duration::ZERO), 0);
        let theirs = pool.clone();
        let available = waiting(move || theirs.wait_available());
        let theirs = pool.clone();
        let third = waiting(move || theirs.spawn(wait).get().unwrap());
        open.set();
        assert_eq!((one.get().unwrap(), two.get().unwrap(), third.get().unwrap()), (1, 1, 1));
        assert!(available.get().unwrap() > 0);
        pool.join();
        assert_eq!((pool.free_count(), pool.is_empty()), (2, true));
    });
}

#[test]
fn a_pool_of_none_is_one_of_one_and_an_unlimited_one_is_never_full() {
    test(|| {
        assert_eq!(Pool::new(0).size(), 1);
        let pool = Pool::unlimited();
        let (open, wait) = gate();
        let many: Vec<_> = (0..200).map(|_| pool.spawn(wait.clone())).collect();
        assert_eq!((pool.len(), pool.is_full()), (200, false));
        assert!(pool.wait_available() > 1 << 20);
        open.set();
        assert_eq!(green::joinall(many).unwrap().len(), 200);
        assert_eq!(values(pool.imap(0..50, |n| n).collect()), (0..50).collect::<Vec<_>>());
        pool.join();
        assert_eq!(pool.free_count(), usize::MAX);
    });
}

#[test]
fn members_from_elsewhere_take_a_place_until_they_end_or_are_let_go() {
    test(|| {
        let pool = Pool::new(1);
        let (one, other) = (endless(), endless());
        assert!(pool.add(one.coroutine()));
        assert!(!pool.add(one.coroutine()) && pool.is_full());
        assert!(!pool.add_timeout(other.coroutine(), SHORT), "there is no place");
        assert!(pool.discard(one.coroutine()));
        assert!(!pool.discard(one.coroutine()) && !pool.is_full());
        assert!(pool.add_timeout(other.coroutine(), SHORT));
        assert!(!pool.add_timeout(other.coroutine(), SHORT), "it is one already");
        let theirs = pool.clone();
        let adds = one.coroutine().clone();
        let waiter = waiting(move || theirs.add(&adds));
        assert!(!waiter.ready());
        assert!(pool.killone(other.coroutine()));
        assert!(waiter.get().unwrap());
        assert_eq!(pool.coroutines(), [one.coroutine().clone()]);
        assert_eq!((&pool).into_iter().count(), 1);
        pool.kill();
        assert!(one.ready());
        assert_eq!((pool.free_count(), pool.len()), (1, 0));
        pool.add(one.coroutine());
        assert_eq!((pool.free_count(), pool.len()), (1, 0), "one that has ended takes no place");
    });
}

#[test]
fn apply_runs_inline_for_a_member_and_waits_for_others() {
    test(|| {
        let pool = Pool::new(1);
        assert_eq!(pool.apply(|| 3).unwrap(), 3);
        let theirs = pool.clone();
        let nested = pool.apply(move || {
            let (me, inner) =
                (green::current().unwrap(), theirs.apply(|| green::current().unwrap()).unwrap());
            (me == inner, theirs.apply(ouch).is_err())
        });
        assert_eq!(nested.unwrap(), (true, true));
        assert!(matches!(pool.apply(ouch), Err(Failed::Panicked(_))));
        assert_eq!(pool.free_count(), 1);
    });
}

#[test]
fn apply_async_never_waits_for_a_place() {
    test(|| {
        let pool = Pool::new(1);
        let (open, wait) = gate();
        let first = pool.spawn(wait);
        let later: Vec<_> = (0..3).map(|n| pool.apply_async(move || n)).collect();
        assert!(later.iter().all(|one: &Greenlet<i32>| !one.ready()));
        assert_eq!(pool.len(), 1);
        open.set();
        first.get().unwrap();
        assert_eq!(green::joinall(later).unwrap(), [0, 1, 2]);
        let blocked = pool.spawn(|| Event::new().wait());
        let victim = pool.apply_async(|| 1);
        victim.kill();
        blocked.kill();
        assert!(victim.get().is_err());
        pool.join();
        assert_eq!(pool.free_count(), 1);
    });
}

#[test]
fn map_keeps_the_order_and_no_more_than_the_size_work_at_once() {
    test(|| {
        let pool = Pool::new(3);
        let (now, most) = (Count::default(), Arc::new(Mutex::new(0)));
        let peak = Arc::clone(&most);
        let working = Arc::new(Mutex::new(0));
        let results = pool.map(0..30, move |n| {
            let at_once = {
                let mut working = working.lock().unwrap();
                *working += 1;
                *working
            };
            let mut peak_now = peak.lock().unwrap();
            *peak_now = at_once.max(*peak_now);
            drop(peak_now);
            green::sleep(Duration::from_micros(500));
            *working.lock().unwrap() -= 1;
            now.up();
            n
        });
        assert_eq!(values(results), (0..30).collect::<Vec<_>>());
        assert!((1..=3).contains(&*most.lock().unwrap()));
        let theirs = pool.clone();
        assert_eq!(values(pool.map_async(0..3, |n| n).get().unwrap()), [0, 1, 2]);
        assert_eq!(theirs.free_count(), 3);
    });
}

#[test]
fn imap_is_never_further_ahead_than_it_may_be() {
    test(|| {
        let (pool, begun) = (Pool::new(8), Count::default());
        let begins = begun.clone();
        let mut results = pool.imap(0..20, move |n| {
            begins.up();
            n
        });
        results = results.look_ahead(2);
        assert_eq!(begun.get(), 0, "lazy");
        assert_eq!(results.next().unwrap().unwrap(), 0);
        comes_true(|| begun.get() >= 2);
        assert!(begun.get() <= 3, "{}", begun.get());
        assert_eq!(values(results.collect()), (1..20).collect::<Vec<_>>());
        assert!(pool.imap(0..0, |n: i32| n).next().is_none());
    });
}

#[test]
fn kill_of_a_pool_ends_its_members_with_a_time_limit_or_without() {
    test(|| {
        let pool = Pool::new(2);
        let (one, two) = (pool.spawn(|| Event::new().wait()), pool.spawn(|| Event::new().wait()));
        assert!(!pool.join_timeout(SHORT));
        assert!(pool.kill_timeout(LONG));
        assert!(one.ready() && two.ready());
        pool.kill();
        assert!(pool.join_timeout(Duration::ZERO));
        assert_eq!(pool.apply(|| 1).unwrap(), 1, "it can be used on");
    });
}

#[test]
fn a_pool_is_joined_when_its_members_have_ended_and_the_calls_linked_to_them() {
    test(|| {
        for is_apply in [false, true] {
            let pool = Pool::new(1);
            let [start, called, go_on] = [(); 3].map(|()| Arc::new(Event::new()));
            let waits = Arc::clone(&start);
            let body = move || waits.wait();
            let one = if is_apply { pool.apply_async(body) } else { pool.spawn(body) };
            comes_true(|| pool.len() == 1);
            let (tells, waits) = (Arc::clone(&called), Arc::clone(&go_on));
            one.link(move |_| {
                tells.set();
                waits.wait();
            });
            start.set();
            called.wait();
            assert_eq!(pool.free_count(), 1, "its place is free as soon as the body has ended");
            assert!(!pool.join_timeout(SHORT) && !one.ready());
            go_on.set();
            pool.join();
            assert!(one.ready() && pool.is_empty());
        }
    });
}

#[test]
fn nobody_is_a_member_who_has_ended_and_everybody_who_has_not() {
    test(|| {
        for _ in 0..2000 {
            let group = Group::new();
            let one = group.apply_async(|| ());
            while !group.is_empty() {
                std::hint::spin_loop();
            }
            assert!(one.ready());
            let other = group.apply_async(|| ());
            while !other.ready() {
                std::hint::spin_loop();
            }
            assert!(group.is_empty());
        }
    });
}
