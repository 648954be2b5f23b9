//! A link to Redis that can be cut, refused, delayed, silenced and led elsewhere at any moment.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex, Weak};
use std::thread;
use std::time::{Duration, Instant};

/// Passes on what it is sent, also what was sent before the sender hung up. Its threads end with the process.
pub(crate) struct Cutter {
    address: SocketAddr,
    state: Arc<State>,
}

struct State {
    to: Mutex<SocketAddr>,
    open: Mutex<Vec<[Weak<TcpStream>; 2]>>,
    refuses: AtomicBool,
    silent: AtomicBool,
    delay_ms: AtomicU64,
    /// All that was ever delayed.
    delayed: Mutex<Vec<u8>>,
}

/// Bytes, and when they are to arrive.
type Chunk = (Instant, Vec<u8>);

impl Cutter {
    pub(crate) fn start(to: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(State {
            to: Mutex::new(to),
            open: Mutex::default(),
            refuses: AtomicBool::new(false),
            silent: AtomicBool::new(false),
            delay_ms: AtomicU64::new(0),
            delayed: Mutex::default(),
        });
        let theirs = Arc::clone(&state);
        thread::spawn(move || {
            while let Ok((client, _)) = listener.accept() {
                theirs.join(client);
            }
        });
        Self { address, state }
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://{}", self.address)
    }

    /// Cuts all links; what is on its way is lost. New ones can be made at once.
    pub(crate) fn cut(&self) {
        for stream in self.state.open.lock().unwrap().drain(..).flatten().filter_map(|link| link.upgrade()) {
            // It may have ended.
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    /// Ends all links for those who have opened them. What is on its way to Redis arrives.
    pub(crate) fn hang_up(&self) {
        for client in self.state.open.lock().unwrap().iter().filter_map(|[client, _]| client.upgrade()) {
            let _ = client.shutdown(Shutdown::Both);
        }
    }

    /// How many links something may still come over.
    pub(crate) fn links(&self) -> usize {
        let open = self.state.open.lock().unwrap();
        open.iter().filter(|link| link.iter().any(|stream| stream.strong_count() > 0)).count()
    }

    /// Whether new links are refused.
    pub(crate) fn refuse(&self, refuses: bool) {
        self.state.refuses.store(refuses, Ordering::Release);
        if refuses {
            self.cut();
        }
    }

    /// From now on everything takes so long, in each direction. Nothing overtakes what was sent before on the same link.
    pub(crate) fn delay(&self, by: Duration) {
        self.state.delay_ms.store(by.as_millis() as u64, Ordering::Release);
    }

    /// Whether this is in what was delayed.
    pub(crate) fn has_delayed(&self, text: &str) -> bool {
        let delayed = self.state.delayed.lock().unwrap();
        delayed.windows(text.len()).any(|some| some == text.as_bytes())
    }

    /// Whether everything stands still on its way. It arrives when that is over.
    pub(crate) fn silence(&self, silent: bool) {
        self.state.silent.store(silent, Ordering::Release);
    }

    /// Leads elsewhere. The links there are end.
    pub(crate) fn lead_to(&self, to: SocketAddr) {
        *self.state.to.lock().unwrap() = to;
        self.cut();
    }
}

impl State {
    fn join(self: &Arc<Self>, client: TcpStream) {
        let to = *self.to.lock().unwrap();
        if self.refuses.load(Ordering::Acquire) {
            return;
        }
        let Ok(redis) = TcpStream::connect(to) else { return };
        let (client, redis) = (Arc::new(client), Arc::new(redis));
        let mut open = self.open.lock().unwrap();
        open.retain(|link| link.iter().any(|stream| stream.strong_count() > 0));
        open.push([Arc::downgrade(&client), Arc::downgrade(&redis)]);
        drop(open);
        for (from, to) in [(Arc::clone(&client), Arc::clone(&redis)), (redis, client)] {
            let _ = from.set_nodelay(true);
            let (send, chunks) = mpsc::channel();
            let (reads, writes) = (Arc::clone(self), Arc::clone(self));
            thread::spawn(move || reads.read(&from, &send));
            thread::spawn(move || writes.write(&to, &chunks));
        }
    }

    fn read(&self, mut from: &TcpStream, send: &Sender<Chunk>) {
        let mut buffer = vec![0; 1 << 16];
        while let Ok(len @ 1..) = from.read(&mut buffer) {
            let delay = Duration::from_millis(self.delay_ms.load(Ordering::Acquire));
            if !delay.is_zero() {
                self.delayed.lock().unwrap().extend_from_slice(&buffer[..len]);
            }
            let due = Instant::now() + delay;
            if send.send((due, buffer[..len].to_vec())).is_err() {
                return;
            }
        }
    }

    fn write(&self, mut to: &TcpStream, chunks: &Receiver<Chunk>) {
        for (due, bytes) in chunks {
            thread::sleep(due.saturating_duration_since(Instant::now()));
            while self.silent.load(Ordering::Acquire) {
                thread::sleep(STEP);
            }
            if to.write_all(&bytes).is_err() {
                break;
            }
        }
        // A cut has ended it already.
        let _ = to.shutdown(Shutdown::Write);
    }
}

const STEP: Duration = Duration::from_millis(5);
