//! Resuming: a peer that has lost its connection comes back to it, or is told why not.

use std::io::Write;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use zinx::green;
use zinx::prelude::*;
use zinx::ziface::{CloseReason, HeartBeatDirection, HeartBeatOption, ResumeRefusal};

use crate::common::in_time::in_time;
use crate::common::phone::{BYE, COUNT, OPEN, Phone, REFUSED, RESUME, TOKEN, WHOLE};
use crate::common::random::{Random, with_seeds};
use crate::common::{ECHO, Running, config, frame, start, start_alone, wait_until};

const LOGIN: u32 = 2;
const SAID: u32 = 3;
const ASK: u32 = 4;
const ANSWER: u32 = 5;
const SOON: Duration = Duration::from_secs(10);

pub(crate) fn resuming() -> Config {
    let mut config = config();
    config.resume_ms = 60_000;
    config
}

/// Logs in, joins the room, sets a property.
fn set_up(server: &Server) {
    let login = |request: &dyn IRequest| {
        let conn = request.get_connection();
        conn.login(String::from_utf8_lossy(request.get_data()), OnDuplicate::Reject)?;
        conn.join_group("room")?;
        conn.set_property("name", Arc::new("of the property".to_string()));
        conn.send_msg(LOGIN, "in")
    };
    server.add_router(LOGIN, login).unwrap();
}

pub(crate) fn open(running: &Running) -> (Phone, Arc<dyn IConnection>) {
    let phone = Phone::open(running.server.local_addr().unwrap());
    let conn = running.conn(phone.stream.local_addr().unwrap());
    (phone, conn)
}

/// As [`open`], under a limit of time that may be over before the token has come.
fn open_in_time(running: &Running) -> (Phone, Arc<dyn IConnection>) {
    let phone = in_time(|| Phone::try_open(running.server.local_addr().unwrap()).ok());
    let conn = running.conn(phone.stream.local_addr().unwrap());
    (phone, conn)
}

/// Opens, logs in, and loses the connection.
fn away(running: &Running) -> (Phone, Arc<dyn IConnection>) {
    let (mut phone, conn) = open(running);
    phone.send(LOGIN, b"ann");
    assert_eq!(phone.receive(), (LOGIN, b"in".to_vec()));
    phone.lose(false);
    wait_until("the loss", || conn.is_away());
    (phone, conn)
}

#[test]
fn a_read_deadline_waits_for_a_peer_that_is_away_and_closes_for_good() {
    let running = start(resuming(), set_up);
    let (mut phone, conn) = away(&running);
    let (peer, start) = (running.connect(), Instant::now());
    let at = start + Duration::from_millis(100);
    // The other has the same deadline, and is not away: it says when that has come.
    for conn in [&conn, &running.conn(peer.addr())] {
        conn.set_read_deadline(at);
    }
    assert_eq!(running.close_reason(peer.addr()), CloseReason::ReadDeadline);
    assert!(conn.is_away());
    conn.set_read_deadline(Instant::now() + Duration::from_secs(3));
    phone.resume();
    phone.send(ECHO, b"in time");
    assert_eq!(phone.receive(), (ECHO, b"in time".to_vec()));
    wait_until("the end", || conn.get_close_reason() == Some(CloseReason::ReadDeadline));
    assert!(!conn.is_away());
}

#[test]
fn user_groups_properties_and_what_was_sent_wait_for_the_peer() {
    let running = start(resuming(), set_up);
    let (mut phone, conn) = away(&running);
    assert!(conn.is_alive() && conn.is_logged_in() && conn.get_close_reason().is_none());
    conn.send_msg(SAID, "while away").unwrap();
    assert_eq!(running.server.get_group("room").broadcast(SAID, "to the room").unwrap().queued, 1);
    let before = conn.get_remote_addr();
    phone.resume();
    assert_eq!(phone.receive(), (SAID, b"while away".to_vec()));
    assert_eq!(phone.receive(), (SAID, b"to the room".to_vec()));
    assert!(!conn.is_away());
    let sessions = running.server.sessions();
    assert_eq!(sessions.by_user("ann").unwrap().get_conn_id(), conn.get_conn_id());
    assert_eq!(*conn.get_property_as::<String>("name").unwrap(), "of the property");
    assert_eq!(conn.get_groups().len(), 1);
    let after = phone.stream.local_addr().unwrap();
    assert_eq!((conn.get_remote_addr(), conn.get_tcp_connection().peer_addr()), (after, after));
    assert_ne!(before, after);
    phone.send(ECHO, b"and on");
    assert_eq!(phone.receive(), (ECHO, b"and on".to_vec()));
    assert_eq!(running.stop_hooks(before), 0, "the connection has not ended");
}

