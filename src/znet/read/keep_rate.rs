//! Keeping the rate: a connection whose peer sends too fast rests.

use super::rate::{RateLimits, Rates};
use crate::error::{Error, Result};
use crate::green::{Readiness, is_unwinding};
use crate::zconf::{Config, OverRate};
use crate::ziface::{CloseReason, IConnection};
use crate::znet::conn::connection::Connection;
use crate::znet::server::server::Server;
use crate::znet::transport::Transport;
use std::time::{Duration, Instant};

impl Server {
    /// Limits what peers may send, in place of the keys `RateMessages` and so on. Off by default; then nothing is counted.
    ///
    /// # Errors
    ///
    /// [`Error::AlreadyStarted`] the second time.
    ///
    /// # Examples
    ///
    /// ```
    /// use zinx::prelude::*;
    /// use zinx::znet::{OverRate, Rate, RateLimits};
    ///
    /// # fn set_up(server: &Server) -> zinx::Result<()> {
    /// let limits = RateLimits::new(OverRate::Wait)
    ///     .per_connection(Rate { messages: 100, bytes: 64 * 1024 })
    ///     .per_address(Rate { messages: 1000, bytes: 0 });
    /// server.set_rate_limits(limits)
    /// # }
    /// ```
    pub fn set_rate_limits(&self, limits: RateLimits) -> Result<()> {
        let set = self.core().talk().rates.set(Rates::new(limits));
        set.map_err(|_| Error::AlreadyStarted { what: "set the rate limits" })
    }

    /// Takes the limits of the configuration, where there are any and the program has set none.
    pub(crate) fn take_rate_limits(&self, config: &Config) {
        if let Some(limits) = RateLimits::of(config) {
            self.core().talk().rates.get_or_init(|| Rates::new(limits));
        }
    }
}

impl Connection {
    /// Where there are limits: pays for what has come, and rests until it is paid, at most for a second, or the
    /// connection is to close. Once the peer has hung up nobody rests any more, so its place is soon free. Returns whether
    /// it has rested.
    pub(crate) fn keep_rate(&self, transport: &Transport, messages: usize, bytes: usize) -> bool {
        let Some(rates) = self.core().talk().rates.get() else { return false };
        let begin = Instant::now();
        let mut end = begin + rates.charge(self.meter(), self.get_remote_addr().ip(), messages, bytes, begin);
        if end == begin {
            return false;
        }
        if rates.limits.over == OverRate::Close {
            self.stop_because(CloseReason::RateLimited);
            return false;
        }
        let latest = begin + LONGEST_REST;
        while !self.is_stopping() && !is_unwinding() && !self.is_hung_up() {
            let now = Instant::now();
            if now >= end {
                // Others of its address may have used what there was meanwhile.
                end = (now + rates.charge(self.meter(), self.get_remote_addr().ip(), 0, 0, now)).min(latest);
                if now >= end {
                    break;
                }
            }
            let _alarm = transport.alarm(end);
            // As in a handler: nothing is read, and a writer watches a full socket.
            if transport.wait(Readiness::INTERRUPT.or(Readiness::HANGUP)).meets(Readiness::HANGUP) {
                self.ahead().hang_up();
            }
        }
        true
    }

    /// Most bytes that one read may bring.
    pub(crate) fn most_to_read(&self, in_large_frame: bool) -> usize {
        let Some(rates) = self.core().talk().rates.get() else { return usize::MAX };
        let head_len = self.core().decoder().map_or_else(|| self.core().pack().get_head_len(), |_| 1);
        rates.most_to_read(head_len, in_large_frame)
    }
}

/// How long a connection rests at most, whatever others of its address send.
const LONGEST_REST: Duration = Duration::from_secs(1);
