//! Destructors that use `green` while their coroutine unwinds, after a panic, a kill or a time limit: what would wait gives
//! up at once, nothing yields, and no panic is counted to a coroutine that has not panicked.

use std::fs::File;
use std::io::{PipeReader, PipeWriter, Read, Write, pipe};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use crate::common::coroutines::{LONG, bind, within};
use zinx::green::generator::Generator;
use zinx::green::{
    self, AsyncResult, Barrier, Channel, Condition, DummySemaphore, Event, Failed, Greenlet, Group, Pool,
    Queue, RLock, ScopeError, Select, Semaphore, StreamServer, TcpListener, TcpStream, ThreadPool, Timeout,
    bluelet,
};

#[test]
fn what_would_wait_gives_up_at_once() {
    check_all(
        World::new,
        &[
            ("put", |w: &World| w.full.put(1).is_err()),
            ("put_timeout", |w| w.full.put_timeout(1, LONG).is_err()),
            ("get", |w| w.empty.get().is_none()),
            ("get_timeout", |w| w.empty.get_timeout(LONG).is_err()),
            ("peek", |w| w.empty.peek().is_none()),
            ("iter", |w| w.empty.iter().next().is_none()),
            ("queue join", |w| {
                w.full.join();
                !w.full.join_timeout(LONG)
            }),
            ("channel put", |w| w.channel.put(1).is_err()),
            ("channel put_timeout", |w| w.channel.put_timeout(1, LONG).is_err()),
            ("channel get", |w| w.channel.get().is_none()),
            ("event", |w| {
                w.event.wait();
                !w.event.wait_timeout(LONG)
            }),
            ("result", |w| {
                w.result.wait();
                w.result.get_timeout(LONG).is_none()
            }),
            ("semaphore", |w| w.permits.acquire_timeout(LONG).is_none()),
            ("rlock", |w| w.lock.acquire_timeout(LONG).is_none()),
            ("condition", |w| {
                let held = w.condition.acquire();
                held.wait();
                held.notify_all();
                !held.wait_timeout(LONG)
                    && !held.wait_for(|_| false)
                    && !held.wait_for_timeout(|_| false, LONG)
            }),
            ("barrier", |_| {
                let barrier = Barrier::new(2);
                barrier.wait().is_err() && barrier.wait_timeout(LONG).is_err()
            }),
            ("wait", |w| {
                let things: [&dyn green::Watch; 2] = [&*w.event, &*w.is_set];
                green::wait(&things, 2) == [1] && green::wait_timeout(&things, 2, LONG) == [1]
            }),
            ("join", |w| {
                w.never.join();
                !w.never.join_timeout(LONG)
            }),
            (
                "joinall",
                |_| matches!(green::joinall([green::spawn(wait_for_ever)]), Ok(none) if none.is_empty()),
            ),
            ("get of a greenlet", |_| matches!(green::spawn(wait_for_ever).get(), Err(Failed::Panicked(_)))),
            ("select", |w| Select::new().on(&*w.event, |()| 1).after(LONG, || 2).wait() == 2),
            ("wait_any", |w| green::wait_any_timeout(&[&*w.event, &*w.empty], LONG).is_none()),
            ("group", |w| {
                w.group.join();
                !w.group.join_timeout(LONG)
            }),
            ("read", |w| (&w.stream).read(&mut [0; 8]).is_err()),
            ("accept", |w| w.listener.accept().is_err()),
            ("generator", |_| once().next().is_none()),
            ("sleep", |_| {
                green::sleep(LONG);
                true
            }),
            ("iwait", |_| green::iwait([green::spawn(wait_for_ever)]).next().is_none()),
            ("imap", |_| Pool::new(1).imap(0..3, |n| n).next().is_none()),
            ("imap_unordered", |_| Pool::new(1).imap_unordered(0..3, |n| n).next().is_none()),
            ("read of a pipe", |w| bluelet::read(&w.pipe.0, Some(1)).is_err()),
        ],
    );
}

