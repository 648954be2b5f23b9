//! A connection on its way from one node of a cluster to another: what the nodes say to each other about it. Data, no I/O.

use std::sync::Arc;

use bytes::{BufMut, Bytes};

#[cfg(any(test, feature = "redis"))]
use super::token::take;
use super::token::{Secret, Tokens};
use crate::green::Until;
#[cfg(feature = "redis")]
use crate::ziface::ResumeRefusal;

/// What a node asks for when a peer comes to it with the token of another.
#[cfg_attr(not(feature = "redis"), expect(dead_code, reason = "there is no other node"))]
pub(crate) struct Ask {
    /// The first half of the token: node and connection.
    pub(crate) address: u64,
    pub(crate) secret: Secret,
    /// Frames that the peer has received.
    pub(crate) received: u64,
    /// The connection on which the peer has come: it becomes the one that moves.
    pub(crate) conn_id: u64,
    /// The number that the login gets there, if there is one. No other ask of that node has it.
    pub(crate) login: u64,
}

/// The answer.
#[cfg_attr(not(feature = "redis"), expect(dead_code, reason = "there is no other node"))]
pub(crate) enum Fetched {
    /// This node has the connection itself: it has moved here before.
    Here(u64),
    /// The connection has moved.
    Moved(Box<Parcel>),
}

/// The same question where the connection is.
#[cfg_attr(not(feature = "redis"), expect(dead_code, reason = "there is no other node"))]
#[derive(Clone)]
pub(crate) struct Wanted {
    /// The node that asks, its incarnation, and its number for the answer.
    pub(crate) node: Arc<str>,
    pub(crate) incarnation: Arc<str>,
    pub(crate) request: u64,
    /// When it has asked, by the clock of Redis in milliseconds.
    pub(crate) asked_at: u64,
    pub(crate) conn_id: u64,
    pub(crate) login: u64,
    pub(crate) secret: Secret,
    pub(crate) received: u64,
    /// How long it waits.
    pub(crate) until: Until,
}

/// What is moved in one step: from then on the other node is told what is for the user and the groups.
#[cfg_attr(not(feature = "redis"), expect(dead_code, reason = "there is no other node"))]
pub(crate) struct Leaving {
    pub(crate) conn_id: u64,
    /// The user, the number of the login, and whether others may be beside it.
    pub(crate) user: Option<(Arc<str>, u64, bool)>,
    pub(crate) groups: Vec<Arc<str>>,
    /// It survives its node.
    pub(crate) is_durable: bool,
}

/// Whether a connection has moved.
#[cfg_attr(not(feature = "redis"), expect(dead_code, reason = "there is no other node"))]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Decision {
    Moved,
    Stays,
    /// Redis did not say in time.
    Unknown,
}

/// What a connection is, beside its user.
pub(crate) struct Parcel {
    /// Frames received from the peer.
    pub(crate) received: u64,
    pub(crate) tokens: Tokens,
    /// How long the peer was there, in milliseconds.
    pub(crate) there: u64,
    /// The login that moved is still the connection's.
    pub(crate) is_logged_in: bool,
    /// It is in Redis too, and survives its node.
    pub(crate) is_durable: bool,
    pub(crate) groups: Vec<Arc<str>>,
    pub(crate) kept: Kept,
    /// What the program gives along.
    pub(crate) luggage: Vec<u8>,
}

/// The frames that a connection has sent last.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Kept {
    pub(crate) frames: Vec<Bytes>,
    /// Frames sent before them.
    pub(crate) before: u64,
    /// Frames that the peer has counted.
    pub(crate) counted: u64,
}

/// What is known of a connection beside its frames.
pub(crate) struct Facts {
    pub(crate) tokens: Tokens,
    /// How long the peer was there, in milliseconds.
    pub(crate) there: u64,
    pub(crate) standing: Standing,
    /// As the program packed it last.
    pub(crate) luggage: Vec<u8>,
}

