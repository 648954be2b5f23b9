//! Rate limits: how many messages and bytes a second a connection, and all connections of an address, may send.

use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::lock::Lock;
use crate::zconf::{Config, OverRate};
use crate::znet::conn::addresses::network;
use crate::znet::conn::recent::Recent;

/// What may be sent in a second, and at most at once after a rest. 0 is no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rate {
    /// Messages.
    pub messages: u32,
    /// Bytes, heads included.
    pub bytes: u64,
}

/// The rate limits of a server. One read takes no more than a second's worth, of an address a sixteenth of that. What it
/// has brought is handled whole and paid for afterwards, so a debt is never longer than a second. If many connections of
/// an address send at once, each of them is still read from at least once a second.
#[derive(Clone, Copy, Debug)]
#[must_use]
pub struct RateLimits {
    over: OverRate,
    connection: Rate,
    address: Rate,
    addresses: usize,
}

impl RateLimits {
    /// No limits yet.
    pub const fn new(over: OverRate) -> Self {
        let none = Rate { messages: 0, bytes: 0 };
        Self { over, connection: none, address: none, addresses: 65_536 }
    }

    /// Those of the configuration.
    fn of(config: &Config) -> Self {
        let connection = Rate { messages: config.rate_messages, bytes: config.rate_bytes };
        let address = Rate { messages: config.rate_address_messages, bytes: config.rate_address_bytes };
        Self { over: config.over_rate, connection, address, addresses: config.rate_addresses }
    }

    /// Limits each connection.
    pub const fn per_connection(mut self, rate: Rate) -> Self {
        self.connection = rate;
        self
    }

    /// Limits all connections from one address (for IPv6, from one /64) together.
    pub const fn per_address(mut self, rate: Rate) -> Self {
        self.address = rate;
        self
    }

    /// How many addresses are remembered. Those not heard of for longest are forgotten first, and then begin rested.
    /// Default 65536.
    pub const fn addresses(mut self, addresses: usize) -> Self {
        self.addresses = addresses;
        self
    }
}

/// The limits, and how much each peer has used. The limits may change while peers send.
#[derive(Default)]
pub(crate) struct Rates {
    is_on: AtomicBool,
    closes: AtomicBool,
    connection: RateCell,
    address: RateCell,
    most_addresses: AtomicUsize,
    /// The program has set them itself.
    is_set_in_code: AtomicBool,
    addresses: Lock<Recent<Meter>>,
}

impl Rates {
    /// Sets the limits for the program. `false`, and nothing is set, the second time.
    pub(crate) fn set_in_code(&self, limits: RateLimits) -> bool {
        let is_first = !self.is_set_in_code.swap(true, Ordering::AcqRel);
        if is_first {
            self.set(limits);
        }
        is_first
    }

    /// Whether the program has set the limits.
    pub(crate) fn are_set_in_code(&self) -> bool {
        self.is_set_in_code.load(Ordering::Acquire)
    }

    /// Takes the limits of the configuration, unless the program has set its own.
    pub(crate) fn configure(&self, config: &Config) {
        if !self.are_set_in_code() {
            self.set(RateLimits::of(config));
        }
    }

    fn set(&self, limits: RateLimits) {
        let RateLimits { over, connection, address, addresses } = limits;
        self.closes.store(over == OverRate::Close, Ordering::Relaxed);
        self.connection.set(connection);
        self.address.set(address);
        self.most_addresses.store(addresses, Ordering::Relaxed);
        let is_on = connection != Rate::default() || address != Rate::default();
        self.is_on.store(is_on, Ordering::Release);
    }

    /// Whether there are limits.
    #[inline]
    pub(super) fn are_on(&self) -> bool {
        self.is_on.load(Ordering::Relaxed)
    }

    /// Whether a connection over its rate closes.
    pub(super) fn close(&self) -> bool {
        self.closes.load(Ordering::Relaxed)
    }

    /// Takes note of what has come. Returns how long to rest until the rate is kept again: zero if it is kept.
    pub(super) fn charge(
        &self,
        own: &Lock<Meter>,
        from: IpAddr,
        messages: usize,
        bytes: usize,
        now: Instant,
    ) -> Duration {
        let mut own = own.lock();
        let own = own.charge(self.connection.get(), messages, bytes, now);
        let shared = match self.address.get() {
            Rate { messages: 0, bytes: 0 } => Duration::ZERO,
            rate => self.charge_address(network(from), rate, messages, bytes, now),
        };
        own.max(shared)
    }

    /// Most bytes that one read may bring, so that no more messages come than may be handled at once. In a large frame,
    /// which is one message, only bytes count.
    pub(super) fn most_to_read(&self, head_len: usize, in_large_frame: bool) -> usize {
        let Rate { messages, bytes } = self.connection.get();
        let Rate { messages: shared_messages, bytes: shared_bytes } = self.address.get();
        let of_messages = |messages: usize| if in_large_frame { 0 } else { messages * head_len };
        let bounds = [
            of_messages(messages as usize),
            usize::try_from(bytes).unwrap_or(usize::MAX),
            of_messages((shared_messages as usize).div_ceil(SHARE)),
            usize::try_from(shared_bytes.div_ceil(SHARE as u64)).unwrap_or(usize::MAX),
        ];
        bounds.into_iter().filter(|bound| *bound > 0).min().map_or(usize::MAX, |most| most.max(head_len))
    }

