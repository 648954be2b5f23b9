//! Keeping the rate: a connection whose peer sends too fast rests.

use std::time::{Duration, Instant};

use crate::green::{Readiness, is_unwinding};
use crate::ziface::{CloseReason, IConnection};
use crate::znet::conn::connection::Connection;
use crate::znet::resume::state::Resume;
use crate::znet::transport::Transport;

/// If there are limits: pays for what has come, and rests until it is paid, at most for a second, or until the connection
/// must close. Once the peer has hung up it rests no more, so its place is soon free. Returns whether it has rested.
#[inline]
pub(crate) fn keep_rate(conn: &Connection, transport: &Transport, messages: usize, bytes: usize) -> bool {
    conn.core().talk().rates.are_on() && pay(conn, transport, messages, bytes)
}

#[inline(never)]
fn pay(conn: &Connection, transport: &Transport, messages: usize, bytes: usize) -> bool {
    let rates = &conn.core().talk().rates;
    let begin = Instant::now();
    let aside = transport.take_aside();
    let useless = conn.resume().map_or(0, Resume::take_useless);
    let (messages, bytes) = (messages + aside.frames + useless, bytes + aside.bytes);
    let mut end = begin + rates.charge(conn.meter(), conn.get_remote_addr().ip(), messages, bytes, begin);
    if end == begin {
        return false;
    }
    if rates.close() {
        conn.stop_because(CloseReason::RateLimited);
        return false;
    }
    let latest = begin + LONGEST_REST;
    while !conn.is_stopping() && !is_unwinding() && !conn.is_hung_up() {
        let now = Instant::now();
        if now >= end {
            // Others of its address may have used what there was meanwhile.
            end = (now + rates.charge(conn.meter(), conn.get_remote_addr().ip(), 0, 0, now)).min(latest);
            if now >= end {
                break;
            }
        }
        let _alarm = transport.alarm(end);
        // As in a handler: nothing is read, and a writer watches a full socket.
        if transport.wait(Readiness::INTERRUPT.or(Readiness::HANGUP)).meets(Readiness::HANGUP) {
            conn.ahead().hang_up();
        }
    }
    true
}

/// Most bytes that one read may bring.
#[inline]
pub(crate) fn most_to_read(conn: &Connection, in_large_frame: bool) -> usize {
    if conn.core().talk().rates.are_on() { most_by_rate(conn, in_large_frame) } else { usize::MAX }
}

#[inline(never)]
fn most_by_rate(conn: &Connection, in_large_frame: bool) -> usize {
    let rates = &conn.core().talk().rates;
    let head_len = conn.core().decoder().map_or_else(|| conn.core().pack().get_head_len(), |_| 1);
    rates.most_to_read(head_len, in_large_frame)
}

/// How long a connection rests at most, whatever others of its address send.
const LONGEST_REST: Duration = Duration::from_secs(1);
