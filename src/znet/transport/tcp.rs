//! TCP: the bytes of the peer, as they are.

use std::io::{self, IoSlice};
use std::sync::Arc;

use super::{Left, Received};
use crate::green::{Socket, TcpStream};

/// A TCP connection. Its descriptor closes with the last clone.
#[derive(Clone, Debug)]
pub(crate) struct Tcp(Arc<Socket>);

impl Tcp {
    pub(crate) fn new(stream: TcpStream) -> Self {
        Self(stream.into_socket())
    }

    #[inline]
    pub(super) fn recv(&self, buf: &mut [u8]) -> io::Result<Received> {
        received(self.0.try_recv(buf), buf.len())
    }

    pub(super) fn recv_into(&self, buf: &mut Vec<u8>, max: usize) -> io::Result<Received> {
        received(self.0.try_recv_into(buf, max), max)
    }

    #[inline]
    pub(super) fn send(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        match slices {
            [one] => self.0.try_send(one),
            several => self.0.try_send_vectored(several),
        }
    }

    pub(super) const fn socket(&self) -> &Arc<Socket> {
        &self.0
    }
}

/// A read that left room has emptied the socket: the next event tells of more.
#[inline]
fn received(result: io::Result<usize>, room: usize) -> io::Result<Received> {
    let (n, left) = match result {
        Ok(0) => (0, Left::End),
        Ok(n) => (n, if n < room { Left::Drained } else { Left::More }),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => (0, Left::Nothing),
        Err(error) => return Err(error),
    };
    Ok(Received { n, left })
}
