//! The awkward case of multiplexing: a conversation of several rounds, with work between them, on all cores. With
//! processes and selectors that is: unregister the socket, make it blocking, talk, make it non-blocking, register it
//! again. Here it is the conversation.
//!
//! Run it: `cargo run --example multiplex_awkward [port]`, and beside it `nc localhost 9999`.

use std::error::Error;
use std::io;

use zinx::green::{self, bluelet};

fn converse(conn: &mut bluelet::Connection) -> io::Result<()> {
    let name = ask(conn, "your name?")?;
    let mut rounds = 0;
    loop {
        let answer = ask(conn, &format!("{name}, count the primes below? (empty: enough)"))?;
        match answer.parse() {
            Ok(limit @ 0..=1_000_000) => conn.sendall(format!("{} primes\n", primes_below(limit)))?,
            Err(_) if answer.is_empty() => break,
            _ => conn.sendall("a number up to 1000000, please\n")?,
        }
        rounds += 1;
    }
    conn.sendall(format!("bye {name}, {rounds} rounds\n"))
}

/// One round: a question, and the line that comes back.
fn ask(conn: &mut bluelet::Connection, question: &str) -> io::Result<String> {
    conn.sendall(format!("{question}\n"))?;
    let line = conn.readline("\n")?;
    Ok(String::from_utf8_lossy(&line).trim().to_string())
}

/// Work for a core. The fairness points let others run meanwhile.
fn primes_below(limit: u32) -> usize {
    let is_prime = |n: u32| (2..n).take_while(|d| d.saturating_mul(*d) <= n).all(|d| !n.is_multiple_of(d));
    let count = |n: &u32| {
        green::fairness_point();
        is_prime(*n)
    };
    (2..limit).filter(count).count()
}

fn main() -> Result<(), Box<dyn Error>> {
    env_logger::builder().filter_level(log::LevelFilter::Info).init();
    let port = std::env::args().nth(1).map_or(Ok(9999), |port| port.parse())?;
    Ok(bluelet::run(move || bluelet::server("", port, converse))?)
}
