//! Metrics for Prometheus, in the text format of OpenMetrics. All are put together when they are asked for.

use std::fmt;
use std::sync::Arc;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{DescriptorEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::{Registry, Unit};

use super::process;
use super::routes::counted;
use crate::green::{self, Runtime};
use crate::http::Response;
use crate::ziface::IConnManager;
use crate::znet::route::route_stats::Counted;
use crate::znet::server::core::Core;

/// The answer to `/metrics`.
pub(super) fn metrics(core: &Arc<Core>) -> Response {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Metrics(Arc::clone(core))));
    let mut text = String::new();
    match encode(&mut text, &registry) {
        Ok(()) => Response::open_metrics(text),
        Err(error) => Response::error(500, error.to_string()),
    }
}

struct Metrics(Arc<Core>);

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Metrics")
    }
}

impl Collector for Metrics {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut out = Out(encoder);
        connections(&self.0, &mut out)?;
        messages(&self.0, &mut out)?;
        routes(&self.0, &mut out)?;
        memory(&self.0, &mut out)?;
        runtime(&mut out)?;
        process(&mut out)
    }
}

fn connections(core: &Core, out: &mut Out<'_>) -> fmt::Result {
    let (stats, talk) = (core.stats(), core.talk());
    out.gauge("zinx_connections", "Connections that are open", core.manager().len())?;
    out.gauge("zinx_connections_away", "Connections whose peer is away", core.absent.len())?;
    out.gauge("zinx_connections_max", "MaxConn", core.config().max_conn)?;
    out.gauge("zinx_users", "Users that are logged in", talk.users.len())?;
    out.gauge("zinx_groups", "Groups that have members", talk.groups.len())?;
    out.counter("zinx_connections_accepted", "Connections accepted", stats.accepted)?;
    let refused = [
        ("max_conn", stats.over_max_conn),
        ("max_conn_per_address", stats.over_max_conn_per_address),
        ("banned", stats.refused_banned),
        ("resources", stats.refused),
        ("handshake", stats.handshakes_failed),
    ];
    out.counters("zinx_connections_refused", "Peers that became no connection", "reason", refused)?;
    out.counter("zinx_bans", "Times an address was banned", stats.bans)?;
    out.gauge("zinx_addresses_banned", "Addresses that are banned", core.bans.len())?;
    let closed = core.history().map(|history| history.closed_by_kind()).unwrap_or_default();
    let closed = closed.into_iter().map(|(kind, count)| (kind, count as usize));
    out.counters("zinx_connections_closed", "Connections closed", "reason", closed)?;
    let resumes = [("resumed", stats.resumed), ("refused", stats.resume_refused)];
    out.counters("zinx_resumes", "Peers that came back", "outcome", resumes)?;
    out.counter("zinx_evictions", "Connections closed because MaxQueuedBytes was reached", stats.evicted)
}

fn messages(core: &Core, out: &mut Out<'_>) -> fmt::Result {
    let stats = core.stats();
    out.counter("zinx_messages_received", "Messages handled", stats.requests)?;
    out.counter("zinx_messages_unknown", "Messages whose id has no route", stats.unknown_ids)?;
    out.counter(
        "zinx_messages_unsent",
        "Messages queued and not sent before the close",
        stats.unsent_messages,
    )?;
    out.bytes_counter("zinx_unsent", "Their bytes", stats.unsent_bytes)?;
    if let Some(history) = core.history() {
        out.counter("zinx_messages_sent", "Messages given to the system", history.messages_out.get())?;
        out.bytes_counter("zinx_received", "Bytes received, heads included", history.bytes_in.get())?;
        out.bytes_counter("zinx_sent", "Bytes given to the system, heads included", history.bytes_out.get())?;
        let calls = &history.calls;
        let ended = [
            ("answered", calls.answered.get()),
            ("timed_out", calls.timed_out.get()),
            ("failed", calls.failed.get()),
        ];
        out.counters("zinx_calls", "Questions to peers that have ended", "outcome", ended)?;
    }
    out.counter("zinx_answers_late", "Answers that no call waited for any more", stats.late_answers)?;
    out.counter("zinx_handler_panics", "Handlers that panicked", stats.handler_panics)?;
    out.counter("zinx_hook_panics", "Hooks and other code of the program that panicked", stats.hook_panics)
}

/// The first routes have a label each; those beyond [`MOST_ROUTES`] share one, so that a table of any size stays bounded.
fn routes(core: &Core, out: &mut Out<'_>) -> fmt::Result {
    let mut labelled: Vec<(String, Counted)> = Vec::new();
    for (at, (route, counted)) in counted(core).into_iter().enumerate() {
        let label = match route {
            None => "unknown".to_string(),
            Some(_) if at >= MOST_ROUTES => "other".to_string(),
            Some(id) => id.to_string(),
        };
        match labelled.last_mut().filter(|(last, _)| *last == label) {
            Some((_, all)) => all.add(&counted),
            None => labelled.push((label, counted)),
        }
    }
    let errors = labelled.iter().map(|(label, counted)| (label.clone(), counted.errors as usize));
    out.counters("zinx_handler_errors", "Handlers that returned an error", "route", errors)?;
    out.histograms("zinx_handler_duration", "What handlers took, waits included", "route", &labelled)
}

