//! The home of a green thread: it runs on one worker only, whatever it waits for and whatever wakes it.

use std::cell::Cell;
use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, ThreadId};
use std::time::{Duration, Instant};

use crate::common::child::in_child;
use crate::common::coroutines::{LONG, bind, echo_once, runtime, within};
use crate::common::wait_until;
use zinx::green::{
    self, AsyncResult, Channel, Event, Greenlet, Pool, Queue, RLock, Select, Semaphore, TcpStream,
};

/// Most of all it is sound to keep a copy of an `Rc` out of a thread-local across a wait.
#[test]
fn a_copy_out_of_a_thread_local_is_kept_across_waits_of_every_kind() {
    thread_local! { static SHARED: Rc<[u64; 4]> = Rc::new([7; 4]) }
    within(100, || {
        let things = Arc::new(Things::new());
        let all: Vec<_> = (0..32)
            .map(|n| {
                let things = Arc::clone(&things);
                green::spawn(move || {
                    for round in 0..60 {
                        let (copy, on) = (SHARED.with(Rc::clone), thread::current().id());
                        things.wait_for(n + round);
                        assert_eq!((copy[0], thread::current().id()), (7, on), "after wait {}", n + round);
                        assert!(SHARED.with(|shared| Rc::ptr_eq(shared, &copy)));
                    }
                })
            })
            .collect();
        all.into_iter().for_each(|one| one.get().unwrap());
        things.close();
    });
}

/// What the coroutines of a test meet at, all of them on all workers.
struct Things {
    queue: Queue<usize>,
    channel: Channel<usize>,
    permits: Semaphore,
    lock: RLock,
    echo: (SocketAddr, Greenlet<()>),
}

impl Things {
    fn new() -> Self {
        Self {
            queue: Queue::bounded(4),
            channel: Channel::new(),
            permits: Semaphore::new(2),
            lock: RLock::new(()),
            echo: echo_server(),
        }
    }

    /// Waits in one of many ways, most of which another worker ends.
    fn wait_for(&self, way: usize) {
        match way % 12 {
            0 => green::sleep(Duration::from_micros(300)),
            1 => green::yield_now(),
            // There are as many that put as that get, and none waits forever for one that has ended.
            2 => drop(self.queue.put_timeout(1, Duration::from_millis(2))),
            3 => drop(self.queue.get_timeout(Duration::from_millis(2))),
            4 => drop(self.channel.put_timeout(1, Duration::from_millis(2))),
            5 => drop(self.channel.get_timeout(Duration::from_millis(2))),
            6 => {
                let _permit = self.permits.acquire();
                green::sleep(Duration::from_micros(100));
            }
            7 => {
                let _guard = self.lock.acquire();
                green::yield_now();
            }
            8 => assert_eq!(green::spawn(|| 5).get().unwrap(), 5),
            9 => assert_eq!(green::blocking(|| 6), 6),
            10 => echo_through(self.echo.0),
            _ => assert!(
                green::with_timeout(Duration::from_micros(500), || Select::new()
                    .on(&Event::new(), |()| ())
                    .wait())
                .is_err()
            ),
        }
    }

    fn close(&self) {
        self.echo.1.kill();
    }
}

#[test]
fn wake_ups_across_workers_are_never_lost() {
    within(100, || {
        let pairs: Vec<_> = (0..8)
            .map(|_| {
                let (there, back) = (Arc::new(Channel::new()), Arc::new(Queue::bounded(1)));
                let (theirs, to_me) = (Arc::clone(&there), Arc::clone(&back));
                let answers = green::spawn(move || theirs.iter().try_for_each(|n: u32| to_me.put(n + 1)));
                let asks = green::spawn(move || {
                    for n in 0..2000 {
                        there.put(n).unwrap();
                        assert_eq!(back.get(), Some(n + 1));
                    }
                    there.close();
                });
                (asks, answers)
            })
            .collect();
        for (asks, answers) in pairs {
            asks.get().unwrap();
            answers.get().unwrap().unwrap();
        }
    });
}

#[test]
fn threads_and_timers_wake_green_threads_that_rest() {
    within(100, || {
        // With pauses of all lengths, the workers rest in either way when they are woken.
        for round in 0..40 {
            let (result, theirs) = {
                let result = Arc::new(AsyncResult::<u64>::new());
                (Arc::clone(&result), result)
            };
            let waits: Vec<_> = (0..4)
                .map(|_| {
                    let theirs = Arc::clone(&theirs);
                    green::spawn(move || theirs.get_timeout(LONG))
                })
                .collect();
            thread::sleep(Duration::from_millis(round % 5 * 40));
            result.set(round);
            for one in waits {
                assert_eq!(one.get().unwrap(), Some(Ok(round)));
            }
        }
    });
}

