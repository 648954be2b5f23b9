//! What workers do, in figures: their queues, their turns, and what others took over for them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use zinx::green::Event;
use zinx::prelude::*;
use zinx::zconf::WorkerMode;

use crate::common::child::in_child;
use crate::common::{Peer, frame, start_alone, wait_until};
use crate::figures::samples;
use crate::http::config;

const WAIT: u32 = 40;
const BURN: u32 = 41;

fn burn(until: impl Fn() -> bool) {
    while !until() {
        std::hint::spin_loop();
    }
}

#[test]
fn what_waits_for_a_worker_is_counted_and_timed() {
    for mode in [WorkerMode::Hash, WorkerMode::Bind] {
        let release = Arc::new(Event::new());
        let mut config = config();
        (config.worker_pool_size, config.worker_mode) = (1, mode);
        let running = start_alone(config, |server| {
            let release = Arc::clone(&release);
            let wait = move |_: &dyn IRequest| {
                release.wait();
                Ok(())
            };
            server.add_router(WAIT, wait).unwrap();
        });
        let figure = |name: &str| samples(&running)[name];
        assert_eq!(figure("zinx_tasks_queued"), 0.0);
        let mut peers = [running.connect(), running.connect()];
        peers[0].send(&frame(WAIT, b"").repeat(4));
        wait_until("one is handled and three wait", || figure("zinx_tasks_queued") == 3.0);
        wait_until("the first is counted", || figure("zinx_task_queue_duration_seconds_count") == 1.0);
        peers[1].send(&frame(WAIT, b"").repeat(2));
        // With one worker for all, they wait behind the others; else one of them is handled at once.
        let (all, longest) = if mode == WorkerMode::Hash { (5.0, 5.0) } else { (4.0, 3.0) };
        wait_until("those of the other wait", || figure("zinx_tasks_queued") == all);
        assert_eq!(figure("zinx_tasks_queued_longest"), longest, "{mode:?}");
        // Those that wait have done so for longer than this.
        std::thread::sleep(Duration::from_millis(20));
        release.set();
        wait_until("all are handled", || figure("zinx_task_queue_duration_seconds_count") == 6.0);
        assert_eq!(figure("zinx_tasks_queued"), 0.0);
        assert!(figure("zinx_task_queue_duration_seconds_sum") >= all * 0.02, "{mode:?}");
        let short = figure("zinx_task_queue_duration_seconds_bucket{le=\"0.01\"}");
        assert!(short <= 6.0 - all, "{short} of 6 in less than 10 ms");
        peers.iter().for_each(Peer::finish);
    }
}

#[test]
fn workers_tell_their_time_and_their_longest_turn() {
    let running = start_alone(config(), |server| {
        let burns = |request: &dyn IRequest| {
            let begun = Instant::now();
            burn(|| begun.elapsed() > Duration::from_millis(60));
            request.get_connection().send_msg(BURN, "")
        };
        server.add_router(BURN, burns).unwrap();
    });
    let mut peer = running.connect();
    peer.send(&frame(BURN, b""));
    peer.read_frame();
    let all = samples(&running);
    let of_workers = |name: &str| {
        let begin = format!("{name}{{worker=\"");
        all.iter().filter(|(name, _)| name.starts_with(&begin)).map(|(_, value)| *value).collect::<Vec<_>>()
    };
    let turns = of_workers("zinx_worker_longest_turn_seconds");
    assert_eq!(turns.len() as f64, all["zinx_workers"]);
    assert!(turns.iter().any(|turn| *turn >= 0.06), "{turns:?}");
    assert!(of_workers("zinx_worker_busy_seconds_total").iter().sum::<f64>() > 0.0);
    assert!(of_workers("zinx_worker_delayed_seconds_total").iter().all(|seconds| *seconds >= 0.0));
    assert!(all["zinx_sweeper_lag_seconds"] < 60.0, "{}", all["zinx_sweeper_lag_seconds"]);
}

#[test]
fn a_turn_that_goes_on_is_the_longest_and_what_another_worker_takes_over_is_counted() {
    in_child(
        "workers::a_turn_that_goes_on_is_the_longest_and_what_another_worker_takes_over_is_counted",
        || {
            let (ends, burns) = (Arc::new(AtomicBool::new(false)), Arc::new(Event::new()));
            let mut config = config();
            config.workers = 2;
            let running = start_alone(config, |server| {
                let (ends, burns) = (Arc::clone(&ends), Arc::clone(&burns));
                let handler = move |_: &dyn IRequest| {
                    burns.set();
                    burn(|| ends.load(Ordering::Relaxed));
                    Ok(())
                };
                server.add_router(BURN, handler).unwrap();
            });
            let mut peers: Vec<_> = (0..8).map(|_| running.connect()).collect();
            peers.iter_mut().for_each(|peer| peer.check_echo());
            let longest = || {
                let all = samples(&running);
                let turns =
                    all.iter().filter(|(name, _)| name.starts_with("zinx_worker_longest_turn_seconds"));
                turns.map(|(_, turn)| *turn).fold(0.0, f64::max)
            };
            let stolen = || samples(&running)["zinx_turns_stolen_total"];
            let before = stolen();
            peers[0].send(&frame(BURN, b""));
            burns.wait();
            // Some of the others were last on the worker that is held now.
            wait_until("another worker takes over", || {
                peers[1..].iter_mut().for_each(|peer| peer.check_echo());
                stolen() > before
            });
            wait_until("the turn is shown while it goes on", || longest() >= 0.2);
            ends.store(true, Ordering::Relaxed);
            peers.iter().for_each(Peer::finish);
        },
    );
}
