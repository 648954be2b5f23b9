// Plays an exchange of tests/vectors against a client, whose socket is made up. Without anything of Node's, so that browsers play them too.

const PATIENCE = 30_000;

export const plain = (text) => join(text.split(" ").filter(Boolean).map(itemBytes));

function itemBytes(item) {
  const [digits, times = "1"] = item.split("x");
  const once = Uint8Array.from(digits.match(/../g) ?? [], (pair) => parseInt(pair, 16));
  return join(Array(Number(times)).fill(once));
}

function join(pieces) {
  return Uint8Array.from(pieces.flatMap((piece) => [...piece]));
}

const shown = (bytes) => Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");

export function check(condition, ...what) {
  if (!condition) throw new Error(what.map((item) => (typeof item === "string" ? item : JSON.stringify(item))).join(" "));
}

/** What is put in comes out, and is waited for. */
class Queue {
  #items = [];
  #waiting = [];

  put(item) {
    const next = this.#waiting.shift();
    if (next) next(item);
    else this.#items.push(item);
  }

  async take(what) {
    if (this.#items.length) return this.#items.shift();
    let timer;
    const late = new Promise((_, reject) => (timer = setTimeout(() => reject(new Error(`nothing came: ${what}`)), PATIENCE)));
    const next = new Promise((resolve) => this.#waiting.push(resolve));
    return Promise.race([next, late]).finally(() => clearTimeout(timer));
  }
}

/** A made-up socket, as the server sees it. */
class Link {
  #bytes = new Uint8Array(0);
  #pieces = new Queue();
  #isLost = false;

  constructor(events) {
    this.events = events;
  }

  wire() {
    const link = this;
    return {
      buffered: 0,
      write: (bytes) => link.#pieces.put(bytes),
      end: () => link.#pieces.put(undefined),
      cut: (reason) => link.lose(reason),
    };
  }

  lose(reason) {
    if (this.#isLost) return;
    this.#isLost = true;
    this.#pieces.put(undefined);
    this.events.lost(reason);
  }

  async read(length, what) {
    while (this.#bytes.length < length) {
      const piece = await this.#pieces.take(what);
      check(piece, "the client has ended before", what);
      this.#bytes = join([this.#bytes, piece]);
    }
    const bytes = this.#bytes.slice(0, length);
    this.#bytes = this.#bytes.slice(length);
    return bytes;
  }

  async readEnd() {
    check(!this.#bytes.length, "more than expected:", shown(this.#bytes));
    const piece = await this.#pieces.take("the end");
    check(piece === undefined, "not the end:", shown(piece ?? []));
    this.lose("ended");
  }
}

class Player {
  #links = new Queue();
  #link;
  #tokens = new Map();
  #states = new Queue();
  #got = new Queue();
  #requests = [];

  constructor(zinx, ids, format) {
    this.ids = ids;
    this.littleEndian = format === "ltv_little_endian";
    this.client = new zinx.Client("test:", {
      format,
      backoff: [1, 20],
      grace: PATIENCE,
      dial: (_, events) => {
        const link = new Link(events);
        setTimeout(() => {
          this.#links.put(link);
          events.open();
        });
        return link.wire();
      },
    });
    this.TimedOut = zinx.TimedOut;
    this.client.onState((state) => this.#states.put(state));
    this.client.on("other", (data, id) => this.#got.put({ id, data }));
    this.client.answer(10, 11, (question) => join([new TextEncoder().encode("yes, "), question]));
  }

  async play(exchange) {
    await this.client.connect();
    for (const step of exchange.steps) {
      if (step.only === "server") continue;
      for (let n = 0; n < (step.times ?? 1); n += 1) await this.step(step);
    }
  }

  async step(step) {
    if (step.do) this.do(step.do);
    else if (step.client) await this.expect(step.client);
    else if (step.server) step.arrives === false || (await this.send(step.server));
    else if (step.ends === "client") await this.drop((link) => link.readEnd());
    else if (step.lost || step.ends === "server") await this.drop((link) => link.lose("lost"));
    else if (step.got) {
      const { id, data } = await this.#got.take(JSON.stringify(step));
      check(id === step.got.id && shown(data) === shown(plain(step.got.data)), step, id, shown(data));
    } else if ("answered" in step) await this.checkAnswer(step.answered);
    else if (step.state) await this.waitForState(step.state, step.number);
    else check(false, "an unknown step", step);
  }

  do({ send, request, close }) {
    if (send) this.client.send(send.id, plain(send.data));
    else if (request) {
      const { id, data, reply_id: replyId, timeout_ms: timeout } = request;
      this.#requests.push(
        this.client.request(id, plain(data), replyId, { timeout }).then(
          (answer) => ({ answer }),
          (error) => ({ error }),
        ),
      );
    } else if (close) void this.client.close();
  }

  async checkAnswer(expected) {
    const { answer, error } = await this.#requests.shift();
    if (expected === null) check(error instanceof this.TimedOut, "it should have timed out");
    else check(answer && shown(answer) === shown(plain(expected)), expected, String(error));
  }

  async waitForState(name, number) {
    for (;;) {
      const state = await this.#states.take(`the state ${name}`);
      const told = state.refused !== undefined ? "refused" : state.resumed ? "resumed" : state.name;
      if (told === name && state.refused === number) return;
    }
  }

  async expect(frame) {
    const what = JSON.stringify(frame);
    const link = await this.accepted(what);
    const head = new DataView((await link.read(8, what)).buffer);
    const [first, second] = [head.getUint32(0, this.littleEndian), head.getUint32(4, this.littleEndian)];
    const [length, id] = this.littleEndian ? [first, second] : [second, first];
    const data = await link.read(length, what);
    check(id === this.id(frame), what, "but it was", id, shown(data));
    check(shown(data) === shown(this.data(frame)), what, "but it was", shown(data));
  }

  async send(frame) {
    const data = this.data(frame);
    const head = new DataView(new ArrayBuffer(8));
    head.setUint32(this.littleEndian ? 0 : 4, data.length, this.littleEndian);
    head.setUint32(this.littleEndian ? 4 : 0, this.id(frame), this.littleEndian);
    const link = await this.accepted("a socket");
    link.events.data(join([new Uint8Array(head.buffer), data]));
  }

  data(frame) {
    const items = frame.data.split(" ").filter(Boolean);
    return join(items.map((item) => (item === "*" ? new TextEncoder().encode("any") : item[0] === "{" ? this.token(item) : itemBytes(item))));
  }

  token(item) {
    const bytes = this.#tokens.get(item) ?? new TextEncoder().encode(`the token ${item}`.padEnd(24, "."));
    this.#tokens.set(item, bytes);
    return bytes;
  }

  id(frame) {
    return this.ids[frame.id] ?? frame.id;
  }

  async accepted(what) {
    this.#link ??= await this.#links.take(`a socket for ${what}`);
    return this.#link;
  }

  async drop(how) {
    await how(await this.accepted("a socket to drop"));
    this.#link = undefined;
  }
}

/** Plays all exchanges of a file; returns the names of those that failed, and why. */
export async function playAll(zinx, file) {
  const failed = [];
  let played = 0;
  for (const exchange of file.exchanges.filter(({ only }) => only !== "server")) {
    for (const format of ["ltv_little_endian", "tlv_big_endian"]) {
      const player = new Player(zinx, file.ids, format);
      try {
        await player.play(exchange);
      } catch (error) {
        failed.push(`${exchange.name} (${format}): ${error.message}`);
      }
      player.client.save() ?? void player.client.close();
      played += 1;
    }
  }
  return { played, failed };
}
