//! What the system says of the server's process.

use std::fs;
use std::time::{Duration, Instant};

pub struct Server(pub u32);

impl Server {
    /// Processor time of all its threads that are alive.
    pub fn cpu(&self) -> Duration {
        let Ok(threads) = fs::read_dir(format!("/proc/{}/task", self.0)) else { return Duration::ZERO };
        let nanos = threads.flatten().filter_map(|thread| {
            let stat = fs::read_to_string(thread.path().join("schedstat")).ok()?;
            stat.split_whitespace().next()?.parse::<u64>().ok()
        });
        Duration::from_nanos(nanos.sum())
    }

    /// Resident bytes.
    pub fn resident(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.0)).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok()).unwrap_or(0) * 1024
    }

    pub fn memory_maps(&self) -> usize {
        fs::read_to_string(format!("/proc/{}/maps", self.0)).map_or(0, |maps| maps.lines().count())
    }

    pub fn stopwatch(&self) -> Stopwatch<'_> {
        Stopwatch { server: self, cpu: self.cpu(), begin: Instant::now() }
    }
}

/// A stretch of time, and what the server does in it.
pub struct Stopwatch<'a> {
    server: &'a Server,
    cpu: Duration,
    begin: Instant,
}

impl Stopwatch<'_> {
    pub fn elapsed(&self) -> Duration {
        self.begin.elapsed()
    }

    pub fn cpu(&self) -> Duration {
        self.server.cpu().saturating_sub(self.cpu)
    }
}
