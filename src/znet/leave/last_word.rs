//! The last word to a peer that is closed because it is over a limit: which limit that is, if `LastWordMsgId` is set.

use crate::ziface::{CloseReason, IConnection, SendWait};
use crate::znet::conn::connection::Connection;

impl Connection {
    /// Queues the last word, if there is one to say. A peer whose queue is full does not get it.
    pub(crate) fn say_last_word(&self) {
        let msg_id = self.core().config().last_word_msg_id;
        if msg_id == 0 {
            return;
        }
        if let Some(why) = self.get_close_reason().filter(is_over_a_limit) {
            drop(self.send(msg_id, why.to_string().into(), SendWait::Never));
        }
    }
}

const fn is_over_a_limit(why: &CloseReason) -> bool {
    matches!(
        why,
        CloseReason::PacketTooLarge { .. }
            | CloseReason::FrameTooLarge { .. }
            | CloseReason::FirstFrameTimeout
            | CloseReason::FrameTimeout
            | CloseReason::IdleTimeout
            | CloseReason::ReadDeadline
            | CloseReason::RateLimited
            | CloseReason::HeldTooMuch { .. }
    )
}
