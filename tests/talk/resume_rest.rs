//! Connections whose peers are away are at rest: they have no stack, and do what they are asked all the same.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use zinx::green;
use zinx::prelude::*;
use zinx::ziface::CloseReason;

use crate::common::child::in_child;
use crate::common::phone::{Phone, REFUSED, RESUME, WHOLE};
use crate::common::{ECHO, frame, start, start_alone, wait_until};
use crate::resume::{open, resuming};

const TASK: u32 = 2;
const ASK: u32 = 3;
const ANSWER: u32 = 4;
const BAD_COUNT: u8 = 5;
const SOON: Duration = Duration::from_secs(10);

fn lose(phone: &mut Phone, conn: &Arc<dyn IConnection>) {
    phone.lose(false);
    wait_until("the loss", || conn.is_away());
}

#[test]
fn connections_whose_peers_are_away_have_no_stack() {
    in_child("resume_rest::connections_whose_peers_are_away_have_no_stack", || {
        let mut config = resuming();
        config.max_away_per_address = 200;
        let running = start_alone(config, |_| {});
        let (mut first, conn) = open(&running);
        lose(&mut first, &conn);
        first.resume();
        let before = running.server.stats().stacks;
        let mut all: Vec<_> = (0..100).map(|_| open(&running)).collect();
        all.iter_mut().for_each(|(phone, conn)| lose(phone, conn));
        wait_until("stacks that are not needed to go", || running.server.stats().stacks <= before);
        for (_, conn) in &all {
            let name = format!("\"connection {}\" waits for an event", conn.get_conn_id());
            wait_until(&name, || green::dump().contains(&name));
        }
        for (phone, _) in &mut all {
            phone.resume();
            phone.send(ECHO, b"back");
            assert_eq!(phone.receive(), (ECHO, b"back".to_vec()));
        }
    });
}

#[test]
fn connections_whose_peers_fail_to_come_back_are_no_more_than_may_be_away() {
    let mut config = resuming();
    (config.max_away, config.max_away_per_address) = (1, 1);
    let running = start_alone(config, |_| {});
    // Their sockets end because a peer comes back, and says that it has received what was never sent.
    let all: Vec<_> = (0..3)
        .map(|_| {
            let (phone, conn) = open(&running);
            let mut peer = running.connect();
            peer.send(&frame(RESUME, &[&phone.token[..], &9_u64.to_le_bytes()].concat()));
            let (id, data) = peer.read_frame();
            assert_eq!((id, data[0]), (REFUSED, BAD_COUNT));
            (phone, conn)
        })
        .collect();
    wait_until("the others to end", || running.server.get_conn_mgr().len() == 1);
    wait_until("one to be away", || all.iter().filter(|(_, conn)| conn.is_away()).count() == 1);
}

#[test]
fn a_stop_and_the_end_of_the_time_reach_a_connection_whose_peer_is_away() {
    let mut impatient = resuming();
    impatient.resume_ms = 1_000;
    let [running, impatient] = [resuming(), impatient].map(|config| start(config, |_| {}));
    let ((mut one, stopped), (mut other, late)) = (open(&running), open(&impatient));
    lose(&mut one, &stopped);
    stopped.stop();
    assert!(stopped.wait_closed(SOON).unwrap());
    assert_eq!(stopped.get_close_reason(), Some(CloseReason::Stopped));
    other.lose(false);
    assert!(late.wait_closed(SOON).unwrap());
    assert_eq!(late.get_close_reason(), Some(CloseReason::PeerClosed));
}

#[test]
fn a_task_that_asks_a_peer_that_is_away_waits_for_it_and_the_connection_goes_on() {
    let (begun, answered) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (begins, answers) = (Arc::clone(&begun), Arc::clone(&answered));
    let kept: Arc<Mutex<Option<Box<dyn IRequest>>>> = Arc::default();
    let keeps = Arc::clone(&kept);
    let running = start(resuming(), move |server| {
        let asks = move |request: &dyn IRequest| {
            let mut kept = keeps.lock().unwrap();
            if kept.is_none() {
                *kept = Some(request.copy());
                return Ok(());
            }
            drop(kept);
            begins.fetch_add(1, Ordering::AcqRel);
            let answer = request.get_connection().call(ASK, request.get_data(), ANSWER, SOON)?;
            assert_eq!(answer.get_data(), "here");
            answers.fetch_add(1, Ordering::AcqRel);
            Ok(())
        };
        server.add_router(TASK, asks).unwrap();
    });
    let (mut phone, conn) = open(&running);
    phone.send(TASK, b"there?");
    wait_until("a request to queue", || kept.lock().unwrap().is_some());
    let queue = || {
        let task = kept.lock().unwrap().as_ref().unwrap().copy();
        running.server.get_msg_handler().send_msg_to_task_queue(task).unwrap();
    };
    for round in 1..=3 {
        lose(&mut phone, &conn);
        queue();
        wait_until("the task to begin", || begun.load(Ordering::Acquire) == round);
        phone.resume();
        assert_eq!(phone.receive(), (ASK, b"there?".to_vec()));
        phone.send(ANSWER, b"here");
        wait_until("the answer", || answered.load(Ordering::Acquire) == round);
        phone.send(ECHO, b"on");
        assert_eq!(phone.receive(), (ECHO, b"on".to_vec()));
    }
}

#[test]
fn a_read_deadline_is_put_off_also_if_time_limits_end_the_waits_for_the_peer() {
    const DEADLINE: Duration = Duration::from_secs(4);
    let running = start_alone(resuming(), |server| {
        let dialogue = |s: &mut Session| -> Result<()> {
            s.get_connection().set_read_deadline(Instant::now() + DEADLINE);
            loop {
                if let Ok(message) = green::with_timeout(Duration::from_millis(50), || s.recv()) {
                    message?;
                }
            }
        };
        server.on_session(dialogue).unwrap();
    });
    let (mut phone, conn) = open(&running);
    lose(&mut phone, &conn);
    thread::sleep(DEADLINE);
    let back = Instant::now();
    // The time limit is there on the new connection, too. On a busy machine it ends the attempt, and the peer is told to try again.
    while phone.resume_cut(WHOLE).is_err() {}
    // One look is granted after a deadline. The sweeper closes what is over it within a second.
    phone.send(ECHO, b"back");
    assert_eq!(phone.receive(), (ECHO, b"back".to_vec()));
    thread::sleep(DEADLINE / 2);
    let (reason, passed) = (conn.get_close_reason(), back.elapsed());
    // A busy machine may have taken the time that was left.
    assert!(reason.is_none() || passed > DEADLINE / 4 * 3, "{reason:?} after {passed:?}");
}
