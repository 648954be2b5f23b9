//! The end comes: whatever handlers wait for or compute, a server stops at its drain deadline or at a second signal, names
//! what it cuts off, and its process ends with exit code 1.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use rustix::process::Signal;
use zinx::green::{self, Event};
use zinx::prelude::*;
use zinx::ziface::CloseReason;
use zinx::znet::{IdleAction, new_func_request};

use super::common::child::in_child;
use super::common::in_time::in_time;
use super::common::process::SLACK;
use super::common::{Running, config, frame, start_alone, wait_until};
use super::stuck_server::{BEGUN, COMPUTE, FLOOD, Forced, SLEEP, SOON, StuckServer, WAITS};

const WORKERS_1: (&str, &str) = ("ZINX_WORKERS", "1");
const WORKERS_2: (&str, &str) = ("ZINX_WORKERS", "2");
const NO_POOL: (&str, &str) = ("ZINX_WORKERPOOLSIZE", "0");
const POOL: (&str, &str) = ("ZINX_WORKERPOOLSIZE", "40");

#[test]
fn handlers_that_wait_for_anything_are_cut_short_at_the_drain_deadline() {
    const NAME: &str = "the_end::handlers_that_wait_for_anything_are_cut_short_at_the_drain_deadline";
    for env in [[WORKERS_1, NO_POOL], [WORKERS_2, NO_POOL], [WORKERS_2, POOL]] {
        let ended = none_left_behind(|| {
            let server = StuckServer::start(NAME, &env);
            let peers: Vec<_> = WAITS.iter().map(|(msg_id, _)| server.ask(*msg_id)).collect();
            let ended = server.end_by_deadline();
            ended.is_forced(&peers);
            ended
        });
        assert_eq!(ended.stop_hooks(), WAITS.len(), "each once: {}", ended.stdout);
        for what in ["sleeps", "waits for an event", "waits for an item", "waits for blocking work"] {
            assert!(ended.stderr.contains(what), "{what}: {}", ended.stderr);
        }
    }
}

/// The first run that leaves nothing behind: on a machine that is too busy, what is cut short may not come to its end within
/// the half second that it has.
fn none_left_behind(run: impl Fn() -> Forced) -> Forced {
    in_time(|| Some(run()).filter(|ended| !ended.stderr.contains("left behind")))
}

#[test]
fn handlers_that_compute_are_left_behind_at_the_drain_deadline() {
    const NAME: &str = "the_end::handlers_that_compute_are_left_behind_at_the_drain_deadline";
    for env in [[WORKERS_1, NO_POOL], [WORKERS_2, NO_POOL], [WORKERS_2, POOL]] {
        let server = StuckServer::start(NAME, &env);
        // More than there are workers: some have not even begun.
        let peers = server.ask_all_to_compute(4, env[0].1);
        let ended = server.end_by_deadline();
        ended.is_forced(&peers);
        assert!(ended.stderr.contains("left behind: "), "{}", ended.stderr);
        assert!(ended.stderr.contains("runs)"), "{}", ended.stderr);
    }
}

#[test]
fn a_second_signal_ends_a_server_beside_handlers_that_wait_or_compute() {
    const NAME: &str = "the_end::a_second_signal_ends_a_server_beside_handlers_that_wait_or_compute";
    for (workers, drain_ms, msg_id) in [
        (WORKERS_1, "300000", COMPUTE),
        (WORKERS_2, "0", COMPUTE),
        (WORKERS_1, "0", SLEEP),
        (WORKERS_2, "300000", SLEEP),
    ] {
        let run = || {
            let server = StuckServer::start(NAME, &[workers, ("ZINX_DRAINMS", drain_ms)]);
            let peers = match msg_id {
                COMPUTE => server.ask_all_to_compute(3, workers.1),
                _ => [(); 3].map(|()| server.ask(msg_id)).into(),
            };
            server.process.kill(Signal::TERM);
            // Two signals of one kind that are pending at once are one.
            server.process.wait_for("stopping");
            server.process.kill(Signal::TERM);
            let ended = server.end_within(SLACK);
            ended.is_forced(&peers);
            ended
        };
        if msg_id == SLEEP {
            let ended = none_left_behind(run);
            assert_eq!(ended.stop_hooks(), 3, "each once: {}", ended.stdout);
        } else {
            run();
        }
    }
}

#[test]
fn stop_hooks_that_wait_are_cut_short_or_left_behind() {
    const NAME: &str = "the_end::stop_hooks_that_wait_are_cut_short_or_left_behind";
    let run = || {
        let server = StuckServer::start(NAME, &[WORKERS_2, ("STOP_HOOK_WAITS", "1")]);
        // The stop hook of one waits when the deadline comes, that of the other begins then.
        let peers = [server.connect(), server.ask(SLEEP)];
        let ended = server.end_by_deadline();
        ended.is_forced(&peers);
        ended
    };
    let left = |ended: &Forced| {
        let lines = ended.stderr.lines().filter(|line| line.contains("left behind"));
        lines.map(str::to_string).collect::<Vec<_>>()
    };
    // On a machine that is too busy, both may be left behind, and the second may not even have begun.
    let ended = in_time(|| Some(run()).filter(|ended| left(ended).len() == 1 && ended.stop_hooks() == 2));
    let left = left(&ended);
    assert!(left[0].ends_with("connection 1 (sleeps)"), "{left:?}");
}