#[test]
fn what_need_not_wait_works() {
    check_all(
        World::new,
        &[
            ("try_put", |w: &World| w.roomy.try_put(1).is_ok() && w.roomy.try_get().is_ok()),
            ("put", |w| w.roomy.put(1).is_ok() && w.roomy.get().is_some()),
            ("refused try_put", |w| w.full.try_put(1).is_err() && w.empty.try_get().is_err()),
            ("channel", |w| w.channel.try_put(1).is_err() && w.channel.try_get().is_err()),
            ("event", |w| {
                w.event.set();
                w.event.clear();
                true
            }),
            ("set event", |w| w.is_set.wait_timeout(LONG)),
            ("result", |w| !w.is_there.set(2) && w.is_there.get() == Ok(1)),
            ("permit", |w| w.free.try_acquire().is_some() && w.free.acquire_timeout(LONG).is_some()),
            ("permit that is not waited for", |w| {
                drop(w.free.acquire());
                true
            }),
            // Of its own: others unwind on another worker meanwhile.
            ("rlock", |_| {
                let lock = RLock::new(());
                drop(lock.acquire());
                lock.try_acquire().is_some()
            }),
            ("select", |w| Select::new().on(&*w.is_set, |()| 1).wait() == 1),
            ("wait_any", |w| green::wait_any(&[&*w.is_set]) == 0),
            ("blocking", |_| green::blocking(|| 7) == 7),
            ("run", |_| green::run(|| 7) == 7),
            ("spawn", |_| {
                drop(green::spawn(|| 7));
                true
            }),
            ("pool", |_| {
                drop(Pool::new(1).spawn(|| 7));
                true
            }),
            ("yield_now", |_| {
                green::yield_now();
                green::fairness_point();
                true
            }),
            ("write", |w| (&w.stream).write(&[0]).is_ok_and(|n| n == 1)),
            ("links", |_| {
                let greenlet = green::spawn(|| 7);
                let link = greenlet.link(|_| {});
                greenlet.unlink(&link);
                greenlet.kill_with("no reason");
                true
            }),
            ("members of a pool", |w| {
                let pool = Pool::new(1);
                let taken = pool.add_timeout(w.never.coroutine(), LONG);
                taken && pool.wait_available_timeout(LONG) == 0 && pool.discard(w.never.coroutine())
            }),
            ("thread pool", |_| ThreadPool::new(1).apply(|| 7).is_ok_and(|seven| seven == 7)),
            ("scope", |_| matches!(green::scope::<(), ()>(|_| Ok(())), Err(ScopeError::Cancelled))),
            ("with_timeout", |_| green::with_timeout(LONG, || 7) == Ok(7)),
            ("timeout", |_| {
                let timeout = Timeout::start_new(LONG);
                let done = timeout.run(|| 7);
                timeout.close();
                done == Ok(7)
            }),
            ("dummy semaphore", |_| DummySemaphore::new().acquire_timeout(LONG).is_some()),
            ("kill", |_| !killed_in_a_destructor()),
            ("generator", |_| {
                once().close();
                true
            }),
            ("stop of a server", |w| {
                w.server.stop(LONG);
                true
            }),
            ("write to a pipe", |w| bluelet::write(&w.pipe.1, "x").is_ok()),
            ("file", |_| bluelet::read(File::open("/proc/self/stat").unwrap(), None).is_ok()),
            ("dump", |_| !green::dump().is_empty()),
        ],
    );
}

/// There is no refusal to return: the guard holds nothing, and gives nothing back.
#[test]
fn guards_that_cannot_be_refused_are_empty() {
    check_all(
        World::new,
        &[
            ("semaphore", |w: &World| {
                drop(w.permits.acquire());
                w.permits.available() == 0
            }),
            ("rlock", |w| {
                drop(w.lock.acquire());
                w.lock.is_locked()
            }),
        ],
    );
}