/// Bytes for a socket, a wake-up and a spawn, all for the same workers at the same time, which then have nothing else to do.
#[test]
fn what_comes_at_once_is_all_heard_of() {
    within(100, || {
        let (address, server) = echo_server();
        let clients: Vec<_> = (0..4)
            .map(|_| {
                thread::spawn(move || {
                    let mut client = std::net::TcpStream::connect(address).unwrap();
                    client.set_nodelay(true).unwrap();
                    client.set_read_timeout(Some(LONG)).unwrap();
                    for n in 0..1500_u32 {
                        let told = Arc::new(Queue::unbounded());
                        let theirs = Arc::clone(&told);
                        let waits = green::spawn(move || theirs.get());
                        client.write_all(&n.to_le_bytes()).unwrap();
                        let other = green::spawn(move || n);
                        told.put(n).unwrap();
                        let mut echoed = [0; 4];
                        client.read_exact(&mut echoed).expect("the bytes were heard of");
                        assert_eq!((u32::from_le_bytes(echoed), other.get().unwrap()), (n, n));
                        assert_eq!(waits.get().unwrap(), Some(n));
                    }
                })
            })
            .collect();
        clients.into_iter().for_each(|client| client.join().unwrap());
        server.kill();
    });
}

#[test]
fn green_threads_are_spread_evenly_whatever_the_rhythm() {
    // In a process of its own: what others spawn breaks the rhythm, and no green thread begins on a worker they hold.
    in_child("home::green_threads_are_spread_evenly_whatever_the_rhythm", || {
        within(30, spawn_in_each_rhythm)
    });
}

fn spawn_in_each_rhythm() {
    let workers = runtime().workers;
    for rhythm in 1..=4 {
        // The machine may hold a worker for a while: one of ten tries is enough.
        let mut counts = HashMap::new();
        let evenly = (0..10).any(|_| {
            counts = counts_of_each_worker(workers, rhythm);
            let (least, most) = (counts.values().min().unwrap(), counts.values().max().unwrap());
            counts.len() == workers && most - least <= workers * 64 / 4
        });
        assert!(evenly, "every {rhythm}th: {counts:?}");
    }
}

/// How many of those at every first, second, .. place each worker has.
fn counts_of_each_worker(workers: usize, rhythm: usize) -> HashMap<ThreadId, usize> {
    let on = (0..workers * rhythm * 64)
        .map(|_| green::spawn(|| thread::current().id()))
        .map(|one| one.get().unwrap())
        .step_by(rhythm);
    let mut counts = HashMap::new();
    on.for_each(|thread| *counts.entry(thread).or_default() += 1);
    counts
}

#[test]
fn a_reader_and_a_writer_on_different_workers_share_a_socket() {
    within(60, || {
        let (address, echo) = echo_once();
        let workers = runtime().workers;
        {
            let stream = TcpStream::connect(address).unwrap();
            let (mut reader, mut writer) = (stream.clone(), stream);
            let bytes = 2 << 20;
            let writes = on_worker(0, move || {
                let sent: Vec<u8> = (0..bytes).map(|at| (at % 251) as u8).collect();
                writer.write_all(&sent).unwrap();
                writer.shutdown_write();
            });
            let reads = on_worker(workers - 1, move || {
                let mut got = Vec::new();
                reader.read_to_end(&mut got).unwrap();
                got
            });
            writes.get().unwrap().unwrap();
            let got = reads.get().unwrap().unwrap();
            assert_eq!(got.len(), bytes);
            assert!(got.iter().enumerate().all(|(at, byte)| *byte == (at % 251) as u8));
        }
        echo.get().unwrap();
    });
}

/// Descriptors are used again at once: an event that was on its way to the one before ends no wait of the next.
#[test]
fn sockets_that_come_and_go_take_no_events_of_each_other() {
    within(100, || {
        let (address, server) = echo_server();
        let clients: Vec<_> =
            (0..16).map(|_| green::spawn(move || (0..60).for_each(|_| echo_through(address)))).collect();
        clients.into_iter().for_each(|one| one.get().unwrap());
        server.kill();
    });
}

/// One that computes keeps its own worker only: a green thread that waits elsewhere is woken as before.
#[test]
fn one_that_computes_holds_up_no_other_worker() {
    // In a process of its own: beside it no coroutine would begin on its worker.
    in_child("home::one_that_computes_holds_up_no_other_worker", || within(60, compute_beside_others));
}

fn compute_beside_others() {
    let workers = runtime().workers;
    if workers == 1 {
        return;
    }
    let (stop, begun) = (Arc::new(AtomicUsize::new(0)), Arc::new(Event::new()));
    let others: Vec<_> = (1..workers)
        .map(|at| {
            let begun = Arc::clone(&begun);
            on_worker(at, move || {
                begun.wait();
                let start = Instant::now();
                (0..50).for_each(|_| green::sleep(Duration::from_millis(1)));
                start.elapsed()
            })
        })
        .collect();
    let (theirs, say) = (Arc::clone(&stop), Arc::clone(&begun));
    let computes = on_worker(0, move || {
        say.set();
        while theirs.load(Ordering::Relaxed) == 0 {
            std::hint::spin_loop();
        }
    });
    let late = others.iter().filter(|one| !one.join_timeout(LONG)).count();
    assert_eq!(late, 0, "others waited for it");
    stop.store(1, Ordering::Relaxed);
    computes.get().unwrap().unwrap();
}

