//! Connecting to a name that has several addresses, some of which may not answer.

use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::Arc;
use std::time::Duration;

use super::stream::TcpStream;
use crate::green::{Builder, Greenlet, Queue};

impl TcpStream {
    /// As [`connect`](Self::connect), at most for `limit`, the resolution of the name included.
    ///
    /// # Errors
    ///
    /// `TimedOut`, and those of [`connect`](Self::connect). `OutOfMemory` if there is no room for a coroutine.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    /// use zinx::green::{TcpListener, TcpStream};
    ///
    /// let listener = TcpListener::bind("127.0.0.1:0", 16)?;
    /// TcpStream::connect_timeout(listener.local_addr(), Duration::from_secs(5))?;
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn connect_timeout(
        address: impl ToSocketAddrs + Send + 'static,
        limit: Duration,
    ) -> io::Result<Self> {
        let connecting = Attempt(vec![Builder::new().name("connect").spawn(move || Self::connect(address))?]);
        if !connecting.0[0].join_timeout(limit) {
            return Err(io::ErrorKind::TimedOut.into());
        }
        connecting.into_first().unwrap_or_else(|| Err(io::ErrorKind::Interrupted.into()))
    }
}

/// Connects to the first of `addresses` that answers, one of each family in turn: the next is tried when one fails, or has
/// not answered for a while, and goes on beside it (RFC 8305, "happy eyeballs").
pub(super) fn connect_race(
    addresses: Vec<SocketAddr>,
    connect: fn(SocketAddr) -> io::Result<TcpStream>,
) -> io::Result<TcpStream> {
    let results = Arc::new(Queue::unbounded());
    let (mut attempts, mut failures) = (Attempt(Vec::new()), 0);
    let mut last = io::Error::from(io::ErrorKind::NotFound);
    let mut left = in_turn(addresses).into_iter().peekable();
    loop {
        if let Some(address) = left.next() {
            let results = Arc::clone(&results);
            let attempt = move || results.try_put(connect(address)).unwrap_or_default();
            attempts.0.push(Builder::new().name("connect").spawn(attempt)?);
        }
        let patience = if left.peek().is_some() { HEAD_START } else { Duration::MAX };
        match results.get_timeout(patience) {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) => {
                last = error;
                failures += 1;
                if failures == attempts.0.len() && left.peek().is_none() {
                    return Err(last);
                }
            }
            Err(_) if left.peek().is_none() => return Err(last),
            Err(_) => {}
        }
    }
}

/// The addresses of each family in turn, beginning with that of the first.
fn in_turn(addresses: Vec<SocketAddr>) -> Vec<SocketAddr> {
    let Some(first) = addresses.first().map(SocketAddr::is_ipv4) else { return Vec::new() };
    let (ours, others): (Vec<_>, Vec<_>) =
        addresses.into_iter().partition(|address| address.is_ipv4() == first);
    let (mut ours, mut others) = (ours.into_iter(), others.into_iter());
    let mut turns = Vec::new();
    loop {
        let before = turns.len();
        turns.extend(ours.next().into_iter().chain(others.next()));
        if turns.len() == before {
            return turns;
        }
    }
}

/// Coroutines that connect. Dropped, those that still do are ended, without waiting for that.
struct Attempt<T>(Vec<Greenlet<T>>);

impl<T> Attempt<T> {
    fn into_first(mut self) -> Option<T> {
        self.0.pop()?.get().ok()
    }
}

impl<T> Drop for Attempt<T> {
    fn drop(&mut self) {
        for attempt in &self.0 {
            attempt.kill_timeout(Duration::ZERO);
        }
    }
}

/// How long an address may take before the next is tried beside it.
const HEAD_START: Duration = Duration::from_millis(250);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_take_turns() {
        let address = |text: &str| text.parse::<SocketAddr>().unwrap();
        let six = ["[::1]:1", "[::2]:1", "[::3]:1"].map(address);
        let four = ["1.1.1.1:1", "2.2.2.2:1"].map(address);
        let all = [six.as_slice(), &four].concat();
        assert_eq!(in_turn(all), [six[0], four[0], six[1], four[1], six[2]]);
        assert_eq!(in_turn(four.to_vec()), four);
        assert_eq!(in_turn(Vec::new()), []);
    }
}
