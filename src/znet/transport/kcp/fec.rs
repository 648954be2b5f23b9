//! Forward error correction as kcp-go does it: behind so many datagrams follow so many with their Reed-Solomon parity, from which
//! lost ones are computed.
//!
//! Each has a head of 6 bytes: a number, and whether it is one of data or parity. Behind it a datagram of data says how long it
//! is, and that is part of what the parity is computed of; shorter ones count as if filled up with zeros.

use std::collections::VecDeque;
use std::sync::Arc;

use reed_solomon_erasure::galois_8::ReedSolomon;

/// The parity of one number of data and parity shards. All conversations of a link share it.
pub(super) struct Fec {
    codec: ReedSolomon,
    data: usize,
    parity: usize,
}

/// A datagram with such a head.
#[derive(Clone, Copy)]
pub(super) enum Shard<'a> {
    /// What was sent, and the same with its length in front.
    Data {
        number: u32,
        datagram: &'a [u8],
        sized: &'a [u8],
    },
    Parity {
        number: u32,
        bytes: &'a [u8],
    },
}

/// Makes the parity of what is sent.
pub(super) struct Encoder {
    fec: Arc<Fec>,
    next: u32,
    /// Datagrams of data in the group that has begun.
    count: usize,
    /// Their parity, as long as the longest of them.
    parity: Vec<Vec<u8>>,
}

/// Computes what was lost, as far as it can be.
pub(super) struct Decoder {
    fec: Arc<Fec>,
    /// The latest ones, as they began to come.
    groups: VecDeque<Group>,
}

/// Datagrams whose parity is computed together.
struct Group {
    /// The number of its first one.
    first: u32,
    shards: Vec<Option<Vec<u8>>>,
    count: usize,
    /// All its data is there.
    is_whole: bool,
}

impl Fec {
    /// `None` if there can be no such parity.
    pub(super) fn new(data: usize, parity: usize) -> Option<Arc<Self>> {
        ReedSolomon::new(data, parity).ok().map(|codec| Arc::new(Self { codec, data, parity }))
    }

    fn shards(&self) -> u32 {
        u32::try_from(self.data + self.parity).unwrap_or(u32::MAX)
    }

    /// Behind the last number comes 0, so that each group begins at a multiple of its length.
    fn end(&self) -> u32 {
        u32::MAX / self.shards() * self.shards()
    }

    /// The number for a datagram that belongs to no conversation: one that no conversation reaches.
    pub(super) fn last_group(&self) -> u32 {
        self.end() - self.shards()
    }
}

impl<'a> Shard<'a> {
    /// `None` if it is none.
    pub(super) fn parse(datagram: &'a [u8]) -> Option<Self> {
        let (head, rest) = datagram.split_first_chunk::<6>()?;
        let number = u32::from_le_bytes([head[0], head[1], head[2], head[3]]);
        match u16::from_le_bytes([head[4], head[5]]) {
            DATA => {
                let (len, behind) = rest.split_first_chunk::<2>()?;
                let is_right = usize::from(u16::from_le_bytes(*len)) == rest.len();
                is_right.then_some(Self::Data { number, datagram: behind, sized: rest })
            }
            PARITY => Some(Self::Parity { number, bytes: rest }),
            _ => None,
        }
    }
}

/// Writes the head of a datagram of data to its first [`FEC_HEAD_BYTES`].
pub(super) fn put_head(datagram: &mut [u8], number: u32) {
    let len = u16::try_from(datagram.len() - 6).unwrap_or(u16::MAX);
    datagram[..4].copy_from_slice(&number.to_le_bytes());
    datagram[4..6].copy_from_slice(&DATA.to_le_bytes());
    datagram[6..8].copy_from_slice(&len.to_le_bytes());
}

impl Encoder {
    pub(super) fn new(fec: &Arc<Fec>) -> Self {
        Self { fec: Arc::clone(fec), next: 0, count: 0, parity: vec![Vec::new(); fec.parity] }
    }

    /// Sends a datagram, before which there is room for the head, and behind the last of a group its parity.
    pub(super) fn send(&mut self, datagram: &mut [u8], send: &mut dyn FnMut(&[u8])) {
        put_head(datagram, self.take_number());
        send(datagram);
        self.note(&datagram[6..]);
        self.count += 1;
        if self.count < self.fec.data {
            return;
        }
        self.count = 0;
        for mut parity in std::mem::replace(&mut self.parity, vec![Vec::new(); self.fec.parity]) {
            let mut shard = Vec::with_capacity(6 + parity.len());
            shard.extend_from_slice(&self.take_number().to_le_bytes());
            shard.extend_from_slice(&PARITY.to_le_bytes());
            shard.append(&mut parity);
            send(&shard);
        }
    }

    fn take_number(&mut self) -> u32 {
        let number = self.next;
        self.next = (number + 1) % self.fec.end();
        number
    }

    /// Adds what a datagram has to do with the parity.
    fn note(&mut self, sized: &[u8]) {
        for parity in &mut self.parity {
            parity.resize(parity.len().max(sized.len()), 0);
        }
        let mut parts: Vec<_> = self.parity.iter_mut().map(|parity| &mut parity[..sized.len()]).collect();
        // It fails only for lengths that differ, and shards that there are not.
        let _ = self.fec.codec.encode_single_sep(self.count, sized, &mut parts);
    }
}

impl Decoder {
    pub(super) fn new(fec: &Arc<Fec>) -> Self {
        Self { fec: Arc::clone(fec), groups: VecDeque::new() }
    }

