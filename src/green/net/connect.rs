//! Connecting with a time limit, which another can call off: what a client does until it has a connection.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, MutexGuard};
use std::time::Duration;

use super::readiness::Readiness;
use super::resolve::resolve;
use super::socket::Socket;
use super::stream::{Connecting, TcpStream};
use crate::green::runtime::timer::set_alarm;
use crate::green::{Builder, GetError, Queue, Until};
use crate::lock::Lock;

/// One connect after the other, on a coroutine, until called off.
#[derive(Default)]
pub(crate) struct Connector {
    state: Lock<State>,
}

#[derive(Default)]
struct State {
    called_off: bool,
    waiting: Option<Waiting>,
}

/// What the connect waits for, to end the wait.
enum Waiting {
    Names(Arc<Names>),
    Socket(Arc<Socket>),
}

type Names = Queue<io::Result<Vec<SocketAddr>>>;

impl Connector {
    /// Connects to the first address of `host` that answers. All of it, the name's resolution included, takes at most
    /// `limit`; each address gets its share, so that one that swallows everything leaves time for the next.
    /// [`Duration::MAX`] is no limit.
    ///
    /// # Errors
    ///
    /// The last address's; `TimedOut`; `NotFound` if the name has no address; `Interrupted` once called off.
    pub(crate) fn connect(&self, host: &str, port: u16, limit: Duration) -> io::Result<TcpStream> {
        let until = Until::after(limit);
        let connected = self.resolve(host, port, until).and_then(|found| self.connect_first(&found, until));
        self.lock().waiting = None;
        connected
    }

    /// The addresses of `host`, for a transport that has no stream to connect. Errors as [`connect`](Self::connect).
    #[cfg(feature = "kcp")]
    pub(crate) fn addresses(&self, host: &str, port: u16, until: Until) -> io::Result<Vec<SocketAddr>> {
        let found = self.resolve(host, port, until);
        self.lock().waiting = None;
        found
    }

    /// Ends the connect under way, and every later one, with `Interrupted`.
    pub(crate) fn call_off(&self) {
        let mut state = self.lock();
        state.called_off = true;
        match state.waiting.take() {
            Some(Waiting::Names(names)) => names.close(),
            Some(Waiting::Socket(socket)) => socket.interrupt(),
            None => {}
        }
    }

    /// May connect again.
    pub(crate) fn reset(&self) {
        self.lock().called_off = false;
    }

    fn resolve(&self, host: &str, port: u16, until: Until) -> io::Result<Vec<SocketAddr>> {
        if let Ok(address) = host.parse::<IpAddr>() {
            return Ok(vec![SocketAddr::new(address, port)]);
        }
        let names = Arc::new(Names::bounded(1));
        self.note(Waiting::Names(Arc::clone(&names)))?;
        let (theirs, host) = (Arc::clone(&names), host.to_string());
        // Not joined if the time is up: the system's resolver cannot be called off, and ends by itself.
        drop(Builder::new().name("resolver").spawn(move || {
            let _ = theirs.try_put(resolve(&host, port));
        })?);
        match names.get_timeout(until.left().unwrap_or(Duration::MAX)) {
            Ok(found) => found,
            Err(GetError::Empty) => Err(io::ErrorKind::TimedOut.into()),
            Err(GetError::Closed) => Err(io::ErrorKind::Interrupted.into()),
        }
    }

    fn connect_first(&self, addresses: &[SocketAddr], until: Until) -> io::Result<TcpStream> {
        let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
        for (tried, address) in addresses.iter().enumerate() {
            let left = u32::try_from(addresses.len() - tried).unwrap_or(u32::MAX);
            let share = until.left().map(|time| time / left);
            match self.connect_one(*address, Until::within(share)) {
                Err(error) if error.kind() != io::ErrorKind::Interrupted => last = error,
                ended => return ended,
            }
        }
        Err(last)
    }

    fn connect_one(&self, address: SocketAddr, until: Until) -> io::Result<TcpStream> {
        let connecting = Connecting::begin(address)?;
        let socket = connecting.socket();
        self.note(Waiting::Socket(Arc::clone(socket)))?;
        if let Some(end) = until.end() {
            set_alarm(socket, end);
        }
        while !connecting.is_connected()? {
            if self.lock().called_off {
                return Err(io::ErrorKind::Interrupted.into());
            }
            if until.is_over() {
                return Err(io::ErrorKind::TimedOut.into());
            }
            socket.wait(Readiness::WRITE.or(Readiness::INTERRUPT));
        }
        Ok(connecting.into_stream())
    }

    fn note(&self, waiting: Waiting) -> io::Result<()> {
        let mut state = self.lock();
        if state.called_off {
            return Err(io::ErrorKind::Interrupted.into());
        }
        state.waiting = Some(waiting);
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }
}
