// The same in a real browser.

import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { after, before, test } from "node:test";
import * as zinx from "../dist/node.js";
import { Browser, chromium, startFiles, until2 } from "./browser.mjs";
import { randoms, startProxy, startServer, until } from "./support.mjs";

const skip = chromium ? false : "there is no Chromium";
if (skip) console.log(`skipped: the TypeScript client in Chromium, because ${skip}`);

let server, browser, files, origin;
before(async () => {
  if (skip) return;
  [server, browser, files] = await Promise.all([startServer(), Browser.start(), startFiles()]);
  origin = `http://127.0.0.1:${files.address().port}`;
});
after(async () => {
  await browser?.end();
  files?.close();
  files?.closeAllConnections();
  await server?.end();
});

const LIMIT = { timeout: 1_200_000, skip };
/** Talks for which there are proxies at once. */
const AT_A_TIME = 24;
const MODULES = `Promise.all(["clients/typescript/dist/zinx-client.min.js", "clients/typescript/test/player.mjs", "clients/typescript/test/resumes.mjs"]
  .map((path) => import("/" + path)))`;

test("the vectors are played in Chromium", LIMIT, async () => {
  await browser.open(`${origin}/`);
  for (const file of ["heartbeats", "calls", "resume"]) {
    const { played, failed } = await browser.run(`${MODULES}.then(async ([zinx, { playAll }]) =>
      playAll(zinx, await (await fetch("/tests/vectors/${file}.json")).json()))`);
    assert.deepEqual(failed, []);
    assert.ok(played >= 2, String(played));
  }
});

test("resuming in Chromium, cut after any byte of the exchange and at a thousand random points", LIMIT, async () => {
  await browser.open(`${origin}/`);
  const random = randoms(20261127);
  const cut = () => ({ up: random(300), down: random(300), reset: random(2) === 0 });
  // Frames as in resume.test.mjs, in messages of WebSocket with heads of 6 and 2 bytes.
  const bytes = [...Array.from({ length: 140 }, (_, at) => [{ up: at }]), ...Array.from({ length: 120 }, (_, at) => [{ down: at }])];
  const points = Array.from({ length: 250 }, () => Array.from({ length: 1 + random(8) }, cut));
  assert.ok(points.flat().length > 1000, String(points.flat().length));
  const plans = [...bytes.map((plan) => [plan, 4]), ...points.map((plan) => [plan, 12])];
  const begun = Date.now();
  let [cuts, back, told] = [0, 0, begun];
  for (let at = 0; at < plans.length; at += AT_A_TIME) {
    const some = plans.slice(at, at + AT_A_TIME);
    const talks = await talkInChromium(some);
    assert.deepEqual(talks.flatMap(({ failed }, n) => (failed ? [`${at + n}: ${failed} ${JSON.stringify(some[n][0])}`] : [])), []);
    cuts += some.reduce((sum, [plan]) => sum + plan.length, 0);
    back += talks.reduce((sum, talk) => sum + talk.back, 0);
    const done = at + some.length;
    if (Date.now() > told + 10_000 || done === plans.length) {
      told = Date.now();
      console.log(`resuming in Chromium: ${done} of ${plans.length} talks, ${cuts} cuts, come back ${back} times, ${Math.round((told - begun) / 1000)} s`);
    }
  }
});

/** Runs talks, each through a proxy of its own that cuts by its plan: how often each has come back, or why it failed. */
async function talkInChromium(plans) {
  const proxies = await Promise.all(plans.map(([plan]) => startProxy(server.ws, [{}, ...plan], { afterUpgrade: true })));
  const talks = proxies.map(({ port }, at) => [port, plans[at][1], at]);
  try {
    return await browser.run(`${MODULES}.then(async ([zinx, , { talk, someAtATime }]) => {
      const talks = [];
      await someAtATime(${JSON.stringify(talks)}, async ([port, count, at]) => {
        try {
          const back = await talk(zinx, "ws://127.0.0.1:" + port + "/", count);
          talks[at] = back < 1 ? { failed: "it has not come back" } : { back };
        } catch (error) {
          talks[at] = { failed: error.message };
        }
      }, 6); // Chromium makes those wait that come while many are connecting.
      return talks;
    })`);
  } finally {
    proxies.forEach((proxy) => proxy.end());
  }
}

test("the page of the README works", LIMIT, async () => {
  const readme = readFileSync(new URL("../README.md", import.meta.url), "utf8");
  const page = readme.split("```html\n")[1].split("```")[0].replace("ws://localhost:9000/", server.urls.websocket);
  await browser.open(`${origin}/`);
  await browser.run(`fetch("/clients/typescript/dist/zinx-client.global.js").then((answer) => answer.text()).then((code) => {
    document.open();
    document.write(${JSON.stringify(page)}.replace('<script src="zinx-client.global.js">', () => "<script>" + code));
    document.close();
  })`);
  const log = () => browser.run(`document.getElementById("log")?.textContent ?? ""`);
  await until2(async () => (await log()).includes("open"));
  await browser.run(`document.forms[0].requestSubmit()`);
  await until2(async () => (await log()).includes("echo: hello"));
});

test("a chat in a browser goes on when the page is loaded again", LIMIT, async (t) => {
  const chat = await startServer({}, [], "chat_server");
  t.after(() => chat.end());
  const page = `${origin}/demo/chat/page.html?server=${encodeURIComponent(chat.urls.websocket)}`;
  const lines = () => browser.run(`document.getElementById("lines").textContent`);
  const state = () => browser.run(`document.getElementById("state").textContent`);
  await browser.open(page);
  await until2(async () => (await state()) === "open");
  await browser.run(`document.getElementById("name").value = "ann", document.getElementById("enter").requestSubmit()`);
  await until2(async () => (await lines()).includes("ann has come"));
  // Another member, over TCP.
  const bob = await zinx.connect(chat.urls.tcp, { codec: zinx.text });
  const heard = [];
  bob.on(20, (line) => heard.push(line));
  bob.send(1, "bob");
  bob.send(10, "lobby");
  await until2(async () => (await lines()).includes("bob has come"));
  await browser.run(`window.isOld = true, location.reload()`);
  bob.send(11, "are you there?");
  // The line may have come before the page was left, so it does not show that the new page is connected.
  await until2(async () => (await browser.run("!window.isOld")) && (await state()) === "open");
  await until2(async () => (await lines()).includes("bob says: are you there?"));
  await browser.run(`document.getElementById("text").value = "I am", document.getElementById("say").requestSubmit()`);
  await until(() => heard.includes("ann says: I am"), "ann, who has not come anew");
  assert.ok(!heard.includes("ann has gone") && !heard.includes("ann has left"));
  assert.equal((await lines()).split("ann has come").length, 2);
  if (process.env.ZINX_TEST_PICTURE) writeFileSync(process.env.ZINX_TEST_PICTURE, await browser.picture());
  await bob.close();
});
