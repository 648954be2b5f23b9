//! What the admin plane says at one moment, and what has changed since the one before.

use std::time::Instant;

use serde_json::Value;

use crate::plane::{Plane, ask, ask_text};

/// Which connections are looked at.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct View {
    pub(super) sort: &'static str,
    /// Those that have closed.
    pub(super) is_closed: bool,
    /// The first of the list.
    pub(super) offset: usize,
}

/// A look at a server.
#[derive(Default)]
pub(super) struct Look {
    pub(super) when: Option<Instant>,
    pub(super) name: String,
    pub(super) is_stopping: bool,
    pub(super) uptime_ms: u64,
    pub(super) open: u64,
    pub(super) most: u64,
    pub(super) users: u64,
    pub(super) groups: u64,
    pub(super) totals: Totals,
    pub(super) queue_bytes: f64,
    pub(super) stacks: f64,
    pub(super) memory_bytes: f64,
    pub(super) rows: Vec<Row>,
    /// Connections that there are, of which `rows` is a part.
    pub(super) matched: usize,
}

/// Counted since the server started: in, out.
#[derive(Default)]
pub(super) struct Totals {
    messages: [f64; 2],
    bytes: [f64; 2],
    cpu_seconds: f64,
}

/// A connection.
#[derive(Default)]
pub(super) struct Row {
    pub(super) id: u64,
    pub(super) state: String,
    pub(super) peer: String,
    pub(super) user: String,
    /// What it waits for, or why it has closed.
    pub(super) does: String,
    pub(super) pending_bytes: u64,
    pub(super) messages: u64,
}

impl Look {
    pub(super) fn at(plane: &Plane, view: View) -> Result<Self, String> {
        let View { sort, is_closed, offset } = view;
        let varz = ask(plane, "GET", "/varz")?;
        let metrics = ask_text(plane, "/metrics")?;
        let which = if is_closed { "state=closed".to_string() } else { format!("sort={sort}") };
        let connz = ask(plane, "GET", &format!("/connz?{which}&limit={PAGE}&offset={offset}"))?;
        let sum = |name: &str| sum(&metrics, name);
        let number = |pointer: &str| varz.pointer(pointer).and_then(Value::as_u64).unwrap_or(0);
        Ok(Self {
            when: Some(Instant::now()),
            name: text(&varz, "name"),
            is_stopping: varz["stopping"] == true,
            uptime_ms: number("/uptime_ms"),
            open: number("/connections/open"),
            most: number("/limits/max_conn"),
            users: number("/connections/users"),
            groups: number("/connections/groups"),
            totals: Totals {
                messages: [sum("zinx_messages_received_total"), sum("zinx_messages_sent_total")],
                bytes: [sum("zinx_received_bytes_total"), sum("zinx_sent_bytes_total")],
                cpu_seconds: sum("process_cpu_seconds_total"),
            },
            queue_bytes: sum("zinx_queue_bytes"),
            stacks: sum("zinx_stacks"),
            memory_bytes: sum("process_resident_memory_bytes"),
            rows: connz["entries"]
                .as_array()
                .map_or_else(Vec::new, |rows| rows.iter().map(Row::of).collect()),
            matched: connz["matched"].as_u64().and_then(|count| usize::try_from(count).ok()).unwrap_or(0),
        })
    }

    /// Whether nothing has been seen yet.
    pub(super) const fn is_empty(&self) -> bool {
        self.when.is_none()
    }
}

impl Row {
    fn of(row: &Value) -> Self {
        let does = if row["does"].is_null() { "reason" } else { "does" };
        let pending = if row["pending_bytes"].is_null() { "unsent_bytes" } else { "pending_bytes" };
        Self {
            id: row["id"].as_u64().unwrap_or(0),
            state: text(row, "state"),
            peer: text(row, "remote"),
            user: text(row, "user"),
            does: text(row, does),
            pending_bytes: row[pending].as_u64().unwrap_or(0),
            messages: row["messages"].as_u64().unwrap_or(0),
        }
    }
}

fn text(value: &Value, name: &str) -> String {
    value[name].as_str().unwrap_or_default().to_string()
}

/// The sum of a metric over its labels.
fn sum(metrics: &str, name: &str) -> f64 {
    let of_line = |line: &str| {
        let rest = line.strip_prefix(name).filter(|rest| rest.starts_with(['{', ' ']))?;
        rest.rsplit_once(' ')?.1.parse::<f64>().ok()
    };
    metrics.lines().filter_map(of_line).sum()
}

/// What happens per second.
#[derive(Default)]
pub(super) struct Rates {
    pub(super) messages_in: f64,
    pub(super) messages_out: f64,
    pub(super) bytes_in: f64,
    pub(super) bytes_out: f64,
    /// Processors that are busy.
    pub(super) cpu: f64,
}

impl Rates {
    pub(super) fn between(before: &Look, now: &Look) -> Self {
        let (Some(then), Some(at)) = (before.when, now.when) else { return Self::default() };
        let seconds = at.saturating_duration_since(then).as_secs_f64().max(1e-3);
        let rate = |before: f64, now: f64| (now - before).max(0.0) / seconds;
        let (before, now) = (&before.totals, &now.totals);
        Self {
            messages_in: rate(before.messages[0], now.messages[0]),
            messages_out: rate(before.messages[1], now.messages[1]),
            bytes_in: rate(before.bytes[0], now.bytes[0]),
            bytes_out: rate(before.bytes[1], now.bytes[1]),
            cpu: rate(before.cpu_seconds, now.cpu_seconds),
        }
    }
}

/// Connections that are asked for at a time.
pub(super) const PAGE: usize = 100;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_metric_is_summed_over_its_labels_and_no_other_counts() {
        let metrics = "# TYPE a counter\na_total{x=\"1\"} 2\na_total{x=\"2\"} 3.5\na_total_more 9\nb 1\n";
        assert!((sum(metrics, "a_total") - 5.5).abs() < 1e-9);
        assert!((sum(metrics, "b") - 1.0).abs() < 1e-9 && sum(metrics, "c").abs() < 1e-9);
    }
}
