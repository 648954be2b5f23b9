//! Generators: the body runs only when a value is asked for, and ends when none will be asked for any more.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::common::coroutines::{LONG, within};
use crate::common::wait_until;
use zinx::green::generator::Generator;
use zinx::green::{self, Event};

#[test]
fn a_generator_gives_its_values_to_a_loop_on_a_thread_and_in_a_coroutine() {
    within(30, || {
        let squares = || Generator::<u64>::new(|out| out.yield_from((0..5).map(|n| n * n)));
        assert_eq!(squares().collect::<Vec<_>>(), [0, 1, 4, 9, 16]);
        assert_eq!(green::run(move || squares().sum::<u64>()), 30);
        let chained = Generator::<u64>::new(move |out| {
            out.yield_from(squares());
            out.yield_from([100]);
        });
        assert_eq!(chained.sum::<u64>(), 130, "a generator feeds a generator");
    });
}

#[test]
fn the_body_runs_only_while_its_consumer_waits() {
    within(30, || {
        let steps = Arc::new(AtomicUsize::new(0));
        let theirs = Arc::clone(&steps);
        let mut generator = Generator::<usize>::new(move |out| {
            loop {
                let step = theirs.fetch_add(1, Ordering::AcqRel);
                out.yield_(step);
            }
        });
        green::sleep(Duration::from_millis(2));
        assert_eq!(steps.load(Ordering::Acquire), 0, "it begins with the first value asked for");
        assert_eq!(generator.next(), Some(0));
        green::sleep(Duration::from_millis(2));
        assert_eq!(steps.load(Ordering::Acquire), 1);
        assert_eq!(generator.next(), Some(1));
    });
}

#[test]
fn what_is_sent_is_what_yield_returns() {
    within(30, || {
        let mut echo = Generator::new(|out| {
            let mut heard = out.yield_(String::new());
            while let Some(text) = heard {
                heard = out.yield_(format!("{text}!"));
            }
        });
        let too_early = catch_unwind(AssertUnwindSafe(|| echo.send("early")));
        assert!(too_early.is_err());
        assert_eq!(echo.next().as_deref(), Some(""));
        assert_eq!(echo.send("one").as_deref(), Some("one!"));
        assert_eq!(echo.send("two").as_deref(), Some("two!"));
        assert_eq!(echo.next(), None);
        assert_eq!((echo.next(), echo.send("late")), (None, None));
    });
}

#[test]
fn closed_or_dropped_the_body_unwinds_and_its_destructors_run() {
    within(30, || {
        let ended = Arc::new(Event::new());
        let endless = || {
            let set = SetOnDrop(Arc::clone(&ended));
            Generator::<u64>::new(move |out| {
                let _set = set;
                out.yield_from(0..);
            })
        };
        let mut closed = endless();
        assert_eq!(closed.next(), Some(0));
        assert!(!ended.is_set());
        closed.close();
        assert!(ended.is_set(), "close waits for the body");
        closed.close();
        assert_eq!(closed.next(), None);

        ended.clear();
        let mut dropped = endless();
        assert_eq!(dropped.next(), Some(0));
        drop(dropped);
        assert!(ended.wait_timeout(LONG));

        ended.clear();
        drop(endless());
        assert!(ended.is_set(), "a body that has not begun is dropped");
        ended.clear();
        assert_eq!(endless().take(3).collect::<Vec<_>>(), [0, 1, 2]);
        assert!(ended.wait_timeout(LONG));
    });
}

#[test]
fn a_panic_of_the_body_goes_on_in_the_consumer() {
    within(30, || {
        let mut generator = Generator::<u64>::new(|out| {
            out.yield_(1);
            panic!("on purpose");
        });
        assert_eq!(generator.next(), Some(1));
        let panicked = catch_unwind(AssertUnwindSafe(|| generator.next()));
        assert_eq!(panicked.unwrap_err().downcast_ref::<&str>(), Some(&"on purpose"));
        assert_eq!(generator.next(), None);
    });
}

