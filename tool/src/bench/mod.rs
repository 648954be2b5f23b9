//! `zinx bench`: a load, and what it took. Messages are expected to come back one for one and in order, as an echo does.

mod lane;
mod report;
mod tally;
mod tcp;
mod through_client;

use std::io::{self, Write};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use zinx::green::{self, GetError, Queue};

use crate::send::{Pack, address, whole_number};
use lane::Lane;
use report::Report;
use tally::Tally;
use tcp::Frames;

/// What the command line asks for.
#[derive(Args)]
pub(crate) struct Order {
    /// The server: HOST:PORT for TCP, or tcp://, tls://, ws://, wss://, kcp://HOST:PORT with what this program is built with.
    #[arg(value_name = "HOST:PORT", value_parser = address)]
    address: String,
    /// Connections.
    #[arg(long, short, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    connections: u32,
    /// Closed loop: so many messages are on their way on each connection; an answer lets the next one go.
    #[arg(long, short, value_name = "N", default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=100_000), conflicts_with = "rate")]
    window: u32,
    /// Open loop: so many messages per second on all connections together, whether answers come or not. The time of an answer
    /// counts from when its message was due, so that a server that stands still shows in it.
    #[arg(long, short, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    rate: Option<u32>,
    /// Bytes of a payload.
    #[arg(long, short, value_name = "BYTES", default_value_t = 64, value_parser = clap::value_parser!(u32).range(0..=16 << 20))]
    size: u32,
    /// The message id; `zinx serve` echoes 2.
    #[arg(long, value_name = "ID", value_parser = whole_number, default_value_t = 2)]
    id: u32,
    /// How long to measure.
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=86_400))]
    seconds: u32,
    /// How long to warm up before; a third of --seconds if it is not said.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(0..=86_400))]
    warm_up: Option<u32>,
    /// The wire format: ltv is little-endian, tlv big-endian as in Go Zinx today.
    #[arg(long, value_name = "FORMAT", default_value = "ltv")]
    pack: Pack,
    /// Prints one line of JSON.
    #[arg(long)]
    json: bool,
}

/// A connection that is there, and how it is ended.
type Close = Box<dyn Fn() + Send>;

/// Connects, loads, measures, and prints.
pub(crate) fn run(order: Order) -> ExitCode {
    let json = order.json;
    match measure(order) {
        Ok(report) => {
            // Whoever reads what we print may have had enough.
            let _ = writeln!(io::stdout(), "{}", if json { report.json() } else { report.text() });
            if report.failures == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(words) => {
            eprintln!("zinx: {words}");
            ExitCode::FAILURE
        }
    }
}

fn measure(order: Order) -> Result<Report, String> {
    let order = Arc::new(order);
    let tally = Arc::new(Tally::new(order.rate.is_some()));
    let bar = ProgressBar::new(u64::from(order.connections));
    bar.set_style(style("connecting {bar:30} {pos} of {len}"));
    let (closes, lanes) = connect_all(&order, &tally, &bar)?;
    let seconds = Duration::from_secs(order.seconds.into());
    let warm_up = order.warm_up.map_or(seconds / 3, |seconds| Duration::from_secs(seconds.into()));
    tally.begin();
    bar.set_style(style("{msg}"));
    watch(&tally, &bar, "warming up", warm_up);
    tally.measure_from(Instant::now());
    watch(&tally, &bar, "measuring", seconds);
    let took = tally.end();
    bar.finish_and_clear();
    // Whatever has not been answered by now has taken that long at least.
    let unanswered = lanes.iter().map(|lane| lane.give_up()).sum();
    closes.iter().for_each(|close| close());
    tally.wait_closed(FAREWELL);
    Ok(Report::of(&order, &tally, took, unanswered))
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

/// The result of one attempt to connect.
type Connected = Result<(Close, Arc<Lane>), String>;

fn connect_all(
    order: &Arc<Order>,
    tally: &Arc<Tally>,
    bar: &ProgressBar,
) -> Result<(Vec<Close>, Vec<Arc<Lane>>), String> {
    let (mut closes, mut lanes) = (Vec::new(), Vec::new());
    let queue = Arc::new(Queue::<Connected>::bounded(order.connections as usize));
    let (mut begun, mut over) = (0, 0);
    // One for all: a hundred thousand of them would take gigabytes.
    let frames = match order.address.contains("://") {
        true => None,
        false => Some(Arc::new(Frames::new(order).map_err(|error| error.to_string())?)),
    };
    while over < order.connections {
        while begun < order.connections && begun - over < AT_ONCE {
            connect(order, tally, begun, frames.clone(), &queue);
            begun += 1;
        }
        match queue.get_timeout(CONNECT) {
            Ok(Ok((close, lane))) => {
                closes.push(close);
                lanes.push(lane);
            }
            Ok(Err(words)) => return Err(words),
            Err(GetError::Empty | GetError::Closed) => {
                let seconds = CONNECT.as_secs();
                return Err(format!(
                    "{over} of {} connected, and no more within {seconds} s",
                    order.connections
                ));
            }
        }
        over += 1;
        bar.inc(1);
    }
    Ok((closes, lanes))
}

fn connect(
    order: &Arc<Order>,
    tally: &Arc<Tally>,
    number: u32,
    frames: Option<Arc<Frames>>,
    queue: &Arc<Queue<Connected>>,
) {
    let lane = Arc::new(Lane::new(Arc::clone(tally), number, order));
    let (order, queue) = (Arc::clone(order), Arc::clone(queue));
    green::spawn(move || {
        let connected = match frames {
            None => through_client::connect(&order, &lane),
            Some(frames) => tcp::connect(&order, &lane, frames),
        };
        let connected = connected.map(|close| (close, lane)).map_err(|error| error.to_string());
        // It has room for all.
        let _ = queue.put(connected);
    });
}

fn watch(tally: &Tally, bar: &ProgressBar, what: &str, time: Duration) {
    let (begun, mut before, mut looked) = (Instant::now(), tally.answered(), Instant::now());
    while begun.elapsed() < time {
        green::sleep(LOOK_EVERY.min(time.saturating_sub(begun.elapsed())));
        let (now, since) = (tally.answered(), looked.elapsed().as_secs_f64());
        let rate = (now - before) as f64 / since.max(1e-9);
        (before, looked) = (now, Instant::now());
        let (seconds, of) = (begun.elapsed().as_secs(), time.as_secs());
        bar.set_message(format!(
            "{what}, {seconds} of {of} s: {rate:.0} messages/s, {} failed",
            tally.failures()
        ));
        bar.tick();
    }
}

/// Connections that are being made at the same time.
const AT_ONCE: u32 = 100;

/// The longest that one may take.
const CONNECT: Duration = Duration::from_secs(10);

/// How long the connections may take to end.
const FAREWELL: Duration = Duration::from_secs(2);

const LOOK_EVERY: Duration = Duration::from_millis(250);
