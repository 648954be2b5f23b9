//! `gevent.threadpool`.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use zinx::green::{self, Event, Failed, Greenlet, Queue, ThreadPool};

use super::common::child::in_child;
use super::common::coroutines::LONG;
use super::common::short_of_memory::without_room_for_a_thread;
use super::{Count, SHORT, comes_true, test, waiting};

/// Work that blocks its thread until something is sent.
fn blocker() -> (mpsc::Sender<()>, impl FnOnce() + Send + 'static) {
    let (end, wait) = mpsc::channel();
    let work = move || {
        let _ = wait.recv_timeout(LONG);
    };
    (end, work)
}

#[test]
fn a_task_runs_on_a_thread_of_the_pool_and_leaves_its_result() {
    test(|| {
        let pool = ThreadPool::new(2);
        assert_eq!((pool.maxsize(), pool.size(), pool.len()), (2, 0, 0));
        let on = pool.spawn(|| (thread::current().id(), green::current().is_none()));
        assert_eq!(on.name(), "thread pool");
        let (on, is_plain) = on.get().unwrap();
        assert!(on != thread::current().id() && is_plain);
        assert_eq!(pool.apply(|| 6 * 7).unwrap(), 42);
        assert!(matches!(pool.apply(|| std::panic::resume_unwind(Box::new(1))), Err(Failed::Panicked(_))));
        let squares: Vec<_> = pool.map(0..20, |n| n * n).into_iter().map(Result::unwrap).collect();
        assert_eq!(squares, (0..20).map(|n| n * n).collect::<Vec<_>>());
        assert!((1..=2).contains(&pool.size()));
        assert_eq!(ThreadPool::new(0).maxsize(), 1);
    });
}

#[test]
fn a_worker_is_not_held_while_a_task_runs() {
    test(|| {
        let pool = ThreadPool::new(1);
        let (end, work) = blocker();
        let task = green::spawn(move || pool.apply(work));
        assert!(green::run(|| {
            green::sleep(Duration::from_millis(1));
            true
        }));
        end.send(()).unwrap();
        task.get().unwrap().unwrap();
    });
}

#[test]
fn spawn_waits_while_all_threads_are_at_work() {
    test(|| {
        let pool = ThreadPool::new(2);
        let (ends, works): (Vec<_>, Vec<_>) = (0..2).map(|_| blocker()).unzip();
        let tasks: Vec<_> = works.into_iter().map(|work| pool.spawn(work)).collect();
        assert_eq!((pool.len(), pool.is_full()), (2, true));
        comes_true(|| pool.size() == 2);
        let theirs = pool.clone();
        let third = waiting(move || theirs.spawn(|| 3).get().unwrap());
        assert!(!third.ready() && !pool.join_timeout(SHORT));
        ends[0].send(()).unwrap();
        assert_eq!(third.get().unwrap(), 3);
        ends[1].send(()).unwrap();
        green::joinall(tasks).unwrap();
        pool.join();
        assert_eq!((pool.len(), pool.is_empty(), pool.is_full(), pool.size()), (0, true, false, 2));
    });
}

#[test]
fn nested_use_runs_inline() {
    test(|| {
        let pool = ThreadPool::new(1);
        let theirs = pool.clone();
        let nested = pool.apply(move || {
            let here = thread::current().id();
            let task: Greenlet<_> = theirs.spawn(|| thread::current().id());
            assert!(task.ready());
            let mapped = theirs.map(0..3, |n| n);
            (task.get().unwrap() == here, theirs.apply(|| 1).unwrap(), mapped.len())
        });
        assert_eq!(nested.unwrap(), (true, 1, 3));
        assert_eq!(pool.len(), 0);
    });
}

#[test]
fn kill_drops_what_has_not_begun_and_waits_for_the_rest() {
    test(|| {
        let pool = ThreadPool::new(1);
        let (end, work) = blocker();
        let runs = pool.spawn(work);
        let theirs = pool.clone();
        comes_true(|| runs.coroutine().activity() == "runs");
        assert!(!pool.kill_timeout(SHORT), "one runs");
        let (killer, killed) = (pool.clone(), Count::default());
        let ends = killed.clone();
        let kills = waiting(move || {
            killer.kill();
            ends.up();
        });
        assert_eq!(killed.get(), 0);
        end.send(()).unwrap();
        kills.get().unwrap();
        assert!(runs.ready());
        assert_eq!(theirs.apply(|| 5).unwrap(), 5, "it can be used on");
        assert!(theirs.kill_timeout(Duration::ZERO), "nothing is left");
    });
}

#[test]
fn a_task_that_is_killed_before_it_begins_never_runs() {
    test(|| {
        let (pool, ran) = (ThreadPool::new(2), Count::default());
        let runs = ran.clone();
        let first = pool.spawn(move || runs.up());
        first.kill();
        let never_ran = ran.get() == 0;
        assert_eq!(matches!(first.get(), Err(Failed::Killed)), never_ran, "one that runs is not stopped");
        let (gate, done) = (Arc::new(Event::new()), Arc::new(Queue::unbounded()));
        let (waits, tells) = (Arc::clone(&gate), Arc::clone(&done));
        let task = pool.spawn(move || {
            waits.wait();
            7
        });
        task.link_value(move |value| tells.try_put(*value).unwrap());
        assert_eq!(green::wait_any_timeout(&[&task], SHORT), None);
        gate.set();
        assert_eq!(green::wait_any(&[&task]), 0);
        assert_eq!((done.get(), task.get().unwrap()), (Some(7), 7));
    });
}

#[test]
fn a_pool_that_is_dropped_does_what_it_was_given() {
    test(|| {
        let done = Count::default();
        let pool = ThreadPool::new(1);
        let (end, work) = blocker();
        let first = pool.spawn(work);
        let does = done.clone();
        let theirs = pool.clone();
        let second = green::spawn(move || theirs.spawn(move || does.up()).join());
        end.send(()).unwrap();
        first.join();
        second.get().unwrap();
        drop(pool);
        assert_eq!(done.get(), 1);
    });
}

#[test]
fn blocking_is_the_default_pool() {
    test(|| {
        assert_eq!(green::blocking(|| 3), 3);
        let here = thread::current().id();
        assert!(green::run(move || green::blocking(move || thread::current().id() != here)));
        let nested = green::run(|| {
            green::blocking(|| {
                let here = thread::current().id();
                green::blocking(move || thread::current().id() == here)
            })
        });
        assert!(nested);
        assert!(catch_unwind(|| green::blocking(|| std::panic::resume_unwind(Box::new(1)))).is_err());
    });
}

#[test]
fn a_pool_that_got_no_thread_gets_one_later() {
    in_child("threadpools::a_pool_that_got_no_thread_gets_one_later", || {
        test(|| {
            let pool = ThreadPool::new(1);
            let spawn = || catch_unwind(AssertUnwindSafe(|| pool.spawn(|| 7)));
            let refused = without_room_for_a_thread(spawn);
            assert!(refused.is_err() && pool.is_empty() && !pool.is_full());
            assert_eq!(pool.spawn(|| 7).get().unwrap(), 7);
        });
    });
}
