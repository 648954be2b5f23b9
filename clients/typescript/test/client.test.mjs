// What the client promises, against the real server, over TCP and WebSocket.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createServer } from "node:net";
import { after, before, test } from "node:test";
import { BufferFull, Client, connect, ConnectionClosed, FrameTooLarge, json, text, TimedOut } from "../dist/node.js";
import { startServer, until } from "./support.mjs";

const QUICK = { backoff: [10, 100] };
const SOON = { timeout: 60_000 };
const LIMIT = { timeout: 120_000 };

let server;
before(async () => (server = await startServer()));
after(() => server.end());

const decode = (data) => new TextDecoder().decode(data);

/** A client that notes its states, closed with the test. */
async function open(t, url, options = {}) {
  const client = new Client(url, { ...QUICK, ...options });
  const states = [];
  client.onState((state) => states.push(state));
  t.after(() => client.close());
  await client.connect();
  return { client, states, names: () => states.map(({ name }) => name) };
}

for (const transport of ["tcp", "websocket"]) {
  const on = (name, run) => test(`${name}, ${transport}`, LIMIT, (t) => run(t, server.urls[transport]));

  on("a message is sent and its echo handled", async (t, url) => {
    const { client } = await open(t, url);
    const heard = new Promise((resolve) => client.on(1, (data, id) => resolve([id, decode(data)])));
    client.send(1, "hello");
    assert.deepEqual(await heard, [1, "hello"]);
  });

  on("many messages keep their order", async (t, url) => {
    const { client } = await open(t, url);
    const heard = [];
    client.on("other", (data, id) => heard.push([id, new DataView(data.buffer, data.byteOffset).getUint32(0, true)]));
    client.send(2, new Uint8Array(Uint32Array.of(3000).buffer));
    await until(() => heard.length === 3000, "3000 messages");
    assert.ok(heard.every(([id, n], at) => id === 3 && n === at));
  });

  on("the server asks, and gets what the handler returns or resolves to", async (t, url) => {
    const { client } = await open(t, url);
    client.answer(10, 11, (question) => `yes, ${decode(question)}`);
    assert.equal(decode(await client.request(4, "sure?", 12, SOON)), "yes, sure?");
    client.answer(10, 11, async (question) => {
      const other = await connect(url, QUICK);
      const echo = await other.request(1, question, 1, SOON);
      await other.close();
      return `after ${decode(echo)}`;
    });
    assert.equal(decode(await client.request(4, "that", 12, SOON)), "after that");
  });

  on("a match that fails on the data of another message says no", async (t, url) => {
    const { client, names } = await open(t, url);
    const number = (data) => new DataView(data.buffer, data.byteOffset, data.byteLength).getUint32(0);
    client.send(1, Uint8Array.of(9));
    const asked = client.request(1, Uint8Array.of(1, 2, 3, 4), 1, { ...SOON, match: (data) => number(data) === 0x01020304 });
    assert.equal(number(await asked), 0x01020304);
    assert.deepEqual(names(), ["connecting", "open"]);
  });

  on("a listener that fails does not keep the client from coming back", async (t, url) => {
    const { client, names } = await open(t, url);
    client.onState(() => {
      throw new Error("on purpose");
    });
    client.dropSocket();
    await until(() => names().filter((name) => name === "open").length === 2, "the connection is back");
    assert.equal(decode(await client.request(1, "hello", 1, SOON)), "hello");
  });

  on("a close while the client connects for the first time is heard", async (t, url) => {
    const client = new Client(url, QUICK);
    const connecting = assert.rejects(client.connect(), ConnectionClosed);
    await client.close();
    await connecting;
    assert.deepEqual([client.state.name, client.state.reason], ["closed", "closed by the program"]);
    // Nor is it back once the attempt has come to its end.
    const { client: other } = await open(t, url);
    await other.request(1, "", 1, SOON);
    assert.equal(client.state.name, "closed");
    await assert.rejects(client.connect(), ConnectionClosed);
  });

  on("a second connect is refused and harms nothing", async (t, url) => {
    const client = new Client(url, QUICK);
    t.after(() => client.close());
    const connecting = client.connect();
    await assert.rejects(client.connect(), /already/);
    await connecting;
    await assert.rejects(client.connect(), /already/);
    assert.equal(decode(await client.request(1, "there", 1, SOON)), "there");
  });

  on("requests time out, and answers are matched in order or by a number", async (t, url) => {
    const { client } = await open(t, url);
    await assert.rejects(client.request(1, "", 9, { timeout: 50 }), TimedOut);
    const asked = await Promise.all([1, 2, 3].map((n) => client.request(1, Uint8Array.of(n), 1, SOON)));
    assert.deepEqual(asked.map(([n]) => n), [1, 2, 3]);
    const match = (n) => ({ ...SOON, match: ([first]) => first === n });
    const matched = await Promise.all([3, 2, 1].map((n) => client.request(1, Uint8Array.of(n), 1, match(n))));
    assert.deepEqual(matched.map(([n]) => n), [3, 2, 1]);
  });

  on("data may be JSON, text, or what a codec makes of it", async (t, url) => {
    const asJson = await open(t, url, { codec: json });
    assert.deepEqual(await asJson.client.request(1, { name: "李", n: [1, 2] }, 1, SOON), { name: "李", n: [1, 2] });
    const asText = await open(t, url, { codec: text });
    assert.equal(await asText.client.request(1, "你好", 1, SOON), "你好");
    const number = { encode: (value, id) => new TextEncoder().encode(String(value + id)), decode: (data, id) => Number(decode(data)) - id };
    const own = await open(t, url, { codec: number });
    assert.equal(await own.client.request(1, 41, 1, SOON), 41);
  });

  on("it comes back by itself, and the program is told", async (t, url) => {
    const { client, states, names } = await open(t, url);
    await client.request(1, "", 1, SOON);
    client.dropSocket();
    client.send(20, "sent without a socket");
    assert.equal(decode(await client.request(1, "and one more", 1, SOON)), "and one more");
    assert.deepEqual(names(), ["connecting", "open", "resuming", "open"]);
    assert.deepEqual(states.map(({ resumed }) => resumed), [false, false, false, true]);
  });

  on("another client goes on with what was saved, as a page that is loaded again", async (t, url) => {
    const { client } = await open(t, url);
    const before = await client.request(24, "", 25, SOON);
    client.send(20, Uint8Array.of(1, 0, 0, 0));
    const saved = client.save();
    assert.equal(client.state.name, "closed");
    assert.throws(() => client.send(1, ""), ConnectionClosed);
    const { client: next, states } = await open(t, url, { saved });
    assert.ok(states.at(-1).resumed);
    assert.deepEqual(await next.request(24, "", 25, SOON), before);
    assert.deepEqual(await next.request(22, "", 23, SOON), Uint8Array.of(1, 0, 0, 0));
  });

  on("closed by the server on purpose is closed for good, unless the program wants otherwise", async (t, url) => {
    const { client, states } = await open(t, url);
    await client.request(1, "", 1, SOON);
    const pending = client.request(5, "", 9, SOON);
    await assert.rejects(pending, ConnectionClosed);
    assert.equal(states.at(-1).name, "closed");
    assert.match(states.at(-1).reason, /on purpose/);
    assert.throws(() => client.send(1, ""), ConnectionClosed);
    const other = await open(t, url, { reconnect: "always" });
    await other.client.request(1, "", 1, SOON);
    other.client.send(5, "");
    await until(() => other.names().filter((name) => name === "open").length === 2, "a second connection");
    assert.equal(decode(await other.client.request(1, "again", 1, SOON)), "again");
  });

  on("a large message is not sent and harms nothing", async (t, url) => {
    const { client } = await open(t, url, { maxPacket: 4096 });
    assert.throws(() => client.send(1, new Uint8Array(4097)), FrameTooLarge);
    assert.equal((await client.request(1, new Uint8Array(4096), 1, SOON)).length, 4096);
  });
}