#[cfg(test)]
impl Facts {
    /// Of a connection that belongs nowhere.
    pub(crate) fn of_nobody() -> Self {
        let standing = Standing { user: None, groups: Vec::new() };
        Self { tokens: Tokens::new(Secret([0; 16])), there: 0, standing, luggage: Vec::new() }
    }
}

/// Where a connection belongs.
pub(crate) struct Standing {
    /// The user, and whether other logins may be beside this one.
    pub(crate) user: Option<(Arc<str>, bool)>,
    pub(crate) groups: Vec<Arc<str>>,
}

/// How many frames a connection has ever sent, and how many messages it has handled.
pub(crate) type Reached = (u64, u64);

/// What is to be written into Redis of a connection, and what it has reached with that.
#[cfg_attr(not(any(feature = "redis", test)), expect(dead_code, reason = "there is no Redis"))]
pub(crate) struct Save {
    pub(crate) now: Reached,
    pub(crate) what: What,
}

#[cfg_attr(not(any(feature = "redis", test)), expect(dead_code, reason = "there is no Redis"))]
pub(crate) enum What {
    /// A [`Parcel`], and its user as in [`Standing`].
    Whole(Vec<u8>, Option<(Arc<str>, bool)>),
    /// The frames behind what was written before, and what it had reached then.
    Part(Reached, Vec<Bytes>),
}

/// Whether it is in Redis.
#[cfg_attr(not(feature = "redis"), expect(dead_code, reason = "there is no Redis"))]
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Saved {
    Yes,
    /// The node of this name has taken the connection over; empty if it is not known.
    Moved(String),
    /// Redis did not say in time.
    Unknown,
}

/// Waits until that is known.
pub(crate) type Saving = Box<dyn FnOnce() -> Saved + Send>;

impl Parcel {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut to =
            Vec::with_capacity(256 + self.kept.frames.iter().map(|frame| frame.len() + 4).sum::<usize>());
        to.put_u8(VERSION);
        for number in [self.received, self.there, self.kept.before, self.kept.counted] {
            to.put_u64_le(number);
        }
        to.put_u8(u8::from(self.is_logged_in));
        to.put_u8(u8::from(self.is_durable));
        self.tokens.write(&mut to);
        put_all(&mut to, self.groups.iter().map(|group| group.as_bytes()));
        put_all(&mut to, self.kept.frames.iter().map(|frame| &frame[..]));
        put_all(&mut to, std::iter::once(&self.luggage[..]));
        to
    }

    /// `None` if it is cut short, or of another version of this library.
    #[cfg(any(test, feature = "redis"))]
    pub(crate) fn decode(mut from: Bytes) -> Option<Self> {
        if take(&mut from)? != [VERSION] {
            return None;
        }
        let mut number = || take(&mut from).map(u64::from_le_bytes);
        let [received, there, before, counted] = [number()?, number()?, number()?, number()?];
        let is_logged_in = take(&mut from)? == [1];
        let is_durable = take(&mut from)? == [1];
        let tokens = Tokens::read(&mut from)?;
        let groups = take_all(&mut from)?;
        let frames = take_all(&mut from)?;
        let luggage = take_all(&mut from)?.pop()?.into();
        let name = |name: &Bytes| std::str::from_utf8(name).ok().map(Arc::from);
        let groups = groups.iter().map(name).collect::<Option<_>>()?;
        let kept = Kept { frames, before, counted };
        let parcel = Self { received, tokens, there, is_logged_in, is_durable, groups, kept, luggage };
        from.is_empty().then_some(parcel)
    }
}

/// Frames, as one value.
#[cfg(feature = "redis")]
pub(crate) fn write_frames(frames: &[Bytes]) -> Vec<u8> {
    let mut to = Vec::with_capacity(4 + frames.iter().map(|frame| frame.len() + 4).sum::<usize>());
    put_all(&mut to, frames.iter().map(|frame| &frame[..]));
    to
}

