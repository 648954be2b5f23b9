//! The conversations of the demos, to be held over any network: each says how far it came.

use std::io::{self, Read, Write};
use std::net::SocketAddr;

use zinx::green::TcpStream;
use zinx::zpack::crc16_modbus;

use super::frame;
use super::random::Random;

/// A conversation with the server at an address. The seed names its people, if it has any.
pub(crate) type Talk = fn(SocketAddr, u64) -> Result<(), End>;

/// Why a conversation did not come to its end.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// The connection ended. All that was heard before was right.
    Closed,
    /// Something else was heard than had to be.
    Wrong(String),
}

impl From<io::Error> for End {
    fn from(_: io::Error) -> Self {
        Self::Closed
    }
}

/// One end of a conversation in frames.
struct Line {
    stream: TcpStream,
}

impl Line {
    fn open(address: SocketAddr) -> Result<Self, End> {
        Ok(Self { stream: TcpStream::connect(address)? })
    }

    fn say(&mut self, msg_id: u32, text: impl AsRef<[u8]>) -> Result<(), End> {
        Ok(self.stream.write_all(&frame(msg_id, text.as_ref()))?)
    }

    fn hear(&mut self, msg_id: u32, expected: impl AsRef<[u8]>) -> Result<(), End> {
        let (heard, expected) = (self.next()?, (msg_id, expected.as_ref()));
        if (heard.0, &*heard.1) == expected { Ok(()) } else { Err(differs(&heard.1, expected.1)) }
    }

    fn next(&mut self) -> Result<(u32, Vec<u8>), End> {
        let mut head = [0; 8];
        self.stream.read_exact(&mut head)?;
        let word = |at: usize| u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
        let (len, msg_id) = (word(0), word(4));
        if len > MOST {
            return Err(End::Wrong(format!("{len} bytes are announced")));
        }
        let mut data = vec![0; len as usize];
        self.stream.read_exact(&mut data)?;
        Ok((msg_id, data))
    }

    /// Hears the end of the stream, and nothing before it.
    fn hear_end(&mut self) -> Result<(), End> {
        let mut heard = [0; 64];
        match self.stream.read(&mut heard)? {
            0 => Ok(()),
            len => Err(differs(&heard[..len], b"")),
        }
    }
}

fn differs(heard: &[u8], expected: &[u8]) -> End {
    End::Wrong(format!("heard \"{}\", not \"{}\"", heard.escape_ascii(), expected.escape_ascii()))
}

/// Frames of all sizes, several at once.
pub(crate) fn echo(address: SocketAddr, seed: u64) -> Result<(), End> {
    let mut line = Line::open(address)?;
    let mut random = Random::new(seed);
    for _ in 0..4 {
        let texts: Vec<Vec<u8>> = (0..random.below(6))
            .map(|_| {
                let largest = 1 << random.below(11);
                (0..random.below(largest)).map(|_| random.below(256) as u8).collect()
            })
            .collect();
        let stream: Vec<u8> = texts.iter().flat_map(|text| frame(super::ECHO, text)).collect();
        line.stream.write_all(&stream)?;
        texts.iter().try_for_each(|text| line.hear(super::ECHO, text))?;
    }
    line.stream.shutdown_write();
    line.hear_end()
}

/// Demo `router`: three requests at once, then the end of the stream.
pub(crate) fn router(address: SocketAddr, _: u64) -> Result<(), End> {
    let mut line = Line::open(address)?;
    for text in ["one", "", "two"] {
        line.say(1, text)?;
    }
    line.stream.shutdown_write();
    for _ in ["one", "two"] {
        for text in ["before ping ...", "ping...ping...ping", "after ping ..."] {
            line.hear(1, text)?;
        }
    }
    line.hear_end()
}

/// Demo `hook`: an answer in two messages, and nothing before it.
pub(crate) fn hook(address: SocketAddr, seed: u64) -> Result<(), End> {
    let mut line = Line::open(address)?;
    let text = seed.to_string();
    line.say(1, &text)?;
    line.hear(1, "ping\n")?;
    line.hear(1, &text)?;
    line.stream.shutdown_write();
    line.hear_end()
}

/// Demo `ask`: two purchases at once, each with two questions.
pub(crate) fn ask(address: SocketAddr, seed: u64) -> Result<(), End> {
    let mut line = Line::open(address)?;
    line.say(1, "apples")?;
    line.say(1, "pears")?;
    let count = seed % 1000;
    for (what, sure, result) in [("apples", "yes", "sold"), ("pears", "no", "another time")] {
        line.hear(10, format!("how many {what}?"))?;
        line.say(11, count.to_string())?;
        line.hear(12, format!("{count} {what} for {}?", count * 3))?;
        line.say(13, sure)?;
        line.hear(20, result)?;
    }
    Ok(())
}

