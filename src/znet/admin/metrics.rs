//! Metrics for Prometheus, in the text format of OpenMetrics. All are put together when they are asked for.

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{DescriptorEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::{Registry, Unit};

use super::process::{self, thread_time};
use super::routes::counted;
use crate::green::{self, Queue, Runtime};
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
        cluster(&self.0, &mut out)?;
        let waiting = Waiting::in_all(&self.0);
        tasks(&self.0, &waiting, &mut out)?;
        memory(&self.0, &waiting, &mut out)?;
        runtime(&self.0, &mut out)?;
        workers(&mut out)?;
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

/// Nothing, without Redis.
fn cluster(core: &Core, out: &mut Out<'_>) -> fmt::Result {
    let Some(remote) = core.talk().remote() else { return Ok(()) };
    let stats = remote.stats();
    out.gauge("zinx_cluster_connected", "Whether Redis is reached", usize::from(stats.is_connected))?;
    out.counter("zinx_cluster_reconnects", "Connections to Redis made again", stats.reconnects)?;
    let logins = [("won", stats.logins_won), ("lost", stats.logins_lost)];
    out.counters("zinx_cluster_logins", "Logins that the nodes know of", "outcome", logins)?;
    let entries =
        [("read", stats.entries_read), ("lost", stats.entries_lost), ("unsent", stats.entries_unsent)];
    out.counters("zinx_cluster_entries", "What nodes have sent to each other", "outcome", entries)?;
    out.counter(
        "zinx_cluster_leases_lost",
        "Times the lease was over before it was renewed",
        stats.leases_lost,
    )?;
    let help = "How long Redis took to renew the lease, the last time";
    out.seconds_gauge("zinx_cluster_round_trip", help, stats.round_trip)
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

/// What waits, counted in one look at all connections.
#[derive(Default)]
struct Waiting {
    /// To be sent.
    messages: usize,
    bytes: usize,
    /// In the queues of workers.
    tasks: usize,
    longest_queue: usize,
}

impl Waiting {
    fn in_all(core: &Core) -> Self {
        let (mut all, mut workers) = (Self::default(), HashSet::new());
        core.manager().each(|conn| {
            let conn = conn.connection();
            let outbox = conn.outbox().lock();
            (all.messages, all.bytes) = (all.messages + outbox.messages(), all.bytes + outbox.bytes());
            drop(outbox);
            let tasks = match conn.tasks().worker() {
                Some(worker) if workers.insert(worker.id()) => worker.queued(),
                Some(_) => 0,
                None => conn.on_demand().and_then(|own| own.queue.get()).map_or(0, |queue| Queue::len(queue)),
            };
            (all.tasks, all.longest_queue) = (all.tasks + tasks, all.longest_queue.max(tasks));
            true
        });
        all
    }
}

/// What waits for its handler.
fn tasks(core: &Core, waiting: &Waiting, out: &mut Out<'_>) -> fmt::Result {
    out.gauge("zinx_tasks_queued", "Messages in the queues of workers", waiting.tasks)?;
    out.gauge("zinx_tasks_queued_longest", "Messages in the longest of these queues", waiting.longest_queue)?;
    let waits = core.history().map(|history| history.task_waits.counted()).unwrap_or_default();
    out.histogram("zinx_task_queue_duration", "How long messages were in the queues of workers", &waits)
}

fn memory(core: &Core, waiting: &Waiting, out: &mut Out<'_>) -> fmt::Result {
    let held = core.bounds().ledger.held();
    out.gauge("zinx_queue_messages", "Messages that wait to be sent", waiting.messages)?;
    out.bytes_gauge("zinx_queue", "Their bytes", waiting.bytes)?;
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

fn runtime(core: &Core, out: &mut Out<'_>) -> fmt::Result {
    let workers = Runtime::current().map_or(0, |runtime| runtime.workers);
    out.gauge("zinx_workers", "Threads that run coroutines", workers)?;
    out.gauge("zinx_stacks", "Stacks in use", green::live_coroutines())?;
    out.gauge("zinx_stacks_max", "Stacks there is room for", green::max_coroutines())?;
    out.counter("zinx_worker_stalls", "Times a worker was held by one coroutine", green::stalls() as usize)?;
    out.counter("zinx_fair_yields", "Times code gave others a turn", green::fair_yields() as usize)?;
    let stolen = green::stolen_rides() as usize;
    out.counter("zinx_turns_stolen", "Turns of connections that another worker took over", stolen)?;
    let now = core.clock().now();
    let lag = core.history().map_or(Duration::ZERO, |history| history.sweeper_lag.of_late(now));
    out.seconds_gauge("zinx_sweeper_lag", "How late the sweeper was, at most, in the last minute", lag)
}

/// As many as the machine has processors, or `Workers` says.
fn workers(out: &mut Out<'_>) -> fmt::Result {
    let (mut busy, mut delayed, mut turns) = (Vec::new(), Vec::new(), Vec::new());
    for figures in green::worker_figures() {
        let worker = figures.worker.to_string();
        if let Some(time) = thread_time(figures.thread) {
            busy.push((worker.clone(), time.ran));
            delayed.push((worker.clone(), time.delayed));
        }
        turns.push((worker, figures.longest_turn.as_secs_f64()));
    }
    let help = "Time in which a worker had a processor";
    out.worker_seconds("zinx_worker_busy", help, MetricType::Counter, &busy)?;
    let help = "Time in which a worker could have run, but others had the processors";
    out.worker_seconds("zinx_worker_delayed", help, MetricType::Counter, &delayed)?;
    let help = "The longest time that a coroutine kept a worker in the last minute";
    out.worker_seconds("zinx_worker_longest_turn", help, MetricType::Gauge, &turns)
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

    fn seconds_gauge(&mut self, name: &str, help: &str, value: Duration) -> fmt::Result {
        let mut metric = self.0.encode_descriptor(name, help, Some(&Unit::Seconds), MetricType::Gauge)?;
        metric.encode_gauge(&value.as_secs_f64())
    }

    fn worker_seconds(
        &mut self,
        name: &str,
        help: &str,
        kind: MetricType,
        values: &[(String, f64)],
    ) -> fmt::Result {
        let is_counter = matches!(kind, MetricType::Counter);
        let mut metric = self.0.encode_descriptor(name, help, Some(&Unit::Seconds), kind)?;
        for (worker, value) in values {
            let labels = [("worker", worker.as_str())];
            let mut metric = metric.encode_family(&labels)?;
            if is_counter {
                metric.encode_counter::<NoLabelSet, _, u64>(value, None)?;
            } else {
                metric.encode_gauge(value)?;
            }
        }
        Ok(())
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

    fn histogram(&mut self, name: &str, help: &str, counted: &Counted) -> fmt::Result {
        let mut metric = self.0.encode_descriptor(name, help, Some(&Unit::Seconds), MetricType::Histogram)?;
        let Counted { seconds, messages, buckets, .. } = counted;
        metric.encode_histogram::<NoLabelSet>(*seconds, *messages, buckets, None)
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
