// For Node: TCP too, by addresses like tcp://localhost:7777.

import { connect as connectSocket } from "node:net";
import { Client as BrowserClient, type Options } from "./client.js";
import type { Dial } from "./wire.js";

export * from "./index.js";

/** Makes sockets that speak TCP. */
export const tcp: Dial = (url, events) => {
  const { hostname, port } = new URL(url);
  const socket = connectSocket({ host: hostname.replace(/^\[|\]$/g, ""), port: Number(port), noDelay: true });
  let why = "the server has closed";
  socket.on("connect", () => events.open());
  socket.on("data", (data) => events.data(new Uint8Array(data.buffer, data.byteOffset, data.length)));
  socket.on("error", (error) => (why = error.message));
  socket.on("close", () => events.lost(why));
  return {
    write: (bytes) => socket.write(bytes),
    get buffered() {
      return socket.writableLength;
    },
    end: () => socket.end(),
    cut(reason) {
      why = reason;
      socket.destroy();
    },
  };
};

/** A client that also knows addresses like `tcp://localhost:7777`. */
export class Client<T = Uint8Array> extends BrowserClient<T> {
  constructor(url: string, options: Partial<Options<T>> = {}) {
    super(url, url.startsWith("tcp:") ? { dial: tcp, ...options } : options);
  }
}

/** A client that is connected, over TCP or WebSocket. Rejects if the first attempt fails. */
export async function connect<T = Uint8Array>(url: string, options: Partial<Options<T>> = {}): Promise<Client<T>> {
  const client = new Client<T>(url, options);
  await client.connect();
  return client;
}
