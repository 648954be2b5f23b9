//! Attackers of the server: each makes it hold, wait or compute as much as it can, one way each, again and again.

use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::time::Duration;

use socket2::SockRef;
use zinx::green::{self, TcpStream};

use super::common::phone::OPEN;
use super::common::random::Random;
use super::common::{ECHO, frame};
use super::people::People;
use super::server::{BURN, KEEP, MUCH};

/// What one of them does.
type Attack = fn(SocketAddr, &mut Random) -> io::Result<()>;

/// Lets them come, so many of each.
pub(crate) fn come(people: &mut People, server: SocketAddr) {
    let all: [(&str, usize, Attack); 7] = [
        ("deaf", 4, read_nothing),
        ("endless", 4, never_end_a_frame),
        ("over its rate", 3, reset_over_the_rate),
        ("opens and resets", 3, open_and_reset),
        ("silent", 4, say_nothing),
        ("kept", 3, make_it_keep),
        ("burner", 1, make_it_compute),
    ];
    for (name, count, attack) in all {
        for _ in 0..count {
            people.add(name, move |random| attack(server, random).map_or_else(drop, drop));
        }
    }
}

/// Asks for megabytes, and reads nothing.
fn read_nothing(server: SocketAddr, random: &mut Random) -> io::Result<()> {
    let mut stream = TcpStream::connect(server)?;
    SockRef::from(&stream).set_recv_buffer_size(4096)?;
    stream.write_all(&frame(MUCH, b"").repeat(1 + random.below(4) as usize))?;
    green::sleep(Duration::from_millis(random.below(1500)));
    leave(&stream, random)
}

/// Begins a large frame, and sends no more of it after a while.
fn never_end_a_frame(server: SocketAddr, random: &mut Random) -> io::Result<()> {
    let mut stream = TcpStream::connect(server)?;
    let whole = frame(ECHO, &[7; LARGE]);
    stream.write_all(&whole[..8 + random.below(LARGE as u64) as usize])?;
    green::sleep(Duration::from_millis(random.below(1500)));
    leave(&stream, random)
}

/// Sends as many small messages as the socket takes, and resets.
fn reset_over_the_rate(server: SocketAddr, random: &mut Random) -> io::Result<()> {
    let mut stream = TcpStream::connect(server)?;
    let burst = frame(ECHO, b"").repeat(30_000);
    let sending = green::with_timeout(Duration::from_millis(random.below(300)), || stream.write_all(&burst));
    drop(sending);
    reset(&stream)
}

/// Becomes one that may resume, and resets.
fn open_and_reset(server: SocketAddr, _: &mut Random) -> io::Result<()> {
    let mut stream = TcpStream::connect(server)?;
    stream.write_all(&frame(OPEN, b""))?;
    stream.read_exact(&mut [0; 8])?;
    reset(&stream)
}

/// Connects, says nothing or one thing, and waits for the end.
fn say_nothing(server: SocketAddr, random: &mut Random) -> io::Result<()> {
    let mut stream = TcpStream::connect(server)?;
    if random.below(2) == 0 {
        stream.write_all(&frame(ECHO, b"?"))?;
        stream.read_exact(&mut [0; 9])?;
    }
    let ended = green::with_timeout(LONG, || stream.read(&mut [0]));
    assert!(ended.is_ok(), "it may stay forever");
    Ok(())
}

/// Has a handler wait for its answer, and sends all else.
fn make_it_keep(server: SocketAddr, random: &mut Random) -> io::Result<()> {
    let mut stream = TcpStream::connect(server)?;
    stream.write_all(&frame(KEEP, b""))?;
    stream.write_all(&frame(OTHER, &[7; 4000]).repeat(random.below(255) as usize))?;
    green::sleep(Duration::from_millis(random.below(1500)));
    leave(&stream, random)
}

/// Has a handler compute.
fn make_it_compute(server: SocketAddr, random: &mut Random) -> io::Result<()> {
    let mut stream = TcpStream::connect(server)?;
    for _ in 0..1 + random.below(5) {
        stream.write_all(&frame(BURN, b""))?;
        stream.read_exact(&mut [0; 8])?;
        green::sleep(Duration::from_millis(300));
    }
    Ok(())
}

/// Ends its stream, or resets.
fn leave(stream: &TcpStream, random: &mut Random) -> io::Result<()> {
    if random.below(2) == 0 { reset(stream) } else { Ok(()) }
}

/// Resets it when it is dropped.
fn reset(stream: &TcpStream) -> io::Result<()> {
    SockRef::from(stream).set_linger(Some(Duration::ZERO))
}

/// A frame that is large and allowed.
const LARGE: usize = 200 << 10;

/// Has no router.
const OTHER: u32 = 99;

/// No peer may stay for longer without a word.
const LONG: Duration = Duration::from_secs(20);
