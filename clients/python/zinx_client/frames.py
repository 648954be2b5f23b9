"""Frames: a head of eight bytes, the id of the message and the length of its data, and then the data. See `docs/wire.md`."""

from __future__ import annotations

import struct
from typing import Iterator, NamedTuple

from .errors import FrameTooLarge

HEAD_BYTES = 8


class Message(NamedTuple):
    """A message: its id and its data."""

    id: int
    data: bytes


class Format:
    """One of the two formats: the order of the two numbers, and that of their bytes."""

    def __init__(self, name: str, head: str, length_first: bool) -> None:
        self.name = name
        self._head = struct.Struct(head)
        self._length_first = length_first

    def pack(self, msg_id: int, data: bytes) -> bytes:
        """The bytes of a message."""
        numbers = (len(data), msg_id) if self._length_first else (msg_id, len(data))
        return self._head.pack(*numbers) + data

    def unpack_head(self, buffer: bytearray, at: int) -> tuple[int, int]:
        """The id and the length in the head that begins at `at`."""
        first, second = self._head.unpack_from(buffer, at)
        return (second, first) if self._length_first else (first, second)

    def __repr__(self) -> str:
        return self.name


LTV = Format("ltv_little_endian", "<II", length_first=True)
TLV = Format("tlv_big_endian", ">II", length_first=False)

FORMATS = {LTV.name: LTV, TLV.name: TLV, "ltv": LTV, "tlv": TLV}


class Splitter:
    """Cuts a stream, which comes in any pieces, into messages."""

    def __init__(self, format: Format, max_packet: int) -> None:
        self._format = format
        self._max_packet = max_packet
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[Message]:
        """The messages that are whole now. Take them all before the next piece.

        Raises `FrameTooLarge` behind the last good one, if a head announces more than `max_packet`.
        """
        buffer, at = self._buffer, 0
        buffer += data
        try:
            while len(buffer) - at >= HEAD_BYTES:
                msg_id, length = self._format.unpack_head(buffer, at)
                if length > self._max_packet:
                    raise FrameTooLarge(f"a frame of {length} bytes exceeds max_packet {self._max_packet}")
                end = at + HEAD_BYTES + length
                if len(buffer) < end:
                    break
                message = Message(msg_id, bytes(buffer[at + HEAD_BYTES : end]))
                at = end
                yield message
        finally:
            del buffer[:at]

    @property
    def in_frame(self) -> bool:
        """Whether a frame has begun and is not whole."""
        return bool(self._buffer)
