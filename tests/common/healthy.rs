//! The healthy client beside each fault.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::wire::Wire;
use super::{ECHO, Peer, comes_true, frame, wait_until};

/// A client that has a message echoed every few milliseconds, and must never wait long.
pub(super) struct Healthy {
    stop: Arc<AtomicBool>,
    echoes: Arc<AtomicUsize>,
    thread: JoinHandle<Result<(), String>>,
}

impl Healthy {
    /// One beside a server that closes connections on which it has heard nothing for `idle`: it makes another then.
    pub(super) fn beside<S: Wire + Send + 'static>(
        dial: impl Fn() -> Peer<S> + Send + 'static,
        idle: Duration,
    ) -> Self {
        let (mut last, mut peer) = (Instant::now(), dial());
        let (stop, echoes) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let (stopped, echoed) = (Arc::clone(&stop), Arc::clone(&echoes));
        let thread = thread::spawn(move || {
            while !stopped.load(Ordering::Acquire) {
                let start = Instant::now();
                let ping = frame(ECHO, b"ping");
                let mut pong = vec![0; ping.len()];
                let stream = &mut peer.stream;
                let io = stream.write_all(&ping).and_then(|()| stream.flush());
                let io = io.and_then(|()| stream.read_exact(&mut pong));
                if io.is_err() && last.elapsed() >= idle {
                    // The machine has kept it from sending.
                    (last, peer) = (Instant::now(), dial());
                    continue;
                }
                io.map_err(|error| error.to_string())?;
                // The server has heard it later than that.
                last = start;
                if pong != ping || start.elapsed() > SLOW {
                    return Err(format!("{pong:?} after {:?}", start.elapsed()));
                }
                echoed.fetch_add(1, Ordering::Release);
                thread::sleep(Duration::from_millis(5));
            }
            Ok(())
        });
        let healthy = Self { stop, echoes, thread };
        wait_until("the healthy client's first echo", || healthy.served_beyond(0));
        healthy
    }

    fn served_beyond(&self, count: usize) -> bool {
        self.echoes.load(Ordering::Acquire) > count || self.thread.is_finished()
    }

    /// One more echo, so that it was served after the fault too.
    pub(super) fn finish(self) -> Result<(), String> {
        let now = self.echoes.load(Ordering::Acquire) + 1;
        comes_true(Duration::from_secs(10), || self.served_beyond(now));
        self.stop.store(true, Ordering::Release);
        self.thread.join().unwrap()
    }
}

/// No echo may take longer, on however busy a machine.
const SLOW: Duration = Duration::from_secs(10);
