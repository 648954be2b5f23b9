//! Coroutines and what they share: joining, panics, sleep, queues, events, groups, fairness, sockets.

#![expect(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "tests are plain threads and speak raw sockets"
)]

use std::io::{self, Read, Write};
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use zinx::green::{
    self, Builder, Event, GetError, Greenlet, Group, PutError, Queue, Runtime, TcpListener, TcpStream,
};

// Joining.

#[test]
fn many_coroutines_and_threads_join_one_coroutine() {
    within(30, || {
        let go = Arc::new(Event::new());
        let theirs = Arc::clone(&go);
        let joined = Arc::new(green::spawn(move || theirs.wait()));
        assert!(!joined.ready());
        assert!(!joined.join_timeout(Duration::from_millis(2)));
        let coroutines: Vec<_> = (0..10)
            .map(|_| {
                let joined = Arc::clone(&joined);
                green::spawn(move || joined.join())
            })
            .collect();
        let threads: Vec<_> = (0..4)
            .map(|_| {
                let joined = Arc::clone(&joined);
                thread::spawn(move || joined.join())
            })
            .collect();
        go.set();
        coroutines.iter().for_each(Greenlet::join);
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        joined.join();
        joined.join();
        assert!(joined.ready() && joined.successful());
    });
}

#[test]
fn get_gives_the_result_to_a_thread_and_to_a_coroutine() {
    within(30, || {
        assert_eq!(green::spawn(|| 7).get().unwrap(), 7);
        assert_eq!(green::run(|| green::spawn(|| "seven".to_string()).get().unwrap()), "seven");
    });
}

#[test]
fn a_dropped_handle_lets_its_coroutine_go_on() {
    within(30, || {
        let (go, done) = (Arc::new(Event::new()), Arc::new(Event::new()));
        let (theirs, ended) = (Arc::clone(&go), Arc::clone(&done));
        drop(green::spawn(move || {
            theirs.wait();
            ended.set();
        }));
        go.set();
        assert!(done.wait_timeout(LONG));
    });
}

#[test]
fn a_panic_is_an_error_with_its_payload() {
    within(30, || {
        let text = green::spawn(|| -> () { panic!("number {}", 7) });
        text.join();
        assert!(text.ready() && !text.successful());
        assert_eq!(text.get().unwrap_err().to_string(), "number 7");

        let value = green::spawn(|| -> () { std::panic::panic_any(7u64) }).get().unwrap_err();
        assert_eq!(*value.into_payload().downcast::<u64>().unwrap(), 7);

        let caught = std::panic::catch_unwind(|| green::run(|| -> () { panic!("through run") }));
        assert_eq!(caught.unwrap_err().downcast_ref::<&str>(), Some(&"through run"));
        assert_eq!(green::run(|| 7), 7, "the workers live");
    });
}

#[test]
fn a_group_joins_when_its_last_member_ends() {
    within(30, || {
        let (group, go, ran) = (Group::new(), Arc::new(Event::new()), Arc::new(AtomicUsize::new(0)));
        group.join();
        for n in 0..100 {
            let (go, ran) = (Arc::clone(&go), Arc::clone(&ran));
            let member = move || {
                go.wait();
                ran.fetch_add(1, Ordering::Relaxed);
                assert!(n % 10 != 0, "on purpose: a member that panics has ended too");
            };
            group.spawn(Builder::new().name("member"), member).unwrap();
        }
        assert_eq!(group.len(), 100);
        assert!(!group.join_timeout(Duration::from_millis(2)));
        let theirs = group.clone();
        let joiner = green::spawn(move || theirs.join());
        go.set();
        group.join();
        joiner.join();
        assert_eq!((ran.load(Ordering::Relaxed), group.is_empty()), (100, true));
    });
}

// Sleeping.

#[test]
fn sleep_is_never_early() {
    within(30, || {
        let sleepers: Vec<_> = (0..400u64)
            .map(|n| {
                green::spawn(move || {
                    let duration = Duration::from_micros(n * 97 % 20_000);
                    let start = Instant::now();
                    green::sleep(duration);
                    (duration, start.elapsed())
                })
            })
            .collect();
        for sleeper in sleepers {
            let (asked, slept) = sleeper.get().unwrap();
            assert!(slept >= asked, "asked {asked:?}, slept {slept:?}");
        }
        let start = Instant::now();
        green::sleep(Duration::from_millis(3));
        assert!(start.elapsed() >= Duration::from_millis(3), "also on a thread");
    });
}