/// `None` if it holds none.
#[cfg(feature = "redis")]
pub(crate) fn read_frames(from: &[u8]) -> Option<Vec<Bytes>> {
    take_all(&mut Bytes::copy_from_slice(from))
}

/// Names of groups, as one value.
#[cfg(feature = "redis")]
pub(crate) fn write_names(names: &[Arc<str>]) -> Vec<u8> {
    let mut to = Vec::new();
    put_all(&mut to, names.iter().map(|name| name.as_bytes()));
    to
}

/// `None` if it holds none.
#[cfg(feature = "redis")]
pub(crate) fn read_names(from: &[u8]) -> Option<Vec<Arc<str>>> {
    let names = take_all(&mut Bytes::copy_from_slice(from))?;
    names.iter().map(|name| std::str::from_utf8(name).ok().map(Arc::from)).collect()
}

fn put_all<'a>(to: &mut Vec<u8>, parts: impl ExactSizeIterator<Item = &'a [u8]>) {
    // There are never so many, nor are they so long.
    let len = |len| u32::try_from(len).unwrap_or(u32::MAX);
    to.put_u32_le(len(parts.len()));
    for part in parts {
        to.put_u32_le(len(part.len()));
        to.put_slice(part);
    }
}

#[cfg(any(test, feature = "redis"))]
fn take_all(from: &mut Bytes) -> Option<Vec<Bytes>> {
    let mut parts = Vec::new();
    for _ in 0..u32::from_le_bytes(take(from)?) {
        let len = u32::from_le_bytes(take(from)?) as usize;
        if from.len() < len {
            return None;
        }
        parts.push(from.split_to(len));
    }
    Some(parts)
}

/// As a number, from node to node.
#[cfg(feature = "redis")]
pub(crate) fn refusal_number(why: ResumeRefusal) -> u8 {
    super::wire::encode_exact(why)
}

/// `None` if there is none of this number.
#[cfg(feature = "redis")]
pub(crate) fn refusal_of(number: &[u8]) -> Option<ResumeRefusal> {
    super::wire::decode_refusal(number)
}

/// Of what is written here.
const VERSION: u8 = 2;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parcel_comes_across_and_one_that_is_cut_short_is_none() {
        let mut tokens = Tokens::new(Secret([1; 16]));
        tokens.take(&Secret([1; 16]), Secret([2; 16])).unwrap();
        let kept = Kept { frames: vec![Bytes::from_static(b"one"), Bytes::new()], before: 5, counted: 3 };
        let groups = vec![Arc::from("lobby"), Arc::from("王")];
        let (is_logged_in, is_durable, luggage) = (true, true, vec![4; 3]);
        let parcel =
            Parcel { received: 7, tokens, there: 9, is_logged_in, is_durable, groups, kept, luggage };
        let written = Bytes::from(parcel.encode());
        let mut read = Parcel::decode(written.clone()).unwrap();
        assert_eq!((read.received, read.there, read.is_logged_in, read.is_durable), (7, 9, true, true));
        assert_eq!(
            (&read.groups, &read.kept, &read.luggage),
            (&parcel.groups, &parcel.kept, &parcel.luggage)
        );
        // The token that was used is good for the same next one until that has arrived.
        assert_eq!(read.tokens.take(&Secret([1; 16]), Secret([3; 16])).unwrap().0, [2; 16]);
        read.tokens.confirm();
        assert!(Parcel::decode(read.encode().into()).unwrap().tokens.check(&Secret([1; 16])).is_err());
        for len in 0..written.len() {
            assert!(Parcel::decode(written.slice(..len)).is_none(), "{len}");
        }
        let mut longer = written.to_vec();
        longer.push(0);
        assert!(Parcel::decode(longer.into()).is_none());
        let mut newer = written.to_vec();
        newer[0] += 1;
        assert!(Parcel::decode(newer.into()).is_none());
    }
}