fn memory(core: &Core, out: &mut Out<'_>) -> fmt::Result {
    let (held, mut queued) = (core.bounds().ledger.held(), (0, 0));
    core.manager().each(|conn| {
        let outbox = conn.connection().outbox().lock();
        queued = (queued.0 + outbox.messages(), queued.1 + outbox.bytes());
        true
    });
    out.gauge("zinx_queue_messages", "Messages that wait to be sent", queued.0)?;
    out.bytes_gauge("zinx_queue", "Their bytes", queued.1)?;
    let kinds = [
        ("queued", held.queued),
        ("broadcasts", held.broadcasts),
        ("resume", held.resume),
        ("kept", held.kept),
        ("arriving", held.arriving),
        ("tasks", held.tasks),
        ("waiting", held.waiting),
        ("read_buffers", held.read_buffers),
    ];
    out.bytes_gauges("zinx_held", "What peers make the server hold", "kind", kinds)?;
    out.bytes_gauge("zinx_held_max", "MaxQueuedBytes", core.config().max_queued_bytes)?;
    out.bytes_gauge("zinx_held_peak", "The most that was held at once", core.bounds().ledger.peak())
}

fn runtime(out: &mut Out<'_>) -> fmt::Result {
    let workers = Runtime::current().map_or(0, |runtime| runtime.workers);
    out.gauge("zinx_workers", "Threads that run coroutines", workers)?;
    out.gauge("zinx_stacks", "Stacks in use", green::live_coroutines())?;
    out.gauge("zinx_stacks_max", "Stacks there is room for", green::max_coroutines())?;
    out.counter("zinx_worker_stalls", "Times a worker was held by one coroutine", green::stalls() as usize)?;
    out.counter("zinx_fair_yields", "Times code gave others a turn", green::fair_yields() as usize)
}

fn process(out: &mut Out<'_>) -> fmt::Result {
    let process = process::look();
    out.gauge("process_open_fds", "Open file descriptors", process.open_files)?;
    out.gauge("process_max_fds", "Most file descriptors", green::raise_open_files(0))?;
    out.bytes_gauge("process_resident_memory", "Resident memory", process.resident_bytes)?;
    out.bytes_gauge("process_virtual_memory", "Virtual memory", process.virtual_bytes)?;
    out.gauge("process_threads", "Threads", process.threads)?;
    out.seconds_counter("process_cpu", "Processor time, user and system", process.cpu_seconds)
}

/// Writes one metric after the other. Names are without the endings that the encoder adds: the unit, and `_total`.
struct Out<'a>(DescriptorEncoder<'a>);

impl Out<'_> {
    fn gauge(&mut self, name: &str, help: &str, value: usize) -> fmt::Result {
        self.0.encode_descriptor(name, help, None, MetricType::Gauge)?.encode_gauge(&value)
    }

    fn bytes_gauge(&mut self, name: &str, help: &str, value: usize) -> fmt::Result {
        let mut metric = self.0.encode_descriptor(name, help, Some(&Unit::Bytes), MetricType::Gauge)?;
        metric.encode_gauge(&value)
    }

    fn bytes_gauges<'s>(
        &mut self,
        name: &str,
        help: &str,
        label: &str,
        values: impl IntoIterator<Item = (&'s str, usize)>,
    ) -> fmt::Result {
        let mut metric = self.0.encode_descriptor(name, help, Some(&Unit::Bytes), MetricType::Gauge)?;
        let mut each = values.into_iter();
        each.try_for_each(|(word, value)| metric.encode_family(&[(label, word)])?.encode_gauge(&value))
    }

    fn counter(&mut self, name: &str, help: &str, value: usize) -> fmt::Result {
        let mut metric = self.0.encode_descriptor(name, help, None, MetricType::Counter)?;
        metric.encode_counter::<NoLabelSet, _, u64>(&value, None)
    }

    fn bytes_counter(&mut self, name: &str, help: &str, value: usize) -> fmt::Result {
        let mut metric = self.0.encode_descriptor(name, help, Some(&Unit::Bytes), MetricType::Counter)?;
        metric.encode_counter::<NoLabelSet, _, u64>(&value, None)
    }

    fn seconds_counter(&mut self, name: &str, help: &str, value: f64) -> fmt::Result {
        let mut metric = self.0.encode_descriptor(name, help, Some(&Unit::Seconds), MetricType::Counter)?;
        metric.encode_counter::<NoLabelSet, _, u64>(&value, None)
    }

    fn counters<W: AsRef<str>>(
        &mut self,
        name: &str,
        help: &str,
        label: &str,
        values: impl IntoIterator<Item = (W, usize)>,
    ) -> fmt::Result {
        let mut metric = self.0.encode_descriptor(name, help, None, MetricType::Counter)?;
        for (word, value) in values {
            let labels = [(label, word.as_ref())];
            metric.encode_family(&labels)?.encode_counter::<NoLabelSet, _, u64>(&value, None)?;
        }
        Ok(())
    }

    fn histograms(
        &mut self,
        name: &str,
        help: &str,
        label: &str,
        values: &[(String, Counted)],
    ) -> fmt::Result {
        let mut metric = self.0.encode_descriptor(name, help, Some(&Unit::Seconds), MetricType::Histogram)?;
        for (word, counted) in values {
            let labels = [(label, word.as_str())];
            let mut metric = metric.encode_family(&labels)?;
            metric.encode_histogram::<NoLabelSet>(
                counted.seconds,
                counted.messages,
                &counted.buckets,
                None,
            )?;
        }
        Ok(())
    }
}

/// How many routes have a label of their own.
const MOST_ROUTES: usize = 200;
