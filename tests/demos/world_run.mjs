// Ten clients over WebSocket walk side by side in the demo `world`, while bots walk there too and the live page is open: how soon each sees the
// moves of the others, and a picture of the page. Not a test: it takes figures.
//
//   ZINX_ADMIN=127.0.0.1:7778 target/release/examples/world_server
//   target/release/examples/world_bots 127.0.0.1:7777 2000 60
//   node --experimental-websocket tests/demos/world_run.mjs ws://127.0.0.1:9000/ http://127.0.0.1:7778/ 30 FOLDER

import { writeFileSync } from "node:fs";
import { Client } from "../../clients/typescript/dist/node.js";
import { Browser, chromium, until2 as until } from "../../clients/typescript/test/browser.mjs";

const [address, plane, seconds = "30", folder] = process.argv.slice(2);
const [SYNC_PID, MOVE, BROAD_CAST, CLIENTS] = [1, 3, 200, 10];
/** When each client has sent its last move, by its direction, which is the number of the client and of the move. */
const sent = new Map();
const seen = [];

function position(x, z, v) {
  const data = new Uint8Array(20);
  [x, 0, z, v].forEach((number, at) => {
    data[5 * at] = 0x0d + 8 * at;
    new DataView(data.buffer).setFloat32(5 * at + 1, number, true);
  });
  return data;
}

/** The direction in a broadcast of a move: its last field, if it has been changed. */
const direction = (data) => new DataView(data.buffer, data.byteOffset).getFloat32(data.length - 4, true);

const browser = folder && chromium ? await Browser.start() : undefined;
await browser?.open(plane);
const clients = Array.from({ length: CLIENTS }, () => new Client(address));
for (const [own, client] of clients.entries()) {
  client.on(BROAD_CAST, (data) => {
    const number = data.length > 20 ? direction(data) : 0;
    const at = sent.get(number);
    if (at !== undefined && number % CLIENTS !== own) seen.push(performance.now() - at);
  });
  await client.connect();
  client.send(SYNC_PID, new Uint8Array());
}
const end = Date.now() + 1000 * seconds;
for (let move = 1; Date.now() < end; move++) {
  for (const [own, client] of clients.entries()) {
    // Larger than the numbers of the bots' moves.
    const number = 1_000_000 + move * CLIENTS + own;
    sent.set(number, performance.now());
    client.send(MOVE, position(240 + own / 2, 230 + (move % 5), number));
    await new Promise((resolve) => setTimeout(resolve, 1000 / CLIENTS));
  }
}
seen.sort((a, b) => a - b);
const quantile = (share) => seen[Math.floor(share * (seen.length - 1))]?.toFixed(1);
console.log(`${CLIENTS} clients: seen ${seen.length} times by another: p50 ${quantile(0.5)} ms, p99 ${quantile(0.99)} ms, last ${quantile(1)} ms`);
if (browser) {
  await until(async () => /\d/.test(await browser.run("document.body.innerText")));
  await browser.call("Emulation.setDeviceMetricsOverride", { width: 1200, height: 800, deviceScaleFactor: 1, mobile: false });
  await new Promise((resolve) => setTimeout(resolve, 3000));
  writeFileSync(`${folder}/world-live.png`, await browser.picture());
  await browser.end();
}
await Promise.all(clients.map((client) => client.close()));
process.exit(0);
