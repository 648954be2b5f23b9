//! Names to addresses, off the workers, with a small memory.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::sync::{LazyLock, MutexGuard};
use std::time::{Duration, Instant};

use crate::green::runtime::blocking::blocking;
use crate::lock::Lock;

/// The addresses of `host`, each with `port`, in the order the system gives them; never none.
///
/// An address as text is itself, a link-local one with its zone (`fe80::1%eth0`). A name is asked of the system by
/// [`blocking`], so that its worker runs on, and its addresses are remembered for thirty seconds (of 256
/// names at most); failures are not.
///
/// # Errors
///
/// Those of the system; `NotFound` if the name has no address.
///
/// # Examples
///
/// ```
/// use zinx::green;
///
/// let found = green::run(|| green::resolve("127.0.0.1", 80)).unwrap();
/// assert_eq!(found, ["127.0.0.1:80".parse().unwrap()]);
/// ```
#[doc(alias = "getaddrinfo")]
#[doc(alias = "gethostbyname")]
#[doc(alias = "Resolver")]
pub fn resolve(host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    if let Ok(address) = host.parse::<IpAddr>() {
        return Ok(vec![SocketAddr::new(address, port)]);
    }
    let remembered = memory().recall(host, Instant::now());
    let found = match remembered {
        Some(found) => found,
        None => ask(host)?,
    };
    let with_port = |mut address: SocketAddr| {
        address.set_port(port);
        address
    };
    Ok(found.into_iter().map(with_port).collect())
}

/// Whole addresses, for that of a link-local one names its zone.
fn ask(host: &str) -> io::Result<Vec<SocketAddr>> {
    let name = host.to_string();
    let found = blocking(move || (name, 0).to_socket_addrs().map(Vec::from_iter))?;
    if found.is_empty() {
        return Err(io::Error::new(io::ErrorKind::NotFound, format!("{host} has no address")));
    }
    memory().remember(host, &found, Instant::now());
    Ok(found)
}

/// What was asked recently.
#[derive(Default)]
struct Memory {
    names: HashMap<String, Remembered>,
}

struct Remembered {
    addresses: Vec<SocketAddr>,
    asked: Instant,
}

impl Memory {
    fn recall(&self, host: &str, now: Instant) -> Option<Vec<SocketAddr>> {
        let remembered = self.names.get(host).filter(|remembered| remembered.is_fresh(now))?;
        Some(remembered.addresses.clone())
    }

    fn remember(&mut self, host: &str, addresses: &[SocketAddr], now: Instant) {
        if self.names.len() >= MAX_NAMES {
            self.names.retain(|_, remembered| remembered.is_fresh(now));
        }
        if self.names.len() < MAX_NAMES {
            self.names.insert(host.to_string(), Remembered { addresses: addresses.to_vec(), asked: now });
        }
    }
}

impl Remembered {
    fn is_fresh(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.asked) < FRESH
    }
}

fn memory() -> MutexGuard<'static, Memory> {
    static MEMORY: LazyLock<Lock<Memory>> = LazyLock::new(Lock::default);
    MEMORY.lock()
}

/// Tries each address until one does; returns the last one's error.
pub(super) fn first_of<T>(
    addresses: Vec<SocketAddr>,
    attempt: impl Fn(SocketAddr) -> io::Result<T>,
) -> io::Result<T> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for address in addresses {
        match attempt(address) {
            Ok(done) => return Ok(done),
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// How long an answer is good for: the system does not say how long its source thinks it is.
const FRESH: Duration = Duration::from_secs(30);

/// Names remembered at most; others are looked up each time.
const MAX_NAMES: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_remembered_for_a_while() {
        let (mut memory, now) = (Memory::default(), Instant::now());
        let address = [SocketAddr::from(([10, 0, 0, 1], 0))];
        memory.remember("here", &address, now);
        assert_eq!(memory.recall("here", now + FRESH / 2).as_deref(), Some(&address[..]));
        assert_eq!(memory.recall("here", now + FRESH), None);
        assert_eq!(memory.recall("there", now), None);
    }

    #[test]
    fn the_memory_is_bounded_and_what_is_stale_makes_room() {
        let (mut memory, now) = (Memory::default(), Instant::now());
        (0..2 * MAX_NAMES).for_each(|n| memory.remember(&n.to_string(), &[], now));
        assert_eq!(memory.names.len(), MAX_NAMES);
        memory.remember("new", &[], now + FRESH);
        assert_eq!(memory.names.len(), 1);
    }
}
