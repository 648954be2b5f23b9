"""Messages on their way to the program: handlers run one after the other, and what has no handler waits for `receive`."""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections import deque
from typing import Any, Callable

from .errors import ConnectionClosed
from .frames import Message
from .options import Codec
from .signals import Signal

log = logging.getLogger("zinx_client")

Handler = Callable[[Any], Any]

#: What a handler that has failed returns.
FAILED = object()


class Inbox:
    """The messages of one client, in the order in which they came."""

    def __init__(self, codec: Codec, max_inbox: int, changed: Callable[[], None]) -> None:
        self.handlers: dict[int, Handler] = {}
        self._codec = codec
        self._max = max_inbox
        self._changed = changed
        self._waiting: deque[Message] = deque()
        self._unhandled: deque[Message] = deque()
        self._arrived, self._kept, self._taken = Signal(), Signal(), Signal()
        self._closed = False
        self._is_over = False
        self._warned = False

    @property
    def is_full(self) -> bool:
        return len(self._waiting) + len(self._unhandled) >= self._max

    def put(self, message: Message) -> None:
        self._waiting.append(message)
        self._arrived.notify()

    def close(self) -> None:
        """No more will come."""
        self._closed = True
        self._arrived.notify()
        self._taken.notify()

    async def dispatch(self) -> None:
        """Hands messages to their handlers, until there will be no more."""
        try:
            while True:
                while self._waiting:
                    message = self._waiting.popleft()
                    if message.id in self.handlers:
                        await self.handle(self.handlers[message.id], message)
                    else:
                        await self._keep(message)
                    self._changed()
                if self._closed:
                    return
                await self._arrived.wait()
        finally:
            self._is_over = True
            self._kept.notify()

    async def handle(self, handler: Handler, message: Message) -> Any:
        """What a handler returns, or `FAILED`: its error is logged."""
        try:
            result = handler(self._codec.decode(message.id, message.data))
            return await result if inspect.isawaitable(result) else result
        except (Exception, asyncio.CancelledError) as error:
            # What it waited for may have been cancelled: that is an error of it, and no end of ours.
            if isinstance(error, asyncio.CancelledError) and _is_cancelled():
                raise
            log.exception("the handler of message %d", message.id)
            return FAILED

    async def receive(self, until: float | None) -> Message:
        """The next one without a handler."""
        while not self._unhandled:
            if self._is_over:
                raise ConnectionClosed("the client is closed")
            await self._kept.wait(until, "no message")
        message = self._unhandled.popleft()
        self._taken.notify()
        self._changed()
        return Message(message.id, self._codec.decode(message.id, message.data))

    async def _keep(self, message: Message) -> None:
        if len(self._unhandled) >= self._max and not self._warned:
            self._warned = True
            log.warning("%d messages without a handler wait, the next has id %d", len(self._unhandled), message.id)
        while len(self._unhandled) >= self._max and not self._closed:
            await self._taken.wait()
        self._unhandled.append(message)
        self._kept.notify()


def _is_cancelled() -> bool:
    """Whether the task that runs is to end. Before Python 3.11, whenever something it waited for was cancelled."""
    cancelling = getattr(asyncio.current_task(), "cancelling", None)
    return cancelling is None or cancelling() > 0
