// The client: connects, again and again, and hands messages to the program.

import { Answers, ConnectionClosed } from "./answers.js";
import { concat, type Format } from "./frames.js";
import { BUSY, BufferFull, frameBytes, Session } from "./session.js";
import { type Dial, type WebSocketClass, type Wire, webSockets } from "./wire.js";

/** How values become data and back: `bytes`, `json`, or one of your own, as for protobuf. */
export interface Codec<T> {
  encode(value: T, id: number): Uint8Array;
  decode(data: Uint8Array, id: number): T;
}

/** What a program is told of its connection. */
export interface State {
  /** `connecting`: to a new connection. `resuming`: the socket is lost, and the connection waits on the server. `closed`: for good. */
  readonly name: "connecting" | "open" | "resuming" | "closed";
  /** With `open`: whether the connection is the one from before, with all that was sent meanwhile. */
  readonly resumed: boolean;
  /** With `connecting`, after a refusal to resume: the number of the reason, as in docs/resume.md. */
  readonly refused: number | undefined;
  /** With `connecting` and `closed`: messages that were sent and may not have arrived. If the server does not resume, those that had left are
   * not among them. */
  readonly lost: number;
  /** Why the state changed, in words. */
  readonly reason: string;
}

/** Times are in milliseconds, sizes in bytes. */
export interface Options<T> {
  /** The server's `DataPack`. */
  format: Format;
  codec: Codec<T>;
  /** Ask the server to keep the connection if the socket is lost. A server that does not know this drops one unknown message. */
  resume: boolean;
  /** Connect again after a loss. If the server closes on purpose, the client is closed unless this is `"always"`, or the server itself stops. */
  reconnect: boolean | "always";
  /** The first attempt comes within `backoff[0]`, drawn at random; each failure doubles that, up to `backoff[1]`. */
  backoff: readonly [number, number];
  /** Longest time for one attempt to connect. A server that has not issued a token within the same time after that does not resume. */
  connectTimeout: number;
  /** Send a heartbeat so often; 0: never. */
  heartbeat: number;
  /** Heartbeats of the server have this id too. They are swallowed unless there is a handler for them. */
  heartbeatId: number;
  /** Take the socket for lost if nothing has come for so long; 0: never. For a server that sends heartbeats. */
  silence: number;
  /** Largest message, in either direction: the server's `MaxPacketSize`. */
  maxPacket: number;
  /** As much may wait for the server: to leave, or to be counted by it. A server counts every 32 messages or 16 KiB. */
  maxBuffer: number;
  /** After a request has timed out, a late answer is waited for so long before the next request with the same reply id is sent. */
  grace: number;
  /** `LastWordMsgId` of the server: a message of this id says why the server closes, and becomes the reason. */
  lastWordId: number;
  /** Sub-protocols of WebSocket. */
  protocols: string[] | undefined;
  /** Another implementation of WebSocket; else the global one. */
  webSocket: WebSocketClass | undefined;
  /** Another transport. */
  dial: Dial | undefined;
  /** What `save` has returned: go on with that connection. */
  saved: string | undefined;
}

type Handler<T> = (value: T, id: number) => unknown;

/** How long the other side may take to end as well. */
const END_WITHIN = 5000;

const BY_PROGRAM = "closed by the program";

/** A connection to a server. It connects again by itself, and goes on where it was if the server resumes. */
export class Client<T = Uint8Array> {
  readonly options: Options<T>;
  state: State = told("closed", { reason: "not connected yet" });
  readonly #session: Session;
  readonly #answers = new Answers();
  readonly #handlers = new Map<number | "other", Handler<T>>();
  readonly #questions = new Map<number, readonly [replyId: number, handler: Handler<T>]>();
  readonly #listeners = new Set<(state: State) => void>();
  readonly #timers = new Set<ReturnType<typeof setTimeout>>();
  readonly #ended = new Map<Wire, () => void>();
  #wire: Wire | undefined;
  #isOpen = false;
  #out: Uint8Array[] = [];
  #failures = 0;
  #lastHeard = 0;
  #refused: number | undefined;
  #lastWord = "";
  #saidBye = false;
  #begun = false;
  #final: string | undefined;

  /** Nothing happens before `connect`: set handlers in between, so that none misses a message. */
  constructor(
    readonly url: string,
    options: Partial<Options<T>> = {},
  ) {
    this.options = { ...DEFAULTS, codec: bytes as Codec<never>, ...options };
    if (this.options.maxBuffer < 65536) throw new RangeError("maxBuffer is at least 65536, for servers count every 16 KiB");
    this.#session = new Session(this.options.format, this.options.resume, this.options.maxPacket, (frame) => this.#write(frame));
    if (this.options.saved) this.#session.load(this.options.saved);
  }

