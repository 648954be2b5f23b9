//! The lines that the tutorial's servers print, under a log target of their own.
//!
//! They are for readers of the tutorial: `RUST_LOG=info,zinx::tutorial=trace` shows them. At level trace, other programs
//! do not see them unless they ask.

use std::fmt;

/// Logs one line of the tutorial.
pub(super) fn say(line: fmt::Arguments<'_>) {
    log::trace!(target: "zinx::tutorial", "{line}");
}
