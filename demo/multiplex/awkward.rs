//! The awkward case of multiplexing: a business of many rounds on one connection, on all cores, beside connections that are
//! multiplexed. With processes and selectors the socket is unregistered, made blocking, used, made non-blocking and
//! registered again. Here these five steps are one call, `take_over`.
//!
//! A message of id 1 begins the business, in lines of text; an empty line ends it. Before and after it, and on all other
//! connections, a message of id 2 is sent back.
//!
//! Run it: `cargo run --example multiplex_awkward [port]`; the port is 9999 if none is given.

use std::error::Error;
use std::io::{BufRead, Read, Write};

use zinx::green;
use zinx::ziface::{IRequest, IServer};
use zinx::znet::RawStream;
use zinx::{Config, Result, new_server_with_config};

/// Steps 1 and 2 are done when `take_over` calls `business`, steps 4 and 5 when it returns.
fn awkward(request: &dyn IRequest) -> Result<()> {
    request.get_connection().take_over(business)
}

/// Step 3: receives and sends in turns.
fn business(stream: &mut RawStream<'_>) -> Result<()> {
    let name = ask(stream, "your name?")?;
    let mut rounds = 0;
    loop {
        let answer = ask(stream, &format!("{name}, count the primes below? (empty: enough)"))?;
        match answer.parse() {
            Ok(limit @ 0..=1_000_000) => writeln!(stream, "{} primes", primes_below(limit))?,
            Err(_) if answer.is_empty() => break,
            _ => writeln!(stream, "a number up to 1000000, please")?,
        }
        rounds += 1;
    }
    Ok(writeln!(stream, "bye {name}, {rounds} rounds")?)
}

/// One round: a question, and the line that comes back.
fn ask(stream: &mut RawStream<'_>, question: &str) -> Result<String> {
    writeln!(stream, "{question}")?;
    let mut line = Vec::new();
    // Not a byte more than the line: what follows it may be a message.
    stream.by_byte().take(LONGEST_LINE).read_until(b'\n', &mut line)?;
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

fn main() -> std::result::Result<(), Box<dyn Error>> {
    env_logger::init();
    let mut config = Config::default();
    config.tcp_port = std::env::args().nth(1).map_or(Ok(9999), |port| port.parse())?;
    let server = new_server_with_config(config)?;
    server.add_router(1, awkward)?;
    server
        .add_router(2, |request: &dyn IRequest| request.get_connection().send_msg(2, request.get_data()))?;
    Ok(server.serve()?)
}

/// The longest line that is read, in bytes: a peer may send one without end.
const LONGEST_LINE: u64 = 1024;
