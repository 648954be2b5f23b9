// Frames: a head of eight bytes, the id of the message and the length of its data, and then the data. See docs/wire.md.

/** A message: its id and its data. */
export interface Message {
  readonly id: number;
  readonly data: Uint8Array;
}

/** The order of a head's numbers and of their bytes: the server's `DataPack`. */
export type Format = "ltv_little_endian" | "tlv_big_endian";

/** A frame is larger than may be. */
export class FrameTooLarge extends Error {
  override name = "FrameTooLarge";
}

export const HEAD_BYTES = 8;

/** The bytes of a message. */
export function pack(format: Format, id: number, data: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(HEAD_BYTES + data.length);
  const view = new DataView(bytes.buffer);
  const ltv = format === "ltv_little_endian";
  view.setUint32(ltv ? 4 : 0, id, ltv);
  view.setUint32(ltv ? 0 : 4, data.length, ltv);
  bytes.set(data, HEAD_BYTES);
  return bytes;
}

/** Cuts a stream, which comes in any pieces, into messages. */
export class Splitter {
  readonly #format: Format;
  readonly #maxPacket: number;
  #begun = new Uint8Array(0);

  constructor(
    format: Format,
    maxPacket: number,
  ) {
    this.#format = format;
    this.#maxPacket = maxPacket;
  }

  /** Whether a frame has begun and is not whole. */
  get inFrame(): boolean {
    return this.#begun.length > 0;
  }

  /**
   * The messages that are whole now; take them all before the next piece. Throws `FrameTooLarge` behind the last good one, if a head
   * announces more than may be.
   */
  *feed(piece: Uint8Array): Generator<Message> {
    const bytes = this.#begun.length ? concat([this.#begun, piece]) : piece;
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    const ltv = this.#format === "ltv_little_endian";
    let at = 0;
    try {
      while (bytes.length - at >= HEAD_BYTES) {
        const length = view.getUint32(at + (ltv ? 0 : 4), ltv);
        if (length > this.#maxPacket) {
          throw new FrameTooLarge(`a frame of ${length} bytes exceeds maxPacket ${this.#maxPacket}`);
        }
        const end = at + HEAD_BYTES + length;
        if (bytes.length < end) break;
        const id = view.getUint32(at + (ltv ? 4 : 0), ltv);
        const data = bytes.slice(at + HEAD_BYTES, end);
        at = end;
        yield { id, data };
      }
    } finally {
      this.#begun = bytes.slice(at);
    }
  }
}

export function concat(pieces: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(pieces.reduce((sum, piece) => sum + piece.length, 0));
  let at = 0;
  for (const piece of pieces) {
    bytes.set(piece, at);
    at += piece.length;
  }
  return bytes;
}
