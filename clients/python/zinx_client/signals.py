"""Waiting until something may have changed."""

from __future__ import annotations

import asyncio

from .errors import TimedOut


class Signal:
    """Wakes those who wait for a change. They look again, and wait again: no wake-up is lost in between."""

    def __init__(self) -> None:
        self._waiting: list[asyncio.Future[None]] = []

    def notify(self) -> None:
        """Wakes all."""
        waiting, self._waiting = self._waiting, []
        for future in waiting:
            if not future.done():
                future.set_result(None)

    async def wait(self, until: float | None = None, what: str = "") -> None:
        """Waits for the next change. Raises `TimedOut` at `until`, by the clock of the loop."""
        loop = asyncio.get_running_loop()
        future = loop.create_future()
        self._waiting.append(future)
        try:
            await asyncio.wait_for(future, None if until is None else until - loop.time())
        except asyncio.TimeoutError:
            raise TimedOut(what) from None
        finally:
            if future in self._waiting:
                self._waiting.remove(future)
