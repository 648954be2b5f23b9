//! The lines that the framework of the tutorial prints, under a log target of their own.
//!
//! They are for readers of the tutorial: `RUST_LOG=info,zinx::tutorial=trace` shows them. At level trace, other programs
//! do not see them unless they ask. Where the Python tutorial prints a line, the words are those of the Python tutorial;
//! lines that only we have begin with what they are about, in brackets.

use std::fmt;
use std::net::SocketAddr;

/// Logs one line of the tutorial.
pub(crate) fn say(line: fmt::Arguments<'_>) {
    log::trace!(target: "zinx::tutorial", "{line}");
}

/// Logs that a hook is called. The Python tutorial prints the same words for both hooks.
pub(crate) fn say_hook() {
    say(format_args!("---> CallOnConnStart...."));
}

/// Logs that nothing more is written to a peer, whose address Python prints as a tuple.
pub(crate) fn say_writing_ends(peer: SocketAddr) {
    say(format_args!("('{}', {}) 写业务退出", peer.ip(), peer.port()));
}
