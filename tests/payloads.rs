//! Payloads with a type, and wrong ones: an answer or a close by policy, with the message id and the reason.

#![expect(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "tests are plain threads: they block no worker"
)]

#[expect(dead_code, reason = "each test file uses its share")]
mod common;

use std::process::Command;
use std::time::Duration;

use prost::Message;
use rustix::process::Signal;
use serde::{Deserialize, Serialize};
use zinx::Server;
use zinx::prelude::*;
use zinx::ziface::CloseReason;
use zinx::znet::BadPayload;

use common::process::{Process, example};
use common::{config, frame, start, start_alone};

const JSON: u32 = 2;
const PROTO: u32 = 3;
const BAD: u32 = 4;
const DEEP: u32 = 5;

#[derive(Deserialize, Serialize)]
struct Point {
    x: i32,
    y: i32,
}

#[derive(Clone, PartialEq, Message)]
struct Position {
    #[prost(sint32, tag = "1")]
    x: i32,
    #[prost(string, tag = "2")]
    name: String,
}

fn set_up(server: &Server) {
    let mirror = |request: &dyn IRequest| {
        let Point { x, y } = request.json()?;
        request.get_connection().send_json(JSON, &Point { x: y, y: x })
    };
    let back = |request: &dyn IRequest| {
        let position: Position = request.proto()?;
        request.get_connection().send_proto(PROTO, &Position { x: -position.x, ..position })
    };
    server.add_router(JSON, mirror).unwrap();
    server.add_router(PROTO, back).unwrap();
}

#[test]
fn the_demo_runs_and_throws_out_players_that_send_no_position() {
    let server = Process::listening(&mut Command::new(example("protobuf_server")));
    let mut client = Command::new(example("protobuf_client"));
    let client = Process::spawn(client.arg(server.address.to_string())).end_within(Duration::from_secs(20));
    assert_eq!(
        client.stdout, "Position { x: 3, y: -1, name: \"ann\" }\nclosed by the server\n",
        "{}",
        client.stderr
    );
    server.kill(Signal::TERM);
    assert_eq!(server.end_within(Duration::from_secs(20)).status.code(), Some(0));
}

