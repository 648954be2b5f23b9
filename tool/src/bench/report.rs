//! What came of it, in words and as JSON.

use std::time::Duration;

use hdrhistogram::Histogram;
use serde_json::json;

use super::Order;
use super::tally::Tally;

pub(super) struct Report {
    address: String,
    transport: String,
    connections: u32,
    window: Option<u32>,
    asked_rate: Option<u32>,
    payload_bytes: u32,
    took: Duration,
    unanswered: u64,
    latencies: Histogram<u64>,
    pub(super) failures: u64,
    first_failure: Option<String>,
}

impl Report {
    pub(super) fn of(order: &Order, tally: &Tally, took: Duration, unanswered: u64) -> Self {
        Self {
            address: order.address.clone(),
            transport: order.address.split_once("://").map_or("tcp", |(scheme, _)| scheme).to_string(),
            connections: order.connections,
            window: order.rate.is_none().then_some(order.window),
            asked_rate: order.rate,
            payload_bytes: order.size,
            took,
            unanswered,
            latencies: tally.latencies(),
            failures: tally.failures(),
            first_failure: tally.first_failure(),
        }
    }

    fn answered(&self) -> u64 {
        self.latencies.len().saturating_sub(self.unanswered)
    }

    fn rate(&self) -> f64 {
        self.answered() as f64 / self.took.as_secs_f64()
    }

    fn us(&self, quantile: f64) -> f64 {
        self.latencies.value_at_quantile(quantile) as f64 / 1e3
    }

    pub(super) fn text(&self) -> String {
        let (address, connections, payload) = (&self.address, self.connections, self.payload_bytes);
        let what = match (self.window, self.asked_rate) {
            (Some(window), _) => format!(
                "closed loop, {window} messages of {payload} bytes on their way on each of {connections} connections"
            ),
            (_, Some(rate)) => format!(
                "open loop, {rate} messages of {payload} bytes per second on {connections} connections"
            ),
            _ => String::new(),
        };
        let seconds = self.took.as_secs_f64();
        let mut text = format!("{address}: {what}\n");
        text +=
            &format!("  rate     {:.0} messages/s ({} in {seconds:.2} s)\n", self.rate(), self.answered());
        text += "  latency ";
        for (name, quantile) in QUANTILES {
            text += &format!(" {name} {}", time(self.us(quantile)));
        }
        text += &format!("  max {}", time(self.latencies.max() as f64 / 1e3));
        if self.unanswered > 0 {
            text += &format!(
                "\n  not answered at the end: {}; they count with the time until then",
                self.unanswered
            );
        }
        if self.failures > 0 {
            let why = self.first_failure.as_deref().unwrap_or_default();
            text += &format!("\n  connections that failed: {}; the first: {why}", self.failures);
        }
        text
    }

    pub(super) fn json(&self) -> String {
        let mut latency = serde_json::Map::new();
        latency.insert("min".to_string(), json!(self.latencies.min() as f64 / 1e3));
        latency.insert("mean".to_string(), json!(self.latencies.mean() / 1e3));
        for (name, quantile) in QUANTILES {
            latency.insert(name.replace('.', ""), json!(self.us(quantile)));
        }
        latency.insert("max".to_string(), json!(self.latencies.max() as f64 / 1e3));
        json!({
            "address": self.address,
            "transport": self.transport,
            "loop": if self.window.is_some() { "closed" } else { "open" },
            "connections": self.connections,
            "window": self.window,
            "rate_asked": self.asked_rate,
            "payload_bytes": self.payload_bytes,
            "seconds": self.took.as_secs_f64(),
            "messages": self.answered(),
            "rate": self.rate(),
            "unanswered": self.unanswered,
            "latency_us": latency,
            "failures": self.failures,
            "first_failure": self.first_failure,
        })
        .to_string()
    }
}

/// A time in microseconds, to three digits.
fn time(us: f64) -> String {
    let (value, unit) = match us {
        us if us < 1e3 => (us, "µs"),
        us if us < 1e6 => (us / 1e3, "ms"),
        us => (us / 1e6, "s"),
    };
    let digits = if value < 10.0 { 2 } else { usize::from(value < 100.0) };
    format!("{value:.digits$} {unit}")
}

const QUANTILES: [(&str, f64); 4] = [("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p99.9", 0.999)];
