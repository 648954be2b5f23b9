// The live page in a real browser. `page.rs` starts it, with two servers: the second one wants a token.
// usage: node page.mjs PLANE HOST:PORT PLANE-WITH-TOKEN TOKEN

import assert from "node:assert/strict";
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { connect } from "node:net";
import { Browser, until2 as until } from "../../clients/typescript/test/browser.mjs";

const [plane, address, guarded, secret] = process.argv.slice(2);
const pictures = process.env.ZINX_TEST_PICTURES;
const [ECHO, LOGIN, JOIN, ASK, SLEEP] = [1, 20, 21, 22, 23];
// Characters of HTML, and one that turns around the text behind it.
const EVIL = `<img src=x onerror="document.title='evil'">\u202egpj`;
const SHOWN = `<img src=x onerror="document.title='evil'">\\u{202e}gpj`;

function frame(id, text = "") {
  const payload = Buffer.from(text);
  const head = Buffer.alloc(8);
  head.writeUInt32LE(payload.length, 0);
  head.writeUInt32LE(id, 4);
  return Buffer.concat([head, payload]);
}

/** A client that has sent these, and was answered each. */
async function client(...frames) {
  const [host, port] = address.split(":");
  const socket = connect({ host, port: Number(port), noDelay: true });
  await once(socket, "connect");
  let bytes = 0;
  socket.on("data", (data) => (bytes += data.length));
  socket.on("error", () => {});
  for (const one of frames) {
    const before = bytes;
    socket.write(one);
    await until(async () => bytes >= before + 8);
  }
  socket.peer = `127.0.0.1:${socket.localPort}`;
  return socket;
}

const browser = await Browser.start();
const $ = (selector) => `document.querySelector(${JSON.stringify(selector)})`;
const run = (expression) => browser.run(expression);
const textOf = (selector) => run(`${$(selector)}?.textContent ?? ""`);
const click = (selector) => run(`${$(selector)}.click()`);
/** Finds a button by what is on it. */
const press = (selector, text) => run(`[...document.querySelectorAll(${JSON.stringify(selector)})].find((button) => button.textContent === ${JSON.stringify(text)}).click()`);
const type = (selector, text) => run(`(${$(selector)}.value = ${JSON.stringify(text)}, ${$(selector)}.dispatchEvent(new Event("input")))`);
/** The rows of the table, as texts. */
const rows = () => run(`[...document.querySelectorAll("#rows tr")].map((row) => [...row.children].map((cell) => cell.textContent))`);
const row = async (peer) => (await rows()).find((cells) => cells.includes(peer));
const sees = (selector, text) => until(async () => (await textOf(selector)).includes(text));
const tab = (name) => press("#tabs button", name);