#[test]
fn hooks_run_once_for_the_connection_and_once_for_the_one_it_came_back_on() {
    let running = start_alone(resuming(), set_up);
    let (mut phone, conn) = away(&running);
    phone.resume();
    let came_on = phone.stream.local_addr().unwrap();
    // Both have this address now, so the first stop hook is that of the one that handed its socket over.
    assert_eq!(running.close_reason(came_on), CloseReason::Resumed { conn_id: conn.get_conn_id() });
    phone.write(&frame(BYE, b""));
    phone.lose(false);
    assert!(conn.wait_closed(SOON).unwrap());
    assert_eq!((conn.get_close_reason(), running.stop_hooks(came_on)), (Some(CloseReason::PeerClosed), 2));
    let stats = running.stop();
    assert_eq!((stats.start_hooks, stats.stop_hooks, stats.resumed), (2, 2, 1));
}

#[test]
fn a_call_and_a_dialogue_go_on_across_the_loss() {
    let dialogue = |s: &mut Session| {
        let first = s.ask(ASK, "first?", ANSWER)?;
        let second = s.ask(ASK, "second?", ANSWER)?;
        s.send(SAID, [&first.get_data()[..], b" ", &second.get_data()[..]].concat())
    };
    let running = start_alone(resuming(), |server| server.on_session(dialogue).unwrap());
    let mut phone = Phone::open(running.server.local_addr().unwrap());
    // The dialogue began before the token was asked for: its first question is not counted.
    let conn = running.conn(phone.stream.local_addr().unwrap());
    phone.send(ANSWER, b"one");
    assert_eq!(phone.receive(), (ASK, b"second?".to_vec()));
    phone.lose(true);
    wait_until("the loss", || conn.is_away());
    phone.resume();
    phone.send(ANSWER, b"two");
    assert_eq!(phone.receive(), (SAID, b"one two".to_vec()));
}

#[test]
fn a_call_from_elsewhere_is_asked_of_a_peer_that_is_away() {
    let running = start(resuming(), set_up);
    let (mut phone, conn) = away(&running);
    let asked = green::spawn(move || conn.call(ASK, "there?", ANSWER, SOON));
    phone.resume();
    assert_eq!(phone.receive(), (ASK, b"there?".to_vec()));
    phone.send(ANSWER, b"here");
    assert_eq!(asked.get().unwrap().unwrap().get_data(), "here");
}

#[test]
fn a_peer_comes_back_before_its_loss_is_noticed() {
    let running = start(resuming(), set_up);
    let (mut phone, conn) = open(&running);
    phone.send(ECHO, b"1");
    phone.receive();
    let open = phone.stream.try_clone().unwrap();
    phone.resume();
    phone.send(ECHO, b"2");
    assert_eq!(phone.receive(), (ECHO, b"2".to_vec()));
    assert_eq!(conn.get_remote_addr(), phone.stream.local_addr().unwrap());
    drop(open);
}

#[test]
fn a_used_token_is_refused_and_does_no_harm() {
    let running = start(resuming(), set_up);
    let (mut phone, _conn) = away(&running);
    let used = phone.token.clone();
    phone.resume();
    assert_ne!(used, phone.token);
    phone.send(ECHO, b"by this the server knows that the new token is here");
    phone.receive();
    let mut thief = Phone::open(running.server.local_addr().unwrap());
    thief.token = used;
    assert_eq!(thief.resume_refused(), USED_TOKEN);
    phone.send(ECHO, b"undisturbed");
    assert_eq!(phone.receive(), (ECHO, b"undisturbed".to_vec()));
}

