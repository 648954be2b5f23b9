//! Users: logging in and out, the same user twice, the gate before routers.

use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use zinx::green::{self, TcpStream};
use zinx::prelude::*;
use zinx::ziface::CloseReason;
use zinx::zpack::read_message;

use crate::common::{Running, config, frame, start, start_alone};

const LOGIN: u32 = 2;
const TOLD: u32 = 3;
const LOGOUT: u32 = 4;
const GATED: u32 = 50;

/// Logs in as the user named, by a policy; tells how it went, and at the end why it closed.
fn set_up(server: &Server, policy: OnDuplicate) {
    let login = move |request: &dyn IRequest| {
        let conn = request.get_connection();
        match conn.login(String::from_utf8_lossy(request.get_data()), policy) {
            Ok(()) => conn.send_msg(TOLD, "in"),
            Err(Error::ConnectionClosed) => Ok(()),
            Err(error) => conn.send_msg(TOLD, error.to_string()),
        }
    };
    let logout = |request: &dyn IRequest| {
        let out = request.get_connection().logout();
        request.get_connection().send_msg(LOGOUT, out.to_string())
    };
    server.add_router(LOGIN, login).unwrap();
    server.add_router(LOGOUT, logout).unwrap();
    server.set_on_conn_stop(|conn| match conn.get_close_reason() {
        Some(reason @ CloseReason::LoggedInElsewhere) => {
            conn.send_msg(TOLD, format!("{}: {reason}", conn.get_user().unwrap()))
        }
        _ => Ok(()),
    });
}

#[test]
fn logins_are_found_by_user_and_end_with_the_connection() {
    let running = start_alone(config(), |server| set_up(server, OnDuplicate::Reject));
    let sessions = running.server.sessions();
    let mut peer = running.connect();
    peer.send(&frame(LOGIN, b"ann"));
    assert_eq!(peer.read_frame(), (TOLD, b"in".to_vec()));
    let conn = sessions.by_user("ann").unwrap();
    assert_eq!((conn.get_remote_addr(), sessions.len()), (peer.addr(), 1));
    assert_eq!((conn.get_user().as_deref(), conn.is_logged_in()), (Some("ann"), true));
    assert!(sessions.by_user("bob").is_none());
    // Again as the same user, then as another.
    for user in ["ann", "bob"] {
        peer.send(&frame(LOGIN, user.as_bytes()));
        assert_eq!(peer.read_frame(), (TOLD, b"in".to_vec()));
        assert_eq!(sessions.users().iter().map(|uid| &**uid).collect::<Vec<_>>(), [user]);
    }
    for expected in [b"true".to_vec(), b"false".to_vec()] {
        peer.send(&frame(LOGOUT, b""));
        assert_eq!(peer.read_frame(), (LOGOUT, expected));
    }
    assert!(sessions.is_empty() && !conn.is_logged_in());
    // A number is a user too.
    conn.login(42, OnDuplicate::Reject).unwrap();
    assert!(sessions.by_user(42).is_some());
    peer.finish();
    peer.read_to_end();
    assert!(conn.wait_closed(Duration::from_secs(10)).unwrap());
    assert!(sessions.is_empty() && !conn.is_logged_in());
    assert_eq!(conn.get_user().as_deref(), Some("42"), "who it was is still known");
    assert!(matches!(conn.login(42, OnDuplicate::Reject), Err(Error::ConnectionClosed)));
}

/// Has a hundred connections log in as one user at once. Returns what each was told: first, or, of those that
/// another throws out, last; and their streams, still open.
fn race(running: &Running, policy: OnDuplicate) -> (Vec<String>, Vec<TcpStream>) {
    let address = running.server.local_addr().unwrap();
    let go = Arc::new(green::Event::new());
    let racers: Vec<_> = (0..RACERS)
        .map(|_| {
            let go = Arc::clone(&go);
            green::spawn(move || {
                let stream = TcpStream::connect(address).unwrap();
                go.wait();
                (&stream).write_all(&frame(LOGIN, b"ann")).unwrap();
                let told = || {
                    let message = read_message(&mut &stream, &new_data_pack(), 4096).unwrap();
                    message.map(|message| String::from_utf8(message.get_data().to_vec()).unwrap())
                };
                let first = told().unwrap();
                (first, stream)
            })
        })
        .collect();
    go.set();
    let raced: Vec<(String, TcpStream)> = racers.into_iter().map(|racer| racer.get().unwrap()).collect();
    let winner = running.server.sessions().by_user("ann").unwrap().get_remote_addr();
    let last = |(first, stream): (String, TcpStream)| {
        if policy != OnDuplicate::KickOld || stream.local_addr().unwrap() == winner {
            return (first, stream);
        }
        let message = read_message(&mut &stream, &new_data_pack(), 4096).unwrap().unwrap();
        (String::from_utf8(message.get_data().to_vec()).unwrap(), stream)
    };
    raced.into_iter().map(last).unzip()
}