#[test]
fn what_ends_in_time_is_waited_for_and_nothing_is_forced() {
    const NAME: &str = "the_end::what_ends_in_time_is_waited_for_and_nothing_is_forced";
    for env in [[WORKERS_1, NO_POOL], [WORKERS_2, POOL]] {
        let server = StuckServer::start(NAME, &[env[0], env[1], ("ZINX_DRAINMS", "60000")]);
        let mut peer = server.connect();
        peer.send(&frame(SOON, b""));
        assert_eq!(peer.read_frame(), (BEGUN, vec![]));
        server.process.kill(Signal::TERM);
        assert_eq!(peer.read_frame(), (SOON, b"done".to_vec()));
        assert_eq!(peer.read_to_end(), b"");
        drop(peer);
        let ended = server.end_within(SLACK);
        assert_eq!(ended.status.code(), Some(0), "{}", ended.stderr);
        assert_eq!(ended.stop_hooks(), 1);
    }
}

#[test]
fn all_that_a_program_runs_for_a_connection_is_cut_short_before_its_one_stop_hook() {
    for place in ["start hook", "dialogue", "handler", "handler on a worker", "queued closure", "idle hook"] {
        let forever = Arc::new(Forever::default());
        let mut config = quick_config();
        config.worker_pool_size = usize::from(place == "handler on a worker");
        config.idle_timeout_ms = if place == "idle hook" { 50 } else { 0 };
        let theirs = Arc::clone(&forever);
        let running = start_alone(config, |server| set_up(server, place, theirs));
        let mut peer = running.connect();
        peer.send(&frame(SLEEP, b""));
        wait_until(place, || forever.begun.load(Ordering::Acquire) == 1);
        stop(&running);
        assert_eq!(running.close_reason(peer.addr()), CloseReason::ServerStopped, "{place}");
        // It has caught that, tried to wait on, and was cut short again. On a busy machine the server does not wait for it.
        wait_until("the second time", || forever.cut.load(Ordering::Acquire) == 2);
        assert_eq!(running.stop_hooks(peer.addr()), 1, "{place}");
        let stats = running.server.stats();
        assert_eq!((stats.handler_panics, stats.hook_panics), (0, 0), "{place}");
    }
}

#[test]
fn a_worker_whose_handler_is_cut_short_handles_no_request_behind_it() {
    let handled = Arc::new(AtomicUsize::new(0));
    let mut config = quick_config();
    config.worker_pool_size = 1;
    let counted = Arc::clone(&handled);
    let running = start_alone(config, move |server| {
        let wait = move |_: &dyn IRequest| {
            counted.fetch_add(1, Ordering::AcqRel);
            Event::new().wait();
            Ok(())
        };
        server.add_router(SLEEP, wait).unwrap();
    });
    let mut peers = [running.connect(), running.connect(), running.connect()];
    peers.iter_mut().for_each(|peer| peer.send(&frame(SLEEP, b"").repeat(3)));
    wait_until("all requests", || running.server.stats().requests == 9);
    stop(&running);
    for peer in &peers {
        wait_until("its stop hook", || running.stop_hooks(peer.addr()) == 1);
    }
    assert_eq!(handled.load(Ordering::Acquire), 1);
}

/// The handler of a peer that does not read is put aside, and another coroutine has the queue of its worker.
#[test]
fn a_handler_that_is_put_aside_is_cut_short_too() {
    let full = Arc::new(AtomicUsize::new(0));
    let mut config = quick_config();
    config.worker_pool_size = 1;
    let filled = Arc::clone(&full);
    let running = start_alone(config, move |server| {
        let flood = move |request: &dyn IRequest| {
            let conn = request.get_connection();
            while conn.try_send_msg(FLOOD, vec![0; 100_000]).is_ok() {}
            filled.fetch_add(1, Ordering::AcqRel);
            while conn.send_msg(FLOOD, vec![0; 100_000]).is_ok() {}
            Event::new().wait();
            Ok(())
        };
        server.add_router(FLOOD, flood).unwrap();
    });
    let mut peers = [running.connect(), running.connect(), running.connect()];
    peers.iter_mut().for_each(|peer| peer.send(&frame(FLOOD, b"").repeat(3)));
    wait_until("all put aside", || full.load(Ordering::Acquire) == 3);
    // Served by the coroutine that has the queue now.
    running.connect().check_echo();
    stop(&running);
    for peer in &peers {
        wait_until("its stop hook", || running.stop_hooks(peer.addr()) == 1);
    }
    assert_eq!(full.load(Ordering::Acquire), 3);
}

