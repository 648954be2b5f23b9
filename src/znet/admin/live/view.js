// What is seen, and what is done.

const START = { tab: "connections", which: "all", search: "", user: "", group: "", sort: "waiting", order: "desc", offset: 0 };
let view = { ...START, ...Object.fromEntries(new URLSearchParams(location.hash.slice(1))) };
view.offset = Number(view.offset) || 0;
if (!Object.hasOwn(TABS, view.tab)) view = { ...START };

let latest; // The last change from sample to sample.
let sample;
let about; // `/varz`, asked for once per process.
let detail; // The id of the connection that is shown by itself.
let matched = 0;
const kicked = new Map(); // Connections kicked from here stay in their rows until they are seen closed: id to index.
let turn = 0;
let isHeld = false;

/** Shows something else. */
function change(what) {
  view = { ...view, offset: 0, ...what };
  const differing = Object.entries(view).filter(([name, value]) => String(value) !== String(START[name]));
  history.replaceState(null, "", `#${new URLSearchParams(differing)}`);
  kicked.clear();
  frame();
  showRows().catch(failed);
}

/** What is around the rows. */
function frame() {
  const tab = TABS[view.tab];
  $("tabs").replaceChildren(...Object.entries(TABS).map(([name, { title }]) => {
    const button = make("button", { textContent: title, onclick: () => change({ ...START, tab: name }) });
    button.setAttribute("role", "tab");
    button.setAttribute("aria-selected", String(name === view.tab));
    return button;
  }));
  $("search").hidden = !tab.search;
  $("search").placeholder = tab.search ?? "";
  if ($("search").value !== view.search) $("search").value = view.search;
  $("which").hidden = view.tab !== "connections";
  $("which").value = view.which;
  $("chip").hidden = !(view.user || view.group);
  say($("chip"), clean(view.user ? `user ${view.user} ✕` : `group ${view.group} ✕`));
  $("rows").replaceChildren();
  $("heads").replaceChildren(...tab.columns().map(head));
}

function head(column) {
  const { title, look = "", sort } = column;
  if (!sort) return make("th", { className: look, textContent: title });
  const cell = make("th", { className: look });
  const isSorted = view.sort === sort;
  if (isSorted) cell.setAttribute("aria-sort", view.order === "desc" ? "descending" : "ascending");
  const arrow = isSorted ? (view.order === "desc" ? " ↓" : " ↑") : "";
  const order = isSorted && view.order === "desc" ? "asc" : "desc";
  cell.append(make("button", { textContent: title + arrow, title: "Sort", onclick: () => change({ sort, order }) }));
  return cell;
}

/** Asks for the rows, and shows them, unless something else is wanted meanwhile. */
async function showRows() {
  const mine = ++turn;
  const tab = TABS[view.tab];
  const answer = tab.path ? await askJson(tab.path()) : {};
  const rows = tab.rows ? tab.rows(answer) : answer.entries;
  if (view.tab === "connections" && view.which !== "closed") await addKicked(rows);
  // A row that moved under the mouse would be the wrong one to click.
  if (mine !== turn || isHeld) return;
  matched = answer.matched ?? rows.length;
  if (view.offset && view.offset >= matched) return change({ offset: Math.floor(Math.max(0, matched - 1) / PAGE) * PAGE });
  fill(tab, rows);
  say($("range"), matched ? `${whole(view.offset + 1)}–${whole(Math.min(view.offset + PAGE, Math.max(matched, view.offset + 1)))} of ${whole(matched)}` : "");
  if (!answer.limit) say($("range"), "");
  $("back").hidden = $("on").hidden = !(answer.limit && matched > PAGE);
  $("back").disabled = !view.offset;
  $("on").disabled = view.offset + PAGE >= matched;
  $("empty").hidden = rows.length > 0;
  say($("empty"), tab.empty());
}

async function addKicked(rows) {
  for (const [id, at] of kicked) {
    if (rows.some((row) => row.id === id)) continue;
    try {
      rows.splice(Math.min(at, rows.length), 0, await askJson(`/connz/${id}`));
    } catch (error) {
      if (error.status !== 404) throw error;
      kicked.delete(id);
    }
  }
}

/** Makes the rows of the table those; a row that stays keeps its elements. */
function fill(tab, rows) {
  const columns = tab.columns();
  const old = new Map([...$("rows").children].map((element) => [element.key, element]));
  let next = $("rows").firstChild;
  rows.forEach((row, at) => {
    const key = tab.key ? tab.key(row) : at;
    const element = old.get(key) ?? makeRow(key, columns);
    old.delete(key);
    element.row = row;
    element.className = tab.look?.(row) ?? "";
    columns.forEach((column, at) => fillCell(element.children[at], column.text(row)));
    if (element === next) next = next.nextSibling;
    else $("rows").insertBefore(element, next);
  });
  old.forEach((element) => element.remove());
}

