//! The threads of the server. One that accepts a connection answers it itself, so that an answer waits for no further thread to have
//! its turn, and another one accepts meanwhile.

#![expect(clippy::disallowed_types, reason = "threads of its own, which run no coroutine")]

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use socket2::SockRef;

use super::request::{Bad, Request};
use super::response::Response;
use crate::green::{Backoff, Event, Thread, Until, contain};
use crate::lock::Lock;
use crate::log_line::{Throttle, throttled};

/// Answers requests until it is dropped.
pub(crate) struct HttpServer {
    address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    listener: TcpListener,
    answer: Box<Answer>,
    asking: Lock<Asking>,
    /// Threads that accept.
    accepting: AtomicUsize,
    is_closed: AtomicBool,
    /// Set once it is closed and none accepts.
    ended: Event,
    backoff: Backoff,
}

type Answer = dyn Fn(&Request) -> Response + Send + Sync;

/// Connections that are being answered or whose request has not come yet, oldest first.
#[derive(Default)]
struct Asking {
    last: u64,
    streams: VecDeque<(u64, TcpStream)>,
}

impl HttpServer {
    /// Listens on the first of `addresses` that can be had, and gives each request to `answer`.
    ///
    /// # Errors
    ///
    /// Those of the system: the port is taken, there is no room for a thread.
    pub(crate) fn start(
        addresses: &[SocketAddr],
        answer: impl Fn(&Request) -> Response + Send + Sync + 'static,
    ) -> io::Result<Self> {
        let listener = TcpListener::bind(addresses)?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            listener,
            answer: Box::new(answer),
            asking: Lock::default(),
            accepting: AtomicUsize::new(0),
            is_closed: AtomicBool::new(false),
            ended: Event::new(),
            backoff: Backoff::new(),
        });
        shared.add_thread()?;
        Ok(Self { address, shared })
    }

    /// Where it listens, with the port that the system chose.
    pub(crate) const fn local_addr(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for HttpServer {
    fn drop(&mut self) {
        self.shared.close();
        self.shared.ended.wait_timeout(MOMENT);
    }
}

impl Shared {
    /// Ends the threads that accept, and connections whose request has not come yet. Answers that have begun are still sent.
    fn close(&self) {
        self.is_closed.store(true, Ordering::Release);
        // It may not be listening any more.
        let _ = SockRef::from(&self.listener).shutdown(Shutdown::Both);
        self.backoff.end_pause();
        self.asking.lock().streams.iter().for_each(|(_, stream)| drop(stream.shutdown(Shutdown::Read)));
    }

    /// One more accepts.
    fn add_thread(self: &Arc<Self>) -> io::Result<()> {
        self.accepting.fetch_add(1, Ordering::AcqRel);
        let theirs = Arc::clone(self);
        let started = Thread::start(THREAD, move || theirs.serve_all());
        if started.is_err() {
            self.accepting.fetch_sub(1, Ordering::AcqRel);
        }
        started.map(drop)
    }

    fn serve_all(self: &Arc<Self>) {
        hurry();
        while let Some(stream) = self.accept() {
            if self.accepting.fetch_sub(1, Ordering::AcqRel) == 1
                && let Err(error) = self.add_thread()
            {
                static LOG: Throttle = Throttle::new();
                throttled!(warn, LOG, "the admin plane answers one request at a time: {error}");
            }
            if let Ok(place) = self.take_place(&stream) {
                // A peer that is gone gets no answer.
                let _ = self.serve(&stream);
                drop(place);
            }
            let goes_on = |accepting| (accepting < KEPT).then_some(accepting + 1);
            if self.accepting.fetch_update(Ordering::AcqRel, Ordering::Acquire, goes_on).is_err() {
                return;
            }
        }
        if self.accepting.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.ended.set();
        }
    }

    /// The next connection. `None` once the server is closed.
    fn accept(&self) -> Option<TcpStream> {
        let mut failures = 0;
        while !self.is_closed.load(Ordering::Acquire) {
            match self.listener.accept() {
                Ok((stream, _)) => return Some(stream),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) if self.is_closed.load(Ordering::Acquire) => {}
                Err(error) => {
                    failures += 1;
                    static LOG: Throttle = Throttle::new();
                    throttled!(warn, LOG, "the admin plane cannot accept: {error}");
                    self.backoff.pause(failures);
                }
            }
        }
        None
    }

    /// A place for one more connection. If there are too many, the oldest is closed, so that idle ones keep nobody out.
    fn take_place(self: &Arc<Self>, stream: &TcpStream) -> io::Result<Place> {
        let theirs = stream.try_clone()?;
        let mut asking = self.asking.lock();
        if asking.streams.len() >= MAX_ASKING
            && let Some((_, oldest)) = asking.streams.pop_front()
        {
            let _ = oldest.shutdown(Shutdown::Both);
        }
        asking.last += 1;
        let number = asking.last;
        asking.streams.push_back((number, theirs));
        Ok(Place { shared: Arc::clone(self), number })
    }

    fn serve(&self, stream: &TcpStream) -> io::Result<()> {
        let mut stream = InTime { stream, until: Until::after(PATIENCE), renews: false };
        let (response, with_body) = match Request::read(&mut stream) {
            Ok(request) => {
                let answered = contain(|| (self.answer)(&request));
                let response = answered.unwrap_or_else(|words| Response::error(500, words));
                (response, request.method() != "HEAD")
            }
            Err(Bad::Gone(error)) => return Err(error),
            Err(Bad::Request(status, words)) => (Response::error(status, words), true),
        };
        stream.until = Until::after(PATIENCE);
        stream.renews = response.is_stream();
        response.write(&mut stream, with_body)?;
        // What is closed with bytes unread is reset, and a reset may overtake the answer.
        stream.stream.shutdown(Shutdown::Write)?;
        stream.until = Until::after(MOMENT);
        io::copy(&mut (&mut stream).take(MAX_UNREAD), &mut io::sink()).map(drop)
    }
}

