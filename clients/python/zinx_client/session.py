"""A connection that outlives its socket, without any I/O: counts, what is kept to be sent again, and the frames about it.

Both forms of the client drive this. They call `begin` on each new socket, give it what arrives (`feed`), write what it
wants written (`take`), and say when the socket is lost (`lose`).
"""

from __future__ import annotations

import enum
import struct
from collections import deque
from dataclasses import dataclass
from typing import Iterator, Union

from .errors import BufferFull, FrameTooLarge, ProtocolError
from .frames import HEAD_BYTES, Format, Message, Splitter

OPEN, RESUME, COUNT, BYE, TOKEN, REFUSED = range(0xFFFF_FFF0, 0xFFFF_FFF6)

#: The reason for a refusal after which the same token may be good.
BUSY = 7

#: The other side is told what has been received after so many frames or bytes.
TELL_FRAMES = 32
TELL_BYTES = 16 * 1024


class Stage(enum.Enum):
    """What this side knows of being resumed."""

    #: Nothing is counted: the program does not want it, the server does not have it, or the connection is over.
    PLAIN = enum.auto()
    #: A token was asked for and has not come.
    OPENING = enum.auto()
    #: There is a token, and frames are counted.
    COUNTING = enum.auto()
    #: The socket is new, and the server has not answered.
    RESUMING = enum.auto()


@dataclass(frozen=True)
class Opened:
    """The server has issued a token; `resumed` if it is not the first one."""

    resumed: bool


@dataclass(frozen=True)
class Refused:
    """The server has not let the connection be resumed. `number` is that of `docs/resume.md`; 7: try again."""

    number: int
    words: str


@dataclass(frozen=True)
class Bye:
    """The server closes on purpose."""


Event = Union[Message, Opened, Refused, Bye]


