//! The demos of conversations, each server and client in processes of their own, compared line by line.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::process::Command;
use std::time::Duration;

use crate::common::frame;
use crate::common::in_time::unless_late;
use crate::common::process::{Process, example};
use rustix::process::Signal;
use zinx::zpack::crc16_modbus;

#[test]
fn ask() {
    let expected =
        "how many apples?\n7 apples for 21?\nsold\nhow many pears?\n7 pears for 21?\nanother time\n";
    check("ask", expected);
}

#[test]
fn chat() {
    let expected = "Ann reads: log in first\n\
                    Ann reads: welcome, ann\n\
                    Ann reads: ann has come\n\
                    Bob reads: welcome, bob\n\
                    Bob reads: ann has come\n\
                    Bob reads: bob has come\n\
                    Ann reads: bob has come\n\
                    Bob reads: bob says: hello, Ann\n\
                    Ann reads: bob says: hello, Ann\n\
                    Bob reads: carol is not here\n\
                    Ann reads: bob whispers: psst\n\
                    Ann's phone reads: welcome, ann\n\
                    Ann reads: the user has logged in on another connection\n\
                    Ann is disconnected\n\
                    Bob reads: ann has gone\n";
    check("chat", expected);
}

#[test]
fn cluster_chat_on_one_node() {
    check("cluster_chat", include_str!("../data/cluster_chat.txt"));
}

#[test]
fn the_chat_server_is_short() {
    assert!(include_str!("../../demo/chat/server.rs").lines().count() < 150);
}

#[test]
fn no_member_of_the_chat_writes_into_the_terminal_of_another() {
    let server = Process::listening(&mut Command::new(example("chat_server")));
    let (mut evil, mut good) = (Member::connect(&server), Member::connect(&server));
    assert_eq!(evil.ask(1, b"two words"), "a name is one word of at most 32 letters");
    assert_eq!(evil.ask(1, "x".repeat(33).as_bytes()), "a name is one word of at most 32 letters");
    assert_eq!(evil.ask(1, "eve\u{1b}[2J\n\u{202e}\u{9b}1m\r".as_bytes()), "welcome, eve[2J1m");
    assert_eq!(evil.ask(10, b"lobby\x07"), "eve[2J1m has come");
    assert_eq!(good.ask(1, b"ann"), "welcome, ann");
    assert_eq!(good.ask(10, b"lobby"), "eve[2J1m has come");
    assert_eq!((good.hear(), evil.hear()), ("ann has come".into(), "ann has come".into()));
    evil.send(11, b"\x1b]0;title\x07\nann says: my password is 1\x00");
    assert_eq!(good.hear(), "eve[2J1m says: ]0;titleann says: my password is 1");
    evil.send(11, "y".repeat(4000).as_bytes());
    assert_eq!(good.hear().len(), "eve[2J1m says: ".len() + 500);
}

#[test]
fn no_member_of_the_cluster_chat_does_either() {
    let server = Process::listening(&mut Command::new(example("cluster_chat_server")));
    let (mut evil, mut good) = (Member::connect(&server), Member::connect(&server));
    assert_eq!(good.ask(1, b"ann"), "welcome, ann");
    assert_eq!(good.ask(10, b"lobby"), "ann has come");
    assert_eq!(evil.ask(1, b"eve\x1b[2J\n"), "welcome, eve[2J");
    assert_eq!(evil.ask(10, b"lobby\x07"), "eve[2J has come");
    assert_eq!(good.hear(), "eve[2J has come");
    evil.send(11, b"\x1b]0;title\x07\nann says: my password is 1\x00");
    assert_eq!(good.hear(), "eve[2J says: ]0;titleann says: my password is 1");
    evil.send(12, b"ann \x1b[2Jpsst");
    assert_eq!(good.hear(), "eve[2J whispers: [2Jpsst");
}

#[test]
fn rooms_of_the_chat_end_with_their_last_member() {
    let server = Process::listening(&mut Command::new(example("chat_server")));
    let mut visitor = Member::connect(&server);
    assert_eq!(visitor.ask(1, b"ann"), "welcome, ann");
    let visit = |visitor: &mut Member, rooms: std::ops::Range<u32>| {
        for room in rooms {
            assert_eq!(
                visitor.ask(10, format!("room {room} {}", "r".repeat(4000)).as_bytes()),
                "ann has come"
            );
        }
    };
    visit(&mut visitor, 0..2000);
    let before = server.resident_kib();
    visit(&mut visitor, 2000..12_000);
    let grown = server.resident_kib().saturating_sub(before);
    assert!(grown < 8 << 10, "10,000 rooms left {grown} KiB");
    // A member that comes back to a room that has ended finds nothing there. One that has a member is remembered.
    assert_eq!(visitor.ask(10, b"room 0"), "ann has come");
    let mut other = Member::connect(&server);
    assert_eq!(other.ask(1, b"bob"), "welcome, bob");
    assert_eq!(other.ask(10, b"room 0"), "ann has come");
    assert_eq!((other.hear(), visitor.hear()), ("bob has come".into(), "bob has come".into()));
    drop(visitor);
    assert_eq!(other.hear(), "ann has gone");
}