#[test]
fn a_wrong_token_is_refused_whichever_bit_is_wrong() {
    let running = start(resuming(), set_up);
    let (mut phone, conn) = away(&running);
    let right = phone.token.clone();
    for bit in 0..8 * 24 {
        phone.token[bit / 8] ^= 1 << (bit % 8);
        // Whether the id or the secret is wrong, the answer is the same.
        assert_eq!(phone.resume_refused(), GONE, "bit {bit}");
        phone.token.clone_from(&right);
    }
    assert!(conn.is_away());
    phone.resume();
    assert!(running.stop().resume_refused >= 8 * 24);
}

#[test]
fn a_peer_that_comes_too_late_is_refused_and_the_connection_has_ended_as_it_was_lost() {
    let mut config = resuming();
    config.resume_ms = 50;
    let running = start(config, set_up);
    let (mut phone, conn) = open(&running);
    phone.send(LOGIN, b"ann");
    phone.receive();
    phone.lose(false);
    assert!(conn.wait_closed(SOON).unwrap());
    assert_eq!(conn.get_close_reason(), Some(CloseReason::PeerClosed));
    assert!(running.server.sessions().is_empty() && running.server.get_groups().is_empty());
    assert_eq!(phone.resume_refused(), GONE);
}

#[test]
fn over_the_bound_of_frames_or_of_bytes_the_resume_is_refused() {
    for (frames, bytes) in [(4, 1 << 20), (1000, 4 * 100)] {
        let mut config = resuming();
        (config.resume_frames, config.resume_bytes) = (frames, bytes);
        let running = start(config, set_up);
        // As much as is kept is sent again,
        let (mut phone, conn) = away(&running);
        (0..4).for_each(|_| conn.send_msg(SAID, vec![7; 92]).unwrap());
        phone.resume();
        (0..4).for_each(|_| assert_eq!(phone.receive(), (SAID, vec![7; 92])));
        phone.lose(true);
        wait_until("the loss", || conn.is_away());
        // and of one more the first is missing.
        (0..5).for_each(|_| conn.send_msg(SAID, vec![7; 92]).unwrap());
        assert_eq!(phone.resume_refused(), OVER_BOUND);
        assert!(conn.wait_closed(SOON).unwrap(), "it can never be resumed");
        let why = ResumeRefusal::OverBound;
        assert_eq!(conn.get_close_reason(), Some(CloseReason::ResumeRefused { why }));
        assert!(running.server.sessions().is_empty());
    }
}

#[test]
fn an_attempt_heard_after_a_later_one_does_no_harm() {
    let running = start(resuming(), set_up);
    let (mut phone, conn) = away(&running);
    let (token, before) = (phone.token.clone(), phone.inbox.len() as u64);
    conn.send_msg(SAID, "on").unwrap();
    phone.resume();
    phone.receive();
    phone.write(&frame(COUNT, &(before + 1).to_le_bytes()));
    phone.send(ECHO, b"counted");
    phone.receive();
    // The next token has arrived, so the old one is good no more; even if it were, its count is too old.
    for token in [token, phone.token.clone()] {
        let mut late = running.connect();
        late.send(&frame(RESUME, &[&token[..], &before.to_le_bytes()].concat()));
        let refused = late.read_frame();
        assert!(refused.0 == REFUSED && [USED_TOKEN, BUSY].contains(&refused.1[0]), "{refused:?}");
    }
    phone.resume();
    phone.send(ECHO, b"still there");
    assert_eq!(phone.receive(), (ECHO, b"still there".to_vec()));
}

#[test]
fn a_count_of_more_than_was_sent_is_refused() {
    let running = start(resuming(), set_up);
    let (mut phone, _conn) = away(&running);
    phone.inbox.push((SAID, b"never sent".to_vec()));
    assert_eq!(phone.resume_refused(), BAD_COUNT);
    phone.inbox.pop();
    phone.resume();
}