const steps = {
  async "a connection that was just made is shown, with its user as a text"() {
    await browser.open(plane);
    await sees("#state", "ready");
    await sees("#name", "game");
    const peer = await client(frame(LOGIN, EVIL), frame(JOIN, "lobby"));
    await until(async () => (await row(peer.peer))?.includes(SHOWN));
    assert.equal(await run(`document.querySelectorAll("img").length`), 0);
    return { peer };
  },

  async "its wait point is shown while a handler asks"({ peer }) {
    peer.write(frame(ASK));
    await until(async () => (await row(peer.peer))?.includes("call 7, in the handler of message 22"));
    const [id] = await row(peer.peer);
    // By itself, too.
    await press("#rows button.link", id);
    await sees("#detail-list", "call 7, in the handler of message 22");
    await sees("#detail-list", "lobby");
    await click("#detail-close");
  },

  async "it is kicked after a question, and its row tells the reason"({ peer }) {
    const [id] = await row(peer.peer);
    const ended = once(peer, "close");
    await run(`[...document.querySelectorAll("#rows tr")].find((row) => row.firstChild.textContent === "${id}").querySelector("button.danger").click()`);
    await sees("#confirm-title", `Close connection ${id}?`);
    await sees("#confirm-text", SHOWN);
    await click("#no");
    assert.ok(await row(peer.peer), "it is kicked although nobody said yes");
    await run(`[...document.querySelectorAll("#rows tr")].find((row) => row.firstChild.textContent === "${id}").querySelector("button.danger").click()`);
    await click("#yes");
    await until(async () => {
      const cells = await row(peer.peer);
      return cells?.includes("closed") && cells.includes("closed by an operator");
    });
    await ended;
    await run(`(${$("#which")}.value = "closed", ${$("#which")}.dispatchEvent(new Event("change")))`);
    await until(async () => (await row(peer.peer))?.includes("closed by an operator"));
    await tab("Refused and closed");
    await until(async () => (await rows()).some(([kind, why, count]) => kind === "closed" && why === "kicked" && count === "1"));
  },

  async "many connections are paged, searched and sorted"() {
    const peers = await Promise.all(Array.from({ length: 120 }, () => client()));
    const talker = await client(...Array.from({ length: 3 }, () => frame(ECHO, "x".repeat(500))));
    await tab("Connections");
    await sees("#range", "1–50 of 121");
    assert.equal((await rows()).length, 50);
    await click("#on");
    await click("#on");
    await sees("#range", "101–121 of 121");
    await until(async () => (await rows()).length === 21);
    assert.equal(await run(`${$("#on")}.disabled`), true);
    await type("#search", talker.peer);
    await sees("#range", "1–1 of 1");
    assert.deepEqual((await rows()).map((cells) => cells[2]), [talker.peer]);
    await type("#search", "");
    await press("#heads button", "in");
    await until(async () => (await rows())[0]?.[2] === talker.peer);
    await press("#heads button", "in ↓");
    await until(async () => (await rows()).length === 50 && (await rows())[0][2] !== talker.peer);
    peers.forEach((peer) => peer.destroy());
    talker.destroy();
    await sees("#empty", "No connection is like that.");
  },

  async "messages, latency and slow handlers are shown"() {
    const peer = await client();
    const beat = setInterval(() => peer.write(frame(ECHO, "x")), 20);
    peer.write(frame(SLEEP, "\u0030"));
    const figures = async () => run(`[...document.querySelectorAll("figure")].map((figure) => [...figure.querySelectorAll("b")].map((value) => value.textContent))`);
    await until(async () => {
      const [connections, messages, handlers, traffic] = await figures();
      return connections[0] === "1" && !["–", "0/s"].includes(messages[0]) && handlers[0] !== "–" && traffic[1] !== "0 B/s";
    });
    assert.ok((await run(`document.querySelector("figure .curve").getAttribute("d")`)).startsWith("M"));
    clearInterval(beat);
    await tab("Slow");
    await until(async () => (await rows()).some(([, message]) => message === String(SLEEP)));
    await tab("Routes");
    await until(async () => (await rows()).some(([message]) => message === String(ECHO)));
    await tab("Coroutines");
    await until(async () => (await rows()).some(([, name]) => name.startsWith("connection")));
    peer.destroy();
  },

  async "groups and users are shown, and a user of a strange name is kicked"() {
    const members = await Promise.all(["..", "..", EVIL].map((name) => client(frame(LOGIN, name), frame(JOIN, `room ${EVIL}`))));
    await tab("Groups");
    await until(async () => (await rows()).some(([name, count]) => name === `room ${SHOWN}` && count === "3"));
    await press("#rows button.link", `room ${SHOWN}`);
    await sees("#range", "1–3 of 3");
    await sees("#chip", `group room ${SHOWN}`);
    await tab("Users");
    await until(async () => (await rows()).some(([name, count]) => name === ".." && count === "2"));
    await run(`[...document.querySelectorAll("#rows tr")].find((row) => row.firstChild.textContent === "..").querySelector("button.danger").click()`);
    const ended = members.slice(0, 2).map((member) => once(member, "close"));
    await click("#yes");
    await Promise.all(ended);
    await until(async () => (await rows()).length === 1);
    members[2].destroy();
    await until(async () => (await rows()).length === 0);
  },

  async "a server with a token asks for it"() {
    await browser.open(guarded);
    await until(() => run(`${$("#ask")}.open`));
    assert.equal(await textOf("#rows"), "");
    await run(`${$("#token")}.value = "wrong"`);
    await click("#enter");
    await sees("#ask-text", "That was not it");
    await until(() => run(`${$("#ask")}.open`));
    await run(`${$("#token")}.value = ${JSON.stringify(secret)}`);
    await click("#enter");
    await sees("#state", "ready");
    assert.equal(await run(`${$("#ask")}.open`), false);
  },

  async "dark and light are chosen"() {
    const ground = () => run(`getComputedStyle(document.body).backgroundColor`);
    await click("#theme");
    const light = await ground();
    await click("#theme");
    assert.notEqual(await ground(), light);
    await browser.call("Emulation.setEmulatedMedia", { features: [{ name: "prefers-color-scheme", value: "light" }] });
    await click("#theme");
    assert.equal(await ground(), light);
  },

  async "pictures for the documentation"() {
    if (pictures) await (await import("./pictures.mjs")).take({ browser, plane, client, frame, run, until, folder: pictures, write: writeFileSync });
  },

  async "the server is drained after a question"() {
    await browser.open(plane);
    await sees("#state", "ready");
    const last = await client();
    const ended = once(last, "close");
    await click("#drain");
    await sees("#confirm-title", "Stop the server?");
    await run(`${$("#seconds")}.value = 1`);
    await click("#yes");
    await ended;
    await sees("#state", "no answer");
  },
};

let held = {};
let failure;
await browser.call("Runtime.enable");
await browser.call("Log.enable");
for (const [name, step] of Object.entries(steps)) {
  try {
    held = (await step(held)) ?? held;
    const faults = browser.events.filter(({ method, params }) =>
      method === "Runtime.exceptionThrown" || (method === "Log.entryAdded" && params.entry.source !== "network" && params.entry.level !== "verbose"));
    assert.deepEqual(faults.map(({ params }) => params), []);
    console.log(`ok: ${name}`);
  } catch (error) {
    failure = `${name}: ${error.stack}\n${await browser.run("document.body.innerText").catch(() => "")}`;
    break;
  }
}
await browser.end();
if (failure) console.error(failure);
process.exit(failure ? 1 : 0);
