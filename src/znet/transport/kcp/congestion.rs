//! How much may be in flight, as far as the network takes it: without `KcpNc`.

/// The congestion window of a conversation, in segments: it doubles from round to round up to a threshold, grows slowly behind
/// it, and shrinks when something is lost.
pub(super) struct Congestion {
    mss: usize,
    window: u16,
    threshold: u16,
    /// The window in bytes, with the parts of a segment by which it has grown.
    bytes: usize,
}

impl Congestion {
    pub(super) const fn new(mss: usize) -> Self {
        Self { mss, window: 1, threshold: LEAST, bytes: mss }
    }

    pub(super) const fn window(&self) -> u16 {
        self.window
    }

    /// Something has arrived at a peer that takes so many segments.
    pub(super) const fn grow(&mut self, remote: u16) {
        if self.window >= remote {
            return;
        }
        if self.window < self.threshold {
            self.window += 1;
            self.bytes += self.mss;
        } else {
            self.bytes += self.mss * self.mss / self.bytes + self.mss / 16;
            if (self.window as usize + 1) * self.mss <= self.bytes {
                self.window += 1;
            }
        }
    }

    /// Something was sent again: because its time was over, or later ones had come.
    pub(super) fn shrink(&mut self, lost: bool, skipped: bool, in_flight: u32, skips: u32) {
        let half = |segments: u32| u16::try_from(segments / 2).unwrap_or(u16::MAX).max(LEAST);
        if skipped {
            self.threshold = half(in_flight);
            self.window = self.threshold.saturating_add(u16::try_from(skips).unwrap_or(u16::MAX));
        }
        if lost {
            self.threshold = half(self.window.into());
            self.window = 1;
        }
        if lost || skipped {
            self.bytes = usize::from(self.window) * self.mss;
        }
    }
}

const LEAST: u16 = 2;
