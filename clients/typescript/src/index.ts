// A client for zinx servers. See README.md.

export { ConnectionClosed, TimedOut } from "./answers.js";
export { bytes, Client, connect, json, text } from "./client.js";
export type { Codec, Options, RequestOptions, State } from "./client.js";
export { FrameTooLarge } from "./frames.js";
export type { Format, Message } from "./frames.js";
export { BufferFull, ProtocolError } from "./session.js";
export type { Dial, WebSocketClass, Wire, WireEvents } from "./wire.js";
