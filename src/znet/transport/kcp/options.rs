//! The settings of KCP, which both ends choose for themselves; only the error correction has to be the same.

use super::datagrams::MTU;
use super::fec::FEC_HEAD_BYTES;
use super::segments::HEAD_BYTES;
use crate::zconf::Config;

/// The settings of a conversation.
#[derive(Clone, Debug)]
pub(crate) struct KcpOptions {
    pub(super) no_delay: bool,
    /// Step of the clock, in milliseconds: so long acknowledgements wait for others.
    pub(super) interval: u32,
    pub(super) resend: u32,
    pub(super) congestion: bool,
    pub(super) stream: bool,
    pub(super) ack_at_once: bool,
    /// In segments.
    pub(super) send_window: u16,
    pub(super) recv_window: u16,
    /// Data and parity shards.
    pub(super) fec: Option<(usize, usize)>,
}

impl KcpOptions {
    pub(crate) fn of(config: &Config) -> Self {
        let window = |segments: u32| u16::try_from(segments).unwrap_or(u16::MAX);
        let (data, parity) = (config.kcp_fec_data_shards as usize, config.kcp_fec_parity_shards as usize);
        Self {
            no_delay: config.kcp_no_delay > 0,
            interval: config.kcp_interval.max(SHORTEST_INTERVAL),
            resend: config.kcp_resend,
            congestion: config.kcp_nc == 0,
            stream: config.kcp_stream_mode,
            ack_at_once: config.kcp_ack_no_delay,
            send_window: window(config.kcp_send_window),
            recv_window: window(config.kcp_recv_window),
            fec: (data > 0 && parity > 0).then_some((data, parity)),
        }
    }

    /// Bytes in a segment at most.
    pub(super) const fn mss(&self) -> usize {
        let fec = if self.fec.is_some() { FEC_HEAD_BYTES } else { 0 };
        MTU - HEAD_BYTES - fec
    }
}

/// In milliseconds, as in every KCP.
const SHORTEST_INTERVAL: u32 = 10;
