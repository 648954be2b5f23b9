//! Killing a coroutine: whatever it waits on it ends there, its destructors run, and nothing meant for another is lost.

use std::io::{Read, Write};
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use crate::common::coroutines::within;
use zinx::green::{
    self, Builder, Event, Exit, Failed, Greenlet, Group, Queue, Runtime, TcpListener, TcpStream,
};

// The matrix: not started, started, waiting, running, ended, twice.

#[test]
fn killed_before_it_starts_it_never_runs() {
    within(30, || {
        // While one holds the only worker, others cannot start.
        let ran = green::run(|| {
            let ran = Arc::new(AtomicUsize::new(0));
            let victims: Vec<_> = (0..100)
                .map(|_| {
                    let ran = Arc::clone(&ran);
                    let victim = green::spawn(move || {
                        ran.fetch_add(1, Ordering::Relaxed);
                        Event::new().wait();
                    });
                    victim.kill_timeout(Duration::ZERO);
                    victim
                })
                .collect();
            for victim in victims {
                assert!(matches!(victim.get(), Err(Failed::Killed)));
            }
            ran.load(Ordering::Relaxed)
        });
        if Runtime::current().unwrap().workers == 1 {
            assert_eq!(ran, 0);
        }
    });
}

#[test]
fn killed_before_it_starts_it_drops_what_it_owns() {
    within(30, || {
        let dropped = Arc::new(AtomicUsize::new(0));
        let owned = Counted(Arc::clone(&dropped));
        let victim = green::spawn(move || {
            let _owned = owned;
            Event::new().wait();
        });
        victim.kill();
        assert_eq!(dropped.load(Ordering::Relaxed), 1);
    });
}

#[test]
fn killed_while_it_waits_it_runs_its_destructors_and_nothing_else() {
    within(30, || {
        let (dropped, after) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let (guard, beyond) = (Counted(Arc::clone(&dropped)), Arc::clone(&after));
        let victim = waiting(move || {
            let _guard = guard;
            Event::new().wait();
            beyond.fetch_add(1, Ordering::Relaxed);
        });
        victim.kill();
        assert_eq!((dropped.load(Ordering::Relaxed), after.load(Ordering::Relaxed)), (1, 0));
        assert!(victim.ready() && !victim.successful());
        assert_eq!(victim.coroutine().exit(), Some(Exit::Killed));
        victim.kill();
        assert!(victim.kill_timeout(Duration::from_millis(1)), "twice is the same as once");
        assert!(matches!(victim.get(), Err(Failed::Killed)));
    });
}

#[test]
fn killed_while_it_runs_it_ends_at_its_next_wait() {
    within(30, || {
        let (go, passed) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let (theirs, count) = (Arc::clone(&go), Arc::clone(&passed));
        let victim = waiting(move || {
            while theirs.load(Ordering::Acquire) == 0 {
                std::hint::spin_loop();
            }
            count.fetch_add(1, Ordering::Relaxed);
            green::sleep(FOR_EVER);
            count.fetch_add(1, Ordering::Relaxed);
        });
        assert!(!victim.kill_timeout(Duration::from_millis(5)), "it does not wait, so it runs on");
        go.store(1, Ordering::Release);
        victim.join();
        assert_eq!(passed.load(Ordering::Relaxed), 1);
        assert_eq!(victim.coroutine().exit(), Some(Exit::Killed));
    });
}

#[test]
fn a_busy_loop_of_fairness_points_ends() {
    within(30, || {
        let victim = green::spawn(|| {
            let queue = Queue::bounded(1);
            loop {
                queue.try_put(1).unwrap();
                queue.try_get().unwrap();
            }
        });
        green::sleep(Duration::from_millis(2));
        victim.kill();
    });
}

#[test]
fn a_kill_after_the_end_changes_nothing() {
    within(30, || {
        let ended = green::spawn(|| 7);
        ended.join();
        ended.kill();
        assert_eq!(ended.get().unwrap(), 7);
    });
}

#[test]
fn a_coroutine_kills_itself() {
    within(30, || {
        let victim = green::spawn(|| {
            green::current().unwrap().kill();
            unreachable!("the call unwinds");
        });
        assert!(matches!(victim.get(), Err(Failed::Killed)));
    });
}

