//! Connections at rest: they have no stack, and are one green thread all the same, whichever stack they run on.

use std::collections::HashSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use crate::common::child::in_child;
use crate::common::{Peer, Running, config, frame, start, start_alone, wait_until};
use zinx::green::{self, AsyncResult, Channel, Event, Local, Queue, RLock, Select, Semaphore};
use zinx::ziface::{CloseReason, IRequest};

/// The message id whose handler waits, for the kind of thing that its data says.
const WAIT: u32 = 3;

/// The message id whose handler says which green thread it is.
const WHO: u32 = 4;

/// A way to wait, and how it is ended.
struct Kind {
    name: &'static str,
    wait: Box<dyn Fn() + Send + Sync>,
    end: Box<dyn Fn() + Send + Sync>,
}

fn kind<T: Send + Sync + 'static>(
    name: &'static str,
    of: T,
    wait: impl Fn(&T) + Send + Sync + 'static,
    end: impl Fn(&T) + Send + Sync + 'static,
) -> Kind {
    let of = Arc::new(of);
    let its = Arc::clone(&of);
    Kind { name, wait: Box::new(move || wait(&its)), end: Box::new(move || end(&of)) }
}

fn kinds() -> Vec<Kind> {
    let full = Queue::bounded(1);
    full.try_put(0).unwrap();
    let (held, free) = (Arc::new(RLock::new(())), Arc::new(Event::new()));
    let (theirs, until) = (Arc::clone(&held), Arc::clone(&free));
    let holds = Arc::new(Event::new());
    let has = Arc::clone(&holds);
    green::spawn(move || {
        let _guard = theirs.acquire();
        has.set();
        until.wait();
    });
    holds.wait();
    let greenlet_ends = Arc::new(Event::new());
    let its = Arc::clone(&greenlet_ends);
    let greenlet = green::spawn(move || its.wait());
    let (sender, receiver) = mpsc::channel::<()>();
    let blocked = (Mutex::new(sender), Arc::new(Mutex::new(receiver)));
    vec![
        kind("event", Event::new(), |event| event.wait(), |event| event.set()),
        kind(
            "item",
            Queue::unbounded(),
            |queue| assert!(queue.get().is_some()),
            |queue| queue.try_put(1).unwrap(),
        ),
        kind("room", full, |queue| queue.put(1).unwrap(), |queue| assert_eq!(queue.try_get(), Ok(0))),
        kind(
            "partner",
            Arc::new(Channel::new()),
            |channel| assert!(channel.get().is_some()),
            |channel| {
                let channel = Arc::clone(channel);
                let _ = green::run(move || channel.put(1));
            },
        ),
        kind("permit", Semaphore::new(0), |permits| drop(permits.acquire()), |permits| permits.release()),
        kind("lock", held, |lock| drop(lock.acquire()), move |_| free.set()),
        kind(
            "value",
            AsyncResult::<u8, u8>::new(),
            |value| assert_eq!(value.get(), Ok(1)),
            |value| assert!(value.set(1)),
        ),
        kind("greenlet", greenlet, |greenlet| greenlet.join(), move |_| greenlet_ends.set()),
        kind("any", Event::new(), |event| Select::new().on(event, |()| ()).wait(), |event| event.set()),
        kind(
            "time",
            Event::new(),
            |event| {
                while !event.is_set() {
                    green::sleep(Duration::from_millis(1));
                }
            },
            |event| event.set(),
        ),
        kind(
            "turn",
            Event::new(),
            |event| {
                while !event.is_set() {
                    green::yield_now();
                }
            },
            |event| event.set(),
        ),
        kind(
            "thread",
            blocked,
            |(_, receiver)| {
                let receiver = Arc::clone(receiver);
                green::blocking(move || receiver.lock().unwrap().recv().unwrap());
            },
            |(sender, _)| sender.lock().unwrap().send(()).unwrap(),
        ),
    ]
}

