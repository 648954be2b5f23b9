// A real server, in a process of its own, and a proxy that cuts.

import { execFileSync, spawn } from "node:child_process";
import { createServer, connect } from "node:net";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

const ROOT = fileURLToPath(new URL("../../..", import.meta.url));

/** `demo/clients/server.rs`, listening on TCP and WebSocket, with settings from the environment. */
export async function startServer(settings = {}, args = [], example = "clients_server") {
  const env = { ...process.env, ZINX_TCPPORT: "0", ZINX_WSPORT: "0", ZINX_MODE: "tcp,websocket", ZINX_RESUMEMS: "60000", RUST_LOG: "info,may=warn" };
  const child = spawn(program().replace(/clients_server$/, example), args, { env: { ...env, ...settings }, stdio: ["ignore", "ignore", "pipe"], cwd: "/" });
  const server = { tcp: 0, ws: 0, said: [], end: () => new Promise((resolve) => child.once("exit", resolve) && child.kill("SIGKILL")), child };
  await new Promise((resolve, reject) => {
    child.once("exit", () => reject(new Error(`the server does not run:\n${server.said.join("\n")}`)));
    createInterface(child.stderr).on("line", (line) => {
      server.said.push(line);
      const found = /listening on 127\.0\.0\.1:(\d+)(, ws)?/.exec(line);
      if (found) server[found[2] ? "ws" : "tcp"] = Number(found[1]);
      if (server.tcp && server.ws) resolve();
    });
  });
  child.removeAllListeners("exit");
  server.urls = { tcp: `tcp://127.0.0.1:${server.tcp}`, websocket: `ws://127.0.0.1:${server.ws}/` };
  return server;
}

function program() {
  if (!process.env.ZINX_TEST_SERVER) {
    const build = ["build", "-q", "-p", "zinx-demo", "--features", "websocket", "--example", "clients_server", "--example", "chat_server"];
    execFileSync("cargo", build, { cwd: ROOT, stdio: "inherit" });
    process.env.ZINX_TEST_SERVER = `${ROOT}/target/debug/examples/clients_server`;
  }
  return process.env.ZINX_TEST_SERVER;
}

/**
 * A proxy. Its connections are cut as `cuts` say, one after the other: after so many bytes `up` or `down`, by an end or a `reset`. With
 * `afterUpgrade`, the requests and answers of the upgrade to WebSocket do not count.
 */
export async function startProxy(to, cuts = [], { afterUpgrade = false } = {}) {
  const open = new Set();
  const proxy = { accepted: 0, cuts };
  const listener = createServer({ noDelay: true }, (client) => {
    const { up = Infinity, down = Infinity, reset = false } = proxy.cuts[proxy.accepted++] ?? {};
    const server = connect({ port: to, host: "127.0.0.1", noDelay: true });
    let isCut = false;
    const cut = () => {
      isCut = true;
      for (const socket of [client, server]) {
        socket.removeAllListeners("data");
        socket.on("data", () => {});
        if (reset) socket.resetAndDestroy();
        else socket.end(() => setTimeout(() => socket.destroy(), 20));
      }
    };
    for (const [from, towards, most] of [[client, server, up], [server, client, down]]) {
      let left = most;
      let head = afterUpgrade ? "" : undefined;
      open.add(from);
      from.on("error", () => {});
      from.on("close", () => {
        open.delete(from);
        if (!isCut) towards.destroy();
      });
      from.on("end", () => isCut || towards.end());
      if (left === 0 && head === undefined) cut();
      else
        from.on("data", (data) => {
          if (isCut) return;
          if (head !== undefined) {
            head += data.toString("latin1");
            const end = head.indexOf("\r\n\r\n");
            if (end < 0) return void towards.write(data);
            const rest = head.length - end - 4;
            head = undefined;
            towards.write(data.subarray(0, data.length - rest));
            data = data.subarray(data.length - rest);
            if (!data.length && left > 0) return;
          }
          if (left > 0) towards.write(data.subarray(0, Math.min(left, data.length)));
          left -= data.length;
          if (left <= 0) cut();
        });
    }
  });
  await new Promise((resolve) => listener.listen(0, "127.0.0.1", resolve));
  proxy.port = listener.address().port;
  proxy.end = () => {
    listener.close();
    for (const socket of open) socket.destroy();
  };
  return proxy;
}

/** Waits until something holds, for a minute at most. */
export async function until(condition, what = "a condition") {
  for (const end = Date.now() + 60_000; !condition(); ) {
    if (Date.now() > end) throw new Error(`not within a minute: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}

/** Numbers that look random, and are the same each time. */
export function randoms(seed) {
  let state = seed >>> 0;
  return (below) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

/** Runs some at a time. */
export async function someAtATime(plans, run, places = 16) {
  const left = [...plans];
  await Promise.all(Array.from({ length: places }, async () => {
    while (left.length) await run(left.shift());
  }));
}
