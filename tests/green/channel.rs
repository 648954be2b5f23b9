//! A channel: putter and getter meet, no item is lost, none is delivered twice.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use crate::common::coroutines::{LONG, within};
use crate::common::random::{Random, all_at_once, with_seeds};
use crate::common::wait_until;
use zinx::green::{self, Channel, GetError, PutError};

#[test]
fn put_returns_when_a_getter_has_the_item() {
    within(30, || {
        let channel = Arc::new(Channel::new());
        assert_eq!(channel.try_put(1), Err(PutError::Full(1)), "none waits");
        assert_eq!(channel.put_timeout(1, Duration::from_millis(2)), Err(PutError::Full(1)));
        assert_eq!(channel.try_get(), Err(GetError::Empty), "a putter that gave up leaves nothing");
        let theirs = Arc::clone(&channel);
        let putter = green::spawn(move || theirs.put(2));
        wait_until("the putter waits", || channel.balance() == 1);
        assert!(!putter.ready());
        assert_eq!(channel.get(), Some(2));
        putter.get().unwrap().unwrap();
    });
}

#[test]
fn a_getter_that_waits_is_given_an_item_without_waiting() {
    within(30, || {
        let channel = Arc::new(Channel::new());
        assert_eq!(channel.get_timeout(Duration::from_millis(2)), Err(GetError::Empty));
        let theirs = Arc::clone(&channel);
        let getter = thread::spawn(move || theirs.get_timeout(LONG));
        wait_until("the getter waits", || channel.balance() == -1);
        channel.try_put(3).unwrap();
        assert_eq!(getter.join().unwrap(), Ok(3));
        assert_eq!(channel.balance(), 0);
    });
}

#[test]
fn getters_are_served_in_the_order_in_which_they_came() {
    within(30, || {
        let channel = Arc::new(Channel::new());
        let getters: Vec<_> = (1..=5)
            .map(|n: isize| {
                let theirs = Arc::clone(&channel);
                let getter = green::spawn(move || theirs.get());
                wait_until("it waits", || channel.balance() == -n);
                getter
            })
            .collect();
        (0..5).for_each(|n| channel.try_put(n).unwrap());
        for (n, getter) in (0..).zip(getters) {
            assert_eq!(getter.get().unwrap(), Some(n));
        }
    });
}

#[test]
fn a_closed_channel_gives_the_items_back_and_wakes_everybody() {
    within(30, || {
        let (offered, wished) = (Arc::new(Channel::new()), Arc::new(Channel::<i32>::new()));
        let theirs = Arc::clone(&offered);
        let putter = green::spawn(move || theirs.put(1));
        let theirs = Arc::clone(&wished);
        let getter = green::spawn(move || theirs.get());
        wait_until("both wait", || (offered.balance(), wished.balance()) == (1, -1));
        offered.close();
        wished.close();
        wished.close();
        assert_eq!(putter.get().unwrap(), Err(PutError::Closed(1)));
        assert_eq!(getter.get().unwrap(), None);
        assert_eq!((offered.try_get(), offered.get()), (Err(GetError::Closed), None));
        assert_eq!(wished.try_put(2), Err(PutError::Closed(2)));
        assert!(wished.is_closed());
    });
}

#[test]
fn every_item_is_delivered_once_or_comes_back_under_random_schedules() {
    within(120, || with_seeds(20, check));
}

/// Putters that put each item until it is taken, and getters, of all kinds.
fn check(seed: u64) {
    const PUTTERS: u64 = 5;
    const ITEMS: u64 = 40;
    let channel = Arc::new(Channel::new());
    let theirs = Arc::clone(&channel);
    let getters = green::spawn(move || {
        all_at_once(4, move |getter| {
            let mut random = Random::new(seed * 100 + 50 + getter);
            let mut got = Vec::new();
            loop {
                random.pause();
                let item = match random.below(3) {
                    0 => theirs.get().ok_or(GetError::Closed),
                    1 => theirs.get_timeout(random.short()),
                    _ => theirs.try_get(),
                };
                match item {
                    Ok(item) => got.push(item),
                    Err(GetError::Empty) => {}
                    Err(GetError::Closed) => return got,
                }
            }
        })
    });
    let theirs = Arc::clone(&channel);
    all_at_once(PUTTERS, move |putter| {
        let mut random = Random::new(seed * 100 + putter);
        for n in 0..ITEMS {
            let mut item = (n, putter);
            loop {
                random.pause();
                let put = match random.below(3) {
                    0 => theirs.put(item),
                    1 => theirs.put_timeout(item, random.short()),
                    _ => theirs.try_put(item),
                };
                let Err(not_put) = put else { break };
                item = not_put.into_inner();
            }
        }
    });
    channel.close();
    let mut all: Vec<_> = getters.get().unwrap().concat();
    all.sort_unstable();
    let expected: Vec<_> = (0..ITEMS).flat_map(|n| (0..PUTTERS).map(move |putter| (n, putter))).collect();
    assert_eq!(all, expected, "seed {seed}");
}