#[test]
fn to_resume_is_the_first_thing_or_nothing() {
    let running = start(resuming(), set_up);
    let (mut phone, _conn) = away(&running);
    let mut other = Phone::open(running.server.local_addr().unwrap());
    let ask = [&phone.token[..], &1_u64.to_le_bytes()].concat();
    other.write(&frame(RESUME, &ask));
    assert_eq!(other.read_frame().1[0], NOT_FIRST);
    phone.resume();
}

#[test]
fn closed_on_purpose_is_not_resumed() {
    let running = start(resuming(), set_up);
    // By the server, which says so,
    let (mut phone, conn) = open(&running);
    conn.stop();
    assert_eq!(phone.read_frame(), (BYE, Vec::new()));
    assert!(conn.wait_closed(SOON).unwrap());
    assert_eq!(phone.resume_refused(), GONE);
    // by the peer, which says so,
    let (mut phone, conn) = open(&running);
    phone.write(&frame(BYE, b""));
    phone.lose(false);
    assert!(conn.wait_closed(SOON).unwrap());
    assert_eq!(phone.resume_refused(), GONE);
    // while the peer is away, as by the same user's login elsewhere,
    let (mut phone, conn) = away(&running);
    conn.stop();
    assert!(conn.wait_closed(SOON).unwrap());
    assert_eq!((conn.get_close_reason(), phone.resume_refused()), (Some(CloseReason::Stopped), GONE));
    // or by bytes that cannot be counted.
    let (mut phone, conn) = open(&running);
    conn.send(frame(SAID, b"raw")).unwrap();
    phone.receive();
    phone.lose(true);
    assert!(conn.wait_closed(SOON).unwrap());
    assert_eq!(phone.resume_refused(), GONE);
}

#[test]
fn a_peer_of_which_nothing_is_heard_is_away_and_may_come_back() {
    type Change = fn(&mut Config);
    let changes: [(CloseReason, Change); 2] = [
        (CloseReason::IdleTimeout, |config| config.idle_timeout_ms = 200),
        (CloseReason::FrameTimeout, |config| config.frame_timeout_ms = 200),
    ];
    let lose_it = |(reason, change): (CloseReason, Change)| {
        let mut config = resuming();
        config.resume_ms = 3000;
        change(&mut config);
        let running = start_alone(config, set_up);
        let (mut phone, conn) = open_in_time(&running);
        // On a busy machine it may be lost before that, here and below.
        let _ = phone.stream.write_all(&frame(ECHO, b"half")[..10]);
        wait_until("the loss", || conn.is_away());
        come_back_and_say(&mut phone, b"whole");
        let _ = phone.stream.write_all(&frame(ECHO, b"half again")[..10]);
        assert!(conn.wait_closed(SOON).unwrap());
        assert_eq!(conn.get_close_reason(), Some(reason), "as it was lost");
    };
    thread::scope(|scope| {
        for change in changes {
            scope.spawn(move || lose_it(change));
        }
    });
}

#[test]
fn a_peer_without_a_heartbeat_is_away_and_may_come_back() {
    let running = start_alone(resuming(), |server| {
        let option = HeartBeatOption::new().misses(3).direction(HeartBeatDirection::WatchOnly);
        server.start_heart_beat_with_option(Duration::from_millis(50), option).unwrap();
    });
    let (mut phone, conn) = open_in_time(&running);
    wait_until("the loss", || conn.is_away());
    come_back_and_say(&mut phone, b"back");
}

/// Comes back and has something echoed. A peer that a busy machine keeps from speaking in time is lost once more, and comes back
/// again.
fn come_back_and_say(phone: &mut Phone, what: &[u8]) {
    phone.note(ECHO, what);
    come_back_until(phone, phone.inbox.len() + 1);
    assert_eq!(phone.receive(), (ECHO, what.to_vec()));
}

/// Comes back, again and again if need be, until it has received so many frames in all.
fn come_back_until(phone: &mut Phone, count: usize) {
    while phone.resume_cut(WHOLE).and_then(|()| phone.talk(&[], count, WHOLE)).is_err() {}
}

