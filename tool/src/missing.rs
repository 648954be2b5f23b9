//! Commands that this program is built without, because they would make the first build longer.

use std::process::ExitCode;

use clap::Args;

/// Whatever is asked for.
#[derive(Args)]
pub(crate) struct Order {
    #[arg(value_name = "ARGUMENTS", trailing_var_arg = true, allow_hyphen_values = true)]
    _rest: Vec<String>,
}

/// Says how to have it.
pub(crate) fn run(command: &str) -> ExitCode {
    eprintln!(
        "zinx: this program is built without `{command}`. In the repository of zinx: \
         cargo run --release -p zinx-tool --features {command} -- {command} --help"
    );
    ExitCode::from(2)
}
