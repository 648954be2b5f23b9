//! The watchdog among a thousand connections: a handler that hogs a worker is named, and the others are served.
//!
//! Alone in its process, because it reads the log.

#![expect(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "tests are plain threads and speak raw sockets"
)]

#[expect(dead_code, reason = "each test file uses its share")]
mod common;

use std::io::Read;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use common::{ECHO, Peer, config, frame, log_lines, start_alone, wait_until};
use zinx::green;
use zinx::ziface::IRequest;

/// Computes until the watchdog has named it; computes until it is told to stop.
const HOG: u32 = 7;
const HOG_ON: u32 = 8;

/// Others.
const OTHERS: usize = 1000;

static GO_ON: AtomicBool = AtomicBool::new(true);

#[test]
fn a_handler_that_hogs_a_worker_is_named_while_a_thousand_others_are_served() {
    log_lines::keep();
    green::raise_open_files(2 * OTHERS + 100);
    let mut config = config();
    config.workers = if config.workers == 0 { 2 } else { config.workers };
    let workers = config.workers;
    let running = start_alone(config, |server| {
        let hog = |request: &dyn IRequest| {
            let (begun, name) = (Instant::now(), name_of(request.get_connection().get_conn_id()));
            // On a busy machine others may be found to hold a worker, too.
            while !is_said(&name, "has held worker") && begun.elapsed() < Duration::from_secs(20) {
                // The log is the watchdog's meanwhile.
                let looked = Instant::now();
                while looked.elapsed() < Duration::from_millis(5) {
                    std::hint::spin_loop();
                }
            }
            Ok(())
        };
        server.add_router(HOG, hog).unwrap();
        let hog_on = |_: &dyn IRequest| {
            while GO_ON.load(Ordering::Acquire) {
                std::hint::spin_loop();
            }
            Ok(())
        };
        server.add_router(HOG_ON, hog_on).unwrap();
    });
    let mut others: Vec<_> = (0..OTHERS).map(|_| running.connect()).collect();
    others.iter_mut().for_each(Peer::check_echo);
    let mut busy = running.connect();
    let name = name_of(running.conn(busy.addr()).get_conn_id());

    busy.send(&frame(HOG, b""));
    others.iter_mut().for_each(Peer::check_echo);
    wait_until("its name, while it hogs", || is_said(&name, "has held worker"));
    wait_until("how long it took", || is_said(&format!("{name} held worker"), " ms"));
    busy.check_echo();

    let before = count(&name, "has held worker");
    busy.send(&frame(HOG_ON, b""));
    wait_until("its name again", || count(&name, "has held worker") > before);
    if workers > 1 {
        // Sockets that the hogged worker watches are not watched by others; those connections are a half here.
        others.iter_mut().for_each(|peer| peer.send(&frame(ECHO, b"beat")));
        others.iter().for_each(|peer| peer.stream.set_nonblocking(true).unwrap());
        let mut waiting: Vec<_> = others.iter_mut().collect();
        wait_until("a quarter of all to be served meanwhile", || {
            waiting.retain_mut(|peer| !matches!(peer.stream.read(&mut [0; 12]), Ok(12)));
            waiting.len() <= OTHERS * 3 / 4
        });
        GO_ON.store(false, Ordering::Release);
        wait_until("all others to be served after", || {
            waiting.retain_mut(|peer| !matches!(peer.stream.read(&mut [0; 12]), Ok(12)));
            waiting.is_empty()
        });
        others.iter().for_each(|peer| peer.stream.set_nonblocking(false).unwrap());
    }
    GO_ON.store(false, Ordering::Release);
    others.iter_mut().for_each(Peer::check_echo);
    busy.check_echo();
    assert_eq!(running.stop().handler_panics, 0);
}

/// As the log has it.
fn name_of(conn_id: u64) -> String {
    format!("\"connection {conn_id}\"")
}

fn is_said(name: &str, what: &str) -> bool {
    count(name, what) > 0
}

fn count(name: &str, what: &str) -> usize {
    log_lines::with(name).iter().filter(|line| line.contains(what)).count()
}
