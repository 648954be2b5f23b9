//! Where a stream server can listen.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{self, UnixStream};
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::common::port::ReservedPort;
use zinx::green::{self, StreamServer, Streams};

/// Where a server listens, and how its clients come to it.
pub(super) trait Place {
    type Stream: Streams + Read + Write;

    /// What a client is told if nothing listens.
    const REFUSED: ErrorKind;

    fn bind() -> StreamServer<Self::Stream>;
    fn bind_to(address: &Address<Self>) -> io::Result<StreamServer<Self::Stream>>;
    fn client(address: &Address<Self>) -> io::Result<Box<dyn Client>>;
}

pub(super) type Address<P> = <<P as Place>::Stream as Streams>::Address;

pub(super) struct Tcp;

impl Place for Tcp {
    type Stream = green::TcpStream;

    const REFUSED: ErrorKind = ErrorKind::ConnectionRefused;

    fn bind() -> StreamServer {
        let port = ReservedPort::new();
        let server = StreamServer::bind(port.address).unwrap();
        // Nobody else gets it while the server does not listen.
        std::mem::forget(port);
        server
    }

    fn bind_to(address: &SocketAddr) -> io::Result<StreamServer> {
        StreamServer::bind(*address)
    }

    fn client(address: &SocketAddr) -> io::Result<Box<dyn Client>> {
        Ok(Box::new(TcpStream::connect(address)?))
    }
}

/// A path of the file system.
pub(super) struct File;

impl Place for File {
    type Stream = green::UnixStream;

    const REFUSED: ErrorKind = ErrorKind::NotFound;

    fn bind() -> StreamServer<green::UnixStream> {
        Self::bind_to(&std::env::temp_dir().join(name())).unwrap()
    }

    fn bind_to(path: &PathBuf) -> io::Result<StreamServer<green::UnixStream>> {
        StreamServer::bind_unix(path)
    }

    fn client(path: &PathBuf) -> io::Result<Box<dyn Client>> {
        Ok(Box::new(UnixStream::connect(path)?))
    }
}

pub(super) struct Abstract;

impl Place for Abstract {
    type Stream = green::UnixStream;

    const REFUSED: ErrorKind = ErrorKind::ConnectionRefused;

    fn bind() -> StreamServer<green::UnixStream> {
        Self::bind_to(&format!("\0{}", name()).into()).unwrap()
    }

    fn bind_to(path: &PathBuf) -> io::Result<StreamServer<green::UnixStream>> {
        StreamServer::bind_unix(path)
    }

    fn client(path: &PathBuf) -> io::Result<Box<dyn Client>> {
        let address = net::SocketAddr::from_abstract_name(&path.as_os_str().as_bytes()[1..])?;
        Ok(Box::new(UnixStream::connect_addr(&address)?))
    }
}

/// A plain socket that is connected to a server.
pub(super) trait Client: Read + Write {
    /// How long a read waits.
    fn patience(&self, limit: Duration);

    /// Sends the end of stream.
    fn finish(&self);
}

impl Client for TcpStream {
    fn patience(&self, limit: Duration) {
        self.set_read_timeout(Some(limit)).unwrap();
    }

    fn finish(&self) {
        self.shutdown(Shutdown::Write).unwrap();
    }
}

impl Client for UnixStream {
    fn patience(&self, limit: Duration) {
        self.set_read_timeout(Some(limit)).unwrap();
    }

    fn finish(&self) {
        self.shutdown(Shutdown::Write).unwrap();
    }
}

/// One that nothing else has.
pub(super) fn name() -> String {
    static LAST: AtomicUsize = AtomicUsize::new(0);
    format!("zinx-server-{}-{}", std::process::id(), LAST.fetch_add(1, Ordering::Relaxed))
}
