//! Clients that do nothing bad, beside all the others. What they are answered is checked, and how soon it comes.

use std::fmt;
use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use socket2::SockRef;
use zinx::green::{self, TcpStream};

use super::common::phone::{BYE, OPEN, REFUSED, RESUME, TOKEN};
use super::common::{ECHO, frame};

/// What they have seen in a round.
#[derive(Default)]
pub(crate) struct Tally {
    /// How long each echo took.
    times: Mutex<Vec<Duration>>,
    /// How often a client was cut off that was neither idle nor refused.
    cuts: AtomicUsize,
    /// How often a client that had lost its socket came back, and how often it was refused.
    back: AtomicUsize,
    refused: AtomicUsize,
}

impl Tally {
    /// Has a message echoed a hundred times, unless the server is full or drains. It is never kept waiting.
    pub(crate) fn echoes(&self, server: SocketAddr) {
        let Ok(mut stream) = TcpStream::connect(server) else { return };
        let (ping, mut served, mut last) = (frame(ECHO, b"ping"), false, Instant::now());
        for _ in 0..100 {
            let (begun, mut pong) = (Instant::now(), [0; 12]);
            let answered = stream.write_all(&ping).and_then(|()| stream.read_exact(&mut pong));
            let took = begun.elapsed();
            if answered.is_err() {
                // A client that the machine has kept from sending may have been idle.
                let was_silent = last.elapsed() > Duration::from_secs(1);
                self.cuts.fetch_add(usize::from(served && !was_silent), Ordering::Relaxed);
                return;
            }
            last = begun;
            assert!(pong == *ping && took < SLOW, "{pong:?} after {took:?}");
            self.times.lock().unwrap_or_else(PoisonError::into_inner).push(took);
            served = true;
            green::sleep(Duration::from_millis(5));
        }
    }

    /// Loses its socket in the middle, and comes back. It may be refused, because servers drain; what it hears is right.
    pub(crate) fn comes_back(&self, server: SocketAddr) -> io::Result<()> {
        let mut stream = TcpStream::connect(server)?;
        stream.write_all(&frame(OPEN, b""))?;
        let (id, token) = read_frame(&mut stream)?;
        assert_eq!(id, TOKEN);
        echo(&mut stream, b"before")?;
        green::sleep(Duration::from_millis(100));
        SockRef::from(&stream).set_linger(Some(Duration::ZERO))?;
        drop(stream);
        let mut stream = TcpStream::connect(server)?;
        stream.write_all(&frame(RESUME, &[&token[..24], &1_u64.to_le_bytes()].concat()))?;
        let (id, data) = read_frame(&mut stream)?;
        if id == REFUSED {
            self.refused.fetch_add(1, Ordering::Relaxed);
            return Ok(());
        }
        assert_eq!((id, &data[24..32]), (TOKEN, &1_u64.to_le_bytes()[..]), "it has counted one frame");
        self.back.fetch_add(1, Ordering::Relaxed);
        echo(&mut stream, b"after")
    }

    /// How often a client that had lost its socket came back.
    pub(crate) fn back(&self) -> usize {
        self.back.load(Ordering::Relaxed)
    }

    /// All were served, and cut off no more often than the server drained.
    pub(crate) fn check(&self, drains: usize) {
        let cuts = self.cuts.load(Ordering::Relaxed);
        assert!(!self.times.lock().unwrap().is_empty(), "the healthy one was never served");
        assert!(
            cuts <= drains,
            "the healthy one was cut off {cuts} times, the server drained {drains} times"
        );
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut times = self.times.lock().unwrap_or_else(PoisonError::into_inner);
        times.sort();
        let at = |per_cent: usize| {
            times.get(times.len() * per_cent / 100).or_else(|| times.last()).copied().unwrap_or_default()
        };
        let (back, refused) = (self.back(), self.refused.load(Ordering::Relaxed));
        write!(
            f,
            "{} echoes beside, half within {:.1?}, 99 % within {:.1?}, all within {:.1?}; {back} came back, {refused} refused",
            times.len(),
            at(50),
            at(99),
            at(100)
        )
    }
}

fn echo(stream: &mut TcpStream, text: &[u8]) -> io::Result<()> {
    stream.write_all(&frame(ECHO, text))?;
    let heard = read_frame(stream)?;
    // A server that drains says so.
    assert!(heard == (ECHO, text.to_vec()) || heard.0 == BYE, "{heard:?}");
    if heard.0 == BYE { Err(io::ErrorKind::ConnectionAborted.into()) } else { Ok(()) }
}

fn read_frame(stream: &mut TcpStream) -> io::Result<(u32, Vec<u8>)> {
    let mut head = [0; 8];
    stream.read_exact(&mut head)?;
    let word = |at: usize| u32::from_le_bytes(head[at..at + 4].try_into().unwrap());
    let mut data = vec![0; word(0) as usize];
    stream.read_exact(&mut data)?;
    Ok((word(4), data))
}

/// No echo may take longer, on however busy a machine.
const SLOW: Duration = Duration::from_secs(10);