#[test]
fn of_a_hundred_racing_logins_one_lives_and_the_others_are_told_why() {
    for policy in [OnDuplicate::KickOld, OnDuplicate::Reject] {
        let running = start_alone(config(), |server| set_up(server, policy));
        let (told, _open) = race(&running, policy);
        let live = told.iter().filter(|told| *told == "in").count();
        let why = match policy {
            OnDuplicate::Reject => "user \"ann\" is already logged in on connection",
            _ => "ann: the user has logged in on another connection",
        };
        let others = told.iter().filter(|told| told.starts_with(why)).count();
        assert_eq!((live, others), (1, RACERS - 1), "{policy:?}: {told:?}");
        assert_eq!(running.server.sessions().all_of("ann").len(), 1);
        assert!(running.server.sessions().by_user("ann").unwrap().is_logged_in());
    }
}

#[test]
fn of_two_connections_that_log_in_again_at_the_same_time_one_stays() {
    let running = start_alone(config(), |server| set_up(server, OnDuplicate::KickOld));
    let sessions = running.server.sessions();
    for round in 0..50 {
        let mut peers = [running.connect(), running.connect()];
        let conns = ["one", "two"].map(|name| {
            let peer = &mut peers[usize::from(name == "two")];
            peer.send(&frame(LOGIN, format!("{name} {round}").as_bytes()));
            assert_eq!(peer.read_frame(), (TOLD, b"in".to_vec()));
            sessions.by_user(format!("{name} {round}")).unwrap()
        });
        let both = std::sync::Barrier::new(2);
        std::thread::scope(|scope| {
            for conn in &conns {
                scope.spawn(|| {
                    both.wait();
                    // Until the other has thrown it out, for good.
                    (0..2000).all(|_| conn.login(round, OnDuplicate::KickOld).is_ok());
                });
            }
        });
        let open: Vec<_> = conns.iter().filter(|conn| conn.get_close_reason().is_none()).collect();
        assert_eq!(open.len(), 1, "{round}");
        assert!(open[0].is_logged_in(), "{round}");
        assert_eq!(sessions.by_user(round).unwrap().get_conn_id(), open[0].get_conn_id(), "{round}");
    }
}

#[test]
fn with_multi_all_of_them_are_logged_in() {
    let running = start_alone(config(), |server| set_up(server, OnDuplicate::Multi));
    let (told, _open) = race(&running, OnDuplicate::Multi);
    assert!(told.iter().all(|told| told == "in"), "{told:?}");
    assert_eq!((running.server.sessions().len(), running.server.sessions().all_of("ann").len()), (1, RACERS));
}

#[test]
fn the_gate_lets_only_those_pass_who_are_logged_in() {
    let refusals = [Refusal::Drop, Refusal::answer(TOLD, "log in first"), Refusal::Close];
    for refusal in refusals {
        let running = start(config(), |server| {
            set_up(server, OnDuplicate::KickOld);
            server.require_login(GATED..=GATED + 9, refusal.clone()).unwrap();
            let trade = |request: &dyn IRequest| {
                let user = request.get_connection().get_user().unwrap();
                request.get_connection().send_msg(request.get_msg_id(), user.to_string())
            };
            server.add_router(GATED, trade).unwrap();
            server.add_router_slices(GATED + 9, zinx::handlers![trade]).unwrap();
        });
        assert!(matches!(
            running.server.require_login(0..=1, Refusal::Drop),
            Err(Error::AlreadyStarted { .. })
        ));
        let mut peer = running.connect();
        peer.send(&frame(if refusal == Refusal::Drop { GATED + 9 } else { GATED }, b""));
        match refusal {
            Refusal::Drop => peer.check_echo(),
            Refusal::Answer { .. } => assert_eq!(peer.read_frame(), (TOLD, b"log in first".to_vec())),
            Refusal::Close => {
                assert_eq!(peer.read_to_end(), b"");
                peer = running.connect();
            }
        }
        // The login is handled before what is behind it in the stream.
        peer.send(&[frame(LOGIN, b"ann"), frame(GATED, b""), frame(GATED + 9, b"")].concat());
        assert_eq!(peer.read_frame(), (TOLD, b"in".to_vec()));
        assert_eq!(peer.read_frame(), (GATED, b"ann".to_vec()));
        assert_eq!(peer.read_frame(), (GATED + 9, b"ann".to_vec()));
    }
}

#[test]
fn the_gate_is_also_for_ids_without_a_router() {
    for is_handled in [false, true] {
        let running = start(config(), |server| {
            set_up(server, OnDuplicate::KickOld);
            server.require_login(GATED..=GATED + 9, Refusal::Close).unwrap();
            if is_handled {
                let answer = |request: &dyn IRequest| request.get_connection().send_msg(TOLD, "not found");
                server.set_not_found(answer).unwrap();
            }
        });
        let mut peer = running.connect();
        peer.send(&frame(GATED + 1, b""));
        assert_eq!(peer.read_to_end(), b"", "with a not-found route: {is_handled}");
        let mut peer = running.connect();
        peer.send(&[frame(LOGIN, b"ann"), frame(GATED + 1, b"")].concat());
        assert_eq!(peer.read_frame(), (TOLD, b"in".to_vec()));
        match is_handled {
            true => assert_eq!(peer.read_frame(), (TOLD, b"not found".to_vec())),
            false => peer.check_echo(),
        }
        assert_eq!(running.server.stats().unknown_ids, 2);
    }
}

const RACERS: usize = 100;