#[test]
fn a_handler_that_waits_for_anything_keeps_its_stack_and_the_others_go_on() {
    let begun = Arc::new(AtomicUsize::new(0));
    let all = Arc::new(Mutex::new(Arc::new(Vec::new())));
    let (its, waits) = (Arc::clone(&begun), Arc::clone(&all));
    let running = start(config(), move |server| {
        let wait = move |request: &dyn IRequest| {
            let kinds: Arc<Vec<Kind>> = Arc::clone(&waits.lock().unwrap());
            its.fetch_add(1, Ordering::AcqRel);
            (kinds[usize::from(request.get_data()[0])].wait)();
            request.get_connection().send_msg(WAIT, request.get_data())
        };
        server.add_router(WAIT, wait).unwrap();
    });
    *all.lock().unwrap() = Arc::new(kinds());
    let kinds = Arc::clone(&all.lock().unwrap());
    let mut others: Vec<_> = (0..8).map(|_| running.connect()).collect();
    let mut waiting: Vec<_> = (0..kinds.len()).map(|_| running.connect()).collect();
    for (at, peer) in waiting.iter_mut().enumerate() {
        peer.send(&frame(WAIT, &[at as u8]));
        wait_until(kinds[at].name, || begun.load(Ordering::Acquire) == at + 1);
        // On whatever worker it waits, those beside it are there.
        others.iter_mut().for_each(Peer::check_echo);
    }
    for (at, peer) in waiting.iter_mut().enumerate() {
        (kinds[at].end)();
        assert_eq!(peer.read_frame(), (WAIT, vec![at as u8]), "{}", kinds[at].name);
        peer.check_echo();
        others.iter_mut().for_each(Peer::check_echo);
    }
}

#[test]
fn a_connection_is_one_green_thread_whatever_stack_it_runs_on() {
    static COUNT: Local<u32> = Local::new(|| 0);
    let running = start(config(), |server| {
        let who = |request: &dyn IRequest| {
            let me = green::current().unwrap();
            // Every second message waits, so that others take the stacks.
            if request.get_data()[0].is_multiple_of(2) {
                green::sleep(Duration::from_micros(100));
            }
            assert_eq!(green::current().unwrap(), me);
            COUNT.set(COUNT.get() + 1);
            let said = format!("{} {} {}", me.id(), me.name(), COUNT.get());
            request.get_connection().send_msg(WHO, said)
        };
        server.add_router(WHO, who).unwrap();
    });
    let mut peers: Vec<_> = (0..8).map(|_| running.connect()).collect();
    let mut ids: Vec<HashSet<String>> = vec![HashSet::new(); peers.len()];
    for n in 0..50_u8 {
        for peer in &mut peers {
            peer.send(&frame(WHO, &[n]));
        }
        for (peer, ids) in peers.iter_mut().zip(&mut ids) {
            let said = String::from_utf8(peer.read_frame().1).unwrap();
            let conn = running.conn(peer.addr()).get_conn_id();
            let (id, rest) = said.split_once(' ').unwrap();
            assert_eq!(rest, format!("connection {conn} {}", n + 1));
            ids.insert(id.to_string());
        }
    }
    let all: HashSet<_> = ids.iter().flatten().collect();
    assert_eq!((all.len(), ids.iter().all(|ids| ids.len() == 1)), (peers.len(), true));
}

#[test]
fn connections_at_rest_have_no_stack_and_are_there_for_all_to_see() {
    in_child("resting::connections_at_rest_have_no_stack_and_are_there_for_all_to_see", || {
        let running = start_alone(config(), |_| {});
        let mut one = running.connect();
        one.check_echo();
        let before = green::live_coroutines();
        let mut peers: Vec<_> = (0..100).map(|_| running.connect()).collect();
        peers.iter_mut().for_each(Peer::check_echo);
        wait_until("stacks that are not needed to go", || green::live_coroutines() <= before);
        for peer in &peers {
            let id = running.conn(peer.addr()).get_conn_id();
            let lines = [
                format!("\"connection {id}\" waits for a socket"),
                format!("- \"writer of connection {id}\" waits for an item of a queue"),
            ];
            for line in lines {
                wait_until(&line, || green::dump().contains(&line));
            }
        }
    });
}

