//! The socket options of a connection.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};

use crate::error::{Error, Result};
use crate::ziface::{IConnection, ITcpConnection};
use crate::znet::conn::connection::Connection;

impl ITcpConnection for Connection {
    fn local_addr(&self) -> SocketAddr {
        self.get_local_addr()
    }

    fn peer_addr(&self) -> SocketAddr {
        self.get_remote_addr()
    }

    fn set_nodelay(&self, on: bool) -> Result<()> {
        self.set_option("set TCP_NODELAY", |socket| socket.set_tcp_nodelay(on))
    }

    fn set_keepalive(&self, idle: Option<Duration>) -> Result<()> {
        self.set_option("set SO_KEEPALIVE", |socket| match idle {
            Some(idle) => {
                let idle = idle.clamp(SHORTEST_KEEPALIVE, LONGEST_KEEPALIVE);
                socket.set_tcp_keepalive(&TcpKeepalive::new().with_time(idle))
            }
            None => socket.set_keepalive(false),
        })
    }

    fn set_recv_buffer_bytes(&self, bytes: usize) -> Result<()> {
        self.set_option("set SO_RCVBUF", |socket| socket.set_recv_buffer_size(bytes))
    }

    fn set_send_buffer_bytes(&self, bytes: usize) -> Result<()> {
        self.set_option("set SO_SNDBUF", |socket| socket.set_send_buffer_size(bytes))
    }
}

impl Connection {
    /// The socket is looked up each time: a program that keeps the connection keeps no descriptor open.
    fn set_option(&self, what: &str, set: impl FnOnce(SockRef<'_>) -> io::Result<()>) -> Result<()> {
        let transport = self.line().get().ok_or(Error::ConnectionClosed)?;
        let socket = transport.tcp().ok_or(Error::ConnectionClosed)?;
        set(SockRef::from(socket)).map_err(|source| Error::io(what, source))
    }
}

/// The system refuses a shorter one,
const SHORTEST_KEEPALIVE: Duration = Duration::from_secs(1);

/// and a longer one: nine hours.
const LONGEST_KEEPALIVE: Duration = Duration::from_secs(32_767);