  /** Connects for the first time. Rejects if that fails, then it may be called again, or if the client has connected or is closed. */
  connect(): Promise<void> {
    return new Promise((resolve, reject) => {
      if (this.#final !== undefined) throw new ConnectionClosed(this.#final);
      if (this.#begun || this.#wire) throw new Error("connect has been called already");
      this.#tell(told("connecting"));
      const off = this.onState(({ name, reason }) => {
        if (name !== "open" && name !== "closed") return;
        off();
        if (name === "open") resolve();
        else reject(new ConnectionClosed(reason));
      });
      try {
        this.#dial();
      } catch (error) {
        // The address is none, or there is no WebSocket.
        this.#tell(told("closed", { reason: String(error) }));
      }
    });
  }

  /** Calls `handler` with each message of this id, or, for `"other"`, of an id without a handler. Returns what takes it back. */
  on(id: number | "other", handler: Handler<T>): () => void {
    this.#handlers.set(id, handler);
    return () => {
      if (this.#handlers.get(id) === handler) this.#handlers.delete(id);
    };
  }

  /**
   * Answers questions of the server: what `handler` returns, or its promise resolves to, is sent with `replyId`. If it fails, that is
   * logged, and the server's question times out.
   */
  answer(id: number, replyId: number, handler: Handler<T>): void {
    this.#questions.set(id, [replyId, handler]);
  }

  /** Calls `listener` with each new state. Returns what takes it back. */
  onState(listener: (state: State) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /**
   * Sends a message. Without a socket it is kept and leaves with the next one. Throws `ConnectionClosed` once the client is closed,
   * `BufferFull` if more than `maxBuffer` would wait, `FrameTooLarge`.
   */
  send(id: number, value: T | string): void {
    this.#checkOpen();
    const data = this.#encode(id, value);
    const { bufferedAmount } = this;
    if (bufferedAmount && bufferedAmount + frameBytes(data.length) > this.options.maxBuffer) {
      throw new BufferFull(`${bufferedAmount} bytes wait for the server`);
    }
    this.#session.send(id, data);
  }

  /** Resolves when at most half of `maxBuffer` waits, or the client is closed. */
  async drained(): Promise<void> {
    while (this.#final === undefined && this.bufferedAmount > this.options.maxBuffer / 2) {
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  }

  /**
   * Sends a message and resolves to the next one of `replyId`. Several may wait at a time: answers go to them in the order in which they
   * asked, or, with `match`, to the one whose `match(data)` is true. It goes on waiting while the connection is resumed.
   *
   * Rejects with `TimedOut` (after 30 s if nothing else is given); with `ConnectionClosed` if the connection has ended for good, so that no
   * answer can come; with what `send` throws.
   */
  async request(id: number, value: T | string, replyId: number, options: RequestOptions = {}): Promise<T> {
    const { timeout = 30_000, match } = options;
    this.#checkOpen();
    if (!match) await this.#answers.place(replyId);
    this.send(id, value);
    return this.options.codec.decode(await this.#answers.wait(replyId, match, timeout, this.options.grace), replyId);
  }

  /** Whether the server keeps the connection if the socket is lost. It is asked when a connection begins. */
  get canResume(): boolean {
    return this.#session.canResume;
  }

  /** Bytes that wait for the server: to leave, or, if it resumes, to be counted by it. */
  get bufferedAmount(): number {
    const held = this.#out.reduce((sum, frame) => sum + frame.length, this.#wire?.buffered ?? 0);
    return Math.max(held, this.#session.buffered);
  }

  /**
   * Closes on purpose: what was sent leaves first, and there is nothing to resume. Resolves when the socket has closed. If it is lost just
   * now, what waits for the next one is dropped. Twice is the same as once.
   */
  async close(): Promise<void> {
    const wire = this.#wire;
    if (this.#final !== undefined) return;
    if (!this.#begun) {
      if (!wire) return;
      this.#finish(BY_PROGRAM, 0);
      return wire.cut(BY_PROGRAM);
    }
    const unsent = this.#isOpen && this.#session.stage !== "resuming" ? 0 : this.#session.forget();
    this.#session.sayBye();
    this.#finish(BY_PROGRAM, unsent);
    await this.#end(wire);
  }

  /** Loses the socket, as a network would: where the program knows that it has changed, or to try. */
  dropSocket(): void {
    this.#wire?.cut("the program has dropped the socket");
  }

  /**
   * What the connection is, apart from its socket: the option `saved` of another client goes on with it, as after a page was loaded again.
   * `undefined` if there is nothing to resume. Drop this client without `close` then; it must not receive any more.
   */
  save(): string | undefined {
    const saved = this.#session.save();
    if (saved) {
      const wire = this.#wire;
      this.#session.forget();
      this.#finish("saved", 0);
      wire?.cut("saved");
    }
    return saved;
  }

  // Sending.

  #checkOpen(): void {
    if (!this.#begun || this.#final !== undefined) throw new ConnectionClosed(this.#final ?? "not connected yet");
  }

  #encode(id: number, value: T | string): Uint8Array {
    return this.options.codec.encode(value as T, id);
  }

  /** What is sent in one go leaves as one message of WebSocket. */
  #write(frame: Uint8Array): void {
    if (this.#out.push(frame) === 1) queueMicrotask(() => this.#flush());
  }

  #flush(): void {
    const frames = this.#out.splice(0);
    if (this.#isOpen && frames.length) this.#wire?.write(concat(frames));
  }

  // Connecting, again and again.

  #dial(): void {
    const { options } = this;
    const dial = options.dial ?? webSockets(options.webSocket ?? globalThis.WebSocket, options.protocols);
    const isFirst = !this.#begun;
    this.#lastWord = "";
    const wire = dial(this.url, {
      open: () => this.#wire === wire && this.#opened(wire),
      data: (data) => this.#wire === wire && this.#received(data, wire),
      lost: (reason, code) => {
        this.#ended.get(wire)?.();
        if (this.#wire !== wire) return;
        if (isFirst && !this.#begun) {
          this.#wire = undefined;
          this.#clearTimers();
          this.#tell(told("closed", { reason }));
        } else {
          this.#lost(reason, code);
        }
      },
    });
    this.#wire = wire;
    this.#after(options.connectTimeout, () => this.#isOpen || wire.cut(`not connected within ${options.connectTimeout} ms`));
  }

  #opened(wire: Wire): void {
    this.#begun = this.#isOpen = true;
    this.#refused = undefined;
    this.#saidBye = false;
    this.#clearTimers();
    this.#session.begin();
    this.#watch(wire);
    if (!this.canResume) this.#tell(told("open"));
  }

  /** Sends heartbeats, notices silence, and that a server does not resume. */
  #watch(wire: Wire): void {
    const { connectTimeout, heartbeat, silence } = this.options;
    this.#lastHeard = Date.now();
    this.#after(connectTimeout, () => this.#session.doesNotResume());
    const beat = () => {
      if (this.#session.stage !== "resuming" && this.bufferedAmount < this.options.maxBuffer / 2) {
        this.#session.send(this.options.heartbeatId, new TextEncoder().encode("heartbeat"));
      }
      this.#after(heartbeat, beat);
    };
    const listen = () => {
      const left = this.#lastHeard + silence - Date.now();
      if (left <= 0) wire.cut(`nothing has come for ${silence} ms`);
      else this.#after(left, listen);
    };
    if (heartbeat) this.#after(heartbeat, beat);
    if (silence) this.#after(silence, listen);
  }

  /** The socket is lost. Is there anything to go on with? */
  #lost(reason: string, code?: number): void {
    const { reconnect } = this.options;
    const why = this.#lastWord || reason;
    const canResume = this.#session.canResume;
    if (!this.#isOpen) {
      // What was sent meanwhile waits for the next attempt.
      this.#release();
      return this.#again();
    }
    // The server stops (1001) and may start again; or it has closed this one connection on purpose.
    const isFinal = code !== 1001 && (this.#saidBye || (code === 1000 && !canResume)) && reconnect !== "always";
    this.#release();
    if (isFinal || !reconnect) {
      this.#finish(this.#saidBye && why === reason ? `the server has closed on purpose: ${reason}` : why, this.#session.forget());
    } else {
      if (canResume) this.#tell(told("resuming", { reason: why }));
      else this.#beginAnew(why);
      this.#again();
    }
  }

  #release(): void {
    this.#wire = undefined;
    this.#isOpen = false;
    this.#out = [];
    this.#clearTimers();
    this.#session.lose();
  }

  /** What is sent from now on is for a new connection. */
  #beginAnew(reason: string): void {
    const lost = this.#session.forget();
    this.#answers.failAll(reason);
    this.#tell(told("connecting", { refused: this.#refused, lost, reason }));
  }

  #again(): void {
    if (this.#final !== undefined) return;
    const [first, longest] = this.options.backoff;
    this.#after(Math.random() * Math.min(longest, first * 2 ** Math.min(this.#failures, 30)), () => this.#dial());
    this.#failures += 1;
  }

  // Receiving.

  #received(data: Uint8Array, wire: Wire): void {
    this.#lastHeard = Date.now();
    const failures = this.#failures;
    this.#failures = 0;
    try {
      for (const event of this.#session.feed(data)) {
        if (event.kind === "message") this.#deliver(event.id, event.data);
        else if (event.kind === "resumed") this.#tell(told("open", { resumed: true }));
        else if (event.kind === "refused") return this.#refuse(event.reason, event.words, wire, failures);
        else {
          this.#saidBye = true;
          this.#after(END_WITHIN, () => wire.cut("the server has not ended"));
        }
        if (this.#wire !== wire) return;
      }
    } catch (error) {
      // What the server sends cannot be understood: the connection ends, and a new one may follow.
      this.#session.sayBye();
      this.#flush();
      this.#abandon(wire, String(error));
    }
  }

  #refuse(reason: number, words: string, wire: Wire, failures: number): void {
    this.#refused = reason;
    if (reason === BUSY) {
      this.#failures = failures;
      wire.cut(`not resumed: ${words}`);
    } else {
      this.#abandon(wire, `not resumed: ${words}`);
    }
  }

  #abandon(wire: Wire, reason: string): void {
    this.#release();
    void this.#end(wire);
    if (this.options.reconnect) {
      this.#beginAnew(reason);
      this.#again();
    } else {
      this.#finish(reason, this.#session.forget());
    }
  }

  #deliver(id: number, data: Uint8Array): void {
    const { lastWordId, heartbeatId, codec } = this.options;
    if (lastWordId && id === lastWordId) {
      this.#lastWord = new TextDecoder().decode(data);
      return;
    }
    if (this.#answers.deliver(id, data)) return;
    const question = this.#questions.get(id);
    const handler = this.#handlers.get(id) ?? (id === heartbeatId ? undefined : this.#handlers.get("other"));
    const run = async () => {
      if (question) {
        const value = await question[1](codec.decode(data, id), id);
        if (this.#final === undefined) this.send(question[0], value as T);
      } else {
        await handler?.(codec.decode(data, id), id);
      }
    };
    run().catch((error: unknown) => console.error(`zinx-client: the handler of message ${id}:`, error));
  }

  // The end.

  /** Ends a socket in order; a cut if the other side does not. */
  async #end(wire: Wire | undefined): Promise<void> {
    if (!wire) return;
    await new Promise<void>((resolve) => {
      const timer = setTimeout(() => wire.cut("closed"), END_WITHIN);
      this.#ended.set(wire, () => {
        clearTimeout(timer);
        this.#ended.delete(wire);
        resolve();
      });
      wire.end();
    });
  }

  #finish(reason: string, lost: number): void {
    if (this.#final !== undefined) return;
    this.#final = reason;
    this.#flush();
    this.#clearTimers();
    this.#wire = undefined;
    this.#answers.failAll(reason);
    this.#tell(told("closed", { reason, lost }));
  }

  #tell(state: State): void {
    this.state = state;
    for (const listener of [...this.#listeners]) {
      // What fails there must not keep the client from connecting again.
      try {
        listener(state);
      } catch (error) {
        console.error("zinx-client: a listener of states:", error);
      }
    }
  }

  #after(ms: number, what: () => void): void {
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      what();
    }, ms);
    this.#timers.add(timer);
  }

  #clearTimers(): void {
    this.#timers.forEach(clearTimeout);
    this.#timers.clear();
  }
}

