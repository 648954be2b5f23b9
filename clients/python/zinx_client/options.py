"""What may be set about a client, and what a program is told of its connection."""

from __future__ import annotations

import json
import random
import ssl as ssl_module
from dataclasses import dataclass
from typing import Any, Callable, Protocol, Union

from .frames import FORMATS, LTV

#: The id of heartbeats, if nothing else is set on the server.
HEARTBEAT_ID = 99_999


class Codec(Protocol):
    """How values become data and back, for protobuf and the like."""

    def encode(self, msg_id: int, value: Any) -> bytes: ...

    def decode(self, msg_id: int, data: bytes) -> Any: ...


class Bytes:
    """The codec if none is given: data is bytes. A text that is sent becomes UTF-8."""

    def encode(self, msg_id: int, value: Any) -> bytes:
        return value.encode() if isinstance(value, str) else bytes(value)

    def decode(self, msg_id: int, data: bytes) -> bytes:
        return data


class Json:
    """Data is JSON."""

    def encode(self, msg_id: int, value: Any) -> bytes:
        return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()

    def decode(self, msg_id: int, data: bytes) -> Any:
        return json.loads(data)


@dataclass(frozen=True)
class State:
    """What a program is told of its connection."""

    #: `connecting`: to a new connection. `open`. `resuming`: the socket is lost, and the connection waits on the server.
    #: `closed`: for good.
    name: str
    #: With `open`: whether the connection is the one from before, with all that was sent meanwhile.
    resumed: bool = False
    #: With `connecting`, after a refusal to resume: the number of the reason, as in `docs/resume.md`.
    refused: int | None = None
    #: With `connecting` and `closed`: messages that were sent and may not have arrived. Those that were sent without
    #: counting (`resume=False`, or a server that does not resume) and had left are not among them.
    lost: int = 0
    #: Why the state changed, in words.
    reason: str = ""


@dataclass
class Options:
    """Times are in seconds, sizes in bytes."""

    #: `ltv_little_endian` or `tlv_big_endian`: the server's `DataPack`.
    format: str = LTV.name
    #: Ask the server to keep the connection if the socket is lost. A server that does not know this drops one unknown message.
    resume: bool = True
    #: Connect again after a loss. If the server closes on purpose, the client is closed unless this is `"always"`.
    reconnect: Union[bool, str] = True
    #: The first attempt comes within `backoff[0]` seconds, drawn at random; each failure doubles that, up to `backoff[1]`.
    backoff: tuple[float, float] = (1.0, 30.0)
    #: Longest time for one attempt to connect. A server that has not issued a token within the same time after that does not resume.
    connect_timeout: float = 10.0
    #: Send a heartbeat so often; 0: never. The server counts a silent peer as lost only if it has a heartbeat itself.
    heartbeat: float = 0.0
    #: Heartbeats of the server have this id too. They are swallowed unless there is a handler for them.
    heartbeat_id: int = HEARTBEAT_ID
    #: Take the socket for lost if nothing has come for so long; 0: never. For a server that sends heartbeats.
    silence: float = 0.0
    #: Largest message, in either direction: the server's `MaxPacketSize`.
    max_packet: int = 1 << 20
    #: As much may wait for the server: to be written, or to be counted by it. A server counts every 32 messages or 16 KiB.
    max_buffer: int = 1 << 20
    #: As many messages without a handler are kept for `receive`; then the client reads no more until some are taken.
    max_inbox: int = 1024
    #: After a request has timed out, a late answer is waited for so long before the next request with the same reply id is sent.
    grace: float = 1.0
    #: `LastWordMsgId` of the server: a message of this id says why the server closes, and becomes the reason.
    last_word_id: int = 0
    codec: Codec = Bytes()
    ssl: Union[None, bool, ssl_module.SSLContext] = None
    #: Called with each `State`. It must not wait.
    on_state: Callable[[State], None] | None = None
    #: For tests: what draws the pauses.
    draw: Callable[[], float] = random.random

    def __post_init__(self) -> None:
        if self.format not in FORMATS:
            raise ValueError(f"unknown format {self.format!r}: one of {', '.join(FORMATS)}")
        self.wire_format = FORMATS[self.format]
        if self.max_buffer < 64 * 1024:
            raise ValueError("max_buffer is at least 65536, for servers count every 16 KiB")

    def pause(self, failures: int) -> float:
        """How long to wait before the next attempt."""
        first, longest = self.backoff
        return self.draw() * min(longest, first * 2.0 ** min(failures, 30))
