// A real browser for tests: Chromium, if there is one. `ZINX_TEST_CHROMIUM` names it.

import { execFileSync, spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { createInterface } from "node:readline";

/** Its name, or nothing. */
export const chromium = find();

function find() {
  for (const name of [process.env.ZINX_TEST_CHROMIUM, "chromium", "google-chrome"].filter(Boolean)) {
    try {
      execFileSync(name, ["--version"], { stdio: "ignore" });
      return name;
    } catch {
      // The next one, perhaps.
    }
  }
  return undefined;
}

/** A browser with one tab, spoken to by the DevTools protocol. */
export class Browser {
  #replies = new Map();
  #last = { id: 0 };
  /** What it has reported: see `watch`. */
  events = [];

  static async start() {
    const browser = new Browser();
    browser.folder = mkdtempSync(`${tmpdir()}/zinx-chromium-`);
    const flags = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-background-timer-throttling", "--disable-renderer-backgrounding", "--remote-debugging-port=0", `--user-data-dir=${browser.folder}`];
    browser.child = spawn(chromium, [...flags, "about:blank"], { stdio: ["ignore", "ignore", "pipe"] });
    const url = await new Promise((resolve, reject) => {
      browser.child.once("exit", () => reject(new Error("Chromium does not run")));
      createInterface(browser.child.stderr).on("line", (line) => {
        const found = /DevTools listening on (ws:\S+)/.exec(line);
        if (found) resolve(found[1]);
      });
    });
    browser.socket = new WebSocket(url);
    browser.socket.onmessage = ({ data }) => {
      const { id, result, error, method, params } = JSON.parse(data);
      if (method) browser.events.push({ method, params });
      browser.#replies.get(id)?.(error ? { error } : { result });
    };
    await new Promise((resolve) => (browser.socket.onopen = resolve));
    return browser.tab(browser);
  }

  /** Opens another tab: it has its own `open`, `run` and `picture`. */
  async tab(tab = new Browser()) {
    [tab.#replies, tab.#last, tab.socket, tab.sessionId] = [this.#replies, this.#last, this.socket, undefined];
    const { targetId } = await tab.call("Target.createTarget", { url: "about:blank" });
    ({ sessionId: tab.sessionId } = await tab.call("Target.attachToTarget", { targetId, flatten: true }));
    return tab;
  }

  call(method, params = {}) {
    const id = ++this.#last.id;
    const { sessionId } = this;
    this.socket.send(JSON.stringify({ id, method, params, sessionId }));
    return new Promise((resolve, reject) =>
      this.#replies.set(id, ({ error, result }) => {
        this.#replies.delete(id);
        if (error) reject(new Error(`${method}: ${error.message}`));
        else resolve(result);
      }),
    );
  }

  async open(url) {
    await this.call("Page.navigate", { url });
    await until2(async () => (await this.run("document.readyState")) === "complete");
  }

  /** What an expression, or its promise, is. */
  async run(expression) {
    const { result, exceptionDetails } = await this.call("Runtime.evaluate", { expression, awaitPromise: true, returnByValue: true });
    if (exceptionDetails) throw new Error(exceptionDetails.exception?.description ?? exceptionDetails.text);
    return result.value;
  }

  async picture() {
    return Buffer.from((await this.call("Page.captureScreenshot")).data, "base64");
  }

  async end() {
    if (this.child.exitCode === null && this.child.signalCode === null) {
      const gone = new Promise((resolve) => this.child.once("exit", resolve));
      // So that its other processes end too; those of a browser that is killed go on writing for a while.
      this.socket.send(JSON.stringify({ id: 0, method: "Browser.close" }));
      const patience = setTimeout(() => this.child.kill("SIGKILL"), 20_000);
      await gone;
      clearTimeout(patience);
    }
    this.socket.close();
    rmSync(this.folder, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 });
  }
}

export async function until2(condition) {
  for (const end = Date.now() + 60_000; !(await condition().catch(() => false)); ) {
    if (Date.now() > end) throw new Error(`not within a minute: ${condition}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/** The files of the repository, for the browser. */
export async function startFiles() {
  const types = { html: "text/html", js: "text/javascript", mjs: "text/javascript", json: "application/json" };
  const files = createServer((request, response) => {
    const path = new URL(request.url, "http://files").pathname.slice(1);
    if (path === "") return response.writeHead(200, { "content-type": "text/html" }).end("<!doctype html><title>tests</title>");
    try {
      const body = readFileSync(new URL(path, ROOT));
      response.writeHead(200, { "content-type": types[path.split(".").at(-1)] ?? "application/octet-stream" }).end(body);
    } catch {
      response.writeHead(404).end();
    }
  });
  await new Promise((resolve) => files.listen(0, "127.0.0.1", resolve));
  return files;
}

const ROOT = new URL("../../../", import.meta.url);
