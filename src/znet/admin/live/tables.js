// The tables: what each asks for, and its columns.

const PAGE = 50;

/** A column: its title and its text, and how it looks. `sort` is the word of `/connz` for it, `act` what a click on its text does. */
const column = (title, text, properties = {}) => ({ title, text, ...properties });
const figure = (title, text, properties = {}) => column(title, text, { look: "number", ...properties });
const has = (value, format) => (value === undefined || value === null ? "" : format(value));

const toConnection = (id) => openDetail(id);
const toUser = (user) => change({ tab: "connections", user, group: "", search: "" });
const toGroup = (group) => change({ tab: "connections", group, user: "", search: "" });

const CONNECTION = [
  figure("id", (row) => String(row.id), { sort: "id", act: (row) => toConnection(row.id) }),
  column("state", (row) => row.state, { look: "state" }),
  column("peer", (row) => (row.transport === "tcp" ? row.remote : `${row.transport} ${row.remote}`)),
  column("user", (row) => clean(row.user ?? ""), { look: "strong", act: (row) => toUser(row.user) }),
];
const TRAFFIC = [
  figure("messages", (row) => number(row.messages), { sort: "messages" }),
  figure("in", (row) => bytes(row.bytes_in), { sort: "bytes_in" }),
  figure("out", (row) => bytes(row.bytes_out), { sort: "bytes_out" }),
];
const isOpen = (row) => row.state === "open" || row.state === "away";
const OPEN = [
  ...CONNECTION,
  column("where its code waits", (row) => clean(row.waits && row.state !== "closing" ? what(row) : row.reason ?? ""), { look: "wide strong", sort: "waiting" }),
  figure("for", (row) => (row.waits?.in ? took(row.waits.ms / 1000) : "")),
  figure("idle", (row) => has(row.idle_ms, age), { sort: "idle" }),
  figure("age", (row) => age(row.age_ms), { sort: "age" }),
  figure("round trip", (row) => has(row.rtt_us, (micros) => took(micros / 1e6)), { sort: "rtt" }),
  figure("to send", (row) => bytes(row.pending_bytes ?? row.unsent_bytes), { sort: "pending" }),
  ...TRAFFIC,
  column("", (row) => (isOpen(row) ? "Kick" : ""), { button: "danger", act: (row) => confirmKick(row.id, row.user) }),
];
const CLOSED = [
  ...CONNECTION,
  column("why", (row) => clean(row.reason), { look: "wide strong" }),
  figure("closed", (row) => `${age(row.ago_ms)} ago`),
  figure("lived", (row) => age(row.age_ms)),
  figure("not sent", (row) => bytes(row.unsent_bytes)),
  ...TRAFFIC.map(({ sort, ...rest }) => rest),
];

function what({ waits }) {
  return waits.in ? `${waits.what}, in ${waits.in}` : waits.what;
}

const query = (parameters) => new URLSearchParams(Object.entries(parameters).filter(([, value]) => value !== "")).toString();
const paged = (path, parameters = {}) => `${path}?${query({ ...parameters, limit: PAGE, offset: view.offset })}`;

const TABS = {
  connections: {
    title: "Connections",
    search: "id, peer, user, group, or what it waits for",
    path: () => {
      const { which, user, group, search, sort, order } = view;
      const state = which === "all" ? "" : which;
      return paged("/connz", state === "closed" ? { state, user, search } : { state, user, group, search, sort, order });
    },
    columns: () => (view.which === "closed" ? CLOSED : OPEN),
    key: (row) => row.id,
    look: (row) => row.state,
    empty: () => (view.which === "closed" ? "None of those that closed is like that." : "No connection is like that."),
  },
  slow: {
    title: "Slow",
    path: () => paged("/slowz"),
    columns: () => [
      figure("took", (row) => took(row.seconds), { look: "number strong" }),
      figure("message", (row) => String(row.route)),
      figure("connection", (row) => String(row.connection), { act: (row) => toConnection(row.connection) }),
      column("ended", (row) => `${age(row.ago_ms)} ago`),
    ],
    empty: () => "No handler has taken 10 ms or more of late.",
  },
  routes: {
    title: "Routes",
    path: () => paged("/routez"),
    columns: () => [
      column("message", (row) => (row.route === null ? "without a route" : String(row.route)), { look: "strong" }),
      figure("handled", (row) => whole(row.messages)),
      figure("errors", (row) => whole(row.errors)),
      figure("panics", (row) => whole(row.panics)),
      figure("mean", (row) => took(row.mean_seconds)),
      figure("median", (row) => took(row.p50_seconds)),
      figure("99th percentile", (row) => took(row.p99_seconds)),
      figure("slowest", (row) => took(row.slowest_seconds)),
    ],
    key: (row) => row.route,
    empty: () => "No message has come.",
  },
  refused: {
    title: "Refused and closed",
    rows: () => ends(),
    columns: () => [
      column("", (row) => row.kind),
      column("why", (row) => row.reason, { look: "strong" }),
      figure("since the start", (row) => whole(row.count)),
      figure("now", (row) => per(number)(row.rate)),
    ],
    key: (row) => row.kind + row.reason,
    empty: () => "Nobody was refused, and no connection has closed.",
  },
  groups: {
    title: "Groups",
    search: "part of a name",
    path: () => paged("/groupz", { name: view.search }),
    columns: () => [
      column("group", (row) => clean(row.name), { look: "wide strong", act: (row) => toGroup(row.name) }),
      figure("members", (row) => whole(row.members)),
    ],
    key: (row) => row.name,
    empty: () => "There is no such group.",
  },
  users: {
    title: "Users",
    search: "part of a name",
    path: () => paged("/userz", { name: view.search }),
    columns: () => [
      column("user", (row) => clean(row.user), { look: "wide strong", act: (row) => toUser(row.user) }),
      figure("connections", (row) => whole(row.connections.length)),
      column("", (row) => row.connections.slice(0, 8).join(", ") + (row.connections.length > 8 ? ", …" : ""), { look: "wide faint" }),
      column("", () => "Kick", { button: "danger", act: (row) => confirmKickUser(row) }),
    ],
    key: (row) => row.user,
    empty: () => "Nobody of that name is logged in.",
  },
  coroutines: {
    title: "Coroutines",
    path: () => "/greenz?limit=0",
    rows: ({ kinds }) => kinds,
    columns: () => [
      figure("count", (row) => whole(row.count), { look: "number strong" }),
      column("coroutine", (row) => clean(row.name)),
      column("does", (row) => row.does),
    ],
    key: (row) => `${row.name} ${row.does}`,
    empty: () => "There is none.",
  },
};

/** Why peers were refused and connections have closed, the most first. */
function ends() {
  const kinds = [["refused", "zinx_connections_refused_total", "reason"], ["closed", "zinx_connections_closed_total", "reason"]];
  if (!latest) return [];
  return kinds.flatMap(([kind, name, label]) => {
    const rates = latest.rates(name, label);
    const rows = [...latest.now.by(name, label)].filter(([, count]) => count > 0);
    return rows.sort(([, one], [, other]) => other - one).map(([reason, count]) => ({ kind, reason: reason.replaceAll("_", " "), count, rate: rates.get(reason) }));
  });
}