    /// Notes one that has come. Returns those that were lost and can be computed now.
    pub(super) fn take(&mut self, shard: Shard<'_>) -> Vec<Vec<u8>> {
        let (number, bytes, is_data) = match shard {
            Shard::Data { number, sized, .. } => (number, sized, true),
            Shard::Parity { number, bytes } => (number, bytes, false),
        };
        let at = (number % self.fec.shards()) as usize;
        if is_data != (at < self.fec.data) {
            return Vec::new();
        }
        let fec = Arc::clone(&self.fec);
        let group = self.group_of(number - number % fec.shards());
        if group.is_whole || group.shards[at].is_some() {
            return Vec::new();
        }
        group.shards[at] = Some(bytes.to_vec());
        group.count += 1;
        if group.shards[..fec.data].iter().all(Option::is_some) {
            group.close();
        } else if group.count >= fec.data {
            let lost: Vec<_> = (0..fec.data).filter(|at| group.shards[*at].is_none()).collect();
            if !group.is_even(fec.data) {
                group.close();
                return Vec::new();
            }
            group.fill_up();
            let computed = fec.codec.reconstruct_data(&mut group.shards).is_ok();
            let found = lost.iter().filter_map(|at| group.shards[*at].take());
            let found = found.filter_map(cut_to_size).collect();
            group.close();
            return if computed { found } else { Vec::new() };
        }
        Vec::new()
    }

    fn group_of(&mut self, first: u32) -> &mut Group {
        let known = self.groups.iter().position(|group| group.first == first);
        let at = known.unwrap_or_else(|| {
            if self.groups.len() == GROUPS {
                self.groups.pop_front();
            }
            let shards = vec![None; self.fec.data + self.fec.parity];
            self.groups.push_back(Group { first, shards, count: 0, is_whole: false });
            self.groups.len() - 1
        });
        &mut self.groups[at]
    }
}

impl Group {
    /// Whether all parity is as long as the longest of all: it is made so.
    fn is_even(&self, data: usize) -> bool {
        let longest = self.shards.iter().flatten().map(Vec::len).max();
        self.shards[data..].iter().flatten().all(|parity| Some(parity.len()) == longest)
    }

    fn fill_up(&mut self) {
        let longest = self.shards.iter().flatten().map(Vec::len).max().unwrap_or_default();
        self.shards.iter_mut().flatten().for_each(|shard| shard.resize(longest, 0));
    }

    fn close(&mut self) {
        self.is_whole = true;
        self.shards = Vec::new();
    }
}

/// The datagram in what was computed. `None` if its length cannot be.
fn cut_to_size(mut sized: Vec<u8>) -> Option<Vec<u8>> {
    let len = usize::from(u16::from_le_bytes([*sized.first()?, *sized.get(1)?]));
    if len < 2 || len > sized.len() {
        return None;
    }
    sized.truncate(len);
    sized.drain(..2);
    Some(sized)
}

const DATA: u16 = 0xf1;
const PARITY: u16 = 0xf2;

/// Before the segments in a datagram of data.
pub(super) const FEC_HEAD_BYTES: usize = 8;

/// Groups of which datagrams are kept at a time.
const GROUPS: usize = 3;

#[cfg(test)]
mod tests {
    use super::*;

    /// All that is sent for these datagrams.
    fn encode(fec: &Arc<Fec>, datagrams: &[Vec<u8>]) -> Vec<Vec<u8>> {
        let (mut encoder, mut sent) = (Encoder::new(fec), Vec::new());
        for datagram in datagrams {
            let mut with_head = vec![0; FEC_HEAD_BYTES];
            with_head.extend_from_slice(datagram);
            encoder.send(&mut with_head, &mut |bytes| sent.push(bytes.to_vec()));
        }
        sent
    }

    fn datagrams(count: usize) -> Vec<Vec<u8>> {
        (0..count).map(|n| (0..24 + n * 37 % 500).map(|at| (at * 7 + n) as u8).collect()).collect()
    }

    #[test]
    fn any_three_of_thirteen_may_be_lost() {
        let fec = Fec::new(10, 3).unwrap();
        let sent = encode(&fec, &datagrams(20));
        assert_eq!(sent.len(), 26);
        for one in 0..13 {
            for other in 0..13 {
                let lost = [one, other, 12 - one];
                let mut decoder = Decoder::new(&fec);
                let mut found = Vec::new();
                for (at, datagram) in sent.iter().enumerate() {
                    if lost.contains(&(at % 13)) {
                        continue;
                    }
                    let shard = Shard::parse(datagram).unwrap();
                    if let Shard::Data { datagram, .. } = shard {
                        found.push(datagram.to_vec());
                    }
                    found.extend(decoder.take(shard));
                    assert_eq!(decoder.take(shard), Vec::<Vec<u8>>::new());
                }
                found.sort();
                let mut all = datagrams(20);
                all.sort();
                assert!(found == all, "{lost:?}");
            }
        }
    }

    #[test]
    fn what_is_no_shard_or_cannot_be_is_dropped() {
        let fec = Fec::new(2, 1).unwrap();
        let sent = encode(&fec, &datagrams(2));
        for cut in 0..8 {
            let parsed = Shard::parse(&sent[0][..cut]);
            assert!(parsed.is_none(), "{cut}");
        }
        let mut decoder = Decoder::new(&fec);
        // Parity where data should be, groups that never end, and parity of something else.
        assert!(decoder.take(Shard::Parity { number: 0, bytes: &[1] }).is_empty());
        for number in (0..300).step_by(3) {
            assert!(decoder.take(Shard::Data { number, datagram: &[], sized: &[2, 0] }).is_empty());
            assert!(decoder.groups.len() <= GROUPS);
        }
        assert!(decoder.take(Shard::Parity { number: 299, bytes: &[7, 9, 9] }).is_empty());
        assert!(Fec::new(200, 100).is_none());
    }
}
