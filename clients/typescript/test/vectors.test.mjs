// The client is what tests/vectors say.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import * as zinx from "../dist/node.js";
import { FrameTooLarge, pack, Splitter } from "../dist/frames.js";
import { plain, playAll } from "./player.mjs";

const load = (file) => JSON.parse(readFileSync(new URL(`../../../tests/vectors/${file}`, import.meta.url)));

test("frames are packed and split", () => {
  for (const { name, pack: format, id, data, bytes } of load("frames.json").frames) {
    assert.deepEqual(pack(format, id, plain(data)), plain(bytes), name);
    assert.deepEqual([...new Splitter(format, 1 << 20).feed(plain(bytes))], [{ id, data: plain(data) }], name);
  }
});

test("streams are split however they are cut", () => {
  const read = (pieces, { pack: format, max_packet_size: max }) => {
    const [splitter, messages] = [new Splitter(format, max), []];
    try {
      for (const piece of pieces) for (const message of splitter.feed(piece)) messages.push(message);
    } catch (error) {
      assert.ok(error instanceof FrameTooLarge, String(error));
      return { messages, ends: "too large" };
    }
    return { messages, ends: splitter.inFrame ? "in a frame" : "end" };
  };
  for (const vector of load("frames.json").streams) {
    const bytes = plain(vector.bytes);
    const expected = { messages: vector.messages.map(({ id, data }) => ({ id, data: plain(data) })), ends: vector.ends };
    for (let at = 0; at <= bytes.length; at += 1) {
      assert.deepEqual(read([bytes.slice(0, at), bytes.slice(at)], vector), expected, `${vector.name}, cut at ${at}`);
    }
    assert.deepEqual(read(Array.from(bytes, (byte) => Uint8Array.of(byte)), vector), expected, vector.name);
  }
});

for (const [file, least] of [["heartbeats.json", 2], ["calls.json", 14], ["resume.json", 40]]) {
  test(`${file} is played`, { timeout: 240_000 }, async () => {
    const { played, failed } = await playAll(zinx, load(file));
    assert.deepEqual(failed, []);
    assert.ok(played >= least, String(played));
  });
}
