// The page of demo/websocket in a real browser. `chromium.rs` starts it, with a server.
// usage: node chromium.mjs PAGE PORT

import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { pathToFileURL } from "node:url";
import { Browser, until2 as until } from "../../clients/typescript/test/browser.mjs";

const [page, port] = process.argv.slice(2);
const folder = mkdtempSync(`${tmpdir()}/zinx-page-`);
const file = `${folder}/page.html`;
const text = readFileSync(page, "utf8");
assert.ok(text.includes('":9000/"'), "the page names the port of the demo");
writeFileSync(file, text.replace('":9000/"', `":${port}/"`));

const browser = await Browser.start();
const run = (expression) => browser.run(expression);
const logged = async (line) => (await run(`document.getElementById("log").textContent`)).split("\n").includes(line);
const submit = (text) => run(`(document.getElementById("text").value = ${JSON.stringify(text)}, document.forms[0].requestSubmit())`);

try {
  await browser.open(pathToFileURL(file).href);
  await until(() => logged("connected"));
  for (const text of ["hello", "", "你好, κόσμε 🌍", "x".repeat(4000)]) {
    await submit(text);
    await until(() => logged(`message 1: ${text}`));
  }
  // Two frames in one message, and one in two.
  await run(`(() => {
    const [one, two] = [frame(1, "one"), frame(1, "two")], both = new Uint8Array(one.length + two.length);
    both.set(one), both.set(two, one.length);
    socket.send(both);
    const three = frame(1, "three");
    socket.send(three.slice(0, 5)), socket.send(three.slice(5));
  })()`);
  for (const text of ["one", "two", "three"]) await until(() => logged(`message 1: ${text}`));
  const ended = (path, first) => run(`new Promise((resolve) => {
    const other = new WebSocket("ws://localhost:${port}/${path}");
    other.onopen = () => ${first};
    other.onclose = ({ code, wasClean }) => resolve([code, wasClean]);
  })`);
  assert.deepEqual(await ended("elsewhere", "0"), [1006, false], "another path is refused before there is a connection");
  assert.deepEqual(await ended("", 'other.send("text")'), [1003, true], "a text is refused");
  assert.deepEqual(await ended("", "other.close(4000, 'bye')"), [4000, true]);
  await run(`socket.send(frame(2, ""))`);
  await until(() => logged("closed: 1000"));
  console.log("over");
} finally {
  await browser.end();
  rmSync(folder, { recursive: true, force: true });
}
