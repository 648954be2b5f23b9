//! How a peer shows that it receives at its address, before it costs anything: it repeats a number that only we can know.
//!
//! The sender of a datagram can write any address into it. A peer that is not known yet is therefore sent a segment that its
//! conversation has had already, by its number, with a time that is a keyed hash of address and conversation. Every KCP
//! acknowledges such a segment, repeats the time, and forgets it. Nothing is kept for that.

use std::hash::{BuildHasher, RandomState};
use std::net::SocketAddr;

use super::segments::{Command, Segment, Segments};

/// The key of a server.
#[derive(Default)]
pub(super) struct Proof(RandomState);

impl Proof {
    /// What a peer has to acknowledge, `now` in milliseconds.
    pub(super) fn challenge(&self, peer: SocketAddr, conv: u32, window: u16, now: u64) -> Segment<'static> {
        let ts = self.number(peer, conv, now / STEP);
        Segment { window, ts, sn: BEFORE_THE_FIRST, ..Segment::bare(conv, Command::Push) }
    }

    /// Whether a peer does so.
    pub(super) fn is_shown_by(&self, peer: SocketAddr, mut segments: Segments<'_>, now: u64) -> bool {
        let conv = segments.conv;
        let step = now / STEP;
        segments.any(|segment| {
            let is_ack = segment.command == Command::Ack && segment.sn == BEFORE_THE_FIRST;
            is_ack
                && [step, step.wrapping_sub(1)]
                    .into_iter()
                    .any(|step| segment.ts == self.number(peer, conv, step))
        })
    }

    fn number(&self, peer: SocketAddr, conv: u32, step: u64) -> u32 {
        let hash = self.0.hash_one((peer, conv, step));
        (hash >> 32) as u32
    }
}

/// Whether a conversation begins so: with the first segment, or the question of a client of ours.
pub(super) fn begins(mut segments: Segments<'_>) -> bool {
    let is_first =
        |one: Segment<'_>| matches!(one.command, Command::Push | Command::Ask) && one.sn == 0 && one.una == 0;
    segments.any(is_first)
}

const BEFORE_THE_FIRST: u32 = u32::MAX;

/// A number holds for one to two of these, in milliseconds.
const STEP: u64 = 20_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_peer_that_was_asked_can_show_it_and_not_for_long() {
        let (proof, peer) = (Proof::default(), SocketAddr::from(([10, 0, 0, 1], 1)));
        let asked = proof.challenge(peer, 7, 32, 5);
        let mut ack = [0; 24];
        Segment { command: Command::Ack, ..asked }.put(&mut ack);
        let is_shown =
            |proof: &Proof, peer, now| proof.is_shown_by(peer, Segments::parse(&ack).unwrap(), now);
        assert!(is_shown(&proof, peer, 5) && is_shown(&proof, peer, STEP));
        assert!(!is_shown(&proof, peer, 2 * STEP));
        assert!(!is_shown(&proof, SocketAddr::from(([10, 0, 0, 1], 2)), 5));
        assert!(!is_shown(&Proof::default(), peer, 5));
        asked.put(&mut ack);
        assert!(!proof.is_shown_by(peer, Segments::parse(&ack).unwrap(), 5));
    }
}
