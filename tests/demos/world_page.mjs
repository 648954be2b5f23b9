// The page of the demo `world` in a real browser, in two tabs. `world_page.rs` starts it, beside a server.
// usage: node world_page.mjs ws://HOST:PORT/

import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { Browser, startFiles, until2 as until } from "../../clients/typescript/test/browser.mjs";

const [address] = process.argv.slice(2);
const files = await startFiles();
const page = `http://127.0.0.1:${files.address().port}/demo/world/page.html?server=${encodeURIComponent(address)}`;
const ann = await Browser.start();
const bob = await ann.tab();

const isIn = (tab) => until(() => tab.run(`document.getElementById("state")?.textContent === "open" && players.has(me)`));
const pid = (tab) => tab.run("me");
const sees = async (tab, other) => tab.run(`players.has(${await pid(other)})`);
const placeOf = async (tab, other) => tab.run(`players.get(${await pid(other)}).to`);
const say = (tab, text) => tab.run(`document.getElementById("text").value = ${JSON.stringify(text)}, document.getElementById("say").requestSubmit()`);
const hears = async (tab, other, text) => {
  const from = await pid(other);
  await until(() => tab.run(`players.get(${from})?.said === ${JSON.stringify(text)}`));
};

const steps = {
  async "two tabs see each other"() {
    for (const tab of [ann, bob]) {
      await tab.open(page);
      await isIn(tab);
      await tab.run("client.send(MOVE, { x: 240, z: 230, v: 0 })");
    }
    assert.notEqual(await pid(ann), await pid(bob));
    await until(async () => (await sees(ann, bob)) && (await sees(bob, ann)));
    // Drawn where it is, in its colour.
    await ann.call("Page.bringToFront");
    await until(async () => {
      const [red, green, blue] = await ann.run(`[...pen.getImageData(...on(players.get(me)), 1, 1).data]`);
      return Math.max(red, green, blue) - Math.min(red, green, blue) > 100;
    });
  },

  async "one walks with a key, and the other sees it"() {
    const before = { x: 240, z: 230 };
    await until(async () => (await placeOf(bob, ann)).x === before.x);
    await ann.run(`dispatchEvent(new KeyboardEvent("keydown", { key: "ArrowRight" }))`);
    await until(async () => (await placeOf(bob, ann)).x >= before.x + 9);
    await ann.run(`dispatchEvent(new KeyboardEvent("keyup", { key: "ArrowRight" }))`);
    assert.equal((await placeOf(bob, ann)).z, before.z);
    await until(async () => (await placeOf(ann, ann)).x === (await placeOf(bob, ann)).x);
  },

  async "one talks, and the other reads it"() {
    const line = `<b>hello</b>, 你好 ${"x".repeat(200)}`;
    await say(ann, line);
    await hears(bob, ann, line);
    assert.equal(await bob.run(`document.querySelectorAll("b").length`), 0);
  },

  async "a page that is loaded again keeps its player, and the other never loses sight of it"() {
    const own = await pid(ann);
    const place = await placeOf(ann, ann);
    await bob.run(`window.told = [], client.on(GONE, (pid) => (told.push(pid), players.delete(pid))), undefined`);
    for (const round of [1, 2, 3]) {
      await ann.run(`window.isOld = true, location.reload(), undefined`);
      await say(bob, `still there? ${round}`);
      await until(() => ann.run("!window.isOld"));
      await isIn(ann);
      await hears(ann, bob, `still there? ${round}`);
    }
    assert.equal(await pid(ann), own);
    assert.deepEqual(await placeOf(ann, ann), place);
    assert.ok(await sees(ann, bob));
    await say(ann, "yes");
    await hears(bob, ann, "yes");
    assert.ok(!(await bob.run("told")).includes(own));
  },

  async "who goes far away is seen no more, until it comes back"() {
    const place = await placeOf(ann, ann);
    await ann.run("client.send(MOVE, { x: 400, z: 390, v: 0 })");
    await until(async () => !(await sees(bob, ann)) && !(await sees(ann, bob)));
    await ann.run(`client.send(MOVE, { x: ${place.x}, z: ${place.z}, v: 0 })`);
    await until(async () => (await sees(bob, ann)) && (await sees(ann, bob)));
  },

  async "a picture for the documentation"() {
    const folder = process.env.ZINX_TEST_PICTURES;
    if (!folder) return;
    await ann.call("Emulation.setDeviceMetricsOverride", { width: 820, height: 610, deviceScaleFactor: 1, mobile: false });
    await ann.call("Page.bringToFront");
    await until(() => ann.run("players.size > 10"));
    await ann.run("client.send(MOVE, { x: 248, z: 236, v: 0 })");
    await new Promise((resolve) => setTimeout(resolve, 7000)); // What was said before is gone.
    await say(bob, "hello from the other tab");
    await hears(ann, bob, "hello from the other tab");
    await new Promise((resolve) => setTimeout(resolve, 1000));
    writeFileSync(`${folder}/world.png`, await ann.picture());
  },

  async "a tab that is closed leaves the world"() {
    const own = await pid(ann);
    await ann.open("about:blank");
    await until(() => bob.run(`!players.has(${own})`));
  },
};

let failure;
for (const [name, step] of Object.entries(steps)) {
  try {
    await step();
    console.log(`ok: ${name}`);
  } catch (error) {
    failure = `${name}: ${error.stack}`;
    break;
  }
}
await ann.end();
files.close();
files.closeAllConnections();
if (failure) console.error(failure);
process.exit(failure ? 1 : 0);
