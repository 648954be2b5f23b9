// The live page of a server with thousands of connections. `crowd.rs` starts it.
// usage: node crowd.mjs PLANE CONNECTIONS

import assert from "node:assert/strict";
import { Browser, until2 as until } from "../../clients/typescript/test/browser.mjs";

const [plane, size] = [process.argv[2], Number(process.argv[3])];
const browser = await Browser.start();
const run = (expression) => browser.run(expression);
const rows = () => run(`document.querySelectorAll("#rows tr").length`);
const range = async () => (await run(`document.querySelector("#range").textContent`)).replaceAll(/[^0-9–of]/g, "");
const sees = async (text) => {
  const begun = performance.now();
  await until(async () => (await range()) === text && (await rows()) === Math.min(50, size));
  return Math.round(performance.now() - begun);
};

try {
  await browser.open(plane);
  console.log(`the page shows 50 of ${size} after ${await sees(`1–50of${size}`)} ms`);
  await run(`[...document.querySelectorAll("#heads button")].find((button) => button.textContent.startsWith("round trip")).click()`);
  await until(async () => /↓/.test(await run(`[...document.querySelectorAll("#heads button")].find((button) => button.textContent.startsWith("round trip")).textContent`)));
  await sees(`1–50of${size}`);
  await run(`document.querySelector("#on").click()`);
  console.log(`its next page after ${await sees(`51–100of${size}`)} ms`);
  const elements = await run(`document.querySelectorAll("*").length`);
  assert.ok(elements < 3000, `${elements} elements, however many connections there are`);
} finally {
  await browser.end();
}