export interface RequestOptions {
  /** In milliseconds. */
  timeout?: number;
  /** Whether it is the answer, as by a number in it. */
  match?: (data: Uint8Array) => boolean;
}

/** A client that is connected. Rejects if the first attempt fails. */
export async function connect<T = Uint8Array>(url: string, options: Partial<Options<T>> = {}): Promise<Client<T>> {
  const client = new Client<T>(url, options);
  await client.connect();
  return client;
}

/** Data is bytes. A text that is sent becomes UTF-8. */
export const bytes: Codec<Uint8Array> = {
  encode: (value: Uint8Array | string) => (typeof value === "string" ? new TextEncoder().encode(value) : value),
  decode: (data) => data,
};

/** Data is text in UTF-8. */
export const text: Codec<string> = {
  encode: (value) => new TextEncoder().encode(value),
  decode: (data) => new TextDecoder().decode(data),
};

/** Data is JSON. */
export const json: Codec<unknown> = {
  encode: (value) => new TextEncoder().encode(JSON.stringify(value)),
  decode: (data) => JSON.parse(new TextDecoder().decode(data)),
};

const DEFAULTS = {
  format: "ltv_little_endian",
  resume: true,
  reconnect: true,
  backoff: [1000, 30_000],
  connectTimeout: 10_000,
  heartbeat: 0,
  heartbeatId: 99_999,
  silence: 0,
  maxPacket: 1 << 20,
  maxBuffer: 1 << 20,
  grace: 1000,
  lastWordId: 0,
  protocols: undefined,
  webSocket: undefined,
  dial: undefined,
  saved: undefined,
} as const;

function told(name: State["name"], more: Partial<State> = {}): State {
  return { name, resumed: false, refused: undefined, lost: 0, reason: "", ...more };
}
