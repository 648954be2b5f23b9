//! The frames by which a peer comes back, as `docs/wire.md` has them. Numbers are little-endian. Pure, no I/O.

use std::ops::RangeInclusive;
use std::time::Duration;

use bytes::{Buf, BufMut};

use super::token::{SECRET_BYTES, Secret};
use crate::ziface::ResumeRefusal;

/// To the server: asks for a token. Empty.
pub(super) const OPEN: u32 = 0xFFFF_FFF0;
/// To the server: [`Asked`].
pub(super) const RESUME: u32 = 0xFFFF_FFF1;
/// Both ways: how many frames have been received.
pub(super) const COUNT: u32 = 0xFFFF_FFF2;
/// Both ways: closing on purpose. Empty.
pub(super) const BYE: u32 = 0xFFFF_FFF3;
/// To the client: [`Granted`].
pub(super) const TOKEN: u32 = 0xFFFF_FFF4;
/// To the client: the reason, and the same in words.
pub(super) const REFUSED: u32 = 0xFFFF_FFF5;

/// The ids of all of them. Such frames are not counted.
pub(super) const IDS: RangeInclusive<u32> = OPEN..=REFUSED;

/// Which connection, and the proof that it is the peer's.
#[derive(Clone, Copy)]
pub(super) struct Token {
    /// The id of the connection, and in a cluster, above it, the mark of the node that issued the token.
    pub(super) address: u64,
    pub(super) secret: Secret,
}

/// The mark of the node and the id of the connection that an address names.
pub(crate) const fn parts_of(address: u64) -> (u64, u64) {
    (address >> CONN_BITS, address & ((1 << CONN_BITS) - 1))
}

/// What names a connection of the node with this mark.
pub(crate) const fn address(mark: u64, conn_id: u64) -> u64 {
    mark << CONN_BITS | conn_id
}

/// A peer that comes back.
pub(super) struct Asked {
    pub(super) token: Token,
    /// Frames it has received.
    pub(super) received: u64,
}

/// The answer to it, and to one that asks for its first token.
pub(super) struct Granted {
    /// For the next time.
    pub(super) token: Token,
    /// Frames the server has received.
    pub(super) received: u64,
    /// How long the connection waits for its peer, in whole milliseconds.
    pub(super) window: Duration,
}

impl Token {
    /// The mark of the node and the id of the connection.
    pub(super) const fn parts(&self) -> (u64, u64) {
        parts_of(self.address)
    }

    fn write(&self, to: &mut Vec<u8>) {
        to.put_u64_le(self.address);
        to.put_slice(&self.secret.0);
    }

    /// From bytes that are long enough.
    fn read(from: &mut &[u8]) -> Self {
        let address = from.get_u64_le();
        let mut secret = [0; SECRET_BYTES];
        from.copy_to_slice(&mut secret);
        Self { address, secret: Secret(secret) }
    }
}

impl Asked {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut data = Vec::with_capacity(TOKEN_BYTES + 8);
        self.token.write(&mut data);
        data.put_u64_le(self.received);
        data
    }

    pub(super) fn decode(mut data: &[u8]) -> Option<Self> {
        let is_whole = data.len() == TOKEN_BYTES + 8;
        is_whole.then(|| Self { token: Token::read(&mut data), received: data.get_u64_le() })
    }
}

impl Granted {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut data = Vec::with_capacity(TOKEN_BYTES + 12);
        self.token.write(&mut data);
        data.put_u64_le(self.received);
        data.put_u32_le(u32::try_from(self.window.as_millis()).unwrap_or(u32::MAX));
        data
    }

    pub(super) fn decode(mut data: &[u8]) -> Option<Self> {
        let is_whole = data.len() == TOKEN_BYTES + 12;
        is_whole.then(|| Self {
            token: Token::read(&mut data),
            received: data.get_u64_le(),
            window: Duration::from_millis(data.get_u32_le().into()),
        })
    }
}

pub(super) fn decode_count(data: &[u8]) -> Option<u64> {
    Some(u64::from_le_bytes(data.try_into().ok()?))
}

/// A peer without a token learns nothing of a connection, not even whether there is one.
pub(super) fn encode_refusal(why: ResumeRefusal) -> Vec<u8> {
    let why = if why == ResumeRefusal::WrongToken { ResumeRefusal::Gone } else { why };
    [&[encode_exact(why)][..], why.to_string().as_bytes()].concat()
}

/// Its number, for one that may know.
pub(super) fn encode_exact(why: ResumeRefusal) -> u8 {
    REASONS.iter().position(|known| *known == why).map_or(0, |at| at as u8 + 1)
}

pub(super) fn decode_refusal(data: &[u8]) -> Option<ResumeRefusal> {
    let at = usize::from(*data.first()?).checked_sub(1)?;
    REASONS.get(at).copied()
}

/// By number, from 1.
const REASONS: [ResumeRefusal; 7] = [
    ResumeRefusal::WrongToken,
    ResumeRefusal::UsedToken,
    ResumeRefusal::Gone,
    ResumeRefusal::OverBound,
    ResumeRefusal::BadCount,
    ResumeRefusal::NotFirst,
    ResumeRefusal::Busy,
];

/// A node counts its connections, and never gets that far.
const CONN_BITS: u32 = 40;

const TOKEN_BYTES: usize = 8 + SECRET_BYTES;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_and_nothing_else() {
        let token = Token { address: 7, secret: Secret([9; SECRET_BYTES]) };
        let asked = Asked { token, received: 3 }.encode();
        assert_eq!(asked.len(), 32);
        let read = Asked::decode(&asked).unwrap();
        assert_eq!((read.token.address, read.token.secret.0, read.received), (7, [9; 16], 3));
        let granted = Granted { token, received: 4, window: Duration::from_millis(5) }.encode();
        assert_eq!(granted.len(), 36);
        let read = Granted::decode(&granted).unwrap();
        assert_eq!((read.token.address, read.received, read.window), (7, 4, Duration::from_millis(5)));
        for len in (0..64).filter(|len| *len != 32) {
            assert!(Asked::decode(&vec![0; len]).is_none());
        }
        for len in (0..64).filter(|len| *len != 36) {
            assert!(Granted::decode(&vec![0; len]).is_none());
        }
        assert!(decode_count(&[0; 7]).is_none() && decode_count(&[0; 9]).is_none());
    }

    #[test]
    fn every_reason_has_its_number() {
        assert_eq!(encode_refusal(ResumeRefusal::WrongToken), encode_refusal(ResumeRefusal::Gone));
        assert_eq!(decode_refusal(&[1]), Some(ResumeRefusal::WrongToken), "of older servers");
        for (at, why) in REASONS.into_iter().enumerate().skip(1) {
            let data = encode_refusal(why);
            assert_eq!((usize::from(data[0]), decode_refusal(&data)), (at + 1, Some(why)));
        }
        assert_eq!((decode_refusal(&[]), decode_refusal(&[0]), decode_refusal(&[8])), (None, None, None));
    }
}
