//! `green::scope`, which gevent lacks: children that never outlive it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use zinx::green::{self, Builder, Event, Failed, Queue, Scope, ScopeError};

use super::common::coroutines::LONG;
use super::{Count, SHORT, comes_true, test, waiting};

fn never<T>() -> T {
    Event::new().wait();
    unreachable!("nobody sets it")
}

#[test]
fn a_scope_returns_what_its_body_does_when_the_children_have_ended() {
    test(|| {
        let (done, counted) = (Count::default(), Arc::new(Event::new()));
        let value = green::scope::<_, ()>(|scope| {
            for _ in 0..10 {
                let (done, counted) = (done.clone(), Arc::clone(&counted));
                scope.spawn(move || {
                    counted.wait();
                    green::sleep(SHORT / 10);
                    done.up();
                    Ok(())
                });
            }
            let len = scope.len();
            counted.set();
            Ok(len)
        });
        assert_eq!((value.unwrap(), done.get()), (10, 10));
        assert!(green::scope::<_, ()>(|scope| Ok(scope.is_empty())).unwrap());
    });
}

#[test]
fn values_come_from_the_handles() {
    test(|| {
        let sum = green::scope::<_, String>(|scope| {
            let parts: Vec<_> = (1..=4).map(|n| scope.spawn(move || Ok(n))).collect();
            Ok(green::joinall(parts).unwrap().into_iter().sum::<u32>())
        });
        assert_eq!(sum.unwrap(), 10);
    });
}

#[test]
fn the_first_error_cancels_the_others_and_the_body() {
    test(|| {
        let (begun, cleaned, reached) = (Count::default(), Count::default(), AtomicBool::new(false));
        let failed = green::scope::<(), _>(|scope| {
            for _ in 0..3 {
                let (begun, cleaned) = (begun.clone(), cleaned.clone());
                scope.spawn(move || {
                    struct Cleans(Count);
                    impl Drop for Cleans {
                        fn drop(&mut self) {
                            self.0.up();
                        }
                    }
                    let _cleans = Cleans(cleaned);
                    begun.up();
                    never::<Result<(), _>>()
                });
            }
            let begun = begun.clone();
            scope.spawn(move || {
                comes_true(|| begun.get() == 3);
                Err::<(), _>("first")
            });
            green::sleep(LONG);
            reached.store(true, Ordering::Relaxed);
            Err("not this one")
        });
        assert!(matches!(failed, Err(ScopeError::Error("first"))));
        assert_eq!((cleaned.get(), reached.load(Ordering::Relaxed)), (3, false));
    });
}

#[test]
fn an_error_while_the_scope_joins_cancels_too() {
    test(|| {
        let failed = green::scope::<_, &str>(|scope| {
            scope.spawn(never::<Result<(), _>>);
            scope.spawn(|| {
                green::sleep(SHORT);
                Err::<(), _>("late")
            });
            Ok(7)
        });
        let failed = failed.unwrap_err();
        assert!(matches!(failed, ScopeError::Error("late")));
        assert_eq!(failed.to_string(), "late");
    });
}

#[test]
fn an_error_of_the_body_cancels_the_children() {
    test(|| {
        let failed = green::scope::<(), _>(|scope| {
            scope.spawn(never::<Result<(), _>>);
            Err("the body")
        });
        assert!(matches!(failed, Err(ScopeError::Error("the body"))));
    });
}

#[test]
fn a_child_that_panics_is_the_scopes_error_and_killed_for_its_handle() {
    test(|| {
        let handle = Arc::new(Queue::unbounded());
        let keep = Arc::clone(&handle);
        let failed = green::scope::<(), ()>(|scope| {
            let child = scope.spawn(|| -> Result<(), ()> { std::panic::resume_unwind(Box::new("ouch")) });
            keep.put(child).unwrap();
            never()
        });
        match failed.unwrap_err() {
            ScopeError::Panicked(panicked) => assert_eq!(panicked.to_string(), "ouch"),
            other => panic!("{other:?}"),
        }
        assert!(matches!(handle.get().unwrap().get(), Err(Failed::Killed)));
    });
}

#[test]
fn a_body_that_panics_panics_out_when_the_children_have_ended() {
    test(|| {
        let ended = Count::default();
        let children = ended.clone();
        let caller = green::spawn(move || {
            let _ = green::scope::<(), ()>(|scope| {
                let child = scope.spawn(never::<Result<(), _>>);
                child.on_exit(move |_| children.up());
                std::panic::resume_unwind(Box::new("body"))
            });
        });
        assert_eq!(caller.get().unwrap_err().to_string(), "body");
        assert_eq!(ended.get(), 1);
    });
}