#[test]
fn the_body_may_wait_and_the_consumer_may_change() {
    within(30, || {
        let mut generator = Generator::<u64>::new(|out| {
            for n in 0..10 {
                green::sleep(Duration::from_micros(200));
                out.yield_(n);
            }
        });
        assert_eq!(generator.next(), Some(0));
        let (next, generator) = green::run(move || (generator.next(), generator));
        assert_eq!(next, Some(1));
        assert_eq!(generator.sum::<u64>(), 44);
    });
}

struct SetOnDrop(Arc<Event>);

impl Drop for SetOnDrop {
    fn drop(&mut self) {
        self.0.set();
    }
}

#[test]
fn a_step_cut_short_goes_on_with_the_next() {
    within(60, || {
        green::run(|| {
            let gate = Gate::default();
            let theirs = gate.clone();
            let mut sums = Generator::<u32, u32>::new(move |out| {
                let mut sum = 0;
                while let Some(n) = out.yield_(sum) {
                    theirs.pass();
                    sum += n;
                }
            });
            assert_eq!(sums.next(), Some(0));
            assert!(green::with_timeout(SOON, || sums.send(3)).is_err());
            assert!(green::with_timeout(SOON, || sums.send(100)).is_err(), "still the same step");
            gate.open();
            assert_eq!(sums.send(1000), Some(3), "it gives what was late, and nothing else was sent");
            gate.open();
            assert_eq!(sums.send(4), Some(7));
            assert_eq!(sums.next(), None);
        });
    });
}

#[test]
fn a_first_step_and_a_last_one_that_are_cut_short_go_on_too() {
    within(60, || {
        green::run(|| {
            let gate = Gate::default();
            let theirs = gate.clone();
            let mut slow = Generator::<u32>::new(move |out| {
                theirs.pass();
                out.yield_(1);
                theirs.pass();
                panic!("at the end");
            });
            assert!(green::with_timeout(SOON, || slow.next()).is_err());
            gate.open();
            assert_eq!(slow.next(), Some(1));
            assert!(green::with_timeout(SOON, || slow.next()).is_err());
            gate.open();
            let panicked = catch_unwind(AssertUnwindSafe(|| slow.next())).unwrap_err();
            assert_eq!(*panicked.downcast::<&str>().unwrap(), "at the end");
            assert_eq!(slow.next(), None);
        });
    });
}

#[test]
fn a_body_whose_yield_is_cut_short_goes_on_in_turns() {
    within(60, || {
        let steps = Arc::new(AtomicUsize::new(0));
        let theirs = Arc::clone(&steps);
        let mut numbers = Generator::<usize>::new(move |out| {
            for n in 0..4 {
                theirs.store(n, Ordering::Release);
                let limit = if n == 0 { Duration::from_millis(5) } else { Duration::MAX };
                // The first is given, and then the next is not asked for in time.
                let _ = green::with_timeout(limit, || out.yield_(n));
            }
        });
        assert_eq!(numbers.next(), Some(0));
        wait_until("the limit", || steps.load(Ordering::Acquire) == 1);
        for expected in 1..4 {
            assert_eq!(numbers.next(), Some(expected));
            green::sleep(Duration::from_millis(5));
            assert_eq!(steps.load(Ordering::Acquire), expected, "it waits until it is asked");
        }
        assert_eq!(numbers.next(), None);
    });
}

#[test]
fn a_close_cut_short_can_be_waited_for_again() {
    within(60, || {
        green::run(|| {
            let (gate, ended) = (Gate::default(), Arc::new(AtomicUsize::new(0)));
            let (theirs, tell) = (gate.clone(), Arc::clone(&ended));
            let mut generator = Generator::<u32>::new(move |out| {
                let _ = catch_unwind(AssertUnwindSafe(|| out.yield_(1)));
                theirs.pass();
                tell.store(1, Ordering::Release);
            });
            assert_eq!(generator.next(), Some(1));
            assert!(green::with_timeout(SOON, || generator.close()).is_err());
            gate.open();
            generator.close();
            assert_eq!(ended.load(Ordering::Acquire), 1, "waited for");
            generator.close();
        });
    });
}

/// Lets a body pass once each time it is opened.
#[derive(Clone, Default)]
struct Gate(Arc<Event>);

impl Gate {
    fn pass(&self) {
        self.0.wait();
        self.0.clear();
    }

    fn open(&self) {
        self.0.set();
    }
}

const SOON: Duration = Duration::from_millis(5);
