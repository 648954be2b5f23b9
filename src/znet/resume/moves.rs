//! The time in which a connection moves: what is sent to its user and its groups meanwhile reaches it on one of two nodes.

use std::time::Duration;

use super::state::Resume;
use crate::green::{Until, sleep};
use crate::ziface::ResumeRefusal;
use crate::znet::cluster::sends::Sending;
use crate::znet::conn::connection::Connection;

/// A connection that moves, until this is dropped.
pub(super) struct Move<'a> {
    conn: &'a Connection,
    resume: &'a Resume,
}

impl Connection {
    /// Begins to move. Waits for the sends that have begun before: for them the nodes have not changed over.
    pub(super) fn begin_move<'a>(
        &'a self,
        resume: &'a Resume,
        until: Until,
    ) -> Result<Move<'a>, ResumeRefusal> {
        let sends = &self.core().talk().sends;
        let first = sends.begin_move(|first| resume.lock().moves.push((first, u64::MAX)));
        let moving = Move { conn: self, resume };
        while sends.has_before(first) {
            if until.is_over() {
                return Err(ResumeRefusal::Busy);
            }
            sleep(MOMENT);
        }
        Ok(moving)
    }

    /// Whether a send does not go to the connection directly, because it moves: the stream of its node has the message.
    pub(crate) fn is_left_out_of(&self, sending: &Sending<'_>) -> bool {
        sending.to_itself().is_some_and(|epoch| self.is_moving_at(epoch))
    }

    /// Whether a send that began in this epoch reaches the connection through the stream of its node.
    pub(crate) fn is_moving_at(&self, epoch: u64) -> bool {
        let moves_at = |resume: &Resume| {
            resume.lock().moves.iter().any(|(first, last)| (*first..=*last).contains(&epoch))
        };
        self.resume().is_some_and(moves_at)
    }
}

impl Drop for Move<'_> {
    fn drop(&mut self) {
        let resume = self.resume;
        self.conn.core().talk().sends.end_move(|last| {
            if let Some(newest) = resume.lock().moves.last_mut() {
                newest.1 = last;
            }
        });
    }
}

const MOMENT: Duration = Duration::from_millis(1);
