//! What of the frames of a connection is in Redis, if the connection is to survive its node: only that may leave.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;

use crate::znet::resume::parcel::{Facts, Reached, Saving};

/// How far the frames of a connection are in Redis, and what is on its way there.
pub(crate) struct Durable {
    /// Tells it from the one before, whose answers may still be waited for.
    pub(super) life: u64,
    /// Frames that Redis has: they may leave.
    pub(super) saved: u64,
    /// Frames that have been queued for the socket, of those.
    pub(super) released: u64,
    /// What is on its way to Redis, or there.
    pub(super) begun: Reached,
    /// Bytes of the frames behind those that Redis has.
    pub(super) unsaved_bytes: usize,
    /// Messages whose handlers have returned.
    pub(super) handled: u64,
    /// How many of them the peer knows of.
    pub(super) told: u64,
    /// Of the handler that runs: they have their places behind others that are sent meanwhile, and count with its message.
    pub(super) own: Vec<Bytes>,
    pub(super) own_bytes: usize,
    /// The next frame is one of those.
    pub(super) is_own: bool,
    /// Parts since the last whole entry, and the bytes of their frames.
    pub(super) parts: usize,
    pub(super) part_bytes: usize,
    /// It is not known what Redis has: a whole entry is to be written next, by the coroutine that takes the answers.
    pub(super) is_in_doubt: bool,
    pub(super) facts: Facts,
    pub(super) flying: VecDeque<Flying>,
    /// A coroutine takes the answers.
    pub(super) is_attended: bool,
}

/// What is on its way to Redis: so much is there once it is.
pub(crate) struct Flying {
    pub(crate) now: Reached,
    pub(crate) saving: Saving,
}

/// What a coroutine that takes the answers has to do next.
pub(crate) enum Next {
    Wait(Flying),
    /// It is not known what Redis has.
    WriteWhole,
    Nothing,
}

impl Durable {
    /// Of a connection that has sent and handled so much without it.
    pub(super) fn new(now: Reached, facts: Facts) -> Self {
        let (total, handled) = now;
        Self {
            life: LIVES.fetch_add(1, Ordering::Relaxed),
            saved: total,
            released: total,
            begun: now,
            unsaved_bytes: 0,
            handled,
            told: handled,
            own: Vec::new(),
            own_bytes: 0,
            is_own: false,
            parts: 0,
            part_bytes: 0,
            is_in_doubt: false,
            facts,
            flying: VecDeque::new(),
            is_attended: false,
        }
    }
}

static LIVES: AtomicU64 = AtomicU64::new(0);