#[test]
fn nothing_that_waits_is_left_of_a_server_whose_process_lives_on() {
    in_child("the_end::nothing_that_waits_is_left_of_a_server_whose_process_lives_on", || {
        let begun = Arc::new(AtomicUsize::new(0));
        let running = start_alone(quick_config(), |server| {
            for (msg_id, wait) in WAITS {
                let begins = Arc::clone(&begun);
                let handler = move |request: &dyn IRequest| {
                    begins.fetch_add(1, Ordering::AcqRel);
                    wait(request);
                    Ok(())
                };
                server.add_router(msg_id, handler).unwrap();
            }
        });
        let mut peers: Vec<_> = WAITS.iter().map(|_| running.connect()).collect();
        for (peer, (msg_id, _)) in peers.iter_mut().zip(WAITS) {
            peer.send(&frame(msg_id, b""));
        }
        wait_until("all handlers", || begun.load(Ordering::Acquire) == WAITS.len());
        stop(&running);
        wait_until("all stop hooks", || running.server.stats().stop_hooks == WAITS.len());
        assert!(
            matches!(running.server.serve(), Err(Error::Forced { open }) if open == WAITS.len()),
            "all were open"
        );
        let is_theirs = |name: &str| name.starts_with("connection") || name == "writer";
        wait_until("no coroutine", || !green::coroutines().iter().any(|one| is_theirs(&one.name())));
    });
}

/// Readers that wait for room with their worker are cut short too, and end.
#[test]
fn a_reader_that_waits_for_its_worker_is_cut_short_and_ends() {
    in_child("the_end::a_reader_that_waits_for_its_worker_is_cut_short_and_ends", || {
        let mut config = quick_config();
        (config.worker_pool_size, config.max_worker_task_len) = (1, 1);
        (config.write_timeout_ms, config.queue_wait_ms) = (0, 0);
        let running = start_alone(config, |server| {
            let wait = |_: &dyn IRequest| {
                Event::new().wait();
                Ok(())
            };
            server.add_router(SLEEP, wait).unwrap();
            // Its reader waits until it is not put aside any more.
            let flood = |request: &dyn IRequest| {
                while request.get_connection().send_msg(FLOOD, vec![0; 100_000]).is_ok() {}
                Ok(())
            };
            server.add_router(FLOOD, flood).unwrap();
        });
        let mut deaf = running.connect();
        deaf.send(&frame(FLOOD, b"").repeat(10));
        let mut peers = [running.connect(), running.connect(), running.connect()];
        peers.iter_mut().for_each(|peer| peer.send(&frame(SLEEP, b"").repeat(10)));
        let readers = || {
            let is_one = |one: &green::Coroutine| one.name().starts_with("connection");
            green::coroutines().into_iter().filter(is_one).map(|one| one.activity()).collect::<Vec<_>>()
        };
        let wait = || readers().iter().filter(|what| **what != "waits for a socket").count();
        wait_until("all readers", || wait() == 4);
        stop(&running);
        wait_until("all stop hooks", || running.server.stats().stop_hooks == 4);
        wait_until("no coroutine", || readers().is_empty());
    });
}

/// What waits for what never comes.
#[derive(Default)]
struct Forever {
    begun: AtomicUsize,
    cut: AtomicUsize,
}

impl Forever {
    /// Waits, and once more when that is cut short.
    fn wait(&self) {
        self.begun.fetch_add(1, Ordering::AcqRel);
        for _ in 0..2 {
            let waited = catch_unwind(AssertUnwindSafe(|| Event::new().wait()));
            self.cut.fetch_add(usize::from(waited.is_err()), Ordering::AcqRel);
        }
    }
}

/// Lets it wait in one place.
fn set_up(server: &Server, place: &str, forever: Arc<Forever>) {
    match place {
        "start hook" => server.set_on_conn_start(move |_| {
            forever.wait();
            Ok(())
        }),
        "dialogue" => {
            let dialogue = move |_: &mut Session| {
                forever.wait();
                Ok(())
            };
            server.on_session(dialogue).unwrap();
        }
        "idle hook" => server.set_on_idle(move |_| {
            forever.wait();
            IdleAction::Keep
        }),
        "queued closure" => {
            let queue = move |request: &dyn IRequest| {
                let (conn, forever) = (request.get_connection(), Arc::clone(&forever));
                let closure = new_func_request(conn, move || forever.wait());
                conn.get_msg_handler().send_msg_to_task_queue(closure)
            };
            server.add_router(SLEEP, queue).unwrap();
        }
        _ => {
            let handler = move |_: &dyn IRequest| {
                forever.wait();
                Ok(())
            };
            server.add_router(SLEEP, handler).unwrap();
        }
    }
}

fn quick_config() -> Config {
    let mut config = config();
    config.drain_ms = 300;
    config
}

/// Stops a server, in about the time that its configuration allows.
fn stop(running: &Running) {
    let begun = Instant::now();
    running.server.stop();
    assert!(running.server.wait_stopped(Duration::from_millis(300) + SLACK), "it does not stop");
    assert!(begun.elapsed() >= Duration::from_millis(250), "no time to drain: {:?}", begun.elapsed());
}
