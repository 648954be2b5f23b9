//! The `zinx` command: the tutorial's server, and a client to talk to it.

mod check;
mod new;
mod plane;
mod reload;
mod send;
mod serve;

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
}

fn main() -> ExitCode {
    match Arguments::parse().command {
        None | Some(Command::Serve) => serve::run(),
        Some(Command::Send(order)) => send::run(order),
        Some(Command::New(order)) => new::run(&order),
        Some(Command::Check(order)) => check::run(&order),
        Some(Command::Conns(order)) => plane::conns(&order),
        Some(Command::Kick(order)) => plane::kick(&order),
        Some(Command::Drain(order)) => plane::drain(&order),
        Some(Command::Reload(order)) => reload::run(&order),
    }
}

const EXIT_CODES: &str = "Exit code: 0; 1 if it failed; 2 for wrong arguments or a wrong configuration.";

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
