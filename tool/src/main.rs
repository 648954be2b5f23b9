//! The `zinx` command: the tutorial's server, and a client to talk to it.

#[cfg(feature = "bench")]
mod bench;
mod check;
mod completions;
#[cfg(not(all(feature = "bench", feature = "top")))]
mod missing;
mod new;
mod plane;
mod reload;
mod repl;
mod send;
mod serve;
#[cfg(feature = "top")]
mod top;
mod trace;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// The tutorial's server, and a client to talk to it. Without a command: serve.
#[derive(Parser)]
#[command(name = "zinx", version, after_help = EXIT_CODES)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Runs the tutorial's server: id 1 answers with ping and the message itself, id 2 with the message.
    #[command(after_help = CONFIGURATION)]
    Serve,
    /// Sends one message and prints the replies until none has come for 300 ms.
    #[command(after_help = EXIT_CODES)]
    Send(send::Order),
    /// Talks to a server by hand: sends a message for each line, and prints what comes.
    #[command(after_help = REPL)]
    Repl(repl::Order),
    /// Loads a server with messages that it echoes, and says how many it answered, and after how long.
    #[cfg(feature = "bench")]
    #[command(after_help = BENCH)]
    Bench(bench::Order),
    /// Loads a server with messages that it echoes. This program is built without: it needs --features bench.
    #[cfg(not(feature = "bench"))]
    Bench(missing::Order),
    /// Shows a running server in the terminal: what it does, and where the code of its connections waits.
    #[cfg(feature = "top")]
    #[command(after_help = TOP)]
    Top(top::Order),
    /// Shows a running server in the terminal. This program is built without: it needs --features top.
    #[cfg(not(feature = "top"))]
    Top(missing::Order),
    /// Prints the completions for a shell.
    #[command(after_help = completions::EXAMPLES)]
    Completions(completions::Order),
    /// Makes a project outside of this repository: a server with its tests and its configuration.
    #[command(after_help = NEW)]
    New(new::Order),
    /// Says what is wrong with a configuration file: all of it, with lines.
    #[command(after_help = EXIT_CODES)]
    Check(check::Order),
    /// Lists the connections of a running server, and what each waits for.
    #[command(after_help = EXIT_CODES)]
    Conns(plane::Conns),
    /// Closes a connection of a running server, or all of a user.
    #[command(after_help = EXIT_CODES)]
    Kick(plane::Kick),
    /// Stops a running server in order, at once or bit by bit.
    #[command(after_help = EXIT_CODES)]
    Drain(plane::Drain),
    /// Has a running server read its configuration again, and says what has changed.
    #[command(after_help = EXIT_CODES)]
    Reload(reload::Order),
    /// Shows the frames of a few connections of a running server as they come and leave.
    #[command(after_help = EXIT_CODES)]
    Trace(trace::Order),
}

fn main() -> ExitCode {
    match Arguments::parse().command {
        None | Some(Command::Serve) => serve::run(),
        Some(Command::Send(order)) => send::run(order),
        Some(Command::Repl(order)) => repl::run(&order),
        #[cfg(feature = "bench")]
        Some(Command::Bench(order)) => bench::run(order),
        #[cfg(not(feature = "bench"))]
        Some(Command::Bench(_)) => missing::run("bench"),
        #[cfg(feature = "top")]
        Some(Command::Top(order)) => top::run(&order),
        #[cfg(not(feature = "top"))]
        Some(Command::Top(_)) => missing::run("top"),
        Some(Command::Completions(order)) => completions::run(&order),
        Some(Command::New(order)) => new::run(&order),
        Some(Command::Check(order)) => check::run(&order),
        Some(Command::Conns(order)) => plane::conns(&order),
        Some(Command::Kick(order)) => plane::kick(&order),
        Some(Command::Drain(order)) => plane::drain(&order),
        Some(Command::Reload(order)) => reload::run(&order),
        Some(Command::Trace(order)) => trace::run(&order),
    }
}

const EXIT_CODES: &str = "Exit code: 0; 1 if it failed; 2 for wrong arguments or a wrong configuration.";

const REPL: &str = "\
Examples:
  zinx repl 127.0.0.1:7777                          then: 1 hello
  printf '1 ann\\n10 lobby\\n' | zinx repl ws://127.0.0.1:9000/
In it, help lists what can be typed. Answers are shown until none has come for 300 ms after the end of the input, for 5 s at most.
Exit code: 0 at the end of the input; 1 if the connection fails or the server ends it; 2 for wrong arguments or a wrong configuration.";

#[cfg(feature = "bench")]
const BENCH: &str = "\
Examples:
  zinx bench 127.0.0.1:7777                         closed loop: 64 messages on their way on each of 50 connections
  zinx bench 127.0.0.1:7777 --rate 20000 --json     open loop: 20,000 messages per second
Exit code: 0; 1 if a connection failed; 2 for wrong arguments.";

#[cfg(feature = "top")]
const TOP: &str = "\
Examples:
  zinx top                                          the server whose admin plane is on 127.0.0.1:7778
  zinx top --admin game.example:7778 --interval 5   with its token in ZINX_ADMINTOKEN
Keys: q ends, s sorts, c shows those that have closed, k kicks, the arrows choose, PgUp and PgDn turn the page.
Exit code: 0; 1 if the server does not answer at the beginning; 2 for wrong arguments, or without a terminal.";

const NEW: &str = "\
Examples:
  zinx new demo && cd demo && cargo test && cargo run
  zinx new lobby --template chat --git https://example.com/zinx.git
Exit code: 0; 1 if it failed; 2 for wrong arguments.";

const CONFIGURATION: &str = "\
Configuration: the file that ZINX_CONFIG_FILE_PATH names, else the first of zinx.yaml, zinx.yml, zinx.json,
conf/zinx.yaml, conf/zinx.yml and conf/zinx.json; then the environment: ZINX_ and a key in capitals, such as
ZINX_TCPPORT=0. Lines go to LogFile in LogDir, or to stderr; RUST_LOG says which.
The admin plane is on http://127.0.0.1:7778 unless Admin says something else; off: there is none.";
