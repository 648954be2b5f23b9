//! Peers that open and are lost, again and again, take nothing from those who come back.

use std::io::Read;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use zinx::Config;
use zinx::green::{Event, Timeout};
use zinx::ziface::{IMessage, IRequest, IServer};
use zinx::znet::Session;

use crate::common::child::in_child;
use crate::common::phone::{BYE, Phone, REFUSED, TOKEN, WHOLE};
use crate::common::{ECHO, Running, config, frame, start_alone, wait_until};

const ASK: u32 = 2;

fn resuming(max_conn: usize) -> Config {
    let mut config = config();
    (config.max_conn, config.resume_ms) = (max_conn, 600_000);
    config
}

fn asking(config: Config) -> Running {
    start_alone(config, |server| {
        let ask = |request: &dyn IRequest| {
            let conn = request.get_connection();
            let answer = conn.call(ASK, "?", ASK + 1, Duration::from_secs(100))?;
            conn.send_msg(ASK, answer.get_data())
        };
        server.add_router(ASK, ask).unwrap();
    })
}

/// A peer that has exchanged a message.
fn open(running: &Running) -> Phone {
    let mut phone = Phone::open(running.server.local_addr().unwrap());
    phone.send(ECHO, b"here");
    assert_eq!(phone.receive(), (ECHO, b"here".to_vec()));
    phone
}

#[test]
fn a_peer_that_opens_and_resets_takes_no_resume_from_others() {
    let running = asking(resuming(40));
    let mut good = open(&running);
    // It has been there for longer than the others will be.
    std::thread::sleep(Duration::from_secs(1));
    let many = || (0..60).for_each(|_| open(&running).lose(true));
    many();
    good.lose(true);
    many();
    good.resume();
    good.send(ECHO, b"back");
    assert_eq!(good.receive(), (ECHO, b"back".to_vec()));
    // The share of an address is a quarter of MaxConn.
    wait_until("the others have ended", || running.server.get_conn_mgr().len() <= 10 + 1);
    assert_eq!(running.server.stats().over_max_conn, 0);
}

#[test]
fn the_descriptor_of_a_peer_that_is_lost_is_closed_at_once() {
    in_child("resuming::the_descriptor_of_a_peer_that_is_lost_is_closed_at_once", || {
        let mut config = resuming(200);
        config.max_away_per_address = 100;
        let running = asking(config);
        open(&running).lose(true);
        let files = || std::fs::read_dir("/proc/self/fd").unwrap().count();
        let base = files();
        let mut phones: Vec<_> = (0..40).map(|_| open(&running)).collect();
        // Half of them while a handler waits for their answer.
        for phone in &mut phones[..20] {
            phone.send(ASK, b"");
            assert_eq!(phone.receive(), (ASK, b"?".to_vec()));
        }
        // The base may hold one more than it will.
        assert!(files() >= base + 2 * 40 - 1);
        phones.iter_mut().for_each(|phone| phone.lose(true));
        // Ours stays: what the phones have instead is not connected.
        wait_until("the server's descriptors are closed", || files() <= base + 40 + 5);
        for phone in &mut phones {
            phone.resume();
        }
        for phone in &mut phones[..20] {
            phone.send(ASK + 1, b"yes");
            assert_eq!(phone.receive(), (ASK, b"yes".to_vec()));
        }
        for phone in &mut phones {
            phone.send(ECHO, b"back");
            assert_eq!(phone.receive(), (ECHO, b"back".to_vec()));
        }
    });
}

#[test]
fn what_has_arrived_of_a_frame_is_given_back_when_its_peer_is_lost() {
    let mut config = resuming(40);
    config.max_packet_size = 1 << 20;
    let running = asking(config);
    let arriving = || running.server.stats().held.arriving;
    for handler_waits in [false, true] {
        let mut phone = open(&running);
        if handler_waits {
            phone.send(ASK, b"");
            assert_eq!(phone.receive(), (ASK, b"?".to_vec()));
        }
        phone.write(&frame(ECHO, &vec![7; 1 << 20])[..700_000]);
        wait_until("most of a frame", || arriving() > 300_000);
        phone.lose(true);
        wait_until("all of it to be given back", || arriving() == 0);
        assert_eq!(running.server.get_conn_mgr().len(), 1, "it waits for its peer");
        phone.resume();
        if handler_waits {
            phone.send(ASK + 1, b"yes");
            assert_eq!(phone.receive(), (ASK, b"yes".to_vec()));
        }
        phone.send(ECHO, b"back");
        assert_eq!(phone.receive(), (ECHO, b"back".to_vec()));
        phone.write(&frame(BYE, b""));
        phone.lose(false);
        wait_until("the end", || running.server.get_conn_mgr().is_empty());
    }
}

