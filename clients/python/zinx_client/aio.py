"""The client for asyncio.

    import asyncio
    from zinx_client import aio

    async def main():
        async with await aio.connect("127.0.0.1", 7777) as client:
            print(await client.request(1, b"ping", reply_id=1))

    asyncio.run(main())
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any, AsyncIterator, Awaitable

from .answers import Answers, Match
from .errors import ConnectionClosed, FrameTooLarge, ProtocolError, TimedOut
from .frames import Message
from .inbox import FAILED, Handler, Inbox
from .options import Options, State
from .session import BUSY, Bye, Opened, Refused, Session, Stage
from .signals import Signal
from .watch import watch
from .wire import Wire

log = logging.getLogger("zinx_client")


async def connect(host: str, port: int, **options: Any) -> Client:
    """A client that is connected. Options are the fields of `Options`. Raises `OSError` or `TimedOut` if the first attempt fails."""
    client = Client(host, port, **options)
    await client.connect()
    return client


class Client:
    """A connection to a server. It connects again by itself, and goes on where it was if the server resumes."""

    def __init__(self, host: str, port: int, **options: Any) -> None:
        """Nothing happens before `connect`: set handlers in between, so that none misses a message."""
        self._host, self._port = host, port
        self.options = Options(**options)
        self._session = Session(
            self.options.wire_format,
            resume=self.options.resume,
            max_packet=self.options.max_packet,
            max_buffer=self.options.max_buffer,
        )
        self._wire: Wire | None = None
        self._answers = Answers()
        self._questions: dict[int, tuple[int, Handler]] = {}
        self._tasks: set[asyncio.Task[Any]] = set()
        self._inbox = Inbox(self.options.codec, self.options.max_inbox, self._read_or_not)
        self._room = Signal()
        self.state = State("closed", reason="not connected yet")
        self._last_word = ""
        self._refused: int | None = None
        #: Why it is closed, once it is.
        self._final: str | None = None
        self._begun = False
        self._main: asyncio.Task[None] | None = None
        self._dispatcher: asyncio.Task[None] | None = None

    # What a program calls.

    def on(self, msg_id: int, handler: Handler) -> None:
        """Calls `handler` with the data of each message of this id, one after the other, in the order in which they came. It may
        be a coroutine function; the messages behind wait for it, except for answers. An error of it is logged."""
        self._inbox.handlers[msg_id] = handler

    def answer(self, msg_id: int, reply_id: int, handler: Handler) -> None:
        """Answers questions of the server: what `handler` returns is sent with `reply_id`. It runs at once, also while handlers of
        other messages wait. If it fails, that is logged, and the server's question times out."""
        self._questions[msg_id] = (reply_id, handler)

    async def connect(self) -> None:
        """Connects for the first time. Raises `OSError` or `TimedOut`; call it again then if you like. Raises `ConnectionClosed` if
        the client is closed, also meanwhile, and `RuntimeError` if it has connected, or is about to."""
        if self._final is not None:
            raise ConnectionClosed(self._final)
        if self._main is not None or self.state.name == "connecting":
            raise RuntimeError("connect has been called already: another connection takes another Client")
        self._closing = asyncio.Event()
        self._tell(State("connecting"))
        try:
            wire = await self._dial_unless_closed()
            if self._final is not None:
                wire.cut(self._final)
                raise ConnectionClosed(self._final)
        except BaseException as error:
            self._begun = False
            if self._final is None:
                self._tell(State("closed", reason="cancelled" if isinstance(error, asyncio.CancelledError) else str(error)))
            raise
        self._dispatcher = asyncio.get_running_loop().create_task(self._inbox.dispatch())
        self._main = asyncio.get_running_loop().create_task(self._run(wire))

    async def send(self, msg_id: int, value: Any, timeout: float | None = None) -> None:
        """Sends a message. Without a socket it is kept and leaves with the next one. Waits while `max_buffer` is reached.

        Raises `ConnectionClosed` once the client is closed, `TimedOut` if there is no room within `timeout`, `FrameTooLarge`."""
        data = self.options.codec.encode(msg_id, value)
        await self._wait_for_room(len(data), timeout)
        self._send(msg_id, data)

    def send_nowait(self, msg_id: int, value: Any) -> None:
        """As `send`, but raises `BufferFull` instead of waiting."""
        self._send(msg_id, self.options.codec.encode(msg_id, value))

    async def request(
        self, msg_id: int, value: Any, reply_id: int, timeout: float = 30.0, match: Match | None = None
    ) -> Any:
        """Sends a message and waits for the next one of `reply_id`. Several may wait at a time: answers go to them in the order
        in which they asked, or, with `match`, to the one whose `match(data)` is true. It goes on waiting while the connection is
        resumed.

        Raises `TimedOut`; `ConnectionClosed` if the connection ended for good, so that no answer can come; those of `send`."""
        self._check_open()
        if match is None:
            await self._answers.place(reply_id)
        data = self.options.codec.encode(msg_id, value)
        until = asyncio.get_running_loop().time() + timeout
        await self._wait_for_room(len(data), timeout)
        asked = self._answers.note(reply_id, match)
        try:
            self._send(msg_id, data)
        except BaseException:
            self._answers.forget(reply_id, asked)
            raise
        self._read_or_not()
        try:
            left = max(0.0, until - asyncio.get_running_loop().time())
            answer = await asyncio.wait_for(asyncio.shield(asked.answer), left)
        except asyncio.TimeoutError:
            raise TimedOut(f"no message {reply_id} within {timeout} s") from None
        finally:
            self._answers.give_up(reply_id, asked, self.options.grace)
            self._read_or_not()
        return self.options.codec.decode(reply_id, answer)

    async def receive(self, timeout: float | None = None) -> Message:
        """The next message without a handler; its data is decoded. Raises `TimedOut`, `ConnectionClosed`."""
        until = None if timeout is None else asyncio.get_running_loop().time() + timeout
        if not self._begun:
            raise ConnectionClosed("not connected yet")
        return await self._inbox.receive(until)

    async def __aiter__(self) -> AsyncIterator[Message]:
        """Messages without a handler, until the client is closed."""
        while True:
            try:
                yield await self.receive()
            except ConnectionClosed:
                return

    @property
    def can_resume(self) -> bool:
        """Whether the server keeps the connection if the socket is lost. It is asked when a connection begins."""
        return self._session.can_resume

    @property
    def buffered(self) -> int:
        """Bytes that wait for the server: to be written, or, if it resumes, to be counted by it."""
        return self._session.buffered

    async def close(self, patience: float = 5.0) -> None:
        """Closes on purpose: what was sent leaves first, for at most `patience` seconds, and there is nothing to resume. If the
        socket is lost just now, what waits for the next one is dropped. If this is cancelled, the socket is cut. Twice is the same
        as once."""
        if self._final is not None:
            return
        if self._main is None or self._dispatcher is None:
            if self.state.name == "connecting":
                self._finish("closed by the program")
            return
        self._finish("closed by the program")
        try:
            await self._end(self._main, patience)
        finally:
            for task in {*self._tasks, self._dispatcher} - {asyncio.current_task()}:
                task.cancel()

    async def wait_closed(self) -> State:
        """Waits until the client is closed, by whichever side. Returns the last state, with the reason."""
        if self._main is not None:
            await asyncio.shield(self._main)
        return self.state

    def drop_socket(self) -> None:
        """Loses the socket, as a network would: where the program knows that it has changed, or to try."""
        if self._wire is not None:
            self._wire.cut("the program has dropped the socket")

    async def __aenter__(self) -> Client:
        if self._main is None:
            await self.connect()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    # Sending.

    def _send(self, msg_id: int, data: bytes) -> None:
        self._check_open()
        self._session.send(msg_id, data)
        self._flush()

    def _flush(self) -> None:
        if self._session.has_output and self._wire is not None and self._wire.may_write:
            self._wire.write(self._session.take())
        self._room.notify()

    async def _wait_for_room(self, length: int, timeout: float | None) -> None:
        self._check_open()
        until = None if timeout is None else asyncio.get_running_loop().time() + timeout
        while self._final is None and not self._session.has_room(length):
            await self._room.wait(until, "no room")

    def _check_open(self) -> None:
        if not self._begun or self._final is not None:
            raise ConnectionClosed(self._final or "not connected yet")

    # Connecting, again and again.

    async def _run(self, wire: Wire) -> None:
        try:
            await self._connect_again_and_again(wire)
        except Exception as error:
            log.exception("the client ends")
            self._finish(str(error))

    async def _connect_again_and_again(self, wire: Wire | None) -> None:
        failures = 0
        while self._final is None:
            if wire is not None:
                failures = 0 if await self._talk(wire) else failures + 1
            if self._final is None:
                wire = await self._again(self.options.pause(failures))
                failures += wire is None
        if self._wire is not None:
            # The server has closed, or the program: it ends by itself.
            await self._wire.lost
            self._wire = None

    async def _talk(self, wire: Wire) -> bool:
        """Goes on until the socket is lost. Returns whether it was of use: if not, the next attempt comes later."""
        watching = asyncio.get_running_loop().create_task(watch(wire, self._session, self.options, self._send))
        why = await wire.lost
        watching.cancel()
        if self._wire is wire:
            self._wire = None
            self._session.lose()
            if self._final is None:
                self._settle(self._last_word or why)
        lasted = asyncio.get_running_loop().time() - wire.begun
        return (wire.has_received or lasted > self.options.backoff[1]) and self._refused != BUSY

    def _settle(self, why: str) -> None:
        """The socket is lost. Is there anything to go on with?"""
        if not self.options.reconnect:
            self._finish(why)
        elif self._session.can_resume:
            self._tell(State("resuming", reason=why))
        else:
            self._begin_anew(why)

    def _begin_anew(self, why: str) -> None:
        """What is sent from now on is for a new connection."""
        self._wire = None
        self._session.lose()
        lost = self._session.forget()
        self._answers.fail_all(why)
        self._room.notify()
        self._tell(State("connecting", refused=self._refused, lost=lost, reason=why))
        if not self.options.reconnect:
            self._finish(why)

    async def _again(self, pause: float) -> Wire | None:
        """The next attempt. None if it fails, or the client is closed first."""
        try:
            await asyncio.wait_for(self._closing.wait(), pause)
            return None
        except asyncio.TimeoutError:
            pass
        try:
            return await self._dial_unless_closed()
        except Exception:
            return None

    async def _dial_unless_closed(self) -> Wire:
        """As `_dial`. Raises `ConnectionClosed` if the client is closed first."""
        tasks = [asyncio.ensure_future(what) for what in (self._dial(), self._closing.wait())]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            made = (await asyncio.gather(*tasks, return_exceptions=True))[0]
        if isinstance(made, Wire):
            return made
        if self._final is not None or not isinstance(made, BaseException):
            raise ConnectionClosed(self._final or "not connected")
        raise made

    async def _dial(self) -> Wire:
        loop, options = asyncio.get_running_loop(), self.options
        made = loop.create_connection(
            lambda: Wire(self._connected, self._received, self._flush), self._host, self._port, ssl=options.ssl or None
        )
        try:
            _, wire = await asyncio.wait_for(made, options.connect_timeout)
        except BaseException as error:
            if self._wire is not None:
                self._wire.cut("too late")
                self._wire = None
                self._session.lose()
            if isinstance(error, asyncio.TimeoutError) and not isinstance(error, TimedOut):
                raise TimedOut(f"not connected within {options.connect_timeout} s") from None
            raise
        return wire

    def _connected(self, wire: Wire) -> None:
        """There is a socket, and nothing has been read from it."""
        if self._final is not None:
            wire.cut("closed meanwhile")
            return
        self._begun = True
        self._wire, self._refused, self._last_word = wire, None, ""
        self._session.begin()
        self._flush()
        if not self._session.can_resume:
            self._tell(State("open"))

    # Receiving.

    def _received(self, data: bytes) -> None:
        wire = self._wire
        if wire is None:
            return
        try:
            for event in self._session.feed(data):
                self._take(event, wire)
                if self._wire is not wire:
                    return
        except (ProtocolError, FrameTooLarge) as error:
            self._give_up_socket(wire, str(error))
        self._flush()
        self._read_or_not()

    def _take(self, event: Any, wire: Wire) -> None:
        if isinstance(event, Opened):
            if event.resumed:
                self._tell(State("open", resumed=True))
        elif isinstance(event, Refused):
            self._refused = event.number
            if event.number != BUSY:
                self._begin_anew(f"not resumed: {event.words}")
            wire.cut(f"not resumed: {event.words}")
        elif isinstance(event, Bye):
            if self.options.reconnect != "always":
                self._finish(self._last_word or "the server has closed on purpose")
                self._spawn(wire.end(5.0))
        elif self.options.last_word_id and event.id == self.options.last_word_id:
            self._last_word = event.data.decode("utf-8", "replace")
        elif event.id == self.options.heartbeat_id and event.id not in self._inbox.handlers:
            pass
        elif self._answers.deliver(event):
            pass
        elif event.id in self._questions:
            self._spawn(self._answer(event))
        else:
            self._inbox.put(event)

    def _give_up_socket(self, wire: Wire, why: str) -> None:
        """What the server sends cannot be understood: the connection ends, and a new one may follow."""
        log.warning("the connection ends: %s", why)
        self._session.say_bye()
        wire.write(self._session.take())
        self._begin_anew(why)
        self._spawn(wire.end(5.0))

    def _read_or_not(self) -> None:
        """While too much waits for handlers, nothing is read, except for the answer to a request: a handler may wait for it."""
        if self._wire is not None:
            self._wire.read_on(not self._inbox.is_full or self._answers.waiting or self._final is not None)

    async def _answer(self, message: Message) -> None:
        reply_id, handler = self._questions[message.id]
        value = await self._inbox.handle(handler, message)
        if value is not FAILED:
            try:
                await self.send(reply_id, value)
            except ConnectionClosed:
                pass
            except Exception:
                log.exception("the answer to message %d", message.id)

    # The end.

    async def _end(self, main: asyncio.Task[None], patience: float) -> None:
        """Ends the socket in order. Cut short, it cuts the socket: nothing is left over that waits for the server."""
        try:
            if self._wire is not None:
                self._session.say_bye()
                self._wire.write(self._session.take())
                await self._wire.end(patience)
            await asyncio.wait([main])
        except asyncio.CancelledError:
            if self._wire is not None:
                self._wire.cut("closed")
            raise

    def _finish(self, why: str) -> None:
        """Closed, for good."""
        if self._final is not None:
            return
        self._final = why
        has_left = self._wire is not None and self._session.stage is not Stage.RESUMING
        lost = 0 if has_left else self._session.forget()
        self._answers.fail_all(why)
        self._closing.set()
        self._inbox.close()
        self._room.notify()
        self._tell(State("closed", lost=lost, reason=why))

    def _tell(self, state: State) -> None:
        self.state = state
        if self.options.on_state is not None:
            try:
                self.options.on_state(state)
            except Exception:
                log.exception("on_state")

    def _spawn(self, what: Awaitable[Any]) -> None:
        task = asyncio.ensure_future(what)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

