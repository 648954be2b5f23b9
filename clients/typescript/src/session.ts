// A connection that outlives its socket, without any I/O: counts, what is kept to be sent again, and the frames about it. See
// docs/wire.md.

import { type Format, FrameTooLarge, HEAD_BYTES, type Message, pack, Splitter } from "./frames.js";

const [OPEN, RESUME, COUNT, BYE, TOKEN, REFUSED] = [0xfffffff0, 0xfffffff1, 0xfffffff2, 0xfffffff3, 0xfffffff4, 0xfffffff5] as const;

/** The reason for a refusal after which the same token may be good. */
export const BUSY = 7;

// The other side is told what has been received after so many frames or bytes.
const TELL_FRAMES = 32;
const TELL_BYTES = 16 * 1024;

/** So much waits for the server that one more message is over `maxBuffer`. */
export class BufferFull extends Error {
  override name = "BufferFull";
}

/** The server has sent a frame of resuming that does not belong there. */
export class ProtocolError extends Error {
  override name = "ProtocolError";
}

/**
 * `plain`: nothing is counted. `opening`: a token was asked for. `counting`: there is one. `resuming`: the socket is new, and the server has
 * not answered.
 */
type Stage = "plain" | "opening" | "counting" | "resuming";

export type Event =
  | ({ readonly kind: "message" } & Message)
  | { readonly kind: "resumed" }
  | { readonly kind: "refused"; readonly reason: number; readonly words: string }
  | { readonly kind: "bye" };

/** What a connection is, apart from its socket: see `Client.save`. */
interface Saved {
  token: string;
  received: number;
  confirmed: number;
  kept: string[];
}

/** The state of one connection. */
export class Session {
  stage: Stage = "plain";
  readonly #format: Format;
  readonly #wantsResume: boolean;
  readonly #maxPacket: number;
  readonly #write: (frame: Uint8Array) => void;
  #token: Uint8Array | undefined;
  #splitter: Splitter;
  #hasSocket = false;
  /** Frames that the server has not counted, their bytes, and how many it has counted before them. */
  #kept: Uint8Array[] = [];
  #keptBytes = 0;
  #confirmed = 0;
  /** Frames received since the first token, how many of them the server was told of, and the bytes of the others. */
  #received = 0;
  #told = 0;
  #untoldBytes = 0;

  /** `write` is called with what leaves on the socket. */
  constructor(
    format: Format,
    wantsResume: boolean,
    maxPacket: number,
    write: (frame: Uint8Array) => void,
  ) {
    this.#format = format;
    this.#wantsResume = wantsResume;
    this.#maxPacket = maxPacket;
    this.#write = write;
    this.#splitter = new Splitter(format, maxPacket);
  }

  get canResume(): boolean {
    return this.#token !== undefined;
  }

  /** Bytes that wait for the server to count them, or for a socket. */
  get buffered(): number {
    return this.#keptBytes;
  }

