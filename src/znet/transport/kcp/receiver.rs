//! What a peer sends in a conversation of KCP: put in order, and acknowledged.

use std::collections::VecDeque;

use super::datagrams::Datagrams;
use super::segments::{Command, Segment, since};

/// The receiving half of a conversation. It holds two windows of segments at most.
pub(super) struct Receiver {
    window: u16,
    /// All segments before this one are in `ready`, or have been taken.
    wanted: u32,
    /// In order. Of the first, so many bytes have been taken.
    ready: VecDeque<Vec<u8>>,
    taken: usize,
    /// From `wanted` on, those that came too early.
    early: VecDeque<Option<Vec<u8>>>,
    /// Numbers and times to be acknowledged.
    acks: Vec<(u32, u32)>,
    /// The stream ends before this one.
    ends_before: Option<u32>,
    /// The peer is to be told that there is room again.
    pub(super) to_tell: bool,
}

impl Receiver {
    pub(super) fn new(window: u16) -> Self {
        Self {
            window,
            wanted: 0,
            ready: VecDeque::new(),
            taken: 0,
            early: VecDeque::new(),
            acks: Vec::new(),
            ends_before: None,
            to_tell: false,
        }
    }

    #[cfg(test)]
    pub(super) const fn begin_at(&mut self, sn: u32) {
        self.wanted = sn;
    }

    #[cfg(test)]
    pub(super) const fn acks(&self) -> usize {
        self.acks.len()
    }

    pub(super) const fn wanted(&self) -> u32 {
        self.wanted
    }

    /// How many segments the peer may send.
    pub(super) fn room(&self) -> u16 {
        self.window.saturating_sub(u16::try_from(self.ready.len()).unwrap_or(u16::MAX))
    }

    /// Takes a segment from the network.
    pub(super) fn take_push(&mut self, segment: &Segment<'_>) {
        let ahead = since(segment.sn, self.wanted);
        if ahead >= i32::from(self.window) {
            return;
        }
        self.acks.push((segment.sn, segment.ts));
        let Ok(ahead) = usize::try_from(ahead) else { return };
        while self.early.len() <= ahead {
            self.early.push_back(None);
        }
        self.early[ahead].get_or_insert_with(|| segment.data.to_vec());
        self.move_up();
    }

    /// Puts those that are no longer too early to those that are ready.
    fn move_up(&mut self) {
        while self.ready.len() < usize::from(self.window)
            && let Some(first) = self.early.front_mut()
            && let Some(data) = first.take()
        {
            self.early.pop_front();
            self.wanted = self.wanted.wrapping_add(1);
            if !data.is_empty() {
                self.ready.push_back(data);
            }
        }
        if self.early.is_empty() {
            self.early = VecDeque::new();
        }
    }

    /// The peer says where its stream ends.
    pub(super) fn take_end(&mut self, sn: u32) {
        if since(sn, self.wanted) >= 0 {
            self.ends_before.get_or_insert(sn);
        }
    }

    /// Moves bytes to the front of `buf`. Returns how many.
    pub(super) fn read(&mut self, buf: &mut [u8]) -> usize {
        let was_full = self.room() == 0;
        let mut n = 0;
        while n < buf.len()
            && let Some(first) = self.ready.front()
        {
            let rest = &first[self.taken..];
            let len = rest.len().min(buf.len() - n);
            buf[n..n + len].copy_from_slice(&rest[..len]);
            (n, self.taken) = (n + len, self.taken + len);
            if self.taken == first.len() {
                self.ready.pop_front();
                self.taken = 0;
            }
        }
        self.move_up();
        if self.ready.is_empty() {
            self.ready = VecDeque::new();
        }
        self.to_tell |= was_full && self.room() > 0;
        n
    }

    pub(super) fn is_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    /// Where the peer has said that its stream ends.
    pub(super) const fn end(&self) -> Option<u32> {
        self.ends_before
    }

    /// Whether the peer has ended its stream, and all of it has come.
    pub(super) fn has_ended(&self) -> bool {
        self.ends_before == Some(self.wanted)
    }

    /// Whether so many acknowledgements wait that they are to leave at once.
    pub(super) fn has_many_acks(&self) -> bool {
        self.acks.len() >= MANY_ACKS
    }

    /// Acknowledges what has come. `una` says so already for what is in order; of that, the last is enough.
    pub(super) fn acknowledge(&mut self, bare: &Segment<'_>, out: &mut Datagrams<'_>) {
        let last = self.acks.len().saturating_sub(1);
        for (at, (sn, ts)) in self.acks.iter().copied().enumerate() {
            if at == last || since(sn, self.wanted) >= 0 {
                out.put(&Segment { command: Command::Ack, sn, ts, ..*bare });
            }
        }
        self.acks = Vec::new();
    }
}

/// About as many as a datagram holds.
const MANY_ACKS: usize = 50;
