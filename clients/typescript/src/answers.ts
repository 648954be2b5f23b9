// Which answer belongs to which request.

/** The connection that a request was sent on has ended for good, or the client is closed. */
export class ConnectionClosed extends Error {
  override name = "ConnectionClosed";
}

/** Nothing came within the time. */
export class TimedOut extends Error {
  override name = "TimedOut";
}

/** A function that fails on the data of another message says no. */
function matches(match: (data: Uint8Array) => boolean, data: Uint8Array): boolean {
  try {
    return match(data);
  } catch {
    return false;
  }
}

interface Asked {
  match: ((data: Uint8Array) => boolean) | undefined;
  settle: ((data: Uint8Array | Error) => void) | undefined;
  /** The time until which a late answer may come, once nobody waits for it. */
  past: number;
}

/** Answers go to the requests with their id, first in, first out. A late one is dropped, and never taken for another's. */
export class Answers {
  #asked = new Map<number, Asked[]>();
  #changed: (() => void)[] = [];

  /** Notes a request. The promise is that of its answer. */
  wait(replyId: number, match: Asked["match"], timeout: number, grace: number): Promise<Uint8Array> {
    return new Promise((resolve, reject) => {
      const asked: Asked = { match, settle: undefined, past: 0 };
      const timer = setTimeout(() => {
        asked.settle = undefined;
        asked.past = Date.now() + grace;
        reject(new TimedOut(`no message ${replyId} within ${timeout} ms`));
      }, timeout);
      asked.settle = (answer) => {
        clearTimeout(timer);
        if (answer instanceof Error) reject(answer);
        else resolve(answer);
      };
      this.#queue(replyId).push(asked);
    });
  }

  /** Gives an answer to its request. False if it answers none. */
  deliver(id: number, data: Uint8Array): boolean {
    const queue = this.#queue(id);
    const asked = queue.find(({ match }) => !match || matches(match, data));
    if (!asked) return false;
    queue.splice(queue.indexOf(asked), 1);
    asked.settle?.(data);
    this.#wake();
    return true;
  }

  /** Waits while a late answer with this id may still come. */
  async place(replyId: number): Promise<void> {
    for (;;) {
      const late = this.#queue(replyId).filter(({ settle, match }) => !settle && !match);
      if (!late.length) return;
      const left = Math.max(...late.map(({ past }) => past)) - Date.now();
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, left);
        this.#changed.push(() => (clearTimeout(timer), resolve()));
      });
    }
  }

  /** The connection that they were sent on is gone. */
  failAll(why: string): void {
    for (const queue of this.#asked.values()) {
      for (const asked of queue.splice(0)) asked.settle?.(new ConnectionClosed(why));
    }
    this.#wake();
  }

  #queue(id: number): Asked[] {
    const found = (this.#asked.get(id) ?? []).filter(({ settle, past }) => settle || past > Date.now());
    this.#asked.set(id, found);
    return found;
  }

  #wake(): void {
    for (const changed of this.#changed.splice(0)) changed();
  }
}
