//! The test vectors of `tests/vectors`: `docs/wire.md` in examples, which clients in other languages play through too.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use zinx::green::Event;
use zinx::prelude::*;
use zinx::zconf::PackKind;
use zinx::zpack::{LtvLittleEndian, TlvBigEndian, read_message};

use crate::common::{Peer, Running, config, start_alone, wait_until};

#[test]
fn frames_are_those_of_the_vectors() {
    let vectors = load("frames.json");
    for vector in list(&vectors["frames"]) {
        let (pack, bytes) = (pack_named(text(&vector["pack"])), plain(text(&vector["bytes"])));
        let message = new_message(number(&vector["id"]), plain(text(&vector["data"])));
        assert_eq!(pack.pack(&message).unwrap(), bytes, "{vector}");
        let read = read_message(&mut &bytes[..], pack, 1 << 20).unwrap().unwrap();
        assert_eq!(
            (read.get_msg_id(), read.get_data()),
            (message.get_msg_id(), message.get_data()),
            "{vector}"
        );
    }
}

#[test]
fn streams_are_read_as_in_the_vectors() {
    let vectors = load("frames.json");
    for vector in list(&vectors["streams"]) {
        let (pack, bytes) = (pack_named(text(&vector["pack"])), plain(text(&vector["bytes"])));
        let (mut stream, max) = (&bytes[..], number(&vector["max_packet_size"]));
        let mut messages = list(&vector["messages"]).iter();
        let ends = loop {
            match read_message(&mut stream, pack, max) {
                Ok(Some(read)) => {
                    let expected = messages.next().unwrap_or_else(|| panic!("one more: {vector}"));
                    let data = plain(text(&expected["data"]));
                    let found = (read.get_msg_id(), &read.get_data()[..]);
                    assert_eq!(found, (number(&expected["id"]), &data[..]), "{vector}");
                }
                Ok(None) => break "end",
                Err(Error::PacketTooLarge { .. }) => break "too large",
                Err(_) => break "in a frame",
            }
        };
        assert_eq!((ends, messages.next()), (text(&vector["ends"]), None), "{vector}");
    }
}

#[test]
fn heartbeats_are_those_of_the_vectors() {
    assert!(play_all("heartbeats.json") >= 3);
}

#[test]
fn questions_and_answers_are_those_of_the_vectors() {
    assert!(play_all("calls.json") >= 6);
}

#[test]
fn resuming_is_that_of_the_vectors() {
    assert!(play_all("resume.json") >= 20);
}

/// Plays the client's part of each exchange, in both formats, and compares what the server sends. Returns how many there are.
fn play_all(file: &str) -> usize {
    let vectors = load(file);
    let mut played = 0;
    for exchange in list(&vectors["exchanges"]).iter().filter(|exchange| is_for_us(exchange)) {
        for (kind, pack) in PACKS {
            Player::new(exchange, &vectors["ids"], kind, pack).play(exchange);
        }
        played += 1;
    }
    played
}

/// One exchange with a server of its own.
struct Player<'a> {
    name: String,
    ids: &'a Value,
    running: Running,
    pack: &'static dyn IDataPack,
    /// Set by the handler that waits.
    waits: Arc<Event>,
    /// Lets it go on.
    release: Arc<Event>,
    sockets: HashMap<&'a str, Peer>,
    tokens: HashMap<&'a str, Vec<u8>>,
}

impl<'a> Player<'a> {
    fn new(exchange: &'a Value, ids: &'a Value, kind: PackKind, pack: &'static dyn IDataPack) -> Self {
        let (mut config, wanted) = (config(), &exchange["config"]);
        config.data_pack = kind;
        config.resume_ms = wanted["resume_ms"].as_u64().unwrap();
        config.resume_frames = wanted["resume_frames"].as_u64().map_or(config.resume_frames, |n| n as usize);
        let [waits, release] = [(); 2].map(|()| Arc::new(Event::new()));
        let theirs = [Arc::clone(&waits), Arc::clone(&release)];
        let running = start_alone(config, |server| {
            add_program(server, theirs).unwrap();
            if wanted["heartbeat"] == true {
                server.start_heart_beat(Duration::from_secs(3600)).unwrap();
            }
        });
        let name = format!("{}, {kind:?}", text(&exchange["name"]));
        Self { name, ids, running, pack, waits, release, sockets: HashMap::new(), tokens: HashMap::new() }
    }

    fn play(mut self, exchange: &'a Value) {
        for step in list(&exchange["steps"]).iter().filter(|step| is_for_us(step)) {
            let on = step["on"].as_str().unwrap_or("the first");
            let times = step["times"].as_u64().unwrap_or(1);
            let arrives = step["arrives"] != false;
            if step.get("client").is_some() && arrives {
                (0..times).for_each(|_| self.send(on, &step["client"]));
            } else if step.get("server").is_some() {
                (0..times).for_each(|_| self.expect(on, &step["server"]));
            } else if step["ends"] == "server" {
                assert_eq!(self.socket(on).read_to_end(), b"", "{}", self.name);
            } else if step["ends"] == "client" {
                self.socket(on).finish();
                // It ends, too, once it has heard that. Before, it may hear first what comes on another socket.
                self.socket(on).read_to_end();
            } else if step.get("lost").is_some() {
                self.sockets.remove(on);
            } else if step.get("release").is_some() {
                self.release.set();
            }
        }
        self.release.set();
        // A stop lingers for peers that are still there.
        self.sockets.clear();
    }

