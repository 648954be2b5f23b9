//! Time limits: whatever is waited for inside, nested in any order, each ends its own body and no other's.

use std::io::Read;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use crate::common::coroutines::within;
use zinx::green::{
    self, Channel, Event, Exit, Failed, Queue, Semaphore, TcpListener, TcpStream, with_timeout,
};

#[test]
fn a_body_that_is_done_in_time_gives_its_value() {
    within(30, || {
        let body = || with_timeout(FOR_EVER, || 7);
        assert_eq!(body(), Ok(7));
        assert_eq!(green::run(body), Ok(7));
        let no_limit = with_timeout(Duration::MAX, || 7);
        assert_eq!(no_limit, Ok(7));
    });
}

#[test]
fn a_limit_ends_its_body_wherever_it_waits() {
    within(60, || {
        green::run(|| {
            let (queue, full, event) = (Queue::<i32>::bounded(1), Queue::bounded(1), Event::new());
            let (channel, semaphore) = (Channel::<i32>::new(), Semaphore::new(0));
            let other = green::spawn(|| green::sleep(FOR_EVER));
            full.put(1).unwrap();
            let (socket, _peer) = connected();
            let waits: [(&str, &dyn Fn()); 9] = [
                ("sleep", &|| green::sleep(FOR_EVER)),
                ("event", &|| event.wait()),
                ("get", &|| assert_eq!(queue.get(), None)),
                ("put", &|| full.put(2).unwrap()),
                ("channel", &|| assert_eq!(channel.get(), None)),
                ("permit", &|| drop(semaphore.acquire())),
                ("join", &|| other.join()),
                ("socket", &|| drop((&socket).read(&mut [0; 8]))),
                ("any", &|| assert_eq!(green::wait_any(&[&event, &queue, &other]), 3)),
            ];
            for (what, wait) in waits {
                let start = Instant::now();
                assert_eq!(with_timeout(SHORT, wait).unwrap_err().limit(), SHORT, "{what}");
                assert!(start.elapsed() >= SHORT, "{what} was early");
            }
            assert_eq!(full.len(), 1);
            semaphore.release();
            assert_eq!(semaphore.available(), 1, "no permit went to one that had gone");
            queue.put(1).unwrap();
            assert_eq!(queue.len(), 1, "no item went to one that had gone");
            other.kill();
        });
    });
}

#[test]
fn a_plain_thread_has_limits_too() {
    within(30, || {
        let event = Event::new();
        assert!(with_timeout(SHORT, || event.wait()).is_err());
        assert!(with_timeout(SHORT, || green::sleep(FOR_EVER)).is_err());
    });
}

#[test]
fn of_nested_limits_the_nearest_fires_and_says_which() {
    within(30, || {
        let both = |outer: Duration, inner: Duration| {
            let reached = Arc::new(AtomicUsize::new(0));
            let count = Arc::clone(&reached);
            let result = green::run(move || {
                with_timeout(outer, || {
                    let inner = with_timeout(inner, || Event::new().wait());
                    count.fetch_add(1, Ordering::Relaxed);
                    inner
                })
            });
            (result, reached.load(Ordering::Relaxed))
        };
        let (result, reached) = both(FOR_EVER, SHORT);
        assert_eq!(result.unwrap().unwrap_err().limit(), SHORT);
        assert_eq!(reached, 1, "the outer body goes on");
        let (result, reached) = both(SHORT, FOR_EVER);
        assert_eq!(result.unwrap_err().limit(), SHORT);
        assert_eq!(reached, 0, "the inner call does not return");
    });
}

#[test]
fn equal_limits_are_told_apart() {
    within(30, || {
        let deep = green::run(|| {
            with_timeout(FOR_EVER, || {
                with_timeout(FOR_EVER, || {
                    with_timeout(FOR_EVER, || with_timeout(SHORT, || Event::new().wait()))
                })
            })
        });
        assert_eq!(deep.unwrap().unwrap().unwrap().unwrap_err().limit(), SHORT);
    });
}

#[test]
fn a_limit_that_was_left_in_time_ends_nothing_later() {
    within(30, || {
        green::run(|| {
            for _ in 0..50 {
                // Over at about the time it is left.
                let _ = with_timeout(Duration::from_millis(1), || green::sleep(Duration::from_micros(900)));
                green::sleep(Duration::from_micros(300));
                green::yield_now();
            }
        });
    });
}

#[test]
fn a_body_that_catches_the_unwinding_meets_it_again() {
    within(30, || {
        let caught = green::run(|| {
            let caught = AtomicUsize::new(0);
            let limited = with_timeout(SHORT, || {
                for _ in 0..3 {
                    let outcome = catch_unwind(AssertUnwindSafe(|| Event::new().wait()));
                    caught.fetch_add(usize::from(outcome.is_err()), Ordering::Relaxed);
                }
            });
            assert_eq!(limited, Ok(()), "its value counts");
            green::sleep(SHORT);
            caught.load(Ordering::Relaxed)
        });
        assert_eq!(caught, 3);
    });
}

#[test]
fn a_panic_and_a_kill_pass_through_a_limit() {
    within(30, || {
        let panics = green::spawn(|| with_timeout(FOR_EVER, || -> () { panic!("on purpose") }));
        assert_eq!(panics.get().unwrap_err().to_string(), "on purpose");
        let (begins, began) = mpsc::channel();
        let killed = green::spawn(move || {
            with_timeout(FOR_EVER, || {
                begins.send(()).unwrap();
                Event::new().wait();
            })
        });
        began.recv_timeout(LONG).unwrap();
        killed.kill();
        assert_eq!(killed.coroutine().exit(), Some(Exit::Killed));
        assert!(matches!(killed.get(), Err(Failed::Killed)));
    });
}

fn connected() -> (TcpStream, std::net::TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0", 16).unwrap();
    let peer = std::net::TcpStream::connect(listener.local_addr()).unwrap();
    (listener.accept().unwrap().0, peer)
}

const SHORT: Duration = Duration::from_millis(10);
const LONG: Duration = Duration::from_secs(10);
const FOR_EVER: Duration = Duration::from_secs(3600);
