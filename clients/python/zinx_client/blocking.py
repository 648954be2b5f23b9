"""The client for programs without asyncio: its calls wait. It may be used from several threads.

    from zinx_client import connect

    with connect("127.0.0.1", 7777) as client:
        print(client.request(1, b"ping", reply_id=1))
"""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import CancelledError, ThreadPoolExecutor
from typing import Any, Callable, Coroutine, Iterator, TypeVar

from . import aio
from .answers import Match
from .errors import ConnectionClosed
from .frames import Message
from .options import State

T = TypeVar("T")


def connect(host: str, port: int, **options: Any) -> Client:
    """A client that is connected. Options are the fields of `Options`. Raises `OSError` or `TimedOut` if the first attempt fails."""
    client = Client(host, port, **options)
    client.connect()
    return client


class Client:
    """A connection to a server. A thread of its own does the work; handlers run in another one, so they may wait, and may use the
    client. See `aio.Client` for what the methods promise."""

    def __init__(self, host: str, port: int, **options: Any) -> None:
        self._client = aio.Client(host, port, **options)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._closing = threading.RLock()
        #: Whoever has this gives the loop work before it is told to stop, or learns that it is.
        self._using = threading.Lock()
        # One thread keeps the order of messages. Answers have others: a handler may wait for a request that the server
        # answers only after a question of its own.
        self._handlers = ThreadPoolExecutor(1, "zinx handlers")
        self._answers = ThreadPoolExecutor(8, "zinx answers")

    def on(self, msg_id: int, handler: Callable[[Any], Any]) -> None:
        """Calls `handler` with the data of each message of this id, in the order in which they came."""
        self._client.on(msg_id, lambda value: self._run_in(self._handlers, handler, value))

    def answer(self, msg_id: int, reply_id: int, handler: Callable[[Any], Any]) -> None:
        """Answers questions of the server: what `handler` returns is sent with `reply_id`."""
        self._client.answer(msg_id, reply_id, lambda value: self._run_in(self._answers, handler, value))

    def connect(self) -> None:
        """Connects for the first time. Raises `OSError` or `TimedOut`; `ConnectionClosed` if it is closed; `RuntimeError` if it has
        connected."""
        if self._loop is not None:
            raise RuntimeError("connect has been called already: another connection takes another Client")
        self._start_loop()
        try:
            self._wait(self._client.connect())
        except BaseException:
            self._stop_loop()
            raise

    def send(self, msg_id: int, value: Any, timeout: float | None = None) -> None:
        """Sends a message. Waits while `max_buffer` is reached."""
        self._wait(self._client.send(msg_id, value, timeout))

    def request(
        self, msg_id: int, value: Any, reply_id: int, timeout: float = 30.0, match: Match | None = None
    ) -> Any:
        """Sends a message and waits for the next one of `reply_id`, or for the one whose `match(data)` is true."""
        return self._wait(self._client.request(msg_id, value, reply_id, timeout, match))

    def receive(self, timeout: float | None = None) -> Message:
        """The next message without a handler."""
        return self._wait(self._client.receive(timeout))

    def __iter__(self) -> Iterator[Message]:
        """Messages without a handler, until the client is closed."""
        while True:
            try:
                yield self.receive()
            except ConnectionClosed:
                return

    @property
    def state(self) -> State:
        return self._client.state

    @property
    def can_resume(self) -> bool:
        """Whether the server keeps the connection if the socket is lost."""
        return self._client.can_resume

    @property
    def buffered(self) -> int:
        """Bytes that wait for the server."""
        return self._client.buffered

    def wait_closed(self) -> State:
        """Waits until the client is closed, by whichever side. Returns the last state, with the reason."""
        try:
            return self._wait(self._client.wait_closed())
        except ConnectionClosed:
            return self.state

    def drop_socket(self) -> None:
        """Loses the socket, as a network would."""
        with self._using:
            if self._loop is not None:
                self._loop.call_soon_threadsafe(self._client.drop_socket)

    def close(self, patience: float = 5.0) -> None:
        """Closes on purpose: what was sent leaves first, for at most `patience` seconds. Twice is the same as once."""
        with self._closing:
            if self._loop is not None:
                self._wait(self._client.close(patience))
                self._stop_loop()
                self._handlers.shutdown(wait=False)
                self._answers.shutdown(wait=False)

    def __enter__(self) -> Client:
        if self._loop is None:
            self.connect()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _start_loop(self) -> None:
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=_run, args=[self._loop], name="zinx client", daemon=True).start()

    def _stop_loop(self) -> None:
        with self._using:
            loop, self._loop = self._loop, None
            if loop is not None:
                loop.call_soon_threadsafe(loop.stop)

    def _wait(self, what: Coroutine[Any, Any, T]) -> T:
        with self._using:
            if self._loop is None:
                what.close()
                raise ConnectionClosed("the client is closed, or not connected yet")
            waiting = asyncio.run_coroutine_threadsafe(what, self._loop)
        try:
            return waiting.result()
        except CancelledError:
            raise ConnectionClosed("the client is closed") from None
        except BaseException:
            # As by Ctrl+C: nothing goes on behind the program's back.
            waiting.cancel()
            raise

    async def _run_in(self, threads: ThreadPoolExecutor, handler: Callable[[Any], Any], value: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(threads, handler, value)


def _run(loop: asyncio.AbstractEventLoop) -> None:
    try:
        loop.run_forever()
        left = asyncio.all_tasks(loop)
        for task in left:
            task.cancel()
        if left:
            loop.run_until_complete(asyncio.wait(left))
    finally:
        loop.close()