/// A place among the requests in progress, which is free again once this is dropped.
struct Place {
    shared: Arc<Shared>,
    number: u64,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.shared.asking.lock().streams.retain(|(number, _)| *number != self.number);
    }
}

/// A stream that fails once a time is over, however slowly its peer reads or writes.
struct InTime<'a> {
    stream: &'a TcpStream,
    until: Until,
    /// The time begins again with each write.
    renews: bool,
}

impl InTime<'_> {
    fn left(&self) -> io::Result<Option<Duration>> {
        match self.until.left() {
            Some(Duration::ZERO) => Err(io::ErrorKind::TimedOut.into()),
            left => Ok(left),
        }
    }
}

impl Read for InTime<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.stream.set_read_timeout(self.left()?)?;
        (&mut &*self.stream).read(buf)
    }
}

impl Write for InTime<'_> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        if self.renews {
            self.until = Until::after(PATIENCE);
        }
        self.stream.set_write_timeout(self.left()?)?;
        (&mut &*self.stream).write(buf)
    }

    /// Nothing is held back. Fails if the peer has ended its stream: whoever reads an answer that goes out bit by bit is gone then.
    fn flush(&mut self) -> io::Result<()> {
        self.stream.set_nonblocking(true)?;
        let peeked = self.stream.peek(&mut [0]);
        self.stream.set_nonblocking(false)?;
        match peeked {
            Ok(0) => Err(io::ErrorKind::BrokenPipe.into()),
            Err(error) if error.kind() != io::ErrorKind::WouldBlock => Err(error),
            _ => Ok(()),
        }
    }
}

/// Puts the thread that calls before those that compute, if the system allows it: answers are short, and rare.
fn hurry() {
    let me = Some(rustix::thread::gettid());
    if let Ok(nice) = rustix::process::getpriority_process(me) {
        let _ = rustix::process::setpriority_process(me, nice - HURRY);
    }
}

/// By how much the nice value of its threads is lowered.
const HURRY: i32 = 10;

/// Threads that go on waiting for a connection.
const KEPT: usize = 2;

/// The name of its threads.
const THREAD: &str = "zinx-admin";

/// Most connections at once; one more closes the oldest.
const MAX_ASKING: usize = 32;

/// How long a peer may take to ask, and to read the answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long the threads that accept may take to end, and a peer to end its stream.
const MOMENT: Duration = Duration::from_millis(500);

/// Bytes that a peer may still send once it is answered.
const MAX_UNREAD: u64 = 64 << 10;
