// Resuming through a proxy that cuts: whatever byte a connection is cut after, nothing is lost or doubled, in both directions.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import * as zinx from "../dist/node.js";
import { someAtATime, talk } from "./resumes.mjs";
import { randoms, startProxy, startServer } from "./support.mjs";

// Frames of the exchange: coming back, its answer, the count, and four numbers and the same four back.
const [RESUME, TOKEN, COUNT, NUMBERS] = [40, 44, 16, 4 * 12];
const LIMIT = { timeout: 1_200_000 };

let server;
before(async () => (server = await startServer()));
after(() => server.end());

const range = (length) => Array.from({ length }, (_, at) => at);

async function talkAll(transport, plans, count = 4) {
  await someAtATime(plans, async (plan) => {
    const proxy = await startProxy(transport === "tcp" ? server.tcp : server.ws, [{}, ...plan]);
    const url = transport === "tcp" ? `tcp://127.0.0.1:${proxy.port}` : `ws://127.0.0.1:${proxy.port}/`;
    try {
      assert.ok((await talk(zinx, url, count)) >= 1);
    } catch (error) {
      throw new Error(`${JSON.stringify(plan)}: ${error.message}`);
    } finally {
      proxy.end();
    }
  });
}

test("cut after any byte of coming back and going on, TCP", LIMIT, () =>
  talkAll("tcp", [false, true].flatMap((reset) => [
    ...range(RESUME + COUNT + NUMBERS).map((up) => [{ up, reset }]),
    ...range(TOKEN + NUMBERS).map((down) => [{ down, reset }]),
  ])));

test("cut again after any byte of coming back, TCP", LIMIT, () => {
  const first = { up: RESUME + COUNT + 18, down: TOKEN + 18 };
  return talkAll("tcp", [
    ...range(RESUME + COUNT + 24).map((up) => [first, { up }]),
    ...range(TOKEN + 24).map((down) => [first, { down }]),
  ]);
});

// The upgrade takes some hundred bytes in each direction. (That a peer has gone before the request Node 20 notices by the time limit alone.)
test("cut after any byte of the upgrade, of coming back and of going on, WebSocket", LIMIT, () =>
  talkAll("ws", [...range(400).map((at) => [{ up: at + 1 }]), ...range(300).map((at) => [{ down: at + 1, reset: at % 2 === 0 }])]));

for (const [transport, most] of [["tcp", 500], ["ws", 900]]) {
  test(`cut at a thousand random points, ${transport}`, LIMIT, async () => {
    const random = randoms(20261127);
    const cut = () => ({ up: 1 + random(most), down: 1 + random(most), reset: random(2) === 0 });
    const plans = range(500).map(() => range(1 + random(4)).map(cut));
    assert.ok(plans.flat().length > 1000);
    await talkAll(transport, plans, 12);
  });
}
