//! Killed while it waits, on whatever primitive: no item is lost, no lock stuck, no permit gone.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::common::coroutines::{LONG, within};
use crate::common::random::{Random, with_seeds};
use crate::common::wait_until;
use zinx::green::generator::Generator;
use zinx::green::{
    self, AsyncResult, BoundedSemaphore, Channel, Event, Failed, GetError, Greenlet, JoinableQueue, PutError,
    Queue, RLock, Select, Semaphore,
};

#[test]
fn a_getter_that_is_killed_leaves_the_item_to_the_next() {
    within(30, || {
        let queue = Arc::new(Queue::bounded(1));
        let theirs = Arc::clone(&queue);
        kill_waiting("waits for an item of a queue", move || theirs.get());
        queue.put(7).unwrap();
        assert_eq!(queue.get_timeout(LONG), Ok(7));
    });
}

#[test]
fn a_putter_that_is_killed_puts_nothing_and_takes_no_room() {
    within(30, || {
        let queue = Arc::new(Queue::bounded(1));
        queue.put(1).unwrap();
        let theirs = Arc::clone(&queue);
        kill_waiting("waits for room in a queue", move || theirs.put(2));
        assert_eq!(queue.get(), Some(1));
        queue.put_timeout(3, LONG).unwrap();
        assert_eq!((queue.get(), queue.try_get()), (Some(3), Err(GetError::Empty)));
    });
}

#[test]
fn a_joiner_of_a_queue_that_is_killed_leaves_the_others_waiting() {
    within(30, || {
        let queue = Arc::new(JoinableQueue::bounded(1));
        queue.put(1).unwrap();
        let theirs = Arc::clone(&queue);
        kill_waiting(ANYTHING, move || theirs.join());
        assert!(!queue.join_timeout(Duration::from_millis(2)));
        queue.task_done();
        assert!(queue.join_timeout(LONG));
    });
}

#[test]
fn a_channel_forgets_a_killed_putter_with_its_item_and_a_killed_getter() {
    within(30, || {
        let channel = Arc::new(Channel::new());
        let theirs = Arc::clone(&channel);
        kill_waiting(ANYTHING, move || theirs.put(1));
        assert_eq!((channel.balance(), channel.try_get()), (0, Err(GetError::Empty)));
        let theirs = Arc::clone(&channel);
        kill_waiting(ANYTHING, move || theirs.get());
        assert_eq!((channel.balance(), channel.try_put(2)), (0, Err(PutError::Full(2))));
    });
}

#[test]
fn a_permit_is_not_lost_with_one_that_is_killed_waiting_or_holding() {
    within(30, || {
        let semaphore = BoundedSemaphore::new(1);
        let permit = semaphore.acquire();
        let theirs = semaphore.clone();
        kill_waiting("waits for a permit", move || theirs.acquire());
        drop(permit);
        assert_eq!(semaphore.available(), 1);
        let theirs = semaphore.clone();
        kill_waiting(ANYTHING, move || {
            let _permit = theirs.acquire();
            Event::new().wait();
        });
        assert_eq!(semaphore.available(), 1);
    });
}

#[test]
fn a_lock_is_not_stuck_with_one_that_is_killed_waiting_or_holding() {
    within(30, || {
        let lock = Arc::new(RLock::new(()));
        let held = lock.acquire();
        let theirs = Arc::clone(&lock);
        kill_waiting("waits for a lock", move || drop(theirs.acquire()));
        drop(held);
        let theirs = Arc::clone(&lock);
        kill_waiting(ANYTHING, move || {
            let (_outer, _inner) = (theirs.acquire(), theirs.acquire());
            Event::new().wait();
        });
        assert!(!lock.is_locked());
        drop(lock.acquire_timeout(LONG).unwrap());
    });
}

#[test]
fn events_results_and_selects_forget_those_that_are_killed() {
    within(30, || {
        let (event, answer) = (Arc::new(Event::new()), Arc::new(AsyncResult::<i32>::new()));
        let (queue, semaphore) = (Arc::new(Queue::<i32>::bounded(1)), Semaphore::new(0));
        let theirs = Arc::clone(&event);
        kill_waiting("waits for an event", move || theirs.wait());
        let theirs = Arc::clone(&answer);
        kill_waiting("waits for a value", move || theirs.get());
        let (first, second, third) = (Arc::clone(&queue), semaphore.clone(), Arc::clone(&event));
        kill_waiting("waits for the first of several", move || {
            Select::new().on(&*first, drop).on(&second, drop).on(&*third, drop).wait();
        });
        event.set();
        assert!(answer.set(1));
        queue.put(1).unwrap();
        semaphore.release();
        assert_eq!((queue.try_get(), semaphore.available(), answer.get()), (Ok(1), 1, Ok(1)));
    });
}

#[test]
fn a_generator_ends_with_its_consumer() {
    within(30, || {
        let ended = Arc::new(Event::new());
        let theirs = Arc::clone(&ended);
        kill_waiting(ANYTHING, move || {
            let mut generator = Generator::<u64>::new(move |out| {
                let _set = SetOnDrop(theirs);
                out.yield_(1);
                Event::new().wait();
            });
            assert_eq!(generator.next(), Some(1));
            // Killed between two values: the body is at its `yield_`.
            Event::new().wait();
        });
        assert!(ended.wait_timeout(LONG));
    });
}

