//! What we send in a conversation of KCP: in flight until it is acknowledged, and sent again in time.

use std::collections::VecDeque;

use super::congestion::Congestion;
use super::datagrams::Datagrams;
use super::options::KcpOptions;
use super::segments::{Command, Segment, earlier, since};

/// The sending half of a conversation. It holds one window of segments, and more behind it, as a socket of the system does.
pub(super) struct Sender {
    /// Bytes in a segment at most.
    mss: usize,
    /// Segments held at most.
    capacity: usize,
    /// Our window, and that of the peer, in segments.
    window: u16,
    remote: u16,
    /// Not sent yet.
    queue: VecDeque<Vec<u8>>,
    /// Sent. The first has the number `una`, and each the next.
    flying: VecDeque<Flying>,
    una: u32,
    next: u32,
    rtt: Rtt,
    congestion: Option<Congestion>,
    no_delay: bool,
    /// So many later ones acknowledged, and a segment is sent again; 0: never.
    skips: u32,
    /// At least one has been skipped so often.
    has_skipped: bool,
    /// When the next one is to be sent again.
    due: Option<u32>,
}

/// A segment in flight.
struct Flying {
    /// None once it is acknowledged.
    data: Option<Vec<u8>>,
    /// When it was sent last.
    ts: u32,
    rto: u32,
    again_at: u32,
    skipped: u32,
    times: u32,
}

/// How long acknowledgements take.
struct Rtt {
    smooth: u32,
    varies: u32,
    rto: u32,
    least: u32,
    /// The acknowledgements may wait so long at the peer.
    interval: u32,
}

impl Sender {
    pub(super) fn new(options: &KcpOptions) -> Self {
        Self {
            mss: options.mss(),
            capacity: usize::from(options.send_window).max(SEND_BUFFER_BYTES / options.mss()),
            window: options.send_window,
            remote: FIRST_REMOTE_WINDOW,
            queue: VecDeque::new(),
            flying: VecDeque::new(),
            una: 0,
            next: 0,
            rtt: Rtt::new(options),
            congestion: options.congestion.then(|| Congestion::new(options.mss())),
            no_delay: options.no_delay,
            skips: options.resend,
            has_skipped: false,
            due: None,
        }
    }

    #[cfg(test)]
    pub(super) const fn begin_at(&mut self, sn: u32) {
        (self.una, self.next) = (sn, sn);
    }

    /// How many segments may be added.
    pub(super) fn room(&self) -> usize {
        self.capacity.saturating_sub(self.queue.len() + self.flying.len())
    }

    /// Whether nothing waits, to be sent or to be acknowledged.
    pub(super) fn is_empty(&self) -> bool {
        self.queue.is_empty() && self.flying.is_empty()
    }

    /// Whether so much may be added that it pays to go on.
    pub(super) fn has_much_room(&self) -> bool {
        self.room() * 2 >= self.capacity
    }

    /// Whether something waits to leave for the first time.
    pub(super) fn has_queued(&self) -> bool {
        !self.queue.is_empty()
    }

    /// Whether something can leave that is not due yet.
    pub(super) fn is_pressed(&self) -> bool {
        self.has_skipped
            || self.has_queued() && since(self.next, self.una.wrapping_add(self.now_in_flight().into())) < 0
    }

    /// How much may be in flight now, in segments.
    fn now_in_flight(&self) -> u16 {
        let both = self.window.min(self.remote);
        self.congestion.as_ref().map_or(both, |congestion| congestion.window().min(both))
    }

    /// The number of the first segment that will not be there, if no more is added.
    pub(super) fn end(&self) -> u32 {
        self.next.wrapping_add(u32::try_from(self.queue.len()).unwrap_or_default())
    }

    /// The peer takes nothing.
    pub(super) const fn is_shut_out(&self) -> bool {
        self.remote == 0
    }

    /// When something is to be done.
    pub(super) const fn due(&self) -> Option<u32> {
        self.due
    }

    /// How long acknowledgements take, in milliseconds; 0 before the first.
    #[cfg(any(feature = "admin", test))]
    pub(super) const fn round_trip(&self) -> u32 {
        self.rtt.smooth
    }

    /// Adds what there is room for. Returns how many bytes that was. `joins`: to the end of the last one, if that has not left.
    pub(super) fn add(&mut self, mut bytes: &[u8], joins: bool) -> usize {
        let before = bytes.len();
        if joins
            && let Some(last) = self.queue.back_mut()
            && last.len() < self.mss
        {
            let (now, later) = bytes.split_at(bytes.len().min(self.mss - last.len()));
            last.extend_from_slice(now);
            bytes = later;
        }
        while !bytes.is_empty() && self.room() > 0 {
            let (now, later) = bytes.split_at(bytes.len().min(self.mss));
            self.queue.push_back(now.to_vec());
            bytes = later;
        }
        before - bytes.len()
    }

    /// Throws away what has not arrived.
    pub(super) fn discard(&mut self) {
        (self.queue, self.flying) = (VecDeque::new(), VecDeque::new());
        (self.una, self.due) = (self.next, None);
    }

    pub(super) const fn set_remote_window(&mut self, window: u16) {
        self.remote = window;
    }

    /// The peer has all before `una`.
    pub(super) fn take_una(&mut self, una: u32) {
        let Ok(known) = usize::try_from(since(una, self.una)) else { return };
        // It cannot have what was not sent.
        if known <= self.flying.len() {
            self.flying.drain(..known);
            self.una = una;
            self.settle();
        }
    }

