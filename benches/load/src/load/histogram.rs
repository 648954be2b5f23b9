//! Durations, kept to a 64th of their size.

use std::time::Duration;

pub struct Histogram {
    counts: Vec<u64>,
    total: u64,
}

impl Histogram {
    pub fn new() -> Self {
        Self { counts: vec![0; 64 * STEPS], total: 0 }
    }

    pub fn add(&mut self, duration: Duration, times: u64) {
        let nanos = (duration.as_nanos() as u64).max(STEPS as u64);
        let power = nanos.ilog2() as usize;
        let step = (nanos >> (power - 6)) as usize % STEPS;
        self.counts[power * STEPS + step] += times;
        self.total += times;
    }

    pub const fn total(&self) -> u64 {
        self.total
    }

    /// In microseconds. 0 if nothing was added.
    pub fn quantile(&self, quantile: f64) -> f64 {
        let mut left = (self.total as f64 * quantile) as u64;
        for (at, &count) in self.counts.iter().enumerate() {
            if count > left {
                let (power, step) = (at / STEPS, at % STEPS);
                return ((1_u64 << power) + ((step as u64) << (power - 6))) as f64 / 1e3;
            }
            left -= count;
        }
        0.0
    }

    /// The percentiles that are told of, as `name=value` pairs.
    pub fn percentiles(&self) -> String {
        let [p50, p99, p999] = [0.5, 0.99, 0.999].map(|quantile| self.quantile(quantile));
        format!("p50={p50:.1} p99={p99:.1} p999={p999:.1}")
    }
}

/// In each power of two.
const STEPS: usize = 64;