/// Such a wait may end on another worker: the stack goes on there, and has to come home before it carries anybody else.
#[test]
fn handlers_that_wait_by_calling_may_itself_leave_their_workers_as_they_were() {
    let (asked, asks) = mpsc::channel::<may::sync::mpsc::Sender<()>>();
    // A plain thread: what it wakes goes on on any worker.
    let wakes = std::thread::spawn(move || asks.iter().for_each(|waits| waits.send(()).unwrap()));
    let asked = Mutex::new(asked);
    let running = start(config(), |server| {
        let waits = move |request: &dyn IRequest| {
            for _ in 0..5 {
                let (sender, receiver) = may::sync::mpsc::channel();
                asked.lock().unwrap().send(sender).unwrap();
                receiver.recv().unwrap();
            }
            request.get_connection().send_msg(WAIT, "")
        };
        server.add_router(WAIT, waits).unwrap();
    });
    let mut peers: Vec<_> = (0..16).map(|_| running.connect()).collect();
    for _ in 0..100 {
        peers.iter_mut().for_each(|peer| peer.send(&frame(WAIT, b"")));
        peers.iter_mut().for_each(|peer| assert_eq!(peer.read_frame(), (WAIT, Vec::new())));
    }
    peers.iter_mut().for_each(Peer::check_echo);
    running.stop();
    wakes.join().unwrap();
}

#[test]
fn a_thousand_handlers_that_wait_at_once_end_and_give_their_stacks_back() {
    in_child("resting::a_thousand_handlers_that_wait_at_once_end_and_give_their_stacks_back", || {
        green::raise_open_files(2 * MANY + 200);
        let (go_on, waiting) = (Arc::new(Event::new()), Arc::new(AtomicUsize::new(0)));
        let (until, count) = (Arc::clone(&go_on), Arc::clone(&waiting));
        let running = start(config(), |server| {
            let wait = move |request: &dyn IRequest| {
                count.fetch_add(1, Ordering::AcqRel);
                until.wait();
                request.get_connection().send_msg(WAIT, request.get_data())
            };
            server.add_router(WAIT, wait).unwrap();
        });
        let mut one = running.connect();
        one.check_echo();
        let before = green::live_coroutines();
        let mut peers: Vec<_> = (0..MANY).map(|_| running.connect()).collect();
        for (n, peer) in peers.iter_mut().enumerate() {
            peer.send(&frame(WAIT, &n.to_le_bytes()));
        }
        wait_until("all handlers", || waiting.load(Ordering::Acquire) == MANY);
        assert!(green::live_coroutines() >= MANY);
        one.check_echo();
        go_on.set();
        for (n, peer) in peers.iter_mut().enumerate() {
            assert_eq!(peer.read_frame(), (WAIT, n.to_le_bytes().to_vec()));
        }
        wait_until("their stacks", || green::live_coroutines() <= before);
        peers.iter_mut().for_each(Peer::check_echo);
    });
}

const MANY: usize = 1000;

#[test]
fn a_connection_at_rest_is_stopped_aborted_or_timed_out_as_any_other() {
    type End = fn(&Running, &Peer);
    let ends: [(CloseReason, u64, End); 3] = [
        (CloseReason::Stopped, 0, |running, peer| running.conn(peer.addr()).stop()),
        (CloseReason::Aborted, 0, |running, peer| running.conn(peer.addr()).abort()),
        (CloseReason::IdleTimeout, 800, |_, _| {}),
    ];
    for (reason, idle_timeout_ms, end) in ends {
        let mut config = config();
        config.idle_timeout_ms = idle_timeout_ms;
        let running = start(config, |_| {});
        let mut peer = running.greeted();
        end(&running, &peer);
        assert_eq!(running.close_reason(peer.addr()), reason);
        assert_eq!(peer.is_reset(), reason == CloseReason::Aborted, "{reason}");
        assert_eq!(running.stop_hooks(peer.addr()), 1);
    }
}
