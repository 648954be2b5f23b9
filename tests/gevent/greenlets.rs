//! `gevent.Greenlet`, and what spawns and ends it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use zinx::green::{self, Builder, Event, Exit, Failed, Greenlet, Queue};

use super::common::coroutines::LONG;
use super::{Count, SHORT, comes_true, endless, test, waiting};

fn panics(words: &'static str) -> Greenlet<u32> {
    green::spawn(move || std::panic::resume_unwind(Box::new(words)))
}

#[test]
fn a_greenlet_runs_and_leaves_its_value() {
    test(|| {
        let greenlet = green::spawn(|| 42);
        greenlet.join();
        assert!(greenlet.ready() && greenlet.successful());
        assert_eq!(greenlet.coroutine().exit(), Some(Exit::Returned));
        assert_eq!(greenlet.get().unwrap(), 42);
        let failed = panics("ouch");
        failed.join();
        assert!(failed.ready() && !failed.successful());
        assert_eq!(failed.coroutine().exit(), Some(Exit::Panicked));
        assert_eq!(failed.get().unwrap_err().to_string(), "ouch");
        let runs = endless();
        assert!(!runs.ready() && !runs.join_timeout(SHORT));
        let runs = runs.get_timeout(SHORT).unwrap_err();
        let runs = runs.try_get().unwrap_err();
        runs.kill();
        assert!(matches!(runs.try_get().unwrap(), Err(Failed::Killed)));
    });
}

#[test]
fn a_link_is_called_once_with_the_value_before_the_joins_end() {
    test(|| {
        let (gate, seen) = (Arc::new(Event::new()), Arc::new(Mutex::new(Vec::new())));
        let waits = Arc::clone(&gate);
        let greenlet = green::spawn(move || {
            waits.wait();
            "done".to_string()
        });
        for n in 0..3 {
            let seen = Arc::clone(&seen);
            greenlet.link(move |result| seen.lock().unwrap().push((n, result.unwrap().clone())));
        }
        gate.set();
        greenlet.join();
        let all: Vec<_> = (0..3).map(|n| (n, "done".to_string())).collect();
        assert_eq!(*seen.lock().unwrap(), all);
        assert_eq!(greenlet.get().unwrap(), "done", "it is still there to be taken");
    });
}

#[test]
fn a_link_to_one_that_has_ended_is_called_at_once() {
    test(|| {
        let greenlet = green::spawn(|| 7);
        greenlet.join();
        let called = Count::default();
        for _ in 0..2 {
            let calls = called.clone();
            greenlet.link(move |result| {
                assert_eq!(*result.unwrap(), 7);
                calls.up();
            });
        }
        assert_eq!(called.get(), 2);
        let calls = called.clone();
        let link = greenlet.link_exception(move |_| calls.up());
        assert_eq!(called.get(), 2);
        assert!(!greenlet.unlink(&link), "it has been made");
        assert_eq!(greenlet.get().unwrap(), 7);
    });
}

#[test]
fn value_and_exception_links_are_called_for_theirs_only() {
    test(|| {
        let said = Arc::new(Queue::unbounded());
        let linked = |greenlet: Greenlet<u32>| {
            let (values, errors) = (Arc::clone(&said), Arc::clone(&said));
            greenlet.link_value(move |value| values.try_put(format!("value {value}")).unwrap());
            greenlet.link_exception(move |failed| errors.try_put(format!("error {failed}")).unwrap());
            greenlet.join();
            said.try_get().unwrap()
        };
        assert_eq!(linked(green::spawn(|| 1)), "value 1");
        assert_eq!(linked(panics("no")), "error no");
        let killed = waiting(|| {
            Event::new().wait();
            0
        });
        killed.kill();
        assert_eq!(linked(killed), "error killed");
        assert!(said.is_empty());
    });
}

#[test]
fn a_link_can_be_taken_back() {
    test(|| {
        let (gate, called) = (Arc::new(Event::new()), Count::default());
        let waits = Arc::clone(&gate);
        let greenlet = green::spawn(move || waits.wait());
        let (taken_back, stays) = (called.clone(), called.clone());
        let link = greenlet.link(move |_| taken_back.up());
        greenlet.link(move |_| stays.up());
        assert!(greenlet.unlink(&link));
        assert!(!greenlet.unlink(&link), "twice");
        let other = green::spawn(|| ());
        let foreign = other.link(|_| {});
        assert!(!greenlet.unlink(&foreign));
        gate.set();
        greenlet.join();
        assert_eq!(called.get(), 1);
    });
}

