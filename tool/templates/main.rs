//! The program: reads the configuration, and serves until Ctrl-C or SIGTERM.

mod server;

use std::process::ExitCode;

use zinx::prelude::*;

fn serve() -> Result<()> {
    let config = Config::load()?;
    zinx::zlog::init(&config)?;
    server::new(config)?.serve()
}

fn main() -> ExitCode {
    zinx::exit(serve())
}