    /// The peer has this one, and repeats when it was sent. It says how long that took, if we did not know yet that it has come.
    pub(super) fn take_time(&mut self, sn: u32, ts: u32, now: u32) {
        let at = usize::try_from(since(sn, self.una)).ok();
        if at.and_then(|at| self.flying.get(at)).is_some_and(|flying| flying.data.is_some()) {
            self.rtt.note(since(now, ts));
        }
    }

    /// The peer has this one, which was sent at `ts`.
    pub(super) fn take_ack(&mut self, sn: u32, ts: u32) {
        let Ok(at) = usize::try_from(since(sn, self.una)) else { return };
        let Some(flying) = self.flying.get_mut(at) else { return };
        flying.data = None;
        for earlier in self.flying.iter_mut().take(at).filter(|earlier| earlier.data.is_some()) {
            if since(ts, earlier.ts) >= 0 {
                earlier.skipped += 1;
                self.has_skipped |= self.skips > 0 && earlier.skipped >= self.skips;
            }
        }
        self.settle();
    }

    /// Lets those go that have been acknowledged, from the first on.
    fn settle(&mut self) {
        while self.flying.front().is_some_and(|first| first.data.is_none()) {
            self.flying.pop_front();
            self.una = self.una.wrapping_add(1);
        }
        if self.flying.is_empty() {
            (self.flying, self.due) = (VecDeque::new(), None);
        }
    }

    /// One datagram has been taken in, before which `una` was so.
    pub(super) const fn note_progress(&mut self, una: u32) {
        if let Some(congestion) = &mut self.congestion
            && since(self.una, una) > 0
        {
            congestion.grow(self.remote);
        }
    }

    pub(super) const fn una(&self) -> u32 {
        self.una
    }

    /// Sends new segments as far as the windows allow, and repeats those that are due. `bare` has the fields that all heads share.
    pub(super) fn flush(&mut self, now: u32, bare: &Segment<'_>, out: &mut Datagrams<'_>) {
        if self.has_skipped || self.due.is_some_and(|due| since(now, due) >= 0) {
            self.send_again(now, bare, out);
        }
        let end = self.una.wrapping_add(self.now_in_flight().into());
        while since(self.next, end) < 0
            && let Some(data) = self.queue.pop_front()
        {
            let rto = self.rtt.rto;
            let slack = if self.no_delay { 0 } else { rto / 8 };
            let again_at = now.wrapping_add(rto + slack);
            out.put(&Segment { command: Command::Push, ts: now, sn: self.next, data: &data, ..*bare });
            self.flying.push_back(Flying { data: Some(data), ts: now, rto, again_at, skipped: 0, times: 1 });
            self.next = self.next.wrapping_add(1);
            self.due = Some(self.due.map_or(again_at, |due| earlier(due, again_at)));
        }
        if self.queue.is_empty() {
            self.queue = VecDeque::new();
        }
    }

    fn send_again(&mut self, now: u32, bare: &Segment<'_>, out: &mut Datagrams<'_>) {
        let (mut lost, mut skipped, mut due) = (false, false, None);
        for (flying, ahead) in self.flying.iter_mut().zip(0_u32..) {
            let Some(data) = &flying.data else { continue };
            let is_due = since(now, flying.again_at) >= 0;
            let is_skipped = self.skips > 0 && flying.skipped >= self.skips && flying.times <= FAST_AT_MOST;
            if is_due {
                let step = if self.no_delay { flying.rto / 2 } else { flying.rto.max(self.rtt.rto) };
                flying.rto = (flying.rto + step).min(LONGEST_RTO);
            }
            if is_due || is_skipped {
                (lost, skipped) = (lost || is_due, skipped || !is_due);
                (flying.ts, flying.skipped, flying.times) = (now, 0, flying.times.saturating_add(1));
                flying.again_at = now.wrapping_add(flying.rto);
                let sn = self.una.wrapping_add(ahead);
                out.put(&Segment { command: Command::Push, ts: now, sn, data, ..*bare });
            }
            due = Some(due.map_or(flying.again_at, |due| earlier(due, flying.again_at)));
        }
        (self.due, self.has_skipped) = (due, false);
        if let Some(congestion) = &mut self.congestion {
            let in_flight = self.next.wrapping_sub(self.una);
            congestion.shrink(lost, skipped, in_flight, self.skips);
        }
    }
}

impl Rtt {
    fn new(options: &KcpOptions) -> Self {
        let least = if options.no_delay { 30 } else { 100 };
        Self { smooth: 0, varies: 0, rto: FIRST_RTO, least, interval: options.interval }
    }

    /// An acknowledgement has taken so many milliseconds. Others than ours would be a mistake or an attack.
    fn note(&mut self, millis: i32) {
        let Ok(millis) = u32::try_from(millis) else { return };
        if millis > LONGEST_RTT {
            return;
        }
        if self.smooth == 0 {
            (self.smooth, self.varies) = (millis.max(1), millis / 2);
        } else {
            self.varies = (3 * self.varies + millis.abs_diff(self.smooth)) / 4;
            self.smooth = ((7 * self.smooth + millis) / 8).max(1);
        }
        let rto = self.smooth + self.interval.max(4 * self.varies);
        self.rto = rto.clamp(self.least, LONGEST_RTO);
    }
}

/// As much is taken before it fits the window.
const SEND_BUFFER_BYTES: usize = 256 * 1024;

/// What a peer takes until it has said how much, as in every KCP.
const FIRST_REMOTE_WINDOW: u16 = 128;

/// In milliseconds.
const FIRST_RTO: u32 = 200;
const LONGEST_RTO: u32 = 5_000;
const LONGEST_RTT: u32 = 60_000;

/// So often a segment is sent again because later ones have come; then only in time.
const FAST_AT_MOST: u32 = 5;