#[test]
fn a_peer_that_does_not_read_is_away_and_gets_all_when_it_comes_back() {
    let mut config = resuming();
    (config.write_timeout_ms, config.max_msg_chan_bytes) = (200, 4 << 20);
    (config.resume_frames, config.resume_bytes) = (1 << 20, 1 << 30);
    let running = start(config, set_up);
    let (mut phone, conn) = open(&running);
    let mut sent = 0_u32;
    let mut say = || match conn.try_send_msg(SAID, [&sent.to_le_bytes()[..], &[7; 50_000]].concat()) {
        Ok(()) => sent += 1,
        Err(error) => assert!(matches!(error, Error::QueueFull { .. }), "{error}"),
    };
    // As many as find room, even if the socket takes none; then until it is full.
    (0..60).for_each(|_| say());
    wait_until("the loss", || {
        say();
        conn.is_away()
    });
    assert!(sent > 50, "only {sent}");
    come_back_until(&mut phone, sent as usize);
    for n in 0..sent {
        let (id, data) = phone.receive();
        assert_eq!((id, &data[..4], data.len()), (SAID, &n.to_le_bytes()[..], 50_004));
    }
    assert_eq!(running.stop().resume_refused, 0);
}

#[test]
fn a_stop_does_not_wait_for_those_that_are_away() {
    let running = start_alone(resuming(), set_up);
    let (_phone, conn) = away(&running);
    conn.send_msg(SAID, "never read").unwrap();
    let begun = Instant::now();
    let stats = running.stop();
    assert!(begun.elapsed() < SOON);
    assert_eq!(conn.get_close_reason(), Some(CloseReason::ServerStopped));
    assert_eq!((conn.get_unsent().messages, stats.unsent_messages), (1, 1));
}

#[test]
fn those_away_take_no_place_but_are_no_more_than_max_conn() {
    // The one that was there for longer stays.
    const LONGER: Duration = Duration::from_secs(1);
    in_time(|| {
        let mut config = resuming();
        (config.max_conn, config.max_away_per_address) = (2, 2);
        let running = start_alone(config, |_| {});
        let mut phones: Vec<_> = (0..2).map(|_| open(&running)).collect();
        thread::sleep(LONGER);
        for (phone, conn) in &mut phones {
            phone.lose(true);
            wait_until("the loss", || conn.is_away());
        }
        // There is place for two others, and they are not kept when they go.
        for _ in 0..2 {
            let begun = Instant::now();
            let (mut phone, conn) = open(&running);
            phone.lose(true);
            wait_until("its loss", || conn.is_away() || running.stop_hooks_of(conn.get_conn_id()) > 0);
            // Unless a busy machine has had it there for as long.
            if conn.is_away() && begun.elapsed() >= LONGER {
                return None;
            }
            assert!(conn.wait_closed(SOON).unwrap());
        }
        for (phone, conn) in &mut phones {
            phone.resume();
            phone.send(ECHO, b"back");
            assert_eq!(phone.receive(), (ECHO, b"back".to_vec()));
            assert!(!conn.is_away());
            // The connection on which it came gives its place back.
            wait_until("its end", || running.server.get_conn_mgr().len() == 2);
        }
        Some(())
    });
}

#[test]
fn what_a_busy_handler_holds_up_waits_and_goes_on_in_order() {
    let [busy, go] = [(); 2].map(|()| Arc::new(green::Event::new()));
    let theirs = [Arc::clone(&busy), Arc::clone(&go)];
    let running = start_alone(resuming(), |server| {
        let slow = move |request: &dyn IRequest| {
            theirs[0].set();
            theirs[1].wait();
            request.get_connection().send_msg(SAID, "at last")
        };
        server.add_router(LOGIN, slow).unwrap();
    });
    let (mut phone, conn) = open(&running);
    phone.send(LOGIN, b"");
    busy.wait();
    phone.lose(true);
    phone.ask_to_resume();
    wait_until("the first to have arrived", || conn.is_away());
    // The one that comes later takes its place.
    let first = std::mem::replace(&mut phone.stream, running.connect().stream);
    phone.ask_to_resume();
    wait_until("the first to be refused", || running.server.stats().resume_refused == 1);
    go.set();
    assert_eq!(phone.read_frame().0, TOKEN);
    assert_eq!(phone.receive(), (SAID, b"at last".to_vec()));
    assert!(!conn.is_away());
    drop(first);
}