#[test]
fn all_links_can_be_taken_back_at_once_and_what_is_linked_later_is_called() {
    test(|| {
        let (gate, called) = (Arc::new(Event::new()), Count::default());
        let waits = Arc::clone(&gate);
        let greenlet = green::spawn(move || waits.wait());
        assert!(!greenlet.has_links());
        greenlet.unlink_all();
        let ups: Vec<_> = (0..5).map(|_| called.clone()).collect();
        let [one, two, three, at_exit, later] = ups.try_into().unwrap_or_else(|_| unreachable!());
        let link = greenlet.link(move |_| one.up());
        greenlet.link_value(move |()| two.up());
        greenlet.link_exception(move |_| three.up());
        greenlet.on_exit(move |_| at_exit.up());
        assert!(greenlet.has_links());
        greenlet.unlink_all();
        assert!(!greenlet.has_links() && !greenlet.unlink(&link), "it is gone with the others");
        greenlet.link(move |_| later.up());
        assert!(greenlet.has_links());
        gate.set();
        greenlet.join();
        comes_true(|| called.get() == 2);
        assert!(!greenlet.has_links(), "they have been called");
        greenlet.unlink_all();
        assert!(greenlet.get().is_ok());
    });
}

#[test]
fn a_link_that_panics_or_links_again_harms_nobody() {
    test(|| {
        let (gate, called) = (Arc::new(Event::new()), Count::default());
        let waits = Arc::clone(&gate);
        let greenlet = Arc::new(green::spawn(move || waits.wait()));
        let (again, calls) = (Arc::clone(&greenlet), called.clone());
        greenlet.link(|_| std::panic::resume_unwind(Box::new("on purpose")));
        greenlet.link(move |_| {
            let more = calls.clone();
            again.link(move |_| more.up());
            calls.up();
        });
        gate.set();
        greenlet.join();
        assert_eq!(called.get(), 2);
        assert!(greenlet.successful());
    });
}

#[test]
fn a_rawlink_knows_how_it_ended_and_not_what_with() {
    test(|| {
        let exits = Arc::new(Queue::unbounded());
        for greenlet in [green::spawn(|| 1), panics("x")] {
            let exits = Arc::clone(&exits);
            greenlet.on_exit(move |exit| exits.try_put(exit).unwrap());
            greenlet.join();
        }
        // Those who join may go on before the calls are made.
        let mut ended = [exits.get_timeout(LONG).unwrap(), exits.get_timeout(LONG).unwrap()];
        ended.sort_by_key(|exit| *exit != Exit::Returned);
        assert_eq!(ended, [Exit::Returned, Exit::Panicked]);
    });
}

#[test]
fn one_that_is_killed_before_it_starts_never_runs() {
    test(|| {
        let ran = Count::default();
        let runs = ran.clone();
        let later = green::spawn_later(LONG, move || runs.up());
        later.kill();
        assert!(matches!(later.get(), Err(Failed::Killed)));
        let runs = ran.clone();
        let named = Builder::new().name("late").start_later(LONG, move || runs.up()).unwrap();
        assert_eq!(named.name(), "late");
        named.kill();
        assert!(matches!(named.get(), Err(Failed::Killed)));
        assert_eq!(ran.get(), 0);
    });
}

#[test]
fn start_later_waits_as_long_as_it_says() {
    test(|| {
        let begun = Instant::now();
        let later = Builder::new().start_later(SHORT, Instant::now).unwrap();
        assert!(later.get().unwrap() - begun >= SHORT);
        assert_eq!(green::spawn_later(Duration::ZERO, || 3).get().unwrap(), 3);
        assert!(green::spawn_later(SHORT, Instant::now).get().unwrap() - begun >= 2 * SHORT);
    });
}

#[test]
fn kill_waits_for_the_end_and_runs_destructors() {
    test(|| {
        struct Cleans(Arc<AtomicBool>);
        impl Drop for Cleans {
            fn drop(&mut self) {
                self.0.store(true, Ordering::SeqCst);
            }
        }
        let cleaned = Arc::new(AtomicBool::new(false));
        let cleans = Cleans(Arc::clone(&cleaned));
        let victim = waiting(move || {
            let _cleans = cleans;
            green::sleep(LONG);
        });
        victim.kill();
        assert!(cleaned.load(Ordering::SeqCst) && victim.ready());
        victim.kill();
        victim.kill_with("too late");
        assert_eq!(victim.coroutine().kill_reason(), None, "it had ended");
    });
}