/// `put` and `get` at once in a bounded number of rounds: the pool is whole, whatever ends the borrowers.
#[test]
fn objects_go_back_to_their_pool_however_the_borrower_ends() {
    within(60, || {
        let pool = Arc::new(Queue::unbounded());
        (0..64).for_each(|n| pool.put(n).unwrap());
        let users: Vec<_> = (0..64).map(|n| borrower(n, &pool)).collect();
        users.into_iter().for_each(|user| user.get().unwrap());
        assert_eq!(pool.len(), 64);
        check_time_limits();
    });
}

/// A destructor at the end of a scope, with the time up already: it is not unwinding yet, and begins to once it has given.
#[test]
fn objects_go_back_to_their_pool_though_the_time_is_up_by_then() {
    within(60, || {
        let (pool, turns) = (Arc::new(Queue::unbounded()), Arc::new(AtomicUsize::new(0)));
        (0..8).for_each(|n| pool.put(n).unwrap());
        let users: Vec<_> = (0..8)
            .map(|_| {
                let (pool, turns) = (Arc::clone(&pool), Arc::clone(&turns));
                green::spawn(move || {
                    for _ in 0..200 {
                        let _ = green::with_timeout(Duration::ZERO, || {
                            let object = pool.try_get().unwrap();
                            // Until a fairness point is due in the destructor.
                            (0..turns.fetch_add(1, Ordering::Relaxed) % 16).for_each(|_| busy());
                            drop(OnDrop(Some(|| pool.try_put(object).unwrap())));
                        });
                    }
                })
            })
            .collect();
        users.into_iter().for_each(|user| user.get().unwrap());
        assert_eq!(pool.len(), 8);
    });
}

#[test]
fn permits_and_locks_go_to_those_who_wait_however_the_holder_ends() {
    within(60, || {
        for cause in Cause::ALL {
            let (one, lock) = (Semaphore::new(1), Arc::new(RLock::new(())));
            let waiting: Vec<_> = (0..40)
                .map(|_| {
                    let (one, lock) = (one.clone(), Arc::clone(&lock));
                    ended_by(cause, move || {
                        let _permit = one.acquire();
                        let _guard = lock.acquire();
                        busy();
                        cause.meet();
                    })
                })
                .collect();
            waiting.into_iter().for_each(|one| drop(one.get()));
            assert_eq!((one.available(), lock.is_locked()), (1, false), "{cause:?}");
        }
        check_time_limits();
    });
}

#[test]
fn guards_nest_and_contain_panics_of_their_own() {
    within(60, || {
        for cause in Cause::ALL {
            let given = Arc::new(Queue::unbounded());
            let all: Vec<_> = (0..40)
                .map(|_| {
                    let (outer, inner) = (Arc::clone(&given), Arc::clone(&given));
                    ended_by(cause, move || {
                        let _outer = OnDrop(Some(move || {
                            let _inner = OnDrop(Some(move || inner.try_put(1).unwrap()));
                            let contained = catch_unwind(|| panic!("{ON_PURPOSE}"));
                            green::sleep(LONG);
                            outer.try_put(u32::from(contained.is_err())).unwrap();
                        }));
                        cause.meet();
                    })
                })
                .collect();
            all.into_iter().for_each(|one| drop(one.get()));
            assert_eq!((given.len(), given.iter_now().sum::<u32>()), (80, 80), "{cause:?}");
        }
        check_time_limits();
    });
}

/// What the destructors use: some of it would keep them waiting forever, the rest is to be had.
struct World {
    full: Queue<u32>,
    roomy: Queue<u32>,
    empty: Arc<Queue<u32>>,
    channel: Channel<u32>,
    event: Arc<Event>,
    is_set: Arc<Event>,
    result: AsyncResult<u32>,
    is_there: AsyncResult<u32>,
    permits: Semaphore,
    free: Semaphore,
    lock: Arc<RLock>,
    condition: Condition,
    group: Group,
    never: Greenlet<()>,
    holder: Greenlet<()>,
    listener: TcpListener,
    /// Nothing comes, and little is sent.
    stream: TcpStream,
    server: StreamServer,
    /// Nothing is written by those who read, and little by the others.
    pipe: (PipeReader, PipeWriter),
}