#[test]
fn a_coroutine_that_blocks_after_its_sleep_holds_up_no_timer() {
    within(60, || {
        if runtime().workers < 2 {
            return eprintln!("skipped: with one worker, what blocks it holds up all");
        }
        let (blocked, release) = (Arc::new(Event::new()), Arc::new(AtomicBool::new(false)));
        let (theirs, end) = (Arc::clone(&blocked), Arc::clone(&release));
        let blocker = green::spawn(move || {
            green::sleep(Duration::from_millis(2));
            theirs.set();
            // On may's timer thread this would hold up every timer of the process.
            while !end.load(Ordering::Acquire) {
                thread::yield_now();
            }
        });
        assert!(blocked.wait_timeout(LONG));
        // Spawned from threads, so spread over the workers: at least one is free to take them all.
        let (awake, done) = (Arc::new(AtomicUsize::new(0)), Arc::new(Event::new()));
        for n in 0..20 {
            let (awake, done) = (Arc::clone(&awake), Arc::clone(&done));
            green::spawn(move || {
                green::sleep(Duration::from_millis(n));
                if awake.fetch_add(1, Ordering::AcqRel) == 0 {
                    done.set();
                }
            });
        }
        let woke = done.wait_timeout(LONG);
        release.store(true, Ordering::Release);
        blocker.join();
        assert!(woke, "no timer fired while a coroutine blocked");
    });
}

// Queues.

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

// Events.

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

// Fairness.

#[test]
fn loops_of_yield_now_starve_neither_a_sleeper_nor_a_socket() {
    within(60, || {
        let stop = Arc::new(AtomicBool::new(false));
        let flood = Group::new();
        for _ in 0..runtime().workers * 8 {
            let stop = Arc::clone(&stop);
            let spinner = move || {
                while !stop.load(Ordering::Acquire) {
                    green::yield_now();
                }
            };
            flood.spawn(Builder::new(), spinner).unwrap();
        }
        let sleeper = green::spawn(|| (0..20).for_each(|_| green::sleep(Duration::from_millis(1))));
        let (listener, echo) = echo_once();
        let mut stream = std::net::TcpStream::connect(listener).unwrap();
        stream.set_read_timeout(Some(LONG)).unwrap();
        for n in 0..100u8 {
            stream.write_all(&[n]).unwrap();
            let mut answer = [0];
            stream.read_exact(&mut answer).unwrap();
            assert_eq!(answer, [n]);
        }
        drop(stream);
        let slept = sleeper.join_timeout(LONG);
        let answered = echo.join_timeout(LONG);
        stop.store(true, Ordering::Release);
        assert!(flood.join_timeout(LONG));
        assert!(slept && answered, "slept: {slept}, answered: {answered}");
    });
}

#[test]
fn a_busy_pair_on_a_queue_starves_no_socket() {
    within(60, || {
        let queue = Arc::new(Queue::bounded(8));
        let pairs = Group::new();
        for _ in 0..runtime().workers * 2 {
            let (put, get) = (Arc::clone(&queue), Arc::clone(&queue));
            pairs.spawn(Builder::new(), move || while put.put(7).is_ok() {}).unwrap();
            pairs.spawn(Builder::new(), move || while get.get().is_some() {}).unwrap();
        }
        let (listener, echo) = echo_once();
        let mut stream = std::net::TcpStream::connect(listener).unwrap();
        stream.set_read_timeout(Some(LONG)).unwrap();
        for n in 0..100u8 {
            stream.write_all(&[n]).unwrap();
            stream.read_exact(&mut [0]).unwrap();
        }
        drop(stream);
        let answered = echo.join_timeout(LONG);
        queue.close();
        assert!(pairs.join_timeout(LONG) && answered);
    });
}

// Blocking.

#[test]
fn blocking_work_holds_up_no_worker() {
    within(60, || {
        let release = Arc::new(Event::new());
        // As many as there are workers, and more: each would block one.
        let blocked: Vec<_> = (0..runtime().workers.min(6) + 4)
            .map(|n| {
                let release = Arc::clone(&release);
                green::spawn(move || green::blocking(move || (n, release.wait_timeout(LONG))))
            })
            .collect();
        assert_eq!(green::run(|| green::spawn(|| 7).get().unwrap()), 7);
        release.set();
        for (n, greenlet) in blocked.into_iter().enumerate() {
            assert_eq!(greenlet.get().unwrap(), (n, true));
        }
        assert_eq!(green::blocking(|| 7), 7, "also from a thread");
    });
}

#[test]
fn a_panic_of_blocking_work_goes_on_in_the_caller() {
    within(30, || {
        let panicked = green::spawn(|| green::blocking(|| -> () { panic!("on purpose") })).get();
        assert_eq!(panicked.unwrap_err().to_string(), "on purpose");
        let many: Vec<_> = (0..100).map(|n| green::spawn(move || green::blocking(move || n))).collect();
        let sum: i32 = many.into_iter().map(|greenlet| greenlet.get().unwrap()).sum();
        assert_eq!(sum, 4950, "the pool lives, and a hundred take their turns");
    });
}

// Sockets.