#[test]
fn code_that_catches_the_unwinding_meets_it_again() {
    within(30, || {
        let caught = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&caught);
        let victim = waiting(move || {
            for _ in 0..3 {
                let outcome = catch_unwind(AssertUnwindSafe(|| Event::new().wait()));
                count.fetch_add(usize::from(outcome.is_err()), Ordering::Relaxed);
            }
        });
        victim.kill();
        assert_eq!(caught.load(Ordering::Relaxed), 3);
        assert_eq!(victim.coroutine().exit(), Some(Exit::Returned), "its body has returned");
    });
}

#[test]
fn nothing_waits_on_for_ever_where_kills_and_starts_race() {
    within(60, || {
        for round in 0..300u64 {
            let victim = green::spawn(move || {
                for _ in 0..round % 4 {
                    green::yield_now();
                }
                green::sleep(Duration::from_micros(round * 7 % 300));
                Event::new().wait();
            });
            if round % 3 == 0 {
                thread::yield_now();
            }
            victim.kill();
        }
    });
}

// Whatever it waits on.

#[test]
fn a_killed_getter_takes_no_item() {
    within(60, || {
        for _ in 0..200 {
            let queue = Arc::new(Queue::bounded(4));
            let getters: Vec<_> = (0..4)
                .map(|_| {
                    let queue = Arc::clone(&queue);
                    green::spawn(move || queue.get())
                })
                .collect();
            let theirs = Arc::clone(&queue);
            let putter = green::spawn(move || (0..4).for_each(|n| theirs.put(n).unwrap()));
            getters.iter().step_by(2).for_each(Greenlet::kill);
            putter.join();
            let mut seen: Vec<i32> = getters
                .into_iter()
                .filter_map(|getter| match getter.get_timeout(LONG).expect("items for all who live") {
                    Ok(item) => item,
                    Err(Failed::Killed) => None,
                    Err(failed) => panic!("{failed}"),
                })
                .collect();
            seen.extend(std::iter::from_fn(|| queue.try_get().ok()));
            seen.sort_unstable();
            assert_eq!(seen, [0, 1, 2, 3]);
        }
    });
}

#[test]
fn a_killed_putter_leaves_its_item_out_and_the_room_to_others() {
    within(60, || {
        for _ in 0..200 {
            let queue = Arc::new(Queue::bounded(1));
            queue.put(0).unwrap();
            let putters: Vec<_> = (1..=4)
                .map(|n| {
                    let queue = Arc::clone(&queue);
                    green::spawn(move || queue.put(n).unwrap())
                })
                .collect();
            let theirs = Arc::clone(&queue);
            let getter = green::spawn(move || theirs.iter().collect::<Vec<_>>());
            putters[0].kill();
            putters[2].kill();
            let put: Vec<_> = putters.into_iter().map(|putter| putter.get().is_ok()).collect();
            queue.close();
            let mut seen = getter.get().unwrap();
            seen.sort_unstable();
            let expected: Vec<_> = (0..=4).filter(|n| *n == 0 || put[n - 1]).collect();
            assert_eq!(seen, expected);
            assert!(put[1] && put[3]);
        }
    });
}

#[test]
fn sleep_join_group_and_blocking_work_end_too() {
    within(30, || {
        let (sleeper, group) = (Arc::new(waiting(|| green::sleep(FOR_EVER))), Group::new());
        group.spawn(Builder::new(), || green::sleep(FOR_EVER)).unwrap();
        let (go, gone) = mpsc::channel::<()>();
        let (joined, grouped) = (Arc::clone(&sleeper), group.clone());
        let victims = [
            waiting(move || {
                joined.join();
                true
            }),
            waiting(move || {
                grouped.join();
                true
            }),
            waiting(move || green::blocking(move || gone.recv().is_err())),
        ];
        victims.iter().for_each(Greenlet::kill);
        assert!(!sleeper.ready() && group.len() == 1);
        sleeper.kill();
        group.kill();
        assert!(group.is_empty());
        drop(go);
    });
}

#[test]
fn a_coroutine_killed_while_it_reads_or_writes_leaves_its_socket_to_others() {
    within(30, || {
        let (ours, mut peer) = connected();
        let mut reader = ours.clone();
        let victim = waiting(move || reader.read(&mut [0; 64]).unwrap());
        victim.kill();

        // The other side of the same descriptor, and beside a reader that lives.
        let mut reader = ours.clone();
        let survivor = waiting(move || {
            let mut buf = [0; 5];
            reader.read_exact(&mut buf).unwrap();
            buf
        });
        let mut writer = ours.clone();
        let victim = waiting(move || {
            loop {
                writer.write_all(&[7; 65536]).unwrap();
            }
        });
        victim.kill();
        peer.write_all(b"hello").unwrap();
        assert_eq!(&survivor.get().unwrap(), b"hello");
    });
}