#[test]
fn values_go_in_and_out() {
    let running = start(config(), set_up);
    let mut peer = running.connect();
    peer.send(&frame(JSON, br#" {"y": 2, "x": -1} "#));
    assert_eq!(peer.read_frame(), (JSON, br#"{"x":2,"y":-1}"#.to_vec()));
    let position = Position { x: 300, name: "here".to_string() };
    peer.send(&frame(PROTO, &position.encode_to_vec()));
    let (id, data) = peer.read_frame();
    assert_eq!((id, Position::decode(&data[..]).unwrap()), (PROTO, Position { x: -300, ..position }));
}

#[test]
fn a_group_is_sent_json_and_protobuf_and_names_of_users_are_json() {
    let running = start(config(), |server| {
        let login = |request: &dyn IRequest| {
            let conn = request.get_connection();
            conn.login(request.text()?, OnDuplicate::Reject)?;
            conn.join_group("room")?;
            let room = conn.get_group("room");
            assert_eq!(
                room.broadcast_json(JSON, &(conn.sessions().users(), conn.get_groups()))?.queued,
                room.len()
            );
            room.broadcast_proto(PROTO, &Position { x: 1, name: String::new() })?;
            Ok(())
        };
        server.add_router(BAD, login).unwrap();
    });
    let mut peer = running.connect();
    peer.send(&frame(BAD, b"ann"));
    assert_eq!(peer.read_frame(), (JSON, br#"[["ann"],["room"]]"#.to_vec()));
    assert_eq!(peer.read_frame(), (PROTO, Position { x: 1, name: String::new() }.encode_to_vec()));
}

#[test]
fn answers_and_what_a_session_receives_are_read_like_requests() {
    let running = start_alone(config(), |server| {
        let dialogue = |s: &mut Session| {
            let Point { x, y } = s.recv_id(JSON)?.json()?;
            let position: Position = s.ask(PROTO, format!("{x}"), PROTO)?.proto()?;
            s.send_proto(PROTO, &Position { x, ..position.clone() })?;
            s.send_json(JSON, &Point { x: position.x, y })
        };
        server.on_session(dialogue).unwrap();
    });
    let mut peer = running.connect();
    peer.send(&frame(JSON, br#"{"x": 1, "y": 2}"#));
    assert_eq!(peer.read_frame(), (PROTO, b"1".to_vec()));
    peer.send(&frame(PROTO, &Position { x: 5, name: String::new() }.encode_to_vec()));
    assert_eq!(peer.read_frame(), (PROTO, Position { x: 1, name: String::new() }.encode_to_vec()));
    assert_eq!(peer.read_frame(), (JSON, br#"{"x":5,"y":2}"#.to_vec()));
}

#[test]
fn a_wrong_payload_is_logged_answered_or_closes_by_policy() {
    for (id, data) in [(JSON, &br#"{"x": 1}"#[..]), (JSON, b"\xff"), (JSON, b""), (PROTO, b"\x0a")] {
        let running = start(config(), set_up);
        let mut peer = running.connect();
        peer.send(&frame(id, data));
        peer.check_echo();

        let running = start(config(), |server| {
            set_up(server);
            server.set_bad_payload(BadPayload::Answer { msg_id: BAD }).unwrap();
        });
        let mut peer = running.connect();
        peer.send(&frame(id, data));
        let (answer, why) = peer.read_frame();
        let why = String::from_utf8(why).unwrap();
        assert!(
            answer == BAD && why.starts_with(&format!("the payload of message id {id} cannot be read: ")),
            "{why}"
        );
        peer.check_echo();

        let running = start(config(), |server| {
            set_up(server);
            server.set_bad_payload(BadPayload::Close).unwrap();
        });
        let mut peer = running.connect();
        peer.send(&frame(id, data));
        assert_eq!(peer.read_to_end(), b"");
        let reason = running.close_reason(peer.addr());
        let CloseReason::BadPayload { msg_id, reason } = reason else { panic!("{reason}") };
        assert!(msg_id == id && why.ends_with(&reason), "{reason}");
    }
}

#[test]
fn the_deepest_nesting_fits_the_stack_and_a_deeper_one_is_a_bad_payload() {
    let running = start(config(), |server| {
        let deep = |request: &dyn IRequest| {
            let value: serde_json::Value = request.json()?;
            request.get_connection().send_json(DEEP, &value)
        };
        server.add_router(DEEP, deep).unwrap();
        server.set_bad_payload(BadPayload::Answer { msg_id: BAD }).unwrap();
    });
    let mut peer = running.connect();
    let nested = |depth: usize| [vec![b'['; depth], vec![b']'; depth]].concat();
    peer.send(&frame(DEEP, &nested(64)));
    assert_eq!(peer.read_frame(), (DEEP, nested(64)));
    for too_deep in [65, 2000] {
        peer.send(&frame(DEEP, &nested(too_deep)));
        let (id, answer) = peer.read_frame();
        assert_eq!(id, BAD);
        assert!(String::from_utf8(answer).unwrap().ends_with("nested more than 64 deep"));
    }
}

#[test]
fn what_is_wrong_with_a_payload_is_told_in_one_short_line() {
    #[derive(Debug, Deserialize)]
    enum Word {
        Yes,
    }
    let running = start(config(), |server| {
        server.set_bad_payload(BadPayload::Answer { msg_id: BAD }).unwrap();
        let router =
            |request: &dyn IRequest| request.json::<Word>().map(|word| assert!(matches!(word, Word::Yes)));
        server.add_router(JSON, router).unwrap();
    });
    let mut peer = running.connect();
    let forged = format!("\"no\\n2026/01/01 [INFO] all is well\\u001b[2J{}\"", "x".repeat(3000));
    peer.send(&frame(JSON, forged.as_bytes()));
    let told = String::from_utf8(peer.read_frame().1).unwrap();
    assert!(told.contains("unknown variant `no 2026/01/01 [INFO] all is well [2Jxxx"), "{told}");
    assert!(!told.contains(char::is_control) && told.len() < 300, "{told}");
}

#[test]
fn nodes_ask_each_other_with_values_and_a_wrong_one_is_the_askers_error() {
    let server = new_server_with_config(config()).unwrap();
    let (cluster, long) = (server.cluster(), Duration::from_secs(20));
    let node = cluster.node_name();
    cluster.add_task_json(JSON, |Point { x, y }| Ok(Point { x: y, y: x })).unwrap();
    cluster.add_task_proto(PROTO, |position: Position| Ok(Position { x: -position.x, ..position })).unwrap();
    let Point { x, y } = cluster.run_on_json(&node, JSON, &Point { x: 1, y: 2 }, long).unwrap();
    assert_eq!((x, y), (2, 1));
    let position = Position { x: 7, ..Position::default() };
    let mirrored: Position = cluster.run_on_proto(&node, PROTO, &position, long).unwrap();
    assert_eq!(mirrored, Position { x: -7, ..position });
    // What is asked is no point; what is answered is no text.
    let asked = cluster.run_on(&node, JSON, "[", long).unwrap_err();
    assert!(matches!(asked, Error::BadPayload { msg_id: JSON, .. }), "{asked}");
    let answered = cluster.run_on_json::<_, String>(&node, JSON, &Point { x: 1, y: 2 }, long).unwrap_err();
    assert!(matches!(answered, Error::BadPayload { msg_id: JSON, .. }), "{answered}");
}