#[test]
fn a_second_bind_of_a_port_fails() {
    within(30, || {
        let first = bind();
        let second = TcpListener::bind(first.local_addr(), 16).unwrap_err();
        assert_eq!(second.kind(), io::ErrorKind::AddrInUse);
        let address = first.local_addr();
        drop(first);
        TcpListener::bind(address, 16).unwrap();
    });
}

#[test]
fn connect_tries_every_address() {
    within(30, || {
        let closed = bind();
        let refused = closed.local_addr();
        drop(closed);
        let open = bind();
        let addresses = Addresses(vec![refused, refused, open.local_addr()]);
        let stream = green::run(move || TcpStream::connect(addresses).map(|stream| stream.peer_addr()));
        assert_eq!(stream.unwrap().unwrap(), open.local_addr());

        let error = green::run(move || TcpStream::connect(refused)).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
        let error = TcpStream::connect(Addresses(Vec::new())).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound, "also on a thread");
    });
}

#[test]
fn streams_carry_bytes_between_coroutines() {
    within(30, || {
        let (address, echo) = echo_once();
        let answer = green::run(move || -> io::Result<Vec<u8>> {
            let mut stream = TcpStream::connect(address)?;
            let mut writing = stream.clone();
            let writer = green::spawn(move || {
                let result = writing.write_all(&pattern());
                writing.shutdown_write();
                result
            });
            let mut answer = Vec::new();
            stream.read_to_end(&mut answer)?;
            writer.get().map_err(io::Error::other)??;
            Ok(answer)
        });
        assert!(answer.unwrap() == pattern());
        assert!(echo.join_timeout(LONG));
    });
}

#[test]
fn an_interrupted_accept_ends() {
    within(30, || {
        let listener = Arc::new(bind());
        let theirs = Arc::clone(&listener);
        let accepting = green::spawn(move || theirs.accept().map(drop));
        listener.interrupt();
        assert_eq!(accepting.get().unwrap().unwrap_err().kind(), io::ErrorKind::Interrupted);
    });
}

// The runtime.

#[test]
fn another_runtime_than_the_one_that_runs_is_an_error() {
    within(30, || {
        let have = runtime();
        have.start().unwrap();
        Runtime::default().start().unwrap();
        let other = Runtime { workers: have.workers + 1, ..Runtime::default() };
        assert!(matches!(other.start(), Err(zinx::Error::RuntimeMismatch { what: "Workers", .. })));
        let other = Runtime { stack_bytes: have.stack_bytes * 2, ..Runtime::default() };
        assert!(matches!(other.start(), Err(zinx::Error::RuntimeMismatch { what: "StackBytes", .. })));
    });
}

// Helpers.

const LONG: Duration = Duration::from_secs(20);

/// Runs a test, and fails it where it takes longer than this.
fn within(seconds: u64, test: impl FnOnce() + Send + 'static) {
    let (done, ended) = mpsc::channel::<()>();
    let running = thread::spawn(move || {
        let _done = done;
        runtime();
        test();
    });
    // Nothing is sent: the channel closes when the test ends, also by a panic.
    let late = ended.recv_timeout(Duration::from_secs(seconds)) == Err(mpsc::RecvTimeoutError::Timeout);
    assert!(!late, "not done within {seconds} s");
    if let Err(payload) = running.join() {
        std::panic::resume_unwind(payload);
    }
}

/// Starts the runtime, with as many workers as the environment says.
fn runtime() -> Runtime {
    let workers = std::env::var("ZINX_TEST_WORKERS").map_or(0, |workers| workers.parse().unwrap());
    Runtime { workers, ..Runtime::default() }.start().unwrap();
    Runtime::current().unwrap()
}

fn bind() -> TcpListener {
    TcpListener::bind("127.0.0.1:0".parse().unwrap(), 16).unwrap()
}

/// What a name with several addresses resolves to.
struct Addresses(Vec<SocketAddr>);

impl ToSocketAddrs for Addresses {
    type Iter = std::vec::IntoIter<SocketAddr>;

    fn to_socket_addrs(&self) -> io::Result<Self::Iter> {
        Ok(self.0.clone().into_iter())
    }
}

/// A coroutine that accepts one connection and echoes it to its end.
fn echo_once() -> (SocketAddr, Greenlet<()>) {
    let listener = bind();
    let address = listener.local_addr();
    let echo = green::spawn(move || {
        let mut stream = listener.accept().unwrap();
        let mut buf = [0; 4096];
        loop {
            match stream.read(&mut buf).unwrap() {
                0 => return stream.shutdown_write(),
                n => stream.write_all(&buf[..n]).unwrap(),
            }
        }
    });
    (address, echo)
}

/// More than the socket buffers hold.
fn pattern() -> Vec<u8> {
    (0..4_000_000u32).map(|n| (n % 251) as u8).collect()
}
