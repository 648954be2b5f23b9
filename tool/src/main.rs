//! The `zinx` command: the tutorial's server, and a client to talk to it.

mod send;
mod serve;

use std::process::ExitCode;

const USAGE: &str = "\
usage: zinx [serve]
       zinx send HOST:PORT ID TEXT [--replies N] [--pack ltv|tlv]

serve   runs the tutorial's server, configured by zinx.yaml and ZINX_.. in the environment:
        id 1 answers with ping and the message itself, id 2 with the message
send    sends one message and prints the replies until none came for 300 ms, 5 s at most
        --replies N   until N replies came; fewer within 5 s is a failure
        --pack FORMAT ltv (little-endian: the default) or tlv (big-endian)
        --            what follows is no option

exit code: 0, 1 where it failed, 2 for wrong arguments or configuration
";

/// A word of the command line that cannot be used, and why.
type Usage = String;

fn run(args: &[String]) -> Result<ExitCode, Usage> {
    let options = args.iter().take_while(|arg| *arg != "--");
    if options.into_iter().any(|arg| arg == "--help" || arg == "-h") {
        print!("{USAGE}");
        return Ok(ExitCode::SUCCESS);
    }
    match args.split_first() {
        None => Ok(serve::run()),
        Some((word, rest)) if word == "serve" => match rest.first() {
            None => Ok(serve::run()),
            Some(other) => Err(format!("serve takes no argument: {other:?}")),
        },
        Some((word, rest)) if word == "send" => send::Order::parse(rest).map(send::run),
        Some((word, _)) => Err(format!("unknown argument {word:?}")),
    }
}

fn main() -> ExitCode {
    let args: Result<Vec<String>, _> = std::env::args_os().skip(1).map(|arg| arg.into_string()).collect();
    let done = match args {
        Ok(args) => run(&args),
        Err(arg) => Err(format!("argument {arg:?} is not UTF-8")),
    };
    done.unwrap_or_else(|wrong| {
        eprintln!("zinx: {wrong}; see zinx --help");
        ExitCode::from(2)
    })
}
