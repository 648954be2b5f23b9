// What the server answers, and its metrics.

const token = { get: () => sessionStorage.getItem("zinx-token") ?? "", set: (text) => sessionStorage.setItem("zinx-token", text) };

/** The server answers, but not as asked. */
class Refused extends Error {
  constructor(status, words) {
    super(words);
    this.status = status;
  }
}

async function ask(path, method = "GET") {
  const headers = token.get() ? { Authorization: `Bearer ${token.get()}` } : {};
  const answer = await fetch(path, { method, headers, cache: "no-store", signal: AbortSignal.timeout(10_000) });
  const text = await answer.text();
  if (answer.ok || path === "/readyz") return text;
  let words = text;
  try {
    words = JSON.parse(text).error;
  } catch {
    // As it is.
  }
  throw new Refused(answer.status, words);
}

const askJson = async (path, method) => JSON.parse(await ask(path, method));

/** The metrics of a moment. */
class Sample {
  constructor(text) {
    this.time = performance.now();
    this.metrics = new Map();
    for (const line of text.split("\n")) {
      const [, name, labels, value] = /^(\w+)(?:\{(.*)\})? (\S+)/.exec(line) ?? [];
      if (!name) continue;
      if (!this.metrics.has(name)) this.metrics.set(name, []);
      this.metrics.get(name).push({ labels: labels ?? "", value: Number(value) });
    }
  }

  sum(name) {
    return (this.metrics.get(name) ?? []).reduce((sum, { value }) => sum + value, 0);
  }

  /** The values by one of their labels; those that share it count together. */
  by(name, label) {
    const sums = new Map();
    for (const { labels, value } of this.metrics.get(name) ?? []) {
      const found = new RegExp(`(?:^|,)${label}="([^"]*)"`).exec(labels)?.[1];
      if (found !== undefined) sums.set(found, (sums.get(found) ?? 0) + value);
    }
    return sums;
  }
}

/** What has changed from one sample to the next. */
class Change {
  constructor(before, now) {
    Object.assign(this, { before, now, seconds: (now.time - before.time) / 1000 });
  }

  rate(name) {
    return Math.max(0, this.now.sum(name) - this.before.sum(name)) / this.seconds;
  }

  rates(name, label) {
    const before = this.before.by(name, label);
    return new Map([...this.now.by(name, label)].map(([key, value]) => [key, Math.max(0, value - (before.get(key) ?? 0)) / this.seconds]));
  }

  /** What so large a share of the handlers took at most that have ended meanwhile, in seconds; `null` if none has. */
  quantile(share) {
    const name = "zinx_handler_duration_seconds_bucket";
    const before = this.before.by(name, "le");
    const steps = [...this.now.by(name, "le")].map(([edge, count]) => [edge === "+Inf" ? Infinity : Number(edge), count - (before.get(edge) ?? 0)]);
    steps.sort(([one], [other]) => one - other);
    const wanted = (steps.at(-1)?.[1] ?? 0) * share;
    if (!(wanted > 0)) return null;
    let [low, below] = [0, 0];
    for (const [edge, count] of steps) {
      if (count >= wanted) return edge === Infinity ? low : low + (edge - low) * ((wanted - below) / (count - below));
      [low, below] = [edge, count];
    }
    return low;
  }
}

const ONE = "var(--one)";
const TWO = "var(--two)";
const per = (format) => (value) => `${format(value)}/s`;
const CHARTS = [
  { chart: new Chart("Connections", [{ name: "open", color: ONE, least: 5 }], (value) => whole(Math.round(value))),
    values: ({ now }) => [now.sum("zinx_connections")] },
  { chart: new Chart("Messages", [{ name: "in", color: ONE, least: 10 }, { name: "out", color: TWO }], per((value) => number(Math.round(value)))),
    values: (change) => [change.rate("zinx_messages_received_total"), change.rate("zinx_messages_sent_total")] },
  { chart: new Chart("Handlers, waits included", [{ name: "median", color: ONE }, { name: "p99", color: TWO }], took, { logarithmic: true }),
    values: (change) => [change.quantile(0.5), change.quantile(0.99)] },
  { chart: new Chart("Traffic", [{ name: "in", color: ONE, least: 1024 }, { name: "out", color: TWO }], per(bytes), { base: 1024 }),
    values: (change) => [change.rate("zinx_received_bytes_total"), change.rate("zinx_sent_bytes_total")] },
];

/** Single figures below the charts: the name, the value, and what it is to be compared with. */
const FACTS = [
  ["users", ({ now }) => whole(now.sum("zinx_users"))],
  ["groups", ({ now }) => whole(now.sum("zinx_groups"))],
  ["away", ({ now }) => whole(now.sum("zinx_connections_away"))],
  ["accepted", (change) => per(number)(change.rate("zinx_connections_accepted_total"))],
  ["refused", ({ now }) => whole(now.sum("zinx_connections_refused_total")), (change) => per(number)(change.rate("zinx_connections_refused_total"))],
  ["errors", ({ now }) => whole(now.sum("zinx_handler_errors_total")), ({ now }) => `${whole(now.sum("zinx_handler_panics_total"))} panics`],
  ["waits to be sent", ({ now }) => bytes(now.sum("zinx_queue_bytes"))],
  ["held for peers", ({ now }) => bytes(now.sum("zinx_held_bytes")), ({ now }) => `of ${bytes(now.sum("zinx_held_max_bytes"))}`],
  ["stacks", ({ now }) => whole(now.sum("zinx_stacks")), ({ now }) => `of ${whole(now.sum("zinx_stacks_max"))}`],
  ["processor", (change) => `${Math.round(change.rate("process_cpu_seconds_total") * 100)} %`, ({ now }) => `${now.sum("zinx_workers")} workers`],
  ["memory", ({ now }) => bytes(now.sum("process_resident_memory_bytes"))],
  ["open files", ({ now }) => whole(now.sum("process_open_fds")), ({ now }) => `of ${whole(now.sum("process_max_fds"))}`],
];
