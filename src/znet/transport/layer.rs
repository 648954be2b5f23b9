//! What a protocol over bytes does, whichever it is: content comes out of what was read below, some of it before it is asked for.

use std::io;

use super::surplus::Surplus;
use super::{Left, Received};

/// The state of such a protocol.
pub(super) trait Layer {
    /// Content that was read and not taken yet.
    fn plain(&mut self) -> &mut Surplus;

    /// Whether the peer sends nothing more.
    fn has_ended(&self) -> bool;
}

/// Puts content into `buf`. If none is there, `fill` reads once from below: it says how much content that brought, and what is
/// left below.
pub(super) fn recv<L: Layer>(
    layer: &mut L,
    buf: &mut [u8],
    fill: impl FnOnce(&mut L, &mut [u8]) -> io::Result<Received>,
) -> io::Result<Received> {
    let n = layer.plain().take_into(buf);
    if n > 0 || buf.is_empty() {
        return Ok(Received { n, left: Left::More });
    }
    if layer.has_ended() {
        return Ok(Received { n: 0, left: Left::End });
    }
    let Received { n, left } = fill(layer, buf)?;
    let left = match left {
        Left::Nothing | Left::Begun => left,
        Left::Drained if n > 0 && layer.plain().is_empty() && !layer.has_ended() => left,
        // Also if it has brought no content: it may have taken the event that tells of more. The caller looks around before it reads
        // again, for a peer may send nothing else without end.
        _ => Left::More,
    };
    Ok(Received { n, left })
}

/// As `recv`, appending at most `max` bytes to `buf`.
pub(super) fn recv_into(
    buf: &mut Vec<u8>,
    max: usize,
    recv: impl FnOnce(&mut [u8]) -> io::Result<Received>,
) -> io::Result<Received> {
    let len = buf.len();
    buf.resize(len + max, 0);
    let received = recv(&mut buf[len..]);
    buf.truncate(len + received.as_ref().map_or(0, |received| received.n));
    received
}
