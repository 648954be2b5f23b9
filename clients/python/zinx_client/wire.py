"""One socket, as asyncio has it: bytes in, bytes out, and how it ended."""

from __future__ import annotations

import asyncio
from typing import Callable


class Wire(asyncio.Protocol):
    """A socket of a client. It is thrown away when the socket is lost; the client makes another."""

    def __init__(
        self, connected: Callable[[Wire], None], received: Callable[[bytes], None], writable: Callable[[], None]
    ) -> None:
        self._connected = connected
        self._received = received
        self._writable = writable
        self._transport: asyncio.Transport | None = None
        self._may_write = True
        self.reads = True
        #: Set once it is lost: in words.
        self.lost: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self.has_received = False
        self.begun = self.last_heard = asyncio.get_running_loop().time()

    # What asyncio calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._connected(self)

    def data_received(self, data: bytes) -> None:
        self.has_received = True
        self.last_heard = asyncio.get_running_loop().time()
        self._received(data)

    def pause_writing(self) -> None:
        self._may_write = False

    def resume_writing(self) -> None:
        self._may_write = True
        self._writable()

    def connection_lost(self, error: Exception | None) -> None:
        self._may_write = False
        if not self.lost.done():
            self.lost.set_result(str(error) if error else "the server has closed")

    # What the client calls.

    @property
    def may_write(self) -> bool:
        return self._may_write and self._transport is not None and not self._transport.is_closing()

    def write(self, data: bytes) -> None:
        if self._transport is not None and data:
            self._transport.write(data)

    def read_on(self, reads: bool) -> None:
        """Stops reading, or goes on."""
        if self._transport is None or self._transport.is_closing() or reads == self.reads:
            return
        self.reads = reads
        if reads:
            self.last_heard = asyncio.get_running_loop().time()
            self._transport.resume_reading()
        else:
            self._transport.pause_reading()

    def cut(self, why: str) -> None:
        """Takes the socket for lost."""
        if not self.lost.done():
            self.lost.set_result(why)
        if self._transport is not None:
            self._transport.abort()

    async def end(self, patience: float) -> None:
        """Ends in order: all that was written leaves, and the server ends too. A reset after `patience`."""
        if self._transport is None or self.lost.done():
            return
        self.read_on(True)
        try:
            if self._transport.can_write_eof():
                self._transport.write_eof()
            else:
                self._transport.close()
        except OSError as error:
            # It has been reset, and asyncio has not noticed.
            self.cut(str(error))
            return
        done, _ = await asyncio.wait([self.lost], timeout=patience)
        if not done:
            self.cut("closed")
