//! The last word to a peer that is closed because it is over a limit: which limit that is, if `LastWordMsgId` is set.

use std::fmt::Display;

use crate::green::TcpStream;
use crate::ziface::{CloseReason, IConnection, SendWait};
use crate::znet::conn::connection::Connection;
use crate::znet::server::core::Core;
use crate::zpack::new_message;

/// Says so to a peer that is not even accepted, if its socket takes it at once.
pub(crate) fn say_last_word_on(core: &Core, stream: &TcpStream, why: &dyn Display) {
    let msg_id = core.config().last_word_msg_id;
    if msg_id != 0
        && let Ok(frame) = core.pack().pack(&new_message(msg_id, why.to_string()))
    {
        stream.send_and_end(&frame);
    }
}

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