function makeRow(key, columns) {
  const row = make("tr", { key });
  row.append(...columns.map(({ look = "", act, button }) => {
    const cell = make("td", { className: look });
    if (act) cell.append(make("button", { className: button ?? "link", onclick: () => act(row.row) }));
    return cell;
  }));
  return row;
}

function fillCell(cell, text) {
  const target = cell.firstElementChild ?? cell;
  say(target, text);
  if (target !== cell) target.hidden = !text;
  if (cell.title !== text && text.length > 24) cell.title = text;
}

async function showFigures() {
  const [text, ready] = await Promise.all([ask("/metrics"), ask("/readyz")]);
  const now = new Sample(text);
  const isOther = sample && now.sum("process_cpu_seconds_total") < sample.sum("process_cpu_seconds_total");
  if (!about || isOther) {
    about = { ...(await askJson("/varz")), seen: now.time };
    sample = undefined;
    CHARTS.forEach(({ chart }) => chart.forget());
  }
  const where = about.listening.map(({ transport, address }) => (transport === "tcp" ? address : `${transport}://${address}`)).join(", ");
  say($("name"), clean(about.name));
  document.title = `${clean(about.name)} · zinx`;
  say($("about"), `${where} · up ${age(about.uptime_ms + now.time - about.seen)} · zinx ${about.zinx}${about.build === "debug" ? ", debug build" : ""} · process ${about.process}`);
  const [word, look] = ready.startsWith("ready") ? ["ready", "good"] : ready.startsWith("stopping") ? ["draining", "bad"] : ["full", "warn"];
  say($("state"), word);
  $("state").className = `badge ${look}`;
  $("state").title = ready.trim();
  $("drain").disabled = word === "draining";
  if (sample && now.time > sample.time) {
    latest = new Change(sample, now);
    CHARTS.forEach(({ chart, values }) => chart.add(now.time, values(latest)));
    FACTS.forEach(([, value, beside], at) => {
      const [shown, small] = $("facts").children[at].lastChild.children;
      say(shown, value(latest));
      say(small, beside ? ` ${beside(latest)}` : "");
    });
  }
  sample = now;
}

async function showDetail() {
  if (detail === undefined) return;
  const id = detail;
  const row = await askJson(`/connz/${id}`).catch((error) => {
    if (error.status === 404) return { id, state: "closed", reason: "it closed too long ago to be remembered" };
    throw error;
  });
  if (id !== detail) return;
  const groups = row.groups?.length ? row.groups.join(", ") : undefined;
  const entries = [
    ["state", row.state], ["reason", row.reason], ["waits", row.waits && what(row)], ["for", row.waits && age(row.waits.ms)],
    ["user", row.user], ["groups", groups], ["transport", row.transport], ["peer", row.remote], ["here", row.local], ["worker", row.worker],
    ["age", has(row.age_ms, age)], ["idle", has(row.idle_ms, age)], ["closed", has(row.ago_ms, (ms) => `${age(ms)} ago`)],
    ["round trip", has(row.rtt_us, (micros) => took(micros / 1e6))],
    ["messages", has(row.messages, whole)], ["received", has(row.bytes_in, bytes)], ["sent", has(row.bytes_out, bytes)],
    ["waits to be sent", has(row.pending_bytes, (size) => `${bytes(size)} in ${whole(row.pending_messages)} messages`)],
    ["not sent", has(row.unsent_bytes, (size) => `${bytes(size)} in ${whole(row.unsent_messages)} messages`)],
  ].filter(([, value]) => value !== undefined && value !== null && value !== "");
  say($("detail-name"), `Connection ${id}`);
  const list = $("detail-list");
  if (list.children.length !== entries.length * 2) list.replaceChildren(...entries.flatMap(() => [make("dt"), make("dd")]));
  entries.flat().forEach((text, at) => say(list.children[at], clean(text)));
  $("detail-kick").hidden = !isOpen(row);
  $("detail-kick").onclick = () => confirmKick(id, row.user);
  $("detail").hidden = false;
}

function openDetail(id) {
  detail = id;
  showDetail().catch(failed);
}

function closeDetail() {
  detail = undefined;
  $("detail").hidden = true;
}