class Session:
    """The state of one connection. All bounds are in bytes."""

    def __init__(self, format: Format, *, resume: bool, max_packet: int, max_buffer: int) -> None:
        self._format = format
        self._wants_resume = resume
        self._max_packet = max_packet
        self._max_buffer = max_buffer
        self._has_socket = False
        self._splitter = Splitter(format, max_packet)
        self.stage = Stage.PLAIN
        self._token: bytes | None = None
        #: What is to be written to the socket next.
        self._out: deque[bytes] = deque()
        self._out_bytes = 0
        #: Frames that the server has not counted, and how many it has counted before them.
        self._kept: deque[bytes] = deque()
        self._kept_bytes = 0
        self._confirmed = 0
        #: Frames received since the first token, how many of them the server was told of, and the bytes of the others.
        self._received = 0
        self._told = 0
        self._untold_bytes = 0

    @property
    def can_resume(self) -> bool:
        """Whether a new socket would go on with this connection."""
        return self._token is not None

    @property
    def buffered(self) -> int:
        """Bytes that wait: to be written, or, once there is a token, for the server to count them."""
        return max(self._out_bytes, self._kept_bytes)

    @property
    def has_output(self) -> bool:
        return self._has_socket and bool(self._out)

    def begin(self) -> None:
        """There is a new socket."""
        self._has_socket = True
        self._splitter = Splitter(self._format, self._max_packet)
        if self._token is not None:
            self.stage = Stage.RESUMING
            self._write_only(self._format.pack(RESUME, self._token + _u64(self._received)))
        elif self._wants_resume:
            self.stage = Stage.OPENING
            self._received = self._told = self._untold_bytes = self._confirmed = 0
            self._write_only(self._format.pack(OPEN, b""), *self._kept)

    def lose(self) -> None:
        """The socket is lost. If there is no token, what was sent is lost with it: see `forget`."""
        self._has_socket = False

    def forget(self) -> int:
        """The next socket is that of a new connection. Returns how many messages are dropped that may not have arrived; those
        that were sent without counting, and had left this process, are unknown."""
        lost = len(self._kept) if self._wants_resume else len(self._out)
        self.stage, self._token = Stage.PLAIN, None
        self._write_only()
        self._kept.clear()
        self._kept_bytes = 0
        return lost

    def does_not_resume(self) -> None:
        """The server has not answered for so long that it does not know how to resume."""
        if self.stage is Stage.OPENING:
            self._stop_counting()

    def send(self, msg_id: int, data: bytes) -> None:
        """Sends a message, or keeps it until it can be sent. Raises `BufferFull`, `FrameTooLarge`."""
        if len(data) > self._max_packet:
            raise FrameTooLarge(f"a message of {len(data)} bytes exceeds max_packet {self._max_packet}")
        if not self.has_room(len(data)):
            raise BufferFull(f"{self.buffered} bytes wait for the server")
        frame = self._format.pack(msg_id, data)
        if not self._wants_resume:
            self._write(frame)
            return
        if self.stage is not Stage.PLAIN or not self._has_socket:
            self._kept.append(frame)
            self._kept_bytes += len(frame)
        if self._has_socket and self.stage is not Stage.RESUMING:
            self._write(frame)

    def has_room(self, length: int) -> bool:
        """Whether so much data may be sent. However much it is, it may if nothing else waits."""
        return not self.buffered or self.buffered + HEAD_BYTES + length <= self._max_buffer

    def say_bye(self) -> None:
        """Closes on purpose: what is sent now is the last."""
        if self.stage is Stage.COUNTING and self._has_socket:
            self._write(self._format.pack(BYE, b""))
        self._stop_counting()

    def take(self) -> bytes:
        """What is to be written now."""
        data = b"".join(self._out)
        self._write_only()
        return data

    def feed(self, data: bytes) -> Iterator[Event]:
        """What has come. Raises `FrameTooLarge`, `ProtocolError`: then the connection cannot go on."""
        for message in self._splitter.feed(data):
            event = self._receive(message)
            if event is not None:
                yield event

    def _receive(self, message: Message) -> Event | None:
        if not self._wants_resume:
            return message
        if not OPEN <= message.id <= REFUSED:
            return self._count(message)
        if message.id == TOKEN and self.stage in (Stage.OPENING, Stage.RESUMING):
            return self._take_token(message.data)
        if message.id == REFUSED and self.stage is Stage.RESUMING and message.data:
            return Refused(message.data[0], message.data[1:].decode("utf-8", "replace"))
        if message.id == COUNT and self.stage is Stage.COUNTING:
            self._confirm(_number(message.data))
            return None
        if message.id == BYE and self.stage is Stage.COUNTING:
            self._stop_counting()
            return Bye()
        # Late, or useless: without a token there is nothing to forget.
        if message.id in (COUNT, BYE) or (message.id == TOKEN and self.stage is Stage.PLAIN):
            return None
        raise ProtocolError(f"a frame of resuming with the id {message.id} at the wrong time")

    def _count(self, message: Message) -> Message | None:
        if self.stage is Stage.RESUMING:
            return None
        if self.stage is Stage.COUNTING:
            self._received += 1
            self._untold_bytes += len(message.data)
            if self._received - self._told >= TELL_FRAMES or self._untold_bytes >= TELL_BYTES:
                self._tell()
        return message

    def _take_token(self, data: bytes) -> Opened:
        if len(data) != 36:
            raise ProtocolError(f"a token frame of {len(data)} bytes")
        resumed = self.stage is Stage.RESUMING
        self._token, self.stage = data[:24], Stage.COUNTING
        if resumed:
            self._write_only()
            self._confirm(_number(data[24:32]))
            # By this the server knows that the new token has arrived.
            self._tell()
            for frame in self._kept:
                self._write(frame)
        return Opened(resumed)

    def _confirm(self, count: int) -> None:
        """The server has received so many. Less than before is old news."""
        if count > self._confirmed + len(self._kept):
            raise ProtocolError(f"the server counts {count} frames, which is more than were sent")
        while self._confirmed < count:
            self._kept_bytes -= len(self._kept.popleft())
            self._confirmed += 1

    def _tell(self) -> None:
        self._told, self._untold_bytes = self._received, 0
        self._write(self._format.pack(COUNT, _u64(self._received)))

    def _stop_counting(self) -> None:
        self.stage, self._token = Stage.PLAIN, None
        self._kept.clear()
        self._kept_bytes = 0

    def _write(self, frame: bytes) -> None:
        self._out.append(frame)
        self._out_bytes += len(frame)

    def _write_only(self, *frames: bytes) -> None:
        self._out = deque(frames)
        self._out_bytes = sum(map(len, frames))


def _u64(number: int) -> bytes:
    return struct.pack("<Q", number)


def _number(data: bytes) -> int:
    if len(data) != 8:
        raise ProtocolError(f"a count of {len(data)} bytes")
    return int.from_bytes(data, "little")