    fn charge_address(
        &self,
        address: IpAddr,
        rate: Rate,
        messages: usize,
        bytes: usize,
        now: Instant,
    ) -> Duration {
        let most = self.most_addresses.load(Ordering::Relaxed);
        let mut addresses = self.addresses.lock();
        addresses.entry(address, most, Meter::default).charge(rate, messages, bytes, now)
    }
}

/// A rate that may change. Its two numbers are limits of their own.
#[derive(Default)]
struct RateCell {
    messages: AtomicU32,
    bytes: AtomicU64,
}

impl RateCell {
    fn get(&self) -> Rate {
        Rate { messages: self.messages.load(Ordering::Relaxed), bytes: self.bytes.load(Ordering::Relaxed) }
    }

    fn set(&self, rate: Rate) {
        self.messages.store(rate.messages, Ordering::Relaxed);
        self.bytes.store(rate.bytes, Ordering::Relaxed);
    }
}

/// What is left of a rate: two buckets, filled by time, emptied by what comes. Below nothing is debt, of a second at most.
#[derive(Default)]
pub(crate) struct Meter(Option<Level>);

struct Level {
    messages: f64,
    bytes: f64,
    at: Instant,
}

impl Meter {
    /// Returns how long it takes to pay the debt.
    fn charge(&mut self, rate: Rate, messages: usize, bytes: usize, now: Instant) -> Duration {
        let (max_messages, max_bytes) = (f64::from(rate.messages), rate.bytes as f64);
        let level = self.0.get_or_insert(Level { messages: max_messages, bytes: max_bytes, at: now });
        let passed = now.saturating_duration_since(level.at).as_secs_f64();
        level.at = now;
        level.messages = left(level.messages, max_messages, passed, messages);
        level.bytes = left(level.bytes, max_bytes, passed, bytes);
        time_to_pay(level.messages, max_messages).max(time_to_pay(level.bytes, max_bytes))
    }
}

fn left(level: f64, rate: f64, passed: f64, used: usize) -> f64 {
    ((level + passed * rate).min(rate) - used as f64).max(-rate)
}

fn time_to_pay(level: f64, rate: f64) -> Duration {
    if rate == 0.0 || level >= 0.0 { Duration::ZERO } else { Duration::from_secs_f64(-level / rate) }
}

/// One read takes at most this part of what an address may send in a second.
const SHARE: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: Rate = Rate { messages: 10, bytes: 1000 };

    fn made(limits: RateLimits) -> Rates {
        let rates = Rates::default();
        assert!(rates.set_in_code(limits) && !rates.set_in_code(limits));
        rates
    }

    #[test]
    fn a_second_s_worth_at_once_then_the_rate() {
        let (mut meter, begin) = (Meter::default(), Instant::now());
        assert_eq!(meter.charge(RATE, 10, 100, begin), Duration::ZERO);
        assert_eq!(meter.charge(RATE, 1, 100, begin), Duration::from_millis(100));
        let later = begin + Duration::from_millis(300);
        assert_eq!(meter.charge(RATE, 2, 0, later), Duration::ZERO);
        // However long the rest, no more than a second's worth is saved up.
        let much_later = begin + Duration::from_secs(3600);
        assert_eq!(meter.charge(RATE, 0, 1500, much_later), Duration::from_millis(500));
    }

    #[test]
    fn a_debt_is_never_longer_than_a_second() {
        let (mut meter, begin) = (Meter::default(), Instant::now());
        for _ in 0..100 {
            assert!(meter.charge(RATE, 1000, 100_000, begin) <= Duration::from_secs(1));
        }
        assert_eq!(meter.charge(RATE, 0, 0, begin + Duration::from_secs(1)), Duration::ZERO);
    }

    #[test]
    fn one_read_brings_no_more_than_may_be_handled() {
        let limits = RateLimits::new(OverRate::Wait).per_connection(RATE);
        let rates = made(limits);
        assert_eq!((rates.most_to_read(8, false), rates.most_to_read(8, true)), (80, 1000));
        let shared = made(limits.per_address(Rate { messages: 64, bytes: 0 }));
        assert_eq!((shared.most_to_read(8, false), shared.most_to_read(8, true)), (32, 1000));
        let none = made(RateLimits::new(OverRate::Wait));
        assert_eq!((none.most_to_read(8, false), none.most_to_read(8, true)), (usize::MAX, usize::MAX));
    }

    #[test]
    fn no_limit_is_never_a_rest() {
        let mut meter = Meter::default();
        assert_eq!(meter.charge(Rate::default(), 1 << 30, 1 << 30, Instant::now()), Duration::ZERO);
    }

    #[test]
    fn the_table_of_addresses_is_bounded_and_forgets_the_oldest() {
        let limits = RateLimits::new(OverRate::Wait).per_address(RATE).addresses(100);
        let (rates, now) = (made(limits), Instant::now());
        let charge = |n: u32| rates.charge_address(IpAddr::from(n.to_be_bytes()), RATE, 11, 0, now);
        assert!(charge(0) > Duration::ZERO);
        for n in 1..10_000 {
            charge(n);
            let held = rates.addresses.lock().len();
            assert!(held <= 100, "{held}");
            if n % 40 == 0 {
                assert!(charge(0) > Duration::from_millis(150), "still in debt: it has been heard of");
            }
        }
        assert_eq!(charge(1), Duration::from_millis(100), "forgotten, it began rested");
    }
}