#[test]
fn a_scope_whose_caller_is_killed_or_late_ends_its_children_first() {
    test(|| {
        for in_body in [true, false] {
            let ended = Count::default();
            let children = ended.clone();
            let body = move || {
                green::scope::<(), ()>(|scope| {
                    for _ in 0..3 {
                        let child = scope.spawn(never::<Result<(), _>>);
                        let ended = children.clone();
                        child.link(move |_| ended.up());
                    }
                    if in_body { never() } else { Ok(()) }
                })
            };
            let again = body.clone();
            let caller = waiting(body);
            caller.kill();
            assert_eq!(ended.get(), 3);
            assert!(matches!(caller.get(), Err(Failed::Killed)));
            assert!(green::with_timeout(SHORT, again).is_err());
            assert_eq!(ended.get(), 6);
        }
    });
}

#[test]
fn cancel_ends_all_and_says_so() {
    test(|| {
        let cancelled = green::scope::<(), ()>(|scope| {
            scope.spawn(never::<Result<(), _>>);
            assert!(!scope.is_cancelled());
            scope.cancel();
            scope.cancel();
            assert!(scope.is_cancelled());
            never()
        });
        assert!(matches!(cancelled, Err(ScopeError::Cancelled)));
        let by_a_child = green::scope::<(), ()>(|scope| {
            let theirs = scope.clone();
            scope.spawn(move || {
                theirs.cancel();
                Ok(())
            });
            never()
        });
        assert!(matches!(by_a_child, Err(ScopeError::Cancelled)));
        assert_eq!(ScopeError::<String>::Cancelled.to_string(), "cancelled");
    });
}

#[test]
fn children_may_spawn_more_and_all_are_waited_for() {
    test(|| {
        fn tree(scope: &Scope<()>, depth: u32, leaves: &Count) {
            if depth == 0 {
                leaves.up();
                return;
            }
            for _ in 0..2 {
                let (theirs, leaves) = (scope.clone(), leaves.clone());
                scope.spawn(move || {
                    green::yield_now();
                    tree(&theirs, depth - 1, &leaves);
                    Ok(())
                });
            }
        }
        let leaves = Count::default();
        green::scope(|scope| {
            tree(scope, 5, &leaves);
            Ok(())
        })
        .unwrap();
        assert_eq!(leaves.get(), 32);
    });
}

#[test]
fn what_is_spawned_after_the_end_never_runs() {
    test(|| {
        let (ran, mut kept) = (Count::default(), None);
        green::scope::<_, ()>(|scope| {
            kept = Some(scope.clone());
            Ok(())
        })
        .unwrap();
        let (scope, runs) = (kept.unwrap(), ran.clone());
        let late = scope.spawn(move || {
            runs.up();
            Ok(())
        });
        assert!(matches!(late.get(), Err(Failed::Killed)));
        assert_eq!((ran.get(), scope.is_cancelled()), (0, true));
        // It leaves after those who wait for it go on.
        while !scope.is_empty() {
            green::yield_now();
        }
    });
}

#[test]
fn scopes_nest_and_an_inner_error_stays_inside() {
    test(|| {
        let outer = green::scope::<_, String>(|outer| {
            let sibling = outer.spawn(|| Ok(5));
            let inner = green::scope::<(), &str>(|inner| {
                inner.spawn(|| Err::<(), _>("inner"));
                never()
            });
            assert!(matches!(inner, Err(ScopeError::Error("inner"))));
            Ok(sibling.get().unwrap())
        });
        assert_eq!(outer.unwrap(), 5);
        let named = green::scope::<_, ()>(|scope| {
            let child = scope.spawn_with(Builder::new().name("child"), || Ok(())).unwrap();
            Ok(child.name().to_string())
        });
        assert_eq!(named.unwrap(), "child");
    });
}

#[test]
fn a_child_that_somebody_kills_is_no_error() {
    test(|| {
        let value = green::scope::<_, ()>(|scope| {
            let child = scope.spawn(never::<Result<(), _>>);
            child.kill();
            Ok(1)
        });
        assert_eq!(value.unwrap(), 1);
    });
}

#[test]
fn a_child_for_which_there_is_no_room_is_not_waited_for() {
    test(|| {
        let value = green::scope::<_, ()>(|scope| {
            let refused = scope.spawn_with(Builder::new().stack_size(1 << 47), || Ok(()));
            Ok((refused.is_err(), scope.len()))
        });
        assert_eq!(value.unwrap(), (true, 0));
    });
}
