"""A proxy that cuts connections after a byte, by an end of stream or by a reset."""

import asyncio
import contextlib
import socket
import struct
from dataclasses import dataclass

NEVER = 1 << 40


@dataclass
class Cut:
    """After so many bytes to the server or from it, whichever comes first."""

    up: int = NEVER
    down: int = NEVER
    reset: bool = False


class Proxy:
    """Connections are cut as the list says, one after the other; those after the last are whole."""

    def __init__(self, port: int, cuts=()) -> None:
        self.to, self.cuts, self.accepted = port, list(cuts), 0
        self._links: set[asyncio.Task] = set()

    async def __aenter__(self) -> "Proxy":
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_) -> None:
        self._server.close()
        for link in list(self._links):
            link.cancel()
        await asyncio.gather(*self._links, return_exceptions=True)

    async def _accept(self, reader, writer) -> None:
        self._links.add(asyncio.current_task())
        cut = self.cuts[self.accepted] if self.accepted < len(self.cuts) else Cut()
        self.accepted += 1
        try:
            there, to_server = await asyncio.open_connection("127.0.0.1", self.to)
        except OSError:
            writer.close()
            return
        ways = [
            asyncio.ensure_future(self._pass(reader, to_server, cut.up)),
            asyncio.ensure_future(self._pass(there, writer, cut.down)),
        ]
        try:
            done, _ = await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            if not any(way.result() == "cut" for way in done):
                await asyncio.wait(ways)
        finally:
            for way in ways:
                way.cancel()
            is_cut = any(way.done() and not way.cancelled() and way.result() == "cut" for way in ways)
            for end in (writer, to_server):
                if cut.reset and is_cut:
                    with contextlib.suppress(OSError):
                        linger = struct.pack("ii", 1, 0)
                        end.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                    end.transport.abort()
                else:
                    end.close()
            self._links.discard(asyncio.current_task())

    @staticmethod
    async def _pass(reader, writer, left: int) -> str:
        try:
            while left > 0:
                data = await reader.read(min(left, 4096))
                if not data:
                    writer.write_eof()
                    return "end"
                writer.write(data)
                await writer.drain()
                left -= len(data)
            return "cut"
        except (OSError, asyncio.IncompleteReadError):
            return "cut"
