// A talk that is cut, for Node and for browsers.

const [SAY, SAID, TELL, TOLD, WHO, WHOM] = [20, 21, 22, 23, 24, 25];
const LATE = { timeout: 240_000 };

const u32 = (n) => new Uint8Array(Uint32Array.of(n).buffer);
const numbers = (data) => Array.from({ length: data.length / 4 }, (_, at) => new DataView(data.buffer, data.byteOffset).getUint32(4 * at, true));

/**
 * Talks through a proxy whose first connection is whole. Throws if a number was lost, doubled or out of order in either direction, or if it is
 * not the same connection on the server. Returns how often it has come back.
 */
export async function talk(zinx, url, count) {
  const client = new zinx.Client(url, { backoff: [1, 20], connectTimeout: 100_000 });
  const states = [];
  const heard = [];
  client.on(SAID, (data) => heard.push(...numbers(data)));
  await client.connect();
  const before = await client.request(WHO, "", WHOM, LATE);
  client.onState((state) => states.push(state.resumed ? "resumed" : state.name));
  // So the first cut is of a socket that comes back, and of the bytes behind that.
  client.dropSocket();
  for (let n = 0; n < count; n += 1) client.send(SAY, u32(n));
  const told = numbers(await client.request(TELL, "", TOLD, LATE));
  const after = await client.request(WHO, "", WHOM, LATE);
  await client.close();
  const all = Array.from({ length: count }, (_, n) => n).join();
  for (const [what, found] of [["from the server", heard.join()], ["from the client", told.join()]]) {
    if (found !== all) throw new Error(`${what}: ${found}, states: ${states}`);
  }
  if (before.join() !== after.join()) throw new Error(`another connection, states: ${states}`);
  if (states.includes("connecting")) throw new Error(`not resumed: ${states}`);
  return states.filter((state) => state === "resumed").length;
}

/** Runs some at a time. */
export async function someAtATime(plans, run, places = 16) {
  const left = [...plans];
  await Promise.all(
    Array.from({ length: places }, async () => {
      while (left.length) await run(left.shift());
    }),
  );
}