#[test]
fn a_kill_may_give_a_reason_and_the_first_one_stays() {
    test(|| {
        let found = Arc::new(Queue::unbounded());
        struct Tells(Arc<Queue<Option<String>>>);
        impl Drop for Tells {
            fn drop(&mut self) {
                let reason = green::current().unwrap().kill_reason();
                self.0.try_put(reason.map(String::from)).unwrap();
            }
        }
        let tells = Tells(Arc::clone(&found));
        let victim = waiting(move || {
            let _tells = tells;
            green::sleep(LONG);
        });
        assert_eq!(victim.coroutine().kill_reason(), None);
        victim.kill_with(format!("after {} rounds", 3));
        victim.kill_with("again");
        assert_eq!(victim.coroutine().kill_reason().as_deref(), Some("after 3 rounds"));
        assert_eq!(found.get_timeout(LONG).unwrap().as_deref(), Some("after 3 rounds"));
        assert!(matches!(victim.get(), Err(Failed::Killed)));
        let plain = endless();
        plain.kill();
        assert_eq!(plain.coroutine().kill_reason(), None);
    });
}

#[test]
fn a_kill_with_a_time_limit_says_whether_it_was_enough() {
    test(|| {
        let may_end = Arc::new(Event::new());
        let gate = Arc::clone(&may_end);
        let stubborn = waiting(move || {
            while !gate.is_set() {
                let _ = std::panic::catch_unwind(|| green::sleep(Duration::from_millis(1)));
                green::spawn(|| ());
            }
        });
        assert!(!stubborn.kill_timeout(Duration::ZERO));
        assert!(!stubborn.kill_with_timeout("please", SHORT));
        assert!(!green::killall_timeout(std::slice::from_ref(&stubborn), SHORT));
        may_end.set();
        assert!(stubborn.kill_timeout(LONG));
        let ended = [endless(), endless()];
        assert!(green::killall_timeout(&ended, LONG));
        assert!(green::killall_timeout(&ended, Duration::ZERO), "they have ended");
        assert!(green::killall_timeout::<u32>(&[], Duration::ZERO));
    });
}

#[test]
fn killall_ends_all_whether_they_began_or_not() {
    test(|| {
        let ran = Count::default();
        let mut all: Vec<_> = (0..5).map(|_| endless()).collect();
        all.extend((0..5).map(|_| {
            let runs = ran.clone();
            green::spawn_later(LONG, move || runs.up())
        }));
        green::killall(&all);
        assert!(all.iter().all(Greenlet::ready));
        assert_eq!(ran.get(), 0);
    });
}

#[test]
fn names_and_identities() {
    test(|| {
        let named = Builder::new().name("worker 7").spawn(|| green::current().unwrap().name().to_string());
        let named = named.unwrap();
        assert_eq!(named.name(), "worker 7");
        assert_eq!(named.get().unwrap(), "worker 7");
        assert_eq!(green::spawn(|| ()).name(), "");
        let alive: Vec<_> = (0..20).map(|_| endless()).collect();
        let mut ids: Vec<_> = alive.iter().map(|one| one.coroutine().id()).collect();
        let mut idents: Vec<_> = alive.iter().map(|one| one.coroutine().minimal_ident()).collect();
        assert_eq!(idents[3], alive[3].coroutine().minimal_ident(), "it stays the same");
        for numbers in [&mut ids, &mut idents] {
            numbers.sort_unstable();
            numbers.dedup();
            assert_eq!(numbers.len(), 20);
        }
        green::killall(&alive);
        drop(alive);
        assert!(green::spawn(|| green::current().unwrap().minimal_ident()).get().unwrap() < 1 << 20);
    });
}

#[test]
fn minimal_idents_are_used_again() {
    test(|| {
        let ident = || {
            let one = endless();
            let ident = one.coroutine().minimal_ident();
            one.kill();
            ident
        };
        let seen: Vec<_> = (0..200).map(|_| ident()).collect();
        let mut again = seen.clone();
        again.sort_unstable();
        again.dedup();
        assert!(again.len() < 200, "{seen:?}");
    });
}

#[test]
fn getcurrent_sleep_and_idle() {
    test(|| {
        assert!(green::current().is_none(), "a plain thread");
        let me = green::spawn(|| green::current().unwrap());
        let coroutine = me.coroutine().clone();
        assert_eq!(me.get().unwrap(), coroutine);
        let begun = Instant::now();
        green::run(|| green::sleep(SHORT));
        assert!(begun.elapsed() >= SHORT);
        let other = green::spawn(|| 1);
        green::run(move || {
            while !other.ready() {
                green::sleep(Duration::ZERO);
                green::yield_now();
            }
        });
        let waits = endless();
        comes_true(|| waits.coroutine().activity() == "waits for an event");
        waits.kill();
        // It says so when all that is left to do at its end is done.
        comes_true(|| waits.coroutine().activity() == "has ended");
    });
}
