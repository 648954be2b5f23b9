//! What a socket does without waiting: it reads what is there, writes what is taken, and ends.

use std::io::{self, IoSlice};
use std::time::Duration;

use rustix::buffer::spare_capacity;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::sockopt::set_tcp_user_timeout;
use rustix::net::{
    RecvFlags, SendAncillaryBuffer, SendFlags, Shutdown, connect_unspec, recv, send, sendmsg, shutdown,
};

use super::socket::Socket;

impl Socket {
    /// Reads what is there, without waiting. `WouldBlock` if there is nothing, 0 if the peer has ended.
    pub(crate) fn try_recv(&self, buf: &mut [u8]) -> io::Result<usize> {
        Ok(recv(self, buf, RecvFlags::DONTWAIT)?.1)
    }

    /// As [`try_recv`](Self::try_recv), appending at most `max` bytes to `buf`, which has room for them.
    pub(crate) fn try_recv_into(&self, buf: &mut Vec<u8>, max: usize) -> io::Result<usize> {
        let len = buf.len();
        if buf.capacity() - len == max {
            return Ok(recv(self, spare_capacity(buf), RecvFlags::DONTWAIT)?.0);
        }
        buf.resize(len + max, 0);
        let received = self.try_recv(&mut buf[len..]);
        buf.truncate(len + received.as_ref().map_or(0, |n| *n));
        received
    }

    /// Writes what the socket takes, without waiting. `WouldBlock` if it takes nothing.
    pub(crate) fn try_send(&self, buf: &[u8]) -> io::Result<usize> {
        Ok(send(self, buf, SEND)?)
    }

    /// As [`try_send`](Self::try_send), from several buffers.
    pub(crate) fn try_send_vectored(&self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        Ok(sendmsg(self, bufs, &mut SendAncillaryBuffer::default(), SEND)?)
    }

    /// Sends the peer our end of stream; what it sends can still be read.
    pub(crate) fn shutdown_write(&self) {
        // Fails only if the peer has gone first.
        let _ = shutdown(self, Shutdown::Write);
    }

    /// Ends both directions at once and wakes all that wait.
    pub(crate) fn shutdown_both(&self) {
        let _ = shutdown(self, Shutdown::Both);
        self.interrupt();
    }

    /// Resets the connection at once: what the system holds for it is thrown away, the peer is told so, and those that
    /// wait are woken. Calling it again, or after the peer has gone, changes nothing.
    pub(crate) fn reset(&self) {
        // Fails only if the peer has gone first. A close would do the same with `SO_LINGER` 0, but only once
        // nothing holds the socket any more.
        let _ = connect_unspec(self);
        self.shutdown_both();
    }

    /// How long the system goes on with a connection whose peer takes nothing, once it is closed.
    pub(crate) fn set_patience(&self, patience: Duration) {
        // Without it, it goes on for as long as the system's own settings say.
        let _ = set_tcp_user_timeout(self, u32::try_from(patience.as_millis()).unwrap_or(u32::MAX));
    }

    /// Whether something waits to be read, if only the end.
    pub(crate) fn is_readable(&self) -> bool {
        poll(&mut [PollFd::new(self, PollFlags::IN)], Some(&Timespec::default())).is_ok_and(|ready| ready > 0)
    }
}

const SEND: SendFlags = SendFlags::DONTWAIT.union(SendFlags::NOSIGNAL);
