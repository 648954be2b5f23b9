//! The clients of `benches/nodes.py`: users on several nodes, each over a WebSocket of its own. One thread, level-triggered epoll.
//!
//!     nodes_load zinx|centrifuge|socketio USERS PORT [PORT ..]
//!
//! The users log in one after the other, on each node in turn. Then each line of the input is a job, and its line of the output says what
//! was measured as `name=value` pairs:
//!
//! | job | does |
//! |---|---|
//! | `push SECONDS PAIRS APART` | each of the first users sends to the one that is so far behind, and again when that one has it |
//! | `broadcast SECONDS` | the first user sends to all, and again when all have it |
//!
//! A message that does not arrive within 5 seconds, or that arrives twice, ends it with an error.

#[path = "../load/histogram.rs"]
mod histogram;

mod crowd;
mod wire;

use std::io;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use crowd::Crowd;
use histogram::Histogram;
use wire::Wire;

fn main() -> ExitCode {
    match run(&std::env::args().skip(1).collect::<Vec<_>>()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("nodes_load: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &[String]) -> io::Result<()> {
    let [wire, users, ports @ ..] = args else { return Err(io::Error::other("a wire, users and ports")) };
    let wire: Wire = wire.parse()?;
    let ports: Vec<u16> = ports.iter().map(|port| number(port)).collect::<io::Result<_>>()?;
    let begin = Instant::now();
    let mut crowd = Crowd::log_in(wire, number(users)?, &ports)?;
    println!("seconds={:.3}", begin.elapsed().as_secs_f64());
    for line in io::stdin().lines() {
        let line = line?;
        let words: Vec<_> = line.split_whitespace().collect();
        let measured = match words[..] {
            ["push", seconds, pairs, apart] => {
                push(&mut crowd, wire, until(seconds)?, number(pairs)?, number(apart)?)?
            }
            ["broadcast", seconds] => broadcast(&mut crowd, wire, until(seconds)?)?,
            _ => return Err(io::Error::other(format!("there is no job {line:?}"))),
        };
        println!("{measured}");
    }
    Ok(())
}

fn push(crowd: &mut Crowd, wire: Wire, end: Instant, pairs: usize, apart: usize) -> io::Result<String> {
    let frames: Vec<_> = (0..pairs).map(|pair| wire.push(pair + apart)).collect();
    let (begin, mut latencies) = (Instant::now(), Histogram::new());
    // When the message of each pair was sent that has not arrived.
    let mut sent = vec![None; pairs];
    for (pair, sent) in sent.iter_mut().enumerate() {
        *sent = Some(Instant::now());
        crowd.send(pair, &frames[pair])?;
    }
    let mut open = pairs;
    while open > 0 {
        for (user, now) in crowd.hear()? {
            let pair = user.checked_sub(apart).filter(|pair| *pair < pairs);
            let pair = pair.ok_or_else(|| io::Error::other(format!("user {user} hears what nobody sent")))?;
            let sent = &mut sent[pair];
            let before = sent.take().ok_or_else(|| io::Error::other("a message has arrived twice"))?;
            latencies.add(now - before, 1);
            if now < end {
                *sent = Some(Instant::now());
                crowd.send(pair, &frames[pair])?;
            } else {
                open -= 1;
            }
        }
    }
    Ok(line(latencies.total(), begin, &latencies))
}

/// `p50`, `p99` are those of the deliveries; `whole` is the median of the time until the last user has it.
fn broadcast(crowd: &mut Crowd, wire: Wire, end: Instant) -> io::Result<String> {
    let frame = wire.broadcast();
    let (begin, mut latencies, mut whole) = (Instant::now(), Histogram::new(), Histogram::new());
    while whole.total() == 0 || Instant::now() < end {
        let (sent, mut missing) = (Instant::now(), vec![true; crowd.len()]);
        crowd.send(0, &frame)?;
        let mut open = missing.len();
        while open > 0 {
            for (user, now) in crowd.hear()? {
                if !std::mem::take(&mut missing[user]) {
                    return Err(io::Error::other("a message has arrived twice"));
                }
                latencies.add(now - sent, 1);
                open -= 1;
            }
        }
        whole.add(sent.elapsed(), 1);
    }
    Ok(format!("{} whole={:.1}", line(whole.total(), begin, &latencies), whole.quantile(0.5)))
}

fn line(messages: u64, begin: Instant, latencies: &Histogram) -> String {
    let rate = messages as f64 / begin.elapsed().as_secs_f64();
    format!("messages={messages} rate={rate:.1} {}", latencies.percentiles())
}

fn until(seconds: &str) -> io::Result<Instant> {
    Ok(Instant::now() + Duration::from_secs_f64(number(seconds)?))
}

fn number<T: std::str::FromStr>(word: &str) -> io::Result<T> {
    word.parse().map_err(|_| io::Error::other(format!("{word:?} is no number")))
}