#[test]
fn a_killed_accept_leaves_the_listener_to_the_next() {
    within(30, || {
        let listener = Arc::new(bind());
        let theirs = Arc::clone(&listener);
        waiting(move || theirs.accept().map(drop)).kill();
        let address = listener.local_addr();
        let accepting = green::spawn(move || listener.accept().is_ok());
        let _peer = std::net::TcpStream::connect(address).unwrap();
        assert!(accepting.get().unwrap());
    });
}

// Groups, calls on exit.

#[test]
fn a_group_is_killed_whole_and_takes_members_afterwards() {
    within(30, || {
        let (group, dropped) = (Group::new(), Arc::new(AtomicUsize::new(0)));
        for _ in 0..100 {
            let guard = Counted(Arc::clone(&dropped));
            let member = move || {
                let _guard = guard;
                green::sleep(FOR_EVER);
            };
            group.spawn(Builder::new().name("member"), member).unwrap();
        }
        group.kill();
        assert_eq!((group.len(), dropped.load(Ordering::Relaxed)), (0, 100));
        group.spawn(Builder::new(), || {}).unwrap();
        assert!(group.join_timeout(LONG));
    });
}

#[test]
fn kill_timeout_of_a_group_does_not_wait_for_one_that_never_waits() {
    within(30, || {
        let (group, go) = (Group::new(), Arc::new(AtomicUsize::new(0)));
        let (theirs, started) = (Arc::clone(&go), Arc::new(AtomicUsize::new(0)));
        let runs = Arc::clone(&started);
        let member = move || {
            runs.store(1, Ordering::Release);
            while theirs.load(Ordering::Acquire) == 0 {
                std::hint::spin_loop();
            }
        };
        group.spawn(Builder::new(), member).unwrap();
        while started.load(Ordering::Acquire) == 0 {
            thread::yield_now();
        }
        assert!(!group.kill_timeout(Duration::from_millis(5)));
        go.store(1, Ordering::Release);
        assert!(group.kill_timeout(LONG));
    });
}

#[test]
fn a_call_on_exit_runs_once_however_it_ends() {
    within(30, || {
        let exits = Arc::new(Queue::bounded(16));
        let go = Arc::new(Event::new());
        let theirs = Arc::clone(&go);
        let ends: [Greenlet<()>; 3] = [
            waiting(move || theirs.wait()),
            green::spawn(|| panic!("on purpose")),
            waiting(|| green::sleep(FOR_EVER)),
        ];
        for greenlet in &ends {
            let exits = Arc::clone(&exits);
            greenlet.on_exit(move |exit| exits.put(exit).unwrap());
        }
        assert_eq!(exits.get_timeout(LONG), Ok(Exit::Panicked));
        go.set();
        assert_eq!(exits.get_timeout(LONG), Ok(Exit::Returned));
        ends[2].kill();
        assert_eq!(exits.get_timeout(LONG), Ok(Exit::Killed));
        let theirs = Arc::clone(&exits);
        ends[0].on_exit(move |exit| theirs.put(exit).unwrap());
        assert_eq!(exits.try_get(), Ok(Exit::Returned), "after the end it is called at once");
        assert!(exits.is_empty());
    });
}

/// Spawns a coroutine and gives it time to get to its wait; a test is right without, too, but says less.
fn waiting<T: Send + 'static>(body: impl FnOnce() -> T + Send + 'static) -> Greenlet<T> {
    let (begins, began) = mpsc::channel();
    let greenlet = green::spawn(move || {
        begins.send(()).unwrap();
        body()
    });
    began.recv_timeout(LONG).unwrap();
    thread::sleep(Duration::from_millis(2));
    greenlet
}

/// Counts how often it was dropped.
struct Counted(Arc<AtomicUsize>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

fn connected() -> (TcpStream, std::net::TcpStream) {
    let listener = bind();
    let address = listener.local_addr();
    let accepting = green::spawn(move || listener.accept().unwrap());
    let peer = std::net::TcpStream::connect(address).unwrap();
    (accepting.get().unwrap().0, peer)
}

fn bind() -> TcpListener {
    TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0)), 16).unwrap()
}

const LONG: Duration = Duration::from_secs(10);
const FOR_EVER: Duration = Duration::from_secs(3600);
