//! `zinx reload`: a running server reads its configuration again.

use std::process::ExitCode;

use clap::Args;
use serde_json::Value;

use crate::plane::{self, Plane};

/// `zinx reload`.
#[derive(Args)]
pub(crate) struct Order {
    #[command(flatten)]
    plane: Plane,
}

/// Prints a line for each key that has changed, or that could not.
pub(crate) fn run(order: &Order) -> ExitCode {
    plane::finish(plane::ask(&order.plane, "POST", "/reload").map(|answer| lines(&answer)))
}

fn lines(answer: &Value) -> String {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_string();
    let mut lines = format!("read {}\n", text(&answer["from"]));
    for list in ["changed", "unchanged"] {
        for change in answer[list].as_array().map_or(&[][..], Vec::as_slice) {
            let [key, old, new] = ["key", "old", "new"].map(|name| text(&change[name]));
            lines += &match change["takes_effect"].as_str() {
                Some("after_restart") => format!("{key}: {old} stays, {new} needs a restart\n"),
                Some("set_in_code") => format!("{key}: {old} stays, the program sets it\n"),
                Some("for_new_connections") => format!("{key}: {old}, now {new}, for new connections\n"),
                _ => format!("{key}: {old}, now {new}\n"),
            };
        }
    }
    lines
}
