//! Datagrams of KCP on their way out: as many segments in each as fit, and what the error correction adds.

use super::fec::{Encoder, FEC_HEAD_BYTES};
use super::segments::Segment;

/// Where segments are put, until they leave as datagrams. What is left leaves when this is dropped.
pub(super) struct Datagrams<'a> {
    buffer: [u8; MTU],
    start: usize,
    len: usize,
    fec: Option<&'a mut Encoder>,
    send: &'a mut dyn FnMut(&[u8]),
}

impl<'a> Datagrams<'a> {
    pub(super) fn new(fec: Option<&'a mut Encoder>, send: &'a mut dyn FnMut(&[u8])) -> Self {
        let start = if fec.is_some() { FEC_HEAD_BYTES } else { 0 };
        Self { buffer: [0; MTU], start, len: start, fec, send }
    }

    pub(super) fn put(&mut self, segment: &Segment<'_>) {
        if self.len + segment.bytes() > MTU {
            self.leave();
        }
        segment.put(&mut self.buffer[self.len..]);
        self.len += segment.bytes();
    }

    /// Has what was put here leave, and what comes next in another datagram.
    pub(super) fn leave(&mut self) {
        if self.len == self.start {
            return;
        }
        let datagram = &mut self.buffer[..self.len];
        match &mut self.fec {
            None => (self.send)(datagram),
            Some(fec) => fec.send(datagram, self.send),
        }
        self.len = self.start;
    }
}

impl Drop for Datagrams<'_> {
    fn drop(&mut self) {
        self.leave();
    }
}

/// The longest datagram that we send, as in every KCP: with the heads of UDP and IP it fits the usual networks.
pub(super) const MTU: usize = 1400;