#[test]
fn pools_use_all_workers() {
    within(30, || {
        // A worker that another test holds, or the machine, gets none meanwhile.
        wait_until("a pool on all workers", || {
            let on = Pool::new(16).map(0..64, |_| thread::current().id());
            let threads: std::collections::HashSet<_> = on.into_iter().map(Result::unwrap).collect();
            threads.len() == runtime().workers
        });
    });
}

#[test]
fn green_threads_of_one_worker_share_what_is_not_send() {
    within(30, || {
        let (sum, on) = green::run(|| {
            let (sum, on) = (Rc::new(Cell::new(0)), thread::current().id());
            let adders: Vec<_> = (1..=100)
                .map(|n| {
                    let sum = Rc::clone(&sum);
                    green::spawn_here(move || {
                        green::sleep(Duration::from_micros(n));
                        sum.set(sum.get() + n);
                        thread::current().id()
                    })
                })
                .collect();
            let all_here = adders.into_iter().all(|adder| adder.get().unwrap() == on);
            // Killed before it begins, it is dropped where it was made.
            let killed = Rc::clone(&sum);
            green::spawn_here(move || killed.set(0)).kill();
            assert_eq!(Rc::strong_count(&sum), 1);
            (sum.get(), all_here)
        });
        assert_eq!((sum, on), (5050, true));
    });
}

/// Coroutines that a program spawns with `may` itself have their turn, whether the workers have much to do or nothing.
#[test]
fn coroutines_of_may_run_beside_green_threads() {
    within(60, || {
        let (address, server) = echo_server();
        for busy in [false, true] {
            let stop = Arc::new(Event::new());
            let theirs = Arc::clone(&stop);
            let busy = green::spawn(move || {
                while busy && !theirs.is_set() {
                    echo_through(address);
                }
            });
            let foreign: Vec<_> = (0..4)
                .map(|n| {
                    let body = move || {
                        (0..20).for_each(|_| may::coroutine::yield_now());
                        green::sleep(Duration::from_millis(1));
                        n
                    };
                    #[expect(
                        unsafe_code,
                        reason = "`may` has no other way; the body holds nothing of a thread's"
                    )]
                    // SAFETY: the body uses no thread-local and little of its stack.
                    unsafe {
                        may::coroutine::spawn(body)
                    }
                })
                .collect();
            for (n, one) in foreign.into_iter().enumerate() {
                assert_eq!(one.join().unwrap(), n);
            }
            stop.set();
            busy.join();
        }
        server.kill();
    });
}

/// Runs `body` on the worker of this number, counted in the order in which this meets them. It gives `Some`.
fn on_worker<T: Send + 'static>(at: usize, body: impl FnOnce() -> T + Send + 'static) -> Greenlet<Option<T>> {
    static MET: Mutex<Vec<ThreadId>> = Mutex::new(Vec::new());
    let mut body = Some(body);
    loop {
        let (on, go) = (Arc::new(AsyncResult::<ThreadId>::new()), Arc::new(Queue::bounded(1)));
        let (say, told) = (Arc::clone(&on), Arc::clone(&go));
        let one = green::spawn(move || {
            say.set(thread::current().id());
            let body: Option<Box<dyn FnOnce() -> T + Send>> = told.get().unwrap();
            body.map(|body| body())
        });
        let thread = on.get().unwrap();
        let is_it = {
            let mut met = MET.lock().unwrap();
            if !met.contains(&thread) {
                met.push(thread);
            }
            met.get(at) == Some(&thread)
        };
        let given = body.take_if(|_| is_it).map(|body| Box::new(body) as Box<_>);
        assert!(go.put(given).is_ok());
        if is_it {
            return one;
        }
        one.join();
    }
}

/// Accepts forever, and echoes to the end of each stream.
fn echo_server() -> (SocketAddr, Greenlet<()>) {
    let listener = bind();
    let address = listener.local_addr();
    let server = green::spawn(move || {
        loop {
            let (mut stream, _) = listener.accept().unwrap();
            green::spawn(move || {
                let mut buf = [0; 256];
                while let Ok(n @ 1..) = stream.read(&mut buf) {
                    stream.write_all(&buf[..n]).unwrap();
                }
            });
        }
    });
    (address, server)
}

fn echo_through(address: SocketAddr) {
    let mut stream = TcpStream::connect(address).unwrap();
    for n in 0..4_u8 {
        let (sent, mut got) = ([n; 32], [0; 32]);
        stream.write_all(&sent).unwrap();
        stream.read_exact(&mut got).unwrap();
        assert_eq!(sent, got);
    }
}