    fn send(&mut self, on: &'a str, frame: &'a Value) {
        let (mut data, name) = (Vec::new(), &self.name);
        for item in text(&frame["data"]).split_whitespace() {
            match token_named(item) {
                Some(token) => {
                    data.extend(self.tokens.get(token).unwrap_or_else(|| panic!("{name}: {token}")))
                }
                None => data.extend(bytes(item)),
            }
        }
        let id = self.id(frame);
        let frame = self.pack.pack(&new_message(id, data)).unwrap();
        self.socket(on).send(&frame);
        if id == WAIT {
            // Before, the server may hear first what comes on another socket.
            wait_until("the handler that waits", || self.waits.is_set());
        }
    }

    fn expect(&mut self, on: &'a str, frame: &'a Value) {
        let (id, pack) = (self.id(frame), self.pack);
        let message = read_message(&mut self.socket(on).stream, pack, 1 << 20);
        let message = message.unwrap_or_else(|error| panic!("{}: {frame}: {error}", self.name));
        let message = message.unwrap_or_else(|| panic!("{}: the stream ends before {frame}", self.name));
        assert_eq!(message.get_msg_id(), id, "{}: {frame}, {:?}", self.name, message.get_data());
        let mut data = &message.get_data()[..];
        for item in text(&frame["data"]).split_whitespace() {
            if item == "*" {
                return;
            }
            let expected = match token_named(item) {
                Some(token) => self.tokens.entry(token).or_insert_with(|| data[..24].to_vec()).clone(),
                None => bytes(item),
            };
            assert!(data.starts_with(&expected), "{}: {frame}: {data:?} at {item}", self.name);
            data = &data[expected.len()..];
        }
        assert_eq!(data, b"", "{}: {frame}: too long", self.name);
    }

    /// A socket, connected if there is none of that name.
    fn socket(&mut self, on: &'a str) -> &mut Peer {
        self.sockets.entry(on).or_insert_with(|| self.running.connect())
    }

    fn id(&self, frame: &Value) -> u32 {
        frame["id"].as_str().map_or_else(|| number(&frame["id"]), |name| number(&self.ids[name]))
    }
}

/// The program that the vectors' server runs, beside the echo of id 1.
fn add_program(server: &Server, [waits, release]: [Arc<Event>; 2]) -> Result<()> {
    server.add_router(2, |request: &dyn IRequest| {
        let data = request.get_data();
        let count = u32::from_le_bytes(data[..].try_into().expect("four bytes"));
        (0..count).try_for_each(|n| request.get_connection().send_msg(3, n.to_le_bytes()))
    })?;
    server.add_router(4, |request: &dyn IRequest| {
        let conn = request.get_connection();
        let answer = conn.call(10, request.get_data(), 11, Duration::from_secs(60))?;
        conn.send_msg(12, answer.get_data())
    })?;
    server.add_router(5, |request: &dyn IRequest| {
        request.get_connection().stop();
        Ok(())
    })?;
    server.add_router(WAIT, move |_: &dyn IRequest| {
        waits.set();
        release.wait();
        Ok(())
    })?;
    server
        .add_router(7, |request: &dyn IRequest| request.get_connection().send_msg(99_999, "heartbeat [a->b]"))
}

/// The message id whose handler waits until it is released.
const WAIT: u32 = 6;

fn load(file: &str) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors").join(file);
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

fn is_for_us(value: &Value) -> bool {
    value["only"] != "client"
}

fn pack_named(name: &str) -> &'static dyn IDataPack {
    match name {
        "ltv_little_endian" => &LtvLittleEndian,
        "tlv_big_endian" => &TlvBigEndian,
        other => panic!("{other}"),
    }
}

const PACKS: [(PackKind, &dyn IDataPack); 2] =
    [(PackKind::LtvLittleEndian, &LtvLittleEndian), (PackKind::TlvBigEndian, &TlvBigEndian)];

fn token_named(item: &str) -> Option<&str> {
    item.strip_prefix('{')?.strip_suffix('}')
}

/// Data without tokens.
fn plain(text: &str) -> Vec<u8> {
    text.split_whitespace().flat_map(bytes).collect()
}

fn bytes(item: &str) -> Vec<u8> {
    let (hex, times) = item.split_once('x').map_or((item, 1), |(hex, times)| (hex, times.parse().unwrap()));
    let byte = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
    (0..hex.len()).step_by(2).map(byte).collect::<Vec<_>>().repeat(times)
}

fn list(value: &Value) -> &[Value] {
    value.as_array().expect("a list")
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("a text: {value}"))
}

fn number(value: &Value) -> u32 {
    value.as_u64().and_then(|number| number.try_into().ok()).unwrap_or_else(|| panic!("a number: {value}"))
}