test("the other format, and a server that does not resume", LIMIT, async (t) => {
  const other = await startServer({ ZINX_DATAPACK: "tlv_big_endian", ZINX_RESUMEMS: "0" });
  t.after(() => other.end());
  for (const url of Object.values(other.urls)) {
    const { client, states, names } = await open(t, url, { format: "tlv_big_endian" });
    assert.equal(decode(await client.request(1, "1", 1, SOON)), "1");
    assert.ok(!client.canResume);
    client.dropSocket();
    await until(() => names().filter((name) => name === "open").length === 2, "a second connection");
    assert.equal(decode(await client.request(1, "2", 1, SOON)), "2");
    assert.ok(states.every(({ resumed }) => !resumed));
    await client.close();
  }
});

test("heartbeats keep a connection to a server that watches", LIMIT, async (t) => {
  const watching = await startServer({ ZINX_HEARTBEATMAX: "1" }, ["100"]);
  t.after(() => watching.end());
  const { client, names } = await open(t, watching.urls.websocket, { heartbeat: 100 });
  await new Promise((resolve) => setTimeout(resolve, 2500));
  assert.equal(decode(await client.request(1, "there", 1, SOON)), "there");
  assert.deepEqual(names(), ["connecting", "open"]);
});

test("a silent server is taken for lost, and the buffer is bounded", LIMIT, async (t) => {
  const sockets = new Set();
  const silent = createServer((socket) => sockets.add(socket.on("error", () => {})).size).listen(0, "127.0.0.1");
  await until(() => silent.listening);
  t.after(() => {
    silent.close();
    sockets.forEach((socket) => socket.destroy());
  });
  const url = `tcp://127.0.0.1:${silent.address().port}`;
  const { states } = await open(t, url, { silence: 100 });
  await until(() => states.some(({ reason }) => reason.includes("nothing has come")), "the loss");
  const { client } = await open(t, url, { maxBuffer: 65536 });
  assert.throws(() => {
    for (let n = 0; n < 100; n += 1) client.send(1, new Uint8Array(4096));
  }, BufferFull);
  assert.ok(client.bufferedAmount > 60_000 && client.bufferedAmount <= 65_536, String(client.bufferedAmount));
});

