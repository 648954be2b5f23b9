//! `zinx completions`: what a shell needs in order to complete the commands.

use std::io::{self, Write};
use std::process::ExitCode;

use clap::{Args, CommandFactory};
use clap_complete::{Shell, generate};

use crate::Arguments;

/// What the command line asks for.
#[derive(Args)]
pub(crate) struct Order {
    /// The shell.
    #[arg(value_name = "SHELL")]
    shell: Shell,
}

/// Prints the script.
pub(crate) fn run(order: &Order) -> ExitCode {
    let mut script = Vec::new();
    generate(order.shell, &mut Arguments::command(), "zinx", &mut script);
    // Whoever reads what we print may have had enough.
    let _ = io::stdout().write_all(&script);
    ExitCode::SUCCESS
}

pub(crate) const EXAMPLES: &str = "\
Examples:
  zinx completions bash > ~/.local/share/bash-completion/completions/zinx
  zinx completions zsh > \"${fpath[1]}/_zinx\"
  zinx completions fish > ~/.config/fish/completions/zinx.fish";