/** Asks whether to do something that cannot be undone. */
function confirm({ title, text, verb, seconds = false, act }) {
  say($("confirm-title"), title);
  say($("confirm-text"), text);
  say($("yes"), verb);
  $("confirm-seconds").hidden = !seconds;
  $("yes").onclick = () => {
    $("confirm").close();
    Promise.resolve(act()).then(() => Promise.all([showRows(), showDetail()])).catch(failed);
  };
  $("confirm").showModal();
  $("no").focus();
}

function confirmKick(id, user) {
  const text = `${user ? `It is ${clean(user)}'s. ` : ""}What is queued for it is still sent, and its stop hook runs.`;
  const act = async () => {
    kicked.set(id, [...$("rows").children].findIndex((element) => element.key === id));
    await ask(`/connz/${id}/kick`, "POST");
  };
  confirm({ title: `Close connection ${id}?`, text, verb: "Kick", act });
}

function confirmKickUser({ user, connections }) {
  const text = `What is queued for ${connections.length === 1 ? "its connection" : `its ${connections.length} connections`} is still sent.`;
  // Such a name is no part of a path.
  const isPath = !["", ".", ".."].includes(user);
  const paths = isPath ? [`/userz/${encodeURIComponent(user)}/kick`] : connections.map((id) => `/connz/${id}/kick`);
  confirm({ title: `Close all connections of ${clean(user)}?`, text, verb: "Kick", act: () => Promise.all(paths.map((path) => ask(path, "POST"))) });
}

function confirmDrain() {
  const open = whole(sample?.sum("zinx_connections") ?? 0);
  const text = `It takes no more connections, closes the ${open} it has, and ends. There is no way back.`;
  confirm({ title: "Stop the server?", text, verb: "Drain", seconds: true, act: () => ask(`/drain?seconds=${Number($("seconds").value) || 0}`, "POST") });
}

/** Says what went wrong; a server that wants a token is asked again with one. */
function failed(error) {
  if (error.status === 401) {
    if (!$("ask").open) {
      if (token.get()) say($("ask-text"), "That was not it. It is kept until this tab is closed.");
      $("ask").showModal();
    }
    return;
  }
  $("trouble").hidden = false;
  say($("trouble"), error instanceof Refused ? `The server answers ${error.status}: ${clean(error.message)}` : "The server does not answer. What is shown is how it was.");
  if (error instanceof Refused) return;
  say($("state"), "no answer");
  $("state").className = "badge bad";
}

async function tick() {
  if (!document.hidden && !$("ask").open) {
    try {
      await Promise.all([showFigures(), showRows(), showDetail()]);
      $("trouble").hidden = true;
    } catch (error) {
      failed(error);
    }
  }
  setTimeout(tick, 1000);
}

function theme(next) {
  const themes = ["auto", "light", "dark"];
  const now = localStorage.getItem("zinx-theme") ?? "auto";
  const shown = next ? themes[(themes.indexOf(now) + 1) % themes.length] : now;
  localStorage.setItem("zinx-theme", shown);
  document.documentElement.dataset.theme = shown;
  say($("theme"), { auto: "◐ auto", light: "☀ light", dark: "☾ dark" }[shown] ?? "◐ auto");
}

function begin() {
  theme(false);
  $("charts").append(...CHARTS.map(({ chart }) => chart.figure));
  $("facts").append(...FACTS.map(([name]) => make("div", {}, make("dt", { textContent: name }), make("dd", {}, make("span", { textContent: "–" }), make("small")))));
  $("theme").onclick = () => theme(true);
  $("drain").onclick = confirmDrain;
  $("search").oninput = () => change({ search: $("search").value.trim() });
  $("which").onchange = () => change({ which: $("which").value });
  $("chip").onclick = () => change({ user: "", group: "" });
  $("back").onclick = () => change({ offset: Math.max(0, view.offset - PAGE) });
  $("on").onclick = () => change({ offset: view.offset + PAGE });
  $("no").onclick = () => $("confirm").close();
  $("detail-close").onclick = closeDetail;
  const enter = () => {
    token.set($("token").value.trim());
    $("token").value = "";
    $("ask").close();
    showFigures().then(showRows).catch(failed);
  };
  $("enter").onclick = enter;
  $("token").onkeydown = ({ key }) => key === "Enter" && enter();
  document.onkeydown = ({ key }) => key === "Escape" && !$("confirm").open && closeDetail();
  document.onpointerdown = () => (isHeld = true);
  document.onpointerup = document.onpointercancel = () => (isHeld = false);
  // The button may have been let go outside of the window.
  document.onpointermove = ({ buttons }) => buttons || (isHeld = false);
  document.onvisibilitychange = () => !document.hidden && showFigures().catch(failed);
  frame();
  tick();
}

begin();