test("a close lets what was sent arrive, and twice is the same as once", LIMIT, async (t) => {
  const pieces = [];
  let hasEnded = false;
  const listener = createServer((socket) => {
    socket.on("data", (piece) => pieces.push(piece));
    socket.on("end", () => (hasEnded = true));
  }).listen(0, "127.0.0.1");
  await until(() => listener.listening);
  t.after(() => listener.close());
  const { client, names } = await open(t, `tcp://127.0.0.1:${listener.address().port}`);
  for (let n = 0; n < 500; n += 1) client.send(20, "1234");
  await client.close();
  await client.close();
  assert.ok(hasEnded);
  assert.equal(Buffer.concat(pieces).length, 8 + 500 * 12, "open, and 500 frames");
  assert.throws(() => client.send(1, ""), ConnectionClosed);
  assert.deepEqual(names(), ["connecting", "open", "closed"]);
});

test("all come back when the server is killed and starts again", LIMIT, async (t) => {
  const first = await startServer();
  const clients = await Promise.all(Array.from({ length: 20 }, () => open(t, first.urls.websocket)));
  await Promise.all(clients.map(({ client }) => client.request(1, "", 1, SOON)));
  await first.end();
  const second = await startServer({ ZINX_TCPPORT: String(first.tcp), ZINX_WSPORT: String(first.ws) });
  t.after(() => second.end());
  for (const { client, states, names } of clients) {
    await until(() => names().filter((name) => name === "open").length === 2, "all to be back");
    assert.equal(decode(await client.request(1, "back", 1, SOON)), "back");
    // The new server does not know their tokens.
    assert.ok(states.some(({ refused }) => refused === 3));
    await client.close();
  }
});

test("no server is an error of the first attempt", LIMIT, async () => {
  const listener = createServer().listen(0, "127.0.0.1");
  await until(() => listener.listening);
  const { port } = listener.address();
  listener.close();
  await assert.rejects(connect(`tcp://127.0.0.1:${port}`), ConnectionClosed);
  await assert.rejects(connect(`ws://127.0.0.1:${port}/`), ConnectionClosed);
  // One that cannot even begin ends as the others do, and may be called again.
  const wrong = new Client("ws://127.0.0.1/", { webSocket: class { constructor() { throw new TypeError("on purpose"); } } });
  for (let attempt = 0; attempt < 2; attempt += 1) {
    await assert.rejects(wrong.connect(), /on purpose/);
    assert.equal(wrong.state.name, "closed");
  }
  const client = new Client(`tcp://127.0.0.1:${port}`);
  await client.close();
  assert.throws(() => client.send(1, ""), ConnectionClosed);
});

test("the package is small and depends on nothing", () => {
  const size = readFileSync(new URL("../dist/zinx-client.min.js", import.meta.url)).length;
  assert.ok(size < 12_000, `${size} bytes minified`);
  const { dependencies } = JSON.parse(readFileSync(new URL("../package.json", import.meta.url)));
  assert.equal(dependencies, undefined);
});
