//! Tokens: 128 random bits, and which of them a peer may still come back with.

use std::hint::black_box;

use bytes::BufMut;
#[cfg(any(test, feature = "redis"))]
use bytes::{Buf, Bytes};
use rustix::rand::{GetRandomFlags, getrandom};

use crate::ziface::ResumeRefusal;

/// The secret half of a token.
#[derive(Clone, Copy)]
pub(crate) struct Secret(pub(crate) [u8; SECRET_BYTES]);

impl Secret {
    /// A new one, of the system's random bits. `None` if it has none to give.
    pub(super) fn random() -> Option<Self> {
        let mut bytes = [0; SECRET_BYTES];
        // So few bytes come whole, or not at all.
        (getrandom(&mut bytes[..], GetRandomFlags::empty()) == Ok(SECRET_BYTES)).then_some(Self(bytes))
    }

    /// Compares in a time that says nothing of where they differ.
    fn is(&self, other: &Self) -> bool {
        let differ = self.0.iter().zip(&other.0).fold(0, |differ, (a, b)| differ | black_box(a ^ b));
        black_box(differ) == 0
    }
}

/// The tokens of one connection. A peer that comes back with one gets the next; as that may be lost on its way, the one used stays
/// good, for the same next one, until the peer has shown that it has that.
#[derive(Clone)]
pub(crate) struct Tokens {
    current: Secret,
    used: Option<Secret>,
    /// The one used is good no more.
    confirmed: bool,
}

impl Tokens {
    pub(super) const fn new(current: Secret) -> Self {
        Self { current, used: None, confirmed: false }
    }

    /// Whether a peer may come back with this one.
    pub(crate) fn check(&self, secret: &Secret) -> Result<(), ResumeRefusal> {
        let is_current = self.current.is(secret);
        let is_used = self.used.is_some_and(|used| used.is(secret));
        match (is_current, is_used) {
            (true, _) => Ok(()),
            (_, true) if !self.confirmed => Ok(()),
            (_, true) => Err(ResumeRefusal::UsedToken),
            _ => Err(ResumeRefusal::WrongToken),
        }
    }

    /// Uses one; returns the next, which is `fresh` where none has been issued for it.
    pub(super) fn take(&mut self, secret: &Secret, fresh: Secret) -> Result<Secret, ResumeRefusal> {
        self.check(secret)?;
        if self.current.is(secret) {
            *self = Self { current: fresh, used: Some(*secret), confirmed: false };
        }
        Ok(self.current)
    }

    /// For another node, which goes on with them.
    pub(super) fn write(&self, to: &mut Vec<u8>) {
        to.put_slice(&self.current.0);
        to.put_u8(u8::from(self.used.is_some()));
        to.put_slice(&self.used.unwrap_or(self.current).0);
        to.put_u8(u8::from(self.confirmed));
    }

    /// `None` if that is too short.
    #[cfg(any(test, feature = "redis"))]
    pub(super) fn read(from: &mut Bytes) -> Option<Self> {
        let current = Secret(take(from)?);
        let is_used = take(from)? == [1];
        let used = Secret(take(from)?);
        let confirmed = take(from)? == [1];
        Some(Self { current, used: is_used.then_some(used), confirmed })
    }

    /// The peer has the current one.
    pub(super) const fn confirm(&mut self) {
        self.confirmed = true;
    }
}

/// The next so many bytes.
#[cfg(any(test, feature = "redis"))]
pub(super) fn take<const N: usize>(from: &mut Bytes) -> Option<[u8; N]> {
    let part = *from.first_chunk()?;
    from.advance(N);
    Some(part)
}

pub(super) const SECRET_BYTES: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_differ_in_any_bit() {
        let secret = Secret::random().unwrap();
        for bit in 0..8 * SECRET_BYTES {
            let mut other = secret;
            other.0[bit / 8] ^= 1 << (bit % 8);
            assert!(!secret.is(&other) && secret.is(&secret), "bit {bit}");
        }
        assert!(!secret.is(&Secret::random().unwrap()));
    }

    #[test]
    fn a_token_is_good_until_the_next_has_arrived() {
        let [first, second, third] = std::array::from_fn(|n| Secret([n as u8; SECRET_BYTES]));
        let mut tokens = Tokens::new(first);
        let take = |tokens: &mut Tokens, secret, fresh| tokens.take(&secret, fresh).map(|next| next.0);
        assert_eq!(take(&mut tokens, first, second), Ok(second.0));
        // Lost on its way: asked for once more, it is the same.
        assert_eq!(take(&mut tokens, first, third), Ok(second.0));
        tokens.confirm();
        assert_eq!(take(&mut tokens, first, third), Err(ResumeRefusal::UsedToken));
        // To come back with it shows it too.
        assert_eq!(take(&mut tokens, second, third), Ok(third.0));
        assert_eq!(take(&mut tokens, first, third), Err(ResumeRefusal::WrongToken));
    }
}