#[test]
fn every_item_is_got_or_still_there_where_getters_and_putters_are_killed_at_random() {
    within(120, || with_seeds(15, check_queue));
}

#[test]
fn every_item_is_delivered_once_where_both_sides_of_a_channel_are_killed_at_random() {
    within(120, || with_seeds(15, check_channel));
}

#[test]
fn permits_and_locks_come_back_where_their_takers_are_killed_at_random() {
    within(120, || with_seeds(15, check_permits));
}

fn check_queue(seed: u64) {
    let queue = Arc::new(Queue::bounded(2));
    let (put, got) = (Arc::new(Mutex::new(Vec::new())), Arc::new(Mutex::new(Vec::new())));
    let actors: Vec<_> = (0..8)
        .map(|n| {
            let (queue, put, got) = (Arc::clone(&queue), Arc::clone(&put), Arc::clone(&got));
            green::spawn(move || {
                let mut random = Random::new(seed * 100 + n);
                for item in 0.. {
                    random.pause();
                    if n % 2 == 0 {
                        queue.put((n, item)).unwrap();
                        put.lock().unwrap().push((n, item));
                    } else if let Ok(item) = queue.get_timeout(random.short()) {
                        got.lock().unwrap().push(item);
                    }
                }
            })
        })
        .collect();
    kill_at_random(seed, actors);
    queue.close();
    let mut got = std::mem::take(&mut *got.lock().unwrap());
    got.extend(queue.iter());
    got.sort_unstable();
    let mut put = std::mem::take(&mut *put.lock().unwrap());
    put.sort_unstable();
    assert_eq!(got, put, "seed {seed}");
}

fn check_channel(seed: u64) {
    let channel = Arc::new(Channel::new());
    let (put, got) = (Arc::new(Mutex::new(Vec::new())), Arc::new(Mutex::new(Vec::new())));
    let actors: Vec<_> = (0..8)
        .map(|n| {
            let (channel, put, got) = (Arc::clone(&channel), Arc::clone(&put), Arc::clone(&got));
            green::spawn(move || {
                let mut random = Random::new(seed * 100 + n);
                for item in 0.. {
                    random.pause();
                    if n % 2 == 0 {
                        if channel.put_timeout((n, item), random.short()).is_ok() {
                            put.lock().unwrap().push((n, item));
                        }
                    } else if let Some(item) = channel.get() {
                        got.lock().unwrap().push(item);
                    }
                }
            })
        })
        .collect();
    kill_at_random(seed, actors);
    assert_eq!(channel.balance(), 0, "seed {seed}");
    let mut got = std::mem::take(&mut *got.lock().unwrap());
    got.sort_unstable();
    let mut put = std::mem::take(&mut *put.lock().unwrap());
    put.sort_unstable();
    assert_eq!(got, put, "seed {seed}");
}

fn check_permits(seed: u64) {
    let (semaphore, lock) = (BoundedSemaphore::new(2), Arc::new(RLock::new(())));
    let actors: Vec<_> = (0..8)
        .map(|n| {
            let (semaphore, lock) = (semaphore.clone(), Arc::clone(&lock));
            green::spawn(move || {
                let mut random = Random::new(seed * 100 + n);
                loop {
                    random.pause();
                    let _permit = semaphore.acquire();
                    random.pause();
                    let _outer = lock.acquire_timeout(random.short());
                    random.pause();
                    let _inner = lock.acquire();
                    random.pause();
                }
            })
        })
        .collect();
    kill_at_random(seed, actors);
    assert_eq!((semaphore.available(), lock.is_locked()), (2, false), "seed {seed}");
}

/// Lets them run for a while and kills one after the other.
fn kill_at_random(seed: u64, mut actors: Vec<Greenlet<()>>) {
    let mut random = Random::new(seed);
    while !actors.is_empty() {
        green::sleep(Duration::from_micros(random.below(2000)));
        let victim = actors.swap_remove(random.below(actors.len() as u64) as usize);
        victim.kill();
        let ended = victim.get();
        assert!(matches!(ended, Err(Failed::Killed)), "seed {seed}: {ended:?}");
    }
}

/// Where it does not matter what the victim is seen to wait for.
const ANYTHING: &str = "waits for ";

/// Kills a coroutine that runs `body` once it waits.
fn kill_waiting<T: Send + std::fmt::Debug + 'static>(what: &str, body: impl FnOnce() -> T + Send + 'static) {
    let victim = green::spawn(body);
    wait_until(what, || victim.coroutine().activity().starts_with(what));
    victim.kill();
    let ended = victim.get();
    assert!(matches!(ended, Err(Failed::Killed)), "{ended:?}");
}

struct SetOnDrop(Arc<Event>);

impl Drop for SetOnDrop {
    fn drop(&mut self) {
        self.0.set();
    }
}