/// What a destructor does with what it has. `true`: as expected.
type Call<W> = fn(&W) -> bool;

impl World {
    fn new() -> Arc<Self> {
        let (full, is_set, is_there) = (Queue::bounded(1), Arc::new(Event::new()), AsyncResult::new());
        full.put(0).unwrap();
        is_set.set();
        is_there.set(1);
        let (lock, taken) = (Arc::new(RLock::new(())), Arc::new(Event::new()));
        let (theirs, say) = (Arc::clone(&lock), Arc::clone(&taken));
        let holder = green::spawn(move || {
            let _held = theirs.acquire();
            say.set();
            wait_for_ever();
        });
        taken.wait();
        let group = Group::new();
        group.spawn(green::Builder::new(), wait_for_ever).unwrap();
        let listener = bind();
        let stream = TcpStream::connect(listener.local_addr()).unwrap();
        listener.accept().map(std::mem::forget).unwrap();
        let server = StreamServer::bind("127.0.0.1:0").unwrap();
        server.start(|_, _| Ok(())).unwrap();
        Arc::new(Self {
            full,
            roomy: Queue::unbounded(),
            empty: Arc::new(Queue::bounded(1)),
            channel: Channel::new(),
            event: Arc::new(Event::new()),
            is_set,
            result: AsyncResult::new(),
            is_there,
            permits: Semaphore::new(0),
            free: Semaphore::new(1 << 20),
            lock,
            condition: Condition::new(()),
            group,
            never: green::spawn(wait_for_ever),
            holder,
            listener,
            stream,
            server,
            pipe: pipe().unwrap(),
        })
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.group.kill();
        self.never.kill();
        self.holder.kill();
        self.server.stop(Duration::ZERO);
    }
}

/// What unwinds a coroutine.
#[derive(Clone, Copy, Debug)]
pub(super) enum Cause {
    Panic,
    Kill,
    Limit,
}

impl Cause {
    pub(super) const ALL: [Self; 3] = [Self::Panic, Self::Kill, Self::Limit];

    /// Where the unwinding begins.
    pub(super) fn meet(self) {
        match self {
            Self::Panic => panic!("{ON_PURPOSE}"),
            Self::Kill | Self::Limit => wait_for_ever(),
        }
    }
}

/// A coroutine that runs `body`, which meets `cause`.
pub(super) fn ended_by(cause: Cause, body: impl FnOnce() + Send + 'static) -> Greenlet<()> {
    LazyLock::force(&QUIET);
    match cause {
        Cause::Panic => green::spawn(body),
        Cause::Limit => green::spawn(move || {
            let _ = green::with_timeout(Duration::from_millis(5), body);
        }),
        Cause::Kill => green::spawn(move || {
            let begun = Arc::new(Event::new());
            let say = Arc::clone(&begun);
            let victim = green::spawn(move || {
                say.set();
                body();
            });
            // Killed before, it would never run.
            begun.wait();
            victim.kill();
        }),
    }
}

/// Makes each call from destructors in coroutines that unwind for each reason, several at a time, and checks what it returns.
pub(super) fn check_all<W: Send + Sync + 'static>(world: fn() -> Arc<W>, calls: &'static [(&str, Call<W>)]) {
    within(100, move || {
        let (world, wrong) = (world(), Arc::new(Mutex::new(Vec::new())));
        for (name, call) in calls {
            for cause in Cause::ALL {
                let dropped = Arc::new(AtomicUsize::new(0));
                let all: Vec<_> = (0..AT_ONCE)
                    .map(|_| {
                        let (world, wrong, dropped) =
                            (Arc::clone(&world), Arc::clone(&wrong), Arc::clone(&dropped));
                        let in_destructor = move || {
                            if !call_often(*call, &world) {
                                wrong.lock().unwrap().push(format!("{name} after {cause:?}"));
                            }
                            dropped.fetch_add(1, Ordering::Relaxed);
                        };
                        ended_by(cause, move || {
                            let _guard = OnDrop(Some(in_destructor));
                            cause.meet();
                        })
                    })
                    .collect();
                all.into_iter().for_each(|one| drop(one.get()));
                assert_eq!(dropped.load(Ordering::Relaxed), AT_ONCE, "{name} after {cause:?}");
            }
        }
        assert_eq!(*wrong.lock().unwrap(), Vec::<String>::new());
        check_time_limits();
    });
}

