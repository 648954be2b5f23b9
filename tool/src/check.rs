//! `zinx check`: what is wrong with a configuration, all at once, before a server needs it.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use zinx::{Config, Result, new_server_with_config};

/// What the command line asks for.
#[derive(Args)]
pub(crate) struct Order {
    /// The file, such as zinx.yaml.
    #[arg(value_name = "FILE")]
    file: PathBuf,
}

/// Reads the file as a server would, without the environment: 0 if it can be used, 2 with every problem if not.
pub(crate) fn run(order: &Order) -> ExitCode {
    let checked = check(&order.file);
    if let Ok(warnings) = &checked {
        let (file, mut text) = (order.file.display(), String::new());
        for warning in warnings {
            text += &format!("{file}: {warning}\n");
        }
        text += &format!("{file}: no problem\n");
        // Whoever reads what we print may have had enough.
        let _ = io::stdout().write_all(text.as_bytes());
    }
    zinx::exit(checked.map(drop))
}

fn check(file: &Path) -> Result<Vec<String>> {
    let config = Config::from_file(file)?;
    let warnings = config.warnings();
    new_server_with_config(config)?;
    Ok(warnings)
}