  /** There is a new socket. */
  begin(): void {
    this.#hasSocket = true;
    this.#splitter = new Splitter(this.#format, this.#maxPacket);
    if (this.#token) {
      this.stage = "resuming";
      const asked = new Uint8Array(32);
      asked.set(this.#token);
      asked.set(u64(this.#received), 24);
      this.#write(pack(this.#format, RESUME, asked));
      return;
    }
    if (this.#wantsResume) {
      this.stage = "opening";
      this.#received = this.#told = this.#untoldBytes = this.#confirmed = 0;
      this.#write(pack(this.#format, OPEN, new Uint8Array(0)));
    }
    this.#kept.forEach(this.#write);
    if (!this.#wantsResume) this.#stopCounting();
  }

  /** The socket is lost. If nothing can be resumed, `forget` comes next. */
  lose(): void {
    this.#hasSocket = false;
  }

  /** The next socket is that of a new connection. Returns how many messages are dropped that may not have arrived. */
  forget(): number {
    const lost = this.#kept.length;
    this.#stopCounting();
    return lost;
  }

  /** The server has not answered for so long that it does not know how to resume. */
  doesNotResume(): void {
    if (this.stage === "opening") this.#stopCounting();
  }

  /** Sends a message, or keeps it until it can be sent. */
  send(id: number, data: Uint8Array): void {
    if (data.length > this.#maxPacket) {
      throw new FrameTooLarge(`a message of ${data.length} bytes exceeds maxPacket ${this.#maxPacket}`);
    }
    const frame = pack(this.#format, id, data);
    if (this.stage !== "plain" || !this.#hasSocket) {
      this.#kept.push(frame);
      this.#keptBytes += frame.length;
    }
    if (this.#hasSocket && this.stage !== "resuming") this.#write(frame);
  }

  /** Closes on purpose: what was sent is the last. */
  sayBye(): void {
    if (this.stage === "counting" && this.#hasSocket) this.#write(pack(this.#format, BYE, new Uint8Array(0)));
    this.#stopCounting();
  }

  /** What has come. Throws `FrameTooLarge`, `ProtocolError`: then the connection cannot go on. */
  *feed(bytes: Uint8Array): Generator<Event> {
    for (const message of this.#splitter.feed(bytes)) {
      const event = this.#receive(message);
      if (event) yield event;
    }
  }

  /** What it is, to go on with it in another process. `undefined` if there is nothing to resume. */
  save(): string | undefined {
    if (!this.#token) return undefined;
    const saved: Saved = { token: hex(this.#token), received: this.#received, confirmed: this.#confirmed, kept: this.#kept.map(hex) };
    return JSON.stringify(saved);
  }

  /** Goes on with what was saved. */
  load(text: string): void {
    const saved = JSON.parse(text) as Saved;
    this.#token = unhex(saved.token);
    this.#received = this.#told = saved.received;
    this.#confirmed = saved.confirmed;
    this.#kept = saved.kept.map(unhex);
    this.#keptBytes = this.#kept.reduce((sum, frame) => sum + frame.length, 0);
    this.stage = "counting";
  }

  #receive(message: Message): Event | undefined {
    const { id, data } = message;
    const event = { kind: "message", id, data } as const;
    if (!this.#wantsResume) return event;
    if (id < OPEN || id > REFUSED) return this.#count(data.length) ? event : undefined;
    if (id === TOKEN && (this.stage === "opening" || this.stage === "resuming")) return this.#takeToken(data);
    if (id === REFUSED && this.stage === "resuming" && data.length) {
      return { kind: "refused", reason: data[0]!, words: new TextDecoder().decode(data.subarray(1)) };
    }
    if (id === COUNT && this.stage === "counting") {
      this.#confirm(number(data, 8));
      return undefined;
    }
    if (id === BYE && this.stage === "counting") {
      this.#stopCounting();
      return { kind: "bye" };
    }
    // Late, or useless: without a token there is nothing to forget.
    if (id === COUNT || id === BYE || (id === TOKEN && this.stage === "plain")) return undefined;
    throw new ProtocolError(`a frame of resuming with the id ${id} at the wrong time`);
  }

  /** Counts a frame. Whether it is the connection's. */
  #count(length: number): boolean {
    if (this.stage === "counting") {
      this.#received += 1;
      this.#untoldBytes += length;
      if (this.#received - this.#told >= TELL_FRAMES || this.#untoldBytes >= TELL_BYTES) this.#tell();
    }
    return this.stage !== "resuming";
  }

  #takeToken(data: Uint8Array): Event | undefined {
    const count = number(data.subarray(24, 32), 8);
    if (data.length !== 36) throw new ProtocolError(`a token frame of ${data.length} bytes`);
    const resumed = this.stage === "resuming";
    this.#token = data.slice(0, 24);
    this.stage = "counting";
    if (!resumed) return undefined;
    this.#confirm(count);
    // By this the server knows that the new token has arrived.
    this.#tell();
    this.#kept.forEach(this.#write);
    return { kind: "resumed" };
  }

  /** The server has received so many. Less than before is old news. */
  #confirm(count: number): void {
    const more = count - this.#confirmed;
    if (more > this.#kept.length) throw new ProtocolError(`the server counts ${count} frames, which is more than were sent`);
    if (more <= 0) return;
    for (const frame of this.#kept.splice(0, more)) this.#keptBytes -= frame.length;
    this.#confirmed = count;
  }

  #tell(): void {
    this.#told = this.#received;
    this.#untoldBytes = 0;
    this.#write(pack(this.#format, COUNT, u64(this.#received)));
  }

  #stopCounting(): void {
    this.stage = "plain";
    this.#token = undefined;
    this.#kept = [];
    this.#keptBytes = 0;
  }
}

/** How many bytes a message of so much data takes. */
export const frameBytes = (length: number): number => HEAD_BYTES + length;

function u64(value: number): Uint8Array {
  const bytes = new Uint8Array(8);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, value % 2 ** 32, true);
  view.setUint32(4, Math.floor(value / 2 ** 32), true);
  return bytes;
}

function number(data: Uint8Array, length: number): number {
  if (data.length !== length) throw new ProtocolError(`a number of ${data.length} bytes`);
  const view = new DataView(data.buffer, data.byteOffset, data.length);
  return view.getUint32(0, true) + view.getUint32(4, true) * 2 ** 32;
}

const hex = (bytes: Uint8Array): string => Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");

const unhex = (text: string): Uint8Array => Uint8Array.from(text.match(/../g) ?? [], (pair) => parseInt(pair, 16));