#[test]
fn the_device_gateway_prints_nothing_raw_that_a_pile_sends() {
    // The gateway waits for a confirmation four times 300 ms.
    unless_late(Duration::from_millis(1200), send_what_is_not_to_be_printed);
}

fn send_what_is_not_to_be_printed() {
    let server = Process::listening(&mut Command::new(example("device_server")));
    let mut pile = TcpStream::connect(server.address).unwrap();
    let frame = |command: u8, body: &[u8]| {
        let len = u8::try_from(body.len() + 2).unwrap();
        [&[0x68, command, len], body, &crc16_modbus(body).to_le_bytes()].concat()
    };
    pile.write_all(&frame(0x01, b"\x1b[2Jpile\n\xff")).unwrap();
    pile.read_exact(&mut [0; 11]).unwrap();
    pile.write_all(&frame(0x11, b"\x07port\r")).unwrap();
    pile.write_all(&frame(0x02, b"\x9b31m0.5")).unwrap();
    pile.shutdown(Shutdown::Write).unwrap();
    drop(pile.read_to_end(&mut Vec::new()));
    server.kill(Signal::TERM);
    let printed = server.end_within(LIMIT).stdout;
    let name = r"\x1b[2Jpile\n\xff";
    let expected = [" is here", r" charges: \x07port\r", r": \x9b31m0.5 kWh", " is gone"];
    assert_eq!(printed, expected.map(|line| format!("{name}{line}\n")).concat());
}

/// A member of the chat, who speaks raw frames.
struct Member(TcpStream);

impl Member {
    fn connect(server: &Process) -> Self {
        let stream = TcpStream::connect(server.address).unwrap();
        stream.set_read_timeout(Some(LIMIT)).unwrap();
        stream.set_nodelay(true).unwrap();
        Self(stream)
    }

    fn send(&mut self, msg_id: u32, text: &[u8]) {
        self.0.write_all(&frame(msg_id, text)).unwrap();
    }

    fn hear(&mut self) -> String {
        let mut head = [0; 8];
        self.0.read_exact(&mut head).unwrap();
        let len = u32::from_le_bytes([head[0], head[1], head[2], head[3]]);
        let mut text = vec![0; len as usize];
        self.0.read_exact(&mut text).unwrap();
        String::from_utf8(text).unwrap()
    }

    /// Sends, and returns the next line.
    fn ask(&mut self, msg_id: u32, text: &[u8]) -> String {
        self.send(msg_id, text);
        self.hear()
    }
}

#[test]
fn resume() {
    check("resume", "+ 1 = 1\n+ 2 = 3\nthe socket is lost: true\n+ 3 = 6\n+ 4 = 10\n");
}

#[test]
fn device() {
    let expected = "command 0x10, port 1, heard: false\n\
                    command 0x10, port 1, heard: true\n\
                    closed by the gateway: true\n";
    let printed = "pile-7 is here\n\
                   pile-7 charges: port 1, 32 A\n\
                   pile-7: 0.5 kWh\n\
                   pile-7: 1.0 kWh\n\
                   pile-7 is gone\n";
    // The command comes again every 300 ms until it is confirmed: on a busy machine more often than the client reads it.
    unless_late(Duration::from_millis(600), || assert_eq!(check("device", expected), printed));
}

#[test]
fn login_menu_game() {
    let menu = "ann: 1 play, 2 best game, 3 leave";
    let number = "a number from 1 to 100?";
    let expected = format!(
        "name? ann\npassword? ann\nwrong\nname? ann\npassword? ann123\n\
         {menu} 2\nnone yet\n\
         {menu} 1\n{number} 50\nless\n{number} x\nthat is no number\n{number} 40\nmore\n{number} 42\n\
         right, after 4\n\
         {menu} 2\n4 guesses\n\
         {menu} 3\nbye\n"
    );
    check("login_menu_game", &expected);
}

/// Runs a demo's server and client; the client must print `expected`. Returns what the server has printed.
fn check(demo: &str, expected: &str) -> String {
    let server = Process::listening(&mut Command::new(example(&format!("{demo}_server"))));
    let mut command = Command::new(example(&format!("{demo}_client")));
    let client = Process::spawn(command.arg(server.address.to_string())).end_within(LIMIT);
    assert_eq!(client.stdout, expected, "{}", client.stderr);
    assert!(client.status.success(), "client: {}", client.status);
    server.kill(Signal::TERM);
    let ended = server.end_within(LIMIT);
    assert_eq!(ended.status.code(), Some(0), "server: {}", ended.stderr);
    ended.stdout
}

/// The longest one demo may take.
const LIMIT: Duration = Duration::from_secs(20);
