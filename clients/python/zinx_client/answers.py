"""Which answer belongs to which request."""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import suppress
from typing import Callable

from .errors import ConnectionClosed, TimedOut
from .frames import Message
from .signals import Signal

Match = Callable[[bytes], bool]


class Asked:
    """A request that waits, or has given up and keeps its place for a late answer until `past`."""

    def __init__(self, match: Match | None) -> None:
        self.match = match
        self.answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self.past: float | None = None


class Answers:
    """Answers go to the requests with their id, first in, first out. A late one is dropped, and never taken for another's."""

    def __init__(self) -> None:
        self._asked: dict[int, deque[Asked]] = {}
        self._changed = Signal()

    @property
    def waiting(self) -> bool:
        return any(asked.past is None for queue in self._asked.values() for asked in queue)

    def note(self, reply_id: int, match: Match | None) -> Asked:
        asked = Asked(match)
        queue = self._asked.setdefault(reply_id, deque())
        # No message may come that would do it.
        self._drop_past(queue)
        queue.append(asked)
        return asked

    def give_up(self, reply_id: int, asked: Asked, grace: float) -> None:
        """No answer is waited for any more; one that comes within `grace` is dropped."""
        if asked.answer.done() and not asked.answer.cancelled():
            self.forget(reply_id, asked)
            return
        asked.past = asyncio.get_running_loop().time() + grace
        if not asked.answer.done():
            asked.answer.cancel()

    def forget(self, reply_id: int, asked: Asked) -> None:
        """Its place is free."""
        queue = self._asked.get(reply_id, deque())
        if asked in queue:
            queue.remove(asked)

    def deliver(self, message: Message) -> bool:
        """Gives an answer to its request. False if it answers none."""
        queue = self._asked.get(message.id)
        if not queue:
            return False
        self._drop_past(queue)
        for asked in queue:
            if asked.match is not None and not _matches(asked.match, message.data):
                continue
            queue.remove(asked)
            if not asked.answer.done():
                asked.answer.set_result(message.data)
            self._changed.notify()
            return True
        return False

    async def place(self, reply_id: int) -> None:
        """Waits while a late answer with this id may still come."""
        while True:
            queue = self._asked.get(reply_id, deque())
            self._drop_past(queue)
            ends = [asked.past for asked in queue if asked.past is not None]
            if not ends:
                return
            with suppress(TimedOut):
                await self._changed.wait(max(ends))

    def fail_all(self, why: str) -> None:
        """The connection that they were sent on is gone."""
        for queue in self._asked.values():
            for asked in queue:
                if not asked.answer.done():
                    asked.answer.set_exception(ConnectionClosed(why))
                    # Marked as seen: its caller may have been cancelled.
                    asked.answer.exception()
            queue.clear()
        self._changed.notify()

    @staticmethod
    def _drop_past(queue: deque[Asked]) -> None:
        now = asyncio.get_running_loop().time()
        for asked in [asked for asked in queue if asked.past is not None and asked.past <= now]:
            queue.remove(asked)


def _matches(match: Match, data: bytes) -> bool:
    """A function that fails on the data of another message says no."""
    try:
        return bool(match(data))
    except Exception:
        return False
