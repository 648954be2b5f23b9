//! The backdoor: a socket on which a person asks a running process what its coroutines do, and ends one of them.
//!
//! It runs on threads of its own, which use what `green` offers to plain threads. So it answers also if every worker is held,
//! or if there is no room for another coroutine: that is when it is needed. It holds no worker itself.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;
use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::{Arc, MutexGuard};
use std::time::Duration;

use crate::green::net::port::Port;
use crate::green::{Event, TcpListener, TcpStream, Thread, Until, blocking};
use crate::lock::Lock;

mod commands;
mod session;
use session::{Session, Settings};

/// Serves a small command language on a socket of this machine, for a person with `nc` or `telnet`: `ls`, `dump`,
/// `trace NAME`, `kill NAME`, `stats`, `help`, `quit`.
///
/// There is none unless the program starts one. It asks for no password: **every user of this machine** can connect to
/// it, and end any coroutine that can be killed. It takes loopback addresses only; from elsewhere, connect through `ssh -L`.
/// A web page that sends a request to it is hung up on.
///
/// Bounded: 4 sessions at a time ([`max_sessions`](Self::max_sessions)), lines of 1 KiB, 10 minutes without a line
/// ([`idle`](Self::idle)), 1,000 lines per answer. Names and texts are printed with their control characters escaped.
///
/// Clones are the same server. Dropped, it goes on: [`stop`](Self::stop) ends it.
///
/// # Examples
///
/// ```
/// use std::io::{Read, Write};
/// use std::time::Duration;
/// use zinx::green::{BackdoorServer, TcpStream};
///
/// let backdoor = BackdoorServer::bind("127.0.0.1:0")?.banner("chat server").stats(|| "rooms 3".to_string());
/// backdoor.start()?;
/// let mut typed = TcpStream::connect(backdoor.local_addr())?;
/// typed.write_all(b"stats\nquit\n")?;
/// let mut said = String::new();
/// typed.read_to_string(&mut said)?;
/// assert!(said.starts_with("chat server") && said.contains("rooms 3"));
/// assert!(backdoor.stop(Duration::from_secs(1)));
/// assert!(BackdoorServer::bind("0.0.0.0:0").is_err());
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone)]
pub struct BackdoorServer {
    shared: Arc<Shared>,
}

struct Shared {
    address: SocketAddr,
    settings: Lock<Settings>,
    state: Lock<State>,
}

struct State {
    port: Port<TcpStream>,
    sessions: HashMap<u64, Open>,
    last: u64,
}

/// A session. Its thread is known once it has started.
struct Open {
    stream: TcpStream,
    thread: Option<Arc<Thread>>,
}

