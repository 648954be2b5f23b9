//! A link to Redis that can be cut at any moment.

use std::io;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

/// Passes on what it is sent, until it is told to cut. Its threads end with the process.
pub(crate) struct Cutter {
    address: SocketAddr,
    open: Arc<Mutex<Vec<[TcpStream; 2]>>>,
    closed: Arc<AtomicBool>,
}

impl Cutter {
    pub(crate) fn start(to: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (address, open) = (listener.local_addr().unwrap(), Arc::new(Mutex::default()));
        let closed = Arc::new(AtomicBool::new(false));
        let refuses = Arc::clone(&closed);
        let links: Arc<Mutex<Vec<[TcpStream; 2]>>> = Arc::clone(&open);
        thread::spawn(move || {
            while let Ok((client, _)) = listener.accept() {
                if refuses.load(Ordering::Acquire) {
                    continue;
                }
                let Ok(redis) = TcpStream::connect(to) else { continue };
                let pair = || [client.try_clone().unwrap(), redis.try_clone().unwrap()];
                let ([up, to_redis], [to_client, down]) = (pair(), pair());
                for (mut from, mut to) in [(up, to_redis), (down, to_client)] {
                    thread::spawn(move || {
                        // A cut ends it with an error.
                        let _ = io::copy(&mut from, &mut to);
                        let _ = to.shutdown(Shutdown::Both);
                    });
                }
                links.lock().unwrap().push(pair());
            }
        });
        Self { address, open, closed }
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://{}", self.address)
    }

    /// Cuts all links; what is on its way is lost. New ones can be made at once.
    pub(crate) fn cut(&self) {
        for stream in self.open.lock().unwrap().drain(..).flatten() {
            // It may have ended.
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    /// Whether new links are refused.
    pub(crate) fn refuse(&self, refuses: bool) {
        self.closed.store(refuses, Ordering::Release);
        if refuses {
            self.cut();
        }
    }
}