/// Often enough, and with the worker kept long enough, for every fairness point. `true`: as expected, at once, on one
/// thread, and panicking throughout.
fn call_often<W>(call: Call<W>, world: &W) -> bool {
    let (begun, on) = (Instant::now(), thread::current().id());
    busy();
    let right = (0..20).all(|_| call(world));
    right && begun.elapsed() < LONG / 2 && thread::current().id() == on && thread::panicking()
}

/// That nobody's panic is counted to another: a fresh coroutine is not panicking, and every time limit ends its body, on
/// all workers.
fn check_time_limits() {
    let limited: Vec<_> = (0..200)
        .map(|_| {
            green::spawn(|| {
                let innocent = !thread::panicking();
                innocent && green::with_timeout(Duration::from_millis(5), || green::sleep(LONG)).is_err()
            })
        })
        .collect();
    let ended = limited.into_iter().filter_map(|one| one.get().ok()).filter(|ended| *ended).count();
    assert_eq!(ended, 200, "of 200 time limits");
}

/// Takes objects from the pool and gives them back in destructors, in coroutines that each end in another way.
fn borrower(n: usize, pool: &Arc<Queue<u32>>) -> Greenlet<()> {
    let pool = Arc::clone(pool);
    green::spawn(move || {
        for round in 0..30 {
            let cause = Cause::ALL[(n + round) % 3];
            let pool = Arc::clone(&pool);
            let one = ended_by(cause, move || {
                let object = pool.get().unwrap();
                let _lent = OnDrop(Some(move || pool.try_put(object).unwrap()));
                busy();
                cause.meet();
            });
            drop(one.get());
        }
    })
}

/// Whether a coroutine that kills itself in a destructor was ended by that.
fn killed_in_a_destructor() -> bool {
    let contained = catch_unwind(AssertUnwindSafe(|| green::current().map(|me| me.kill())));
    contained.is_err()
}

/// A generator of one value.
fn once() -> Generator<u32> {
    Generator::new(|out| {
        out.yield_(1);
    })
}

fn wait_for_ever() {
    Event::new().wait();
}

/// Keeps the worker for longer than its slice.
fn busy() {
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_micros(60) {
        std::hint::spin_loop();
    }
}

/// Runs a closure when it is dropped.
pub(super) struct OnDrop<F: FnOnce()>(Option<F>);

impl<F: FnOnce()> OnDrop<F> {
    pub(super) const fn new(call: F) -> Self {
        Self(Some(call))
    }
}

impl<F: FnOnce()> Drop for OnDrop<F> {
    fn drop(&mut self) {
        if let Some(call) = self.0.take() {
            call();
        }
    }
}

trait IterNow {
    fn iter_now(&self) -> impl Iterator<Item = u32>;
}

impl IterNow for Queue<u32> {
    fn iter_now(&self) -> impl Iterator<Item = u32> {
        std::iter::from_fn(|| self.try_get().ok())
    }
}

/// Panics that are meant are not printed.
static QUIET: LazyLock<()> = LazyLock::new(|| {
    let print = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        if !info.to_string().contains(ON_PURPOSE) {
            print(info);
        }
    }));
});

const ON_PURPOSE: &str = "on purpose";

/// Coroutines that unwind at a time.
const AT_ONCE: usize = 8;