/// Demo `login_menu_game`: a wrong password, a game, the way out.
pub(crate) fn game(address: SocketAddr, seed: u64) -> Result<(), End> {
    let name = format!("player{seed}");
    let (menu, number) = (format!("{name}: 1 play, 2 best game, 3 leave"), "a number from 1 to 100?");
    let password = format!("{name}123");
    let mut line = Line::open(address)?;
    for (shown, typed) in [
        ("name?", &*name),
        ("password?", "a guess"),
        ("wrong", ""),
        ("name?", &name),
        ("password?", &password),
        (&menu, "1"),
        (number, "50"),
        ("less", ""),
        (number, "x"),
        ("that is no number", ""),
        (number, "42"),
        ("right, after 3", ""),
        (&menu, "2"),
        ("3 guesses", ""),
        (&menu, "3"),
        ("bye", ""),
    ] {
        line.hear(1, shown)?;
        if !typed.is_empty() {
            line.say(2, typed)?;
        }
    }
    line.hear_end()
}

/// Demo `chat`: two in a room; then one of them logs in from another place.
pub(crate) fn chat(address: SocketAddr, seed: u64) -> Result<(), End> {
    let (ann_is, bob_is, room) = (format!("ann{seed}"), format!("bob{seed}"), format!("room{seed}"));
    let ([mut ann, mut bob], mut phone) =
        ([Line::open(address)?, Line::open(address)?], Line::open(address)?);
    ann.chat(11, "hello?", "log in first")?;
    ann.chat(1, &ann_is, &format!("welcome, {ann_is}"))?;
    ann.chat(10, &room, &format!("{ann_is} has come"))?;
    bob.chat(1, &bob_is, &format!("welcome, {bob_is}"))?;
    bob.chat(10, &room, &format!("{ann_is} has come"))?;
    for line in [&mut ann, &mut bob] {
        line.read(&format!("{bob_is} has come"))?;
    }
    let said = format!("{bob_is} says: hello");
    bob.chat(11, "hello", &said)?;
    ann.read(&said)?;
    bob.say(12, format!("{ann_is} psst"))?;
    ann.read(&format!("{bob_is} whispers: psst"))?;
    phone.chat(1, &ann_is, &format!("welcome, {ann_is}"))?;
    ann.read("the user has logged in on another connection")?;
    ann.hear_end()?;
    bob.read(&format!("{ann_is} has gone"))?;
    bob.chat(12, "carol are you there?", "carol is not here")
}

impl Line {
    fn chat(&mut self, msg_id: u32, text: &str, line: &str) -> Result<(), End> {
        self.say(msg_id, text)?;
        self.read(line)
    }

    /// Reads a line of a chat. That the other is gone is not wrong: the network has cut them off.
    fn read(&mut self, expected: &str) -> Result<(), End> {
        let (_, line) = self.next()?;
        let line = String::from_utf8_lossy(&line);
        match &*line {
            line if line == expected => Ok(()),
            line if line.ends_with(" has gone") || line.ends_with(" is not here") => Err(End::Closed),
            line => Err(differs(line.as_bytes(), expected.as_bytes())),
        }
    }
}

/// Demo `device`: a charging pile that confirms its command, sends two readings and a damaged one.
pub(crate) fn device(address: SocketAddr, seed: u64) -> Result<(), End> {
    let mut stream = TcpStream::connect(address)?;
    stream.write_all(&pile_frame(0x01, format!("pile-{seed}").as_bytes()))?;
    let command = pile_frame(0x10, b"port 1");
    hear_command(&mut stream, &command)?;
    stream.write_all(&pile_frame(0x11, b"32 A"))?;
    for reading in ["0.5", "1.0"] {
        stream.write_all(&pile_frame(0x02, reading.as_bytes()))?;
    }
    let mut damaged = pile_frame(0x02, b"1.5");
    damaged[3] ^= 1;
    stream.write_all(&damaged)?;
    // The command may be repeated before its confirmation has come.
    while stream.read(&mut [0])? > 0 {}
    Ok(())
}

/// A frame of a pile: head, body, CRC.
fn pile_frame(command: u8, body: &[u8]) -> Vec<u8> {
    [&[0x68, command, body.len() as u8 + 2], body, &crc16_modbus(body).to_le_bytes()].concat()
}

fn hear_command(stream: &mut TcpStream, expected: &[u8]) -> Result<(), End> {
    let mut heard = vec![0; expected.len()];
    stream.read_exact(&mut heard)?;
    if heard == expected { Ok(()) } else { Err(differs(&heard, expected)) }
}

/// No message of a demo is larger.
const MOST: u32 = 4096;
