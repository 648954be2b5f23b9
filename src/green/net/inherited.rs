//! Sockets that listen already when the process begins: systemd's socket activation.

use std::io;
use std::net::SocketAddr;
use std::ops::Range;
use std::os::fd::OwnedFd;

use rustix::process::{PidfdFlags, PidfdGetfdFlags, getpid, pidfd_getfd, pidfd_open};
use socket2::{Socket, Type};

/// The socket among them that listens at this address; `None` if there is none.
///
/// It is shared with whoever has passed it: it must not be shut down, and goes on listening when we have ended.
///
/// # Errors
///
/// Those of the system, if it does not give us our own descriptor.
pub(super) fn listening_at(address: SocketAddr) -> io::Result<Option<Socket>> {
    for number in passed() {
        let socket = duplicate(number)?;
        let is_stream = socket.r#type().is_ok_and(|kind| kind == Type::STREAM);
        if is_stream && local(&socket) == Some(address) && socket.is_listener()? {
            return Ok(Some(socket));
        }
    }
    Ok(None)
}

/// The addresses of those that are passed, for a person.
pub(crate) fn passed_addresses() -> Vec<String> {
    let address = |number| local(&duplicate(number).ok()?);
    passed().map(|number| address(number).map_or_else(|| "?".to_string(), |at| at.to_string())).collect()
}

/// A descriptor of our own for one that was passed: nothing says in types that the number is ours alone.
fn duplicate(number: i32) -> io::Result<Socket> {
    let process = pidfd_open(getpid(), PidfdFlags::empty())?;
    let fd: OwnedFd = pidfd_getfd(process, number, PidfdGetfdFlags::empty())?;
    Ok(Socket::from(fd))
}

fn local(socket: &Socket) -> Option<SocketAddr> {
    socket.local_addr().ok()?.as_socket()
}

/// The numbers of those that were passed to this process.
fn passed() -> Range<i32> {
    let variable = |name| std::env::var(name).ok()?.parse::<i32>().ok();
    let is_for_us = variable("LISTEN_PID") == Some(getpid().as_raw_nonzero().get());
    let count = variable("LISTEN_FDS").filter(|_| is_for_us).unwrap_or(0).clamp(0, MOST);
    FIRST..FIRST + count
}

/// Behind stdin, stdout and stderr.
const FIRST: i32 = 3;

/// More than a server listens on.
const MOST: i32 = 64;