impl BackdoorServer {
    /// Listens on `address`, which must be of this machine alone: `127.0.0.1`, `[::1]` or `localhost`. Port 0 takes any free
    /// one. Those who connect are answered from [`start`](Self::start) on.
    ///
    /// # Errors
    ///
    /// `InvalidInput` if the address, or any address of the name, is not a loopback address. Those of the system: the port is
    /// taken. `NotFound` if the name has no address.
    pub fn bind(address: impl ToSocketAddrs + Send + 'static) -> io::Result<Self> {
        let addresses = blocking(move || address.to_socket_addrs().map(Vec::from_iter))?;
        if let Some(open) = addresses.iter().find(|address| !address.ip().is_loopback()) {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, too_open(*open)));
        }
        let listener = TcpListener::bind_first(addresses, BACKLOG)?;
        let address = listener.local_addr();
        let state = State { port: Port::new(listener, address), sessions: HashMap::new(), last: 0 };
        let shared = Shared { address, settings: Lock::default(), state: Lock::new(state) };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// What is said to those who connect, before the first prompt. Default: `zinx backdoor, process 4711: type help`. For
    /// sessions that begin later, as the other settings.
    #[must_use]
    pub fn banner(self, text: impl Into<Cow<'static, str>>) -> Self {
        self.shared.settings.lock().banner = Some(text.into());
        self
    }

    /// Has `stats` print what this returns, below what it knows itself: the counters of the program. It is called on the
    /// thread of the session. A panic of it is printed.
    ///
    /// gevent's `locals`, the names that a session can use, have their place here: there is no interpreter.
    #[must_use]
    #[doc(alias = "locals")]
    pub fn stats(self, text: impl Fn() -> String + Send + Sync + 'static) -> Self {
        self.shared.settings.lock().stats = Some(Arc::new(text));
        self
    }

    /// At most so many sessions at a time; a further one is told so, and hung up on. Default 4, at least 1.
    #[must_use]
    pub fn max_sessions(self, count: usize) -> Self {
        self.shared.settings.lock().max_sessions = count.max(1);
        self
    }

    /// Ends a session in which no line has been typed for so long. Default 10 minutes.
    #[must_use]
    pub fn idle(self, limit: Duration) -> Self {
        self.shared.settings.lock().idle = limit;
        self
    }

    /// The address it is bound to, with the port the system chose.
    pub fn local_addr(&self) -> SocketAddr {
        self.shared.address
    }

    /// How many sessions are open.
    pub fn len(&self) -> usize {
        self.shared.lock().sessions.len()
    }

    /// Whether no session is open.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Begins to answer, and returns. After [`stop`](Self::stop) it listens again, at the same address. While it answers
    /// already, does nothing.
    ///
    /// # Errors
    ///
    /// Those of the system: another has taken the port meanwhile, there is no room for a thread.
    pub fn start(&self) -> io::Result<()> {
        let server = self.clone();
        let next = |asked: &Event| (!asked.is_set()).then_some(());
        let enter = move |(), _: &Event, stream, peer| server.admit(stream, peer);
        self.shared.lock().port.open(THREAD, BACKLOG, next, enter).map(drop)
    }

    /// Stops listening and hangs up on all sessions, whose threads it waits for, at most for `timeout`. `false` if one has not
    /// ended by then: code of the program holds it, such as [`stats`](Self::stats). Twice is the same as once.
    pub fn stop(&self, timeout: Duration) -> bool {
        let until = Until::after(timeout);
        let closing = self.shared.lock().port.take();
        // After this no other comes.
        let accepted = closing.close().is_none_or(|acceptor| ends(&acceptor, until));
        let threads: Vec<_> = {
            let state = self.shared.lock();
            state.sessions.values().for_each(|open| open.stream.shutdown());
            state.sessions.values().filter_map(|open| open.thread.clone()).collect()
        };
        threads.iter().fold(accepted, |all, thread| ends(thread, until) && all)
    }

    /// Begins a session, if there is room for one.
    fn admit(&self, stream: TcpStream, peer: SocketAddr) {
        let settings = self.shared.settings.lock().clone();
        let Some(place) = self.take_place(&stream, settings.max_sessions) else {
            let words = format!("{} sessions are open already, as many as may be\n", settings.max_sessions);
            return stream.send_and_end(words.as_bytes());
        };
        let number = place.number;
        let talk = move || {
            let _place = place;
            log::info!("a backdoor session begins: {peer}");
            Session::new(stream, settings, peer).run();
            log::info!("a backdoor session ends: {peer}");
        };
        match Thread::start(THREAD, talk) {
            Ok(thread) => {
                if let Some(open) = self.shared.lock().sessions.get_mut(&number) {
                    open.thread = Some(Arc::new(thread));
                }
            }
            Err(error) => log::error!("no thread for a backdoor session: {error}"),
        }
    }

    fn take_place(&self, stream: &TcpStream, max_sessions: usize) -> Option<SessionPlace> {
        let mut state = self.shared.lock();
        if state.sessions.len() >= max_sessions {
            return None;
        }
        state.last += 1;
        let number = state.last;
        state.sessions.insert(number, Open { stream: stream.clone(), thread: None });
        Some(SessionPlace { server: self.clone(), number })
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }
}

/// The place of a session among those that are open. Dropped, it is free, and the connection closed.
struct SessionPlace {
    server: BackdoorServer,
    number: u64,
}

impl Drop for SessionPlace {
    fn drop(&mut self) {
        let open = self.server.shared.lock().sessions.remove(&self.number);
        if let Some(open) = open {
            open.stream.shutdown_write();
        }
    }
}

fn ends(thread: &Thread, until: Until) -> bool {
    thread.join_timeout(until.left().unwrap_or(Duration::MAX))
}

fn too_open(address: SocketAddr) -> String {
    format!(
        "a backdoor asks for no password, so it listens on this machine only: {address} is not a loopback address \
         (take 127.0.0.1 or [::1], and ssh -L from elsewhere)"
    )
}

impl fmt::Debug for BackdoorServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BackdoorServer")
            .field("address", &self.shared.address)
            .field("sessions", &self.len())
            .finish_non_exhaustive()
    }
}

/// The name of its threads.
const THREAD: &str = "zinx-backdoor";

/// Those who wait to be accepted, at most.
const BACKLOG: u32 = 16;