#[test]
fn bad_frames_about_resuming_end_their_own_connection_only() {
    let running = start(resuming(), set_up);
    let (mut phone, conn) = away(&running);
    for (id, len) in [(RESUME, 0), (RESUME, 31), (RESUME, 33), (TOKEN, 36), (REFUSED, 1), (TOKEN, 0)] {
        let mut peer = running.connect();
        peer.send(&frame(id, &vec![0; len]));
        assert_eq!(peer.read_to_end(), b"");
        let reason = running.close_reason(peer.addr());
        assert!(matches!(reason, CloseReason::BadFrame { .. }), "{reason}");
    }
    // More counted than sent, or half a count, ends a connection that has a token; without one it says nothing.
    for count in [vec![0, 0, 0, 1, 0, 0, 0, 0], vec![1; 7]] {
        let (mut bad, conn) = open(&running);
        bad.write(&frame(COUNT, &count));
        assert!(conn.wait_closed(SOON).unwrap());
        let mut plain = running.connect();
        plain.send(&frame(COUNT, &count));
        plain.check_echo();
    }
    phone.resume();
    assert!(!conn.is_away());
}

#[test]
fn a_peer_that_has_said_goodbye_opens_no_more() {
    let running = start(resuming(), set_up);
    let (mut phone, conn) = open(&running);
    phone.write(&frame(BYE, b""));
    phone.write(&frame(OPEN, b""));
    assert!(conn.wait_closed(SOON).unwrap());
    let reason = conn.get_close_reason().unwrap();
    assert!(matches!(reason, CloseReason::BadFrame { .. }), "{reason}");
}

#[test]
fn random_frames_about_resuming_do_no_harm() {
    let running = start(resuming(), set_up);
    let (mut phone, _conn) = away(&running);
    with_seeds(200, |seed| {
        let mut random = Random::new(seed);
        let mut peer = running.connect();
        for _ in 0..random.below(6) {
            let id = OPEN + random.below(7) as u32;
            let data: Vec<u8> = match random.below(3) {
                0 => (0..random.below(48)).map(|_| random.below(256) as u8).collect(),
                1 => [&phone.token[..8], &[random.below(256) as u8; 24]].concat(),
                _ => vec![0; [0, 8, 32, 36][random.below(4) as usize]],
            };
            // The server may have closed already.
            let _ = peer.stream.write_all(&frame(id, &data));
        }
        peer.finish();
        peer.reset();
    });
    phone.resume();
    phone.send(ECHO, b"still there?");
    assert_eq!(phone.receive(), (ECHO, b"still there?".to_vec()));
    phone.write(&frame(BYE, b""));
}

#[test]
fn where_it_is_off_nothing_is_answered_and_nobody_waits() {
    let running = start(config(), set_up);
    let mut peer = running.connect();
    peer.send(&frame(OPEN, b""));
    peer.check_echo();
    let conn = running.conn(peer.addr());
    peer.reset();
    assert!(conn.wait_closed(SOON).unwrap() && !conn.is_away());
}

#[test]
fn counts_are_told_so_that_little_is_kept() {
    let running = start(resuming(), set_up);
    let (mut phone, _conn) = open(&running);
    for n in 0..64_u8 {
        phone.send(ECHO, &[n]);
    }
    let frames: Vec<_> = (0..66).map(|_| phone.read_frame()).collect();
    let counts = frames.into_iter().filter(|(id, _)| *id == COUNT);
    let told: Vec<_> = counts.map(|(_, count)| u64::from_le_bytes(count.try_into().unwrap())).collect();
    assert_eq!(told, [32, 64]);
}

// By number, as on the wire.
const USED_TOKEN: u8 = 2;
const GONE: u8 = 3;
const OVER_BOUND: u8 = 4;
const BAD_COUNT: u8 = 5;
const NOT_FIRST: u8 = 6;
const BUSY: u8 = 7;
