//! The load generator: one thread, level-triggered epoll. It prints what it has measured as `name=value` pairs.
//!
//!     load SCENARIO --port 7777 --pid PID [--connections N] [--window N] [--payload BYTES] [--seconds S]
//!                   [--over tcp|tls|ws]
//!
//! | scenario | does | tells |
//! |---|---|---|
//! | echo | keeps `window` messages on their way on each connection | `cpu_us` of the server for each message, `rate`, percentiles in microseconds |
//! | broadcast | one connection sends, and each hears it | `cpu_us` of the server for each delivery |
//! | idle | connects, one echo each, then silence | resident bytes and memory maps for each connection, `idle_cpu` in per cent |
//! | heartbeats | as idle, then each sends a message every ten seconds | the same |
//! | connects | connects, one echo, closes | `rate` of connections a second |
//! | newcomer | as echo, while another thread connects again and again | percentiles of connect and one echo |

mod echo;
mod frames;
mod fresh;
mod histogram;
mod idle;
mod options;
mod peer;
mod server;
mod stream;

use std::io;
use std::process::ExitCode;

use options::Options;

fn main() -> ExitCode {
    let run = Options::from_args().and_then(|options| run(&options));
    match run {
        Ok(line) => {
            println!("{line}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("load: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> io::Result<String> {
    raise_open_files();
    match options.scenario.as_str() {
        "echo" => echo::run(options).map(|measured| measured.to_string()),
        "broadcast" => echo::broadcast(options),
        "idle" => idle::run(options, false),
        "heartbeats" => idle::run(options, true),
        "connects" => fresh::connects(options),
        "newcomer" => fresh::newcomer(options),
        unknown => Err(io::Error::other(format!("no scenario {unknown:?}"))),
    }
}

fn raise_open_files() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    // Without it, fewer connections can be had, and the scenario says so.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
}