#[test]
fn an_answer_says_nothing_about_connections_of_others() {
    let running = asking(resuming(40));
    let (good, mut thief) = (open(&running), open(&running));
    thief.lose(true);
    let mut refused = |token: Vec<u8>| {
        thief.token = token;
        thief.ask_to_resume();
        thief.read_frame()
    };
    let guessed = [&good.token[..8], &[7; 16]].concat();
    let absent = [&[99; 8][..], &[7; 16]].concat();
    assert_eq!(refused(guessed), refused(absent));
    let conn = running.conn(good.stream.local_addr().unwrap());
    assert!(conn.is_alive() && !Arc::clone(&conn).is_away());
}

/// The short connection on which a peer comes back waits until the other one takes it up. What is sent to it meanwhile is never delivered.
#[test]
fn what_is_sent_to_a_connection_that_hands_its_socket_over_is_given_back() {
    const HOLD: u32 = 9;
    let (go_on, is_held) = (Arc::new(Event::new()), Arc::new(AtomicBool::new(false)));
    let (goes_on, holds) = (Arc::clone(&go_on), Arc::clone(&is_held));
    let running = start_alone(resuming(40), |server| {
        let hold = move |_: &dyn IRequest| {
            holds.store(true, Ordering::Release);
            goes_on.wait();
            Ok(())
        };
        server.add_router(HOLD, hold).unwrap();
    });
    let mut phone = open(&running);
    phone.send(HOLD, b"");
    wait_until("the handler", || is_held.load(Ordering::Acquire));
    let connections = running.server.get_conn_mgr();
    let first = connections.get(0).unwrap();
    phone.lose(true);
    phone.ask_to_resume();
    // By then the second one sends nothing more of its own.
    wait_until("the other connection has been told", || first.is_away());
    let second = connections.get(1).unwrap();
    second.send_msg(ECHO, vec![7; 100_000]).unwrap();
    assert!(running.server.stats().held.queued > 0);
    go_on.set();
    assert_eq!(phone.read_frame().0, TOKEN);
    assert!(second.wait_closed(Duration::from_secs(30)).unwrap());
    assert_eq!(running.server.stats().held.queued, 0);
}

/// The session of the short connection has a time limit, which ends while its socket is offered to the other connection. The other
/// must not take it then, or two would read from one socket.
#[test]
fn a_time_limit_around_the_wait_for_the_other_connection_ends_the_attempt_alone() {
    const HOLD: u32 = 9;
    const BUSY: u8 = 7;
    let (go_on, is_held) = (Arc::new(Event::new()), Arc::new(AtomicBool::new(false)));
    let (goes_on, holds) = (Arc::clone(&go_on), Arc::clone(&is_held));
    let (limit, sessions) = (Timeout::new(Duration::ZERO), AtomicUsize::new(0));
    let theirs = limit.clone();
    let running = start_alone(resuming(40), |server| {
        let dialogue = move |s: &mut Session| -> zinx::Result<()> {
            if sessions.fetch_add(1, Ordering::AcqRel) == 1 {
                // It would go on with its connection, as if nobody had come back on it.
                while theirs.run(|| s.recv()).is_err() {
                    theirs.close();
                }
                return Ok(());
            }
            while s.recv()?.get_msg_id() == HOLD {
                holds.store(true, Ordering::Release);
                goes_on.wait();
            }
            Ok(())
        };
        server.on_session(dialogue).unwrap();
    });
    let mut phone = open(&running);
    phone.send(HOLD, b"");
    wait_until("the handler", || is_held.load(Ordering::Acquire));
    let first = running.server.get_conn_mgr().get(0).unwrap();
    phone.lose(true);
    phone.ask_to_resume();
    wait_until("the other connection has been told", || first.is_away());
    limit.start();
    let (id, why) = phone.read_frame();
    assert_eq!((id, why[0]), (REFUSED, BUSY));
    assert_eq!(phone.stream.read(&mut [0]).unwrap(), 0, "it closes");
    wait_until("the end of the second connection", || running.server.get_conn_mgr().len() == 1);
    assert_eq!(running.server.stats().resume_refused, 1);
    go_on.set();
    while phone.resume_cut(WHOLE).is_err() {}
    phone.send(ECHO, b"back");
    assert_eq!(phone.receive(), (ECHO, b"back".to_vec()));
}
