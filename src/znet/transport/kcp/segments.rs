//! Segments of KCP as they are on the wire: a head of 24 bytes each, and several in a datagram.
//!
//! Four commands are those of every KCP; three are ours, which other peers do not know and ignore.

/// What a segment is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Command {
    /// Carries bytes.
    Push,
    /// Says that one has come.
    Ack,
    /// Asks how much the peer takes.
    Ask,
    /// Answers that.
    Tell,
    /// The stream ends before this number.
    End,
    /// Says that the end has come.
    EndAck,
    /// There is no such conversation, or none any more.
    Reset,
}

/// A segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Segment<'a> {
    pub(super) conv: u32,
    pub(super) command: Command,
    /// How many segments the sender takes.
    pub(super) window: u16,
    /// When a `Push` was sent, by the clock of its sender. An `Ack` repeats it.
    pub(super) ts: u32,
    pub(super) sn: u32,
    /// All before this number has come.
    pub(super) una: u32,
    pub(super) data: &'a [u8],
}

/// The segments of a datagram, all of which are well formed and of one conversation.
#[derive(Clone, Copy)]
pub(super) struct Segments<'a> {
    rest: &'a [u8],
    pub(super) conv: u32,
}

impl Command {
    const fn byte(self) -> u8 {
        match self {
            Self::Push => 81,
            Self::Ack => 82,
            Self::Ask => 83,
            Self::Tell => 84,
            Self::End => 101,
            Self::EndAck => 102,
            Self::Reset => 103,
        }
    }

    fn of(byte: u8) -> Option<Self> {
        ALL.into_iter().find(|command| command.byte() == byte)
    }
}

impl<'a> Segment<'a> {
    /// One that says nothing but its command.
    pub(super) const fn bare(conv: u32, command: Command) -> Self {
        Self { conv, command, window: 0, ts: 0, sn: 0, una: 0, data: &[] }
    }

    pub(super) const fn bytes(&self) -> usize {
        HEAD_BYTES + self.data.len()
    }

    /// Writes it to the front of `room`, which has room for it.
    pub(super) fn put(&self, room: &mut [u8]) {
        let len = u32::try_from(self.data.len()).unwrap_or_default();
        room[..4].copy_from_slice(&self.conv.to_le_bytes());
        // Behind the command: how many fragments follow, for messages of several segments. Ours are frames, which say how long
        // they are.
        room[4..6].copy_from_slice(&[self.command.byte(), 0]);
        room[6..8].copy_from_slice(&self.window.to_le_bytes());
        for (at, number) in [(8, self.ts), (12, self.sn), (16, self.una), (20, len)] {
            room[at..at + 4].copy_from_slice(&number.to_le_bytes());
        }
        room[HEAD_BYTES..self.bytes()].copy_from_slice(self.data);
    }

    /// Takes the first one of `bytes`, and returns what is behind it.
    fn take(bytes: &'a [u8]) -> Option<(Self, &'a [u8])> {
        let (head, rest) = bytes.split_first_chunk::<HEAD_BYTES>()?;
        let number = |at: usize| u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
        let (data, rest) = rest.split_at_checked(usize::try_from(number(20)).ok()?)?;
        let segment = Self {
            conv: number(0),
            command: Command::of(head[4])?,
            window: u16::from_le_bytes([head[6], head[7]]),
            ts: number(8),
            sn: number(12),
            una: number(16),
            data,
        };
        Some((segment, rest))
    }
}

impl<'a> Segments<'a> {
    /// `None` if anything in the datagram is not as it should be.
    pub(super) fn parse(datagram: &'a [u8]) -> Option<Self> {
        let (first, mut rest) = Segment::take(datagram)?;
        while !rest.is_empty() {
            let (segment, behind) = Segment::take(rest)?;
            if segment.conv != first.conv {
                return None;
            }
            rest = behind;
        }
        Some(Self { rest: datagram, conv: first.conv })
    }
}

impl<'a> Iterator for Segments<'a> {
    type Item = Segment<'a>;

    fn next(&mut self) -> Option<Segment<'a>> {
        let (segment, rest) = Segment::take(self.rest)?;
        self.rest = rest;
        Some(segment)
    }
}

/// How far `later` is behind `earlier`: numbers and times begin again after the last.
pub(super) const fn since(later: u32, earlier: u32) -> i32 {
    later.wrapping_sub(earlier).cast_signed()
}

/// Whichever time comes first.
pub(super) const fn earlier(one: u32, other: u32) -> u32 {
    if since(one, other) <= 0 { one } else { other }
}

const ALL: [Command; 7] =
    [Command::Push, Command::Ack, Command::Ask, Command::Tell, Command::End, Command::EndAck, Command::Reset];

pub(super) const HEAD_BYTES: usize = 24;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_datagram_is_read_as_it_was_written_and_refused_if_it_is_cut_anywhere() {
        let push = Segment {
            conv: 7,
            command: Command::Push,
            window: 32,
            ts: 1,
            sn: u32::MAX,
            una: 2,
            data: b"abc",
        };
        let segments =
            [push, Segment { sn: 9, ..Segment::bare(7, Command::Ack) }, Segment { data: b"", ..push }];
        let mut datagram = vec![0; segments.iter().map(Segment::bytes).sum()];
        let mut at = 0;
        let mut ends = Vec::new();
        for segment in &segments {
            segment.put(&mut datagram[at..]);
            at += segment.bytes();
            ends.push(at);
        }
        let read: Vec<_> = Segments::parse(&datagram).unwrap().collect();
        assert_eq!(read, segments);
        for cut in 0..datagram.len() {
            assert_eq!(Segments::parse(&datagram[..cut]).is_some(), ends.contains(&cut), "{cut}");
        }
        for (at, wrong) in [(0, 8), (4, 80), (23, 255)] {
            let mut bad = datagram.clone();
            bad[at] = wrong;
            assert!(Segments::parse(&bad).is_none(), "{at}");
        }
    }

    #[test]
    fn numbers_begin_again_after_the_last() {
        assert_eq!((since(2, u32::MAX), since(u32::MAX, 2), since(5, 5)), (3, -3, 0));
    }
}
