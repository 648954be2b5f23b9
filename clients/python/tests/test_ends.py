"""How connecting, waiting and closing end if they are cut short, and what else must not end a client."""

import asyncio
import concurrent.futures
import socket
import sys
import threading
import time

import pytest

import zinx_client
from zinx_client import ConnectionClosed, Message, aio

QUICK = {"backoff": (0.01, 0.1)}
SOON = 60


@pytest.fixture
def silent():
    """The port of a server that accepts, and neither sends nor closes."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


def test_a_full_buffer_does_not_end_the_watch_over_a_silent_server(silent):
    async def main() -> None:
        lost = asyncio.Event()

        def on_state(state) -> None:
            if state.name == "open" and not lost.is_set():
                # An empty message has room beside it, and a heartbeat has not.
                client.send_nowait(1, b"x" * 65515)
            if "nothing has come" in state.reason:
                lost.set()

        client = aio.Client(
            "127.0.0.1", silent, max_buffer=65536, heartbeat=0.05, silence=0.3, on_state=on_state, **QUICK
        )
        await client.connect()
        await asyncio.wait_for(lost.wait(), SOON)
        await client.close(0.0)

    asyncio.run(main())


def test_a_close_that_is_cancelled_cuts_the_socket(silent):
    async def main() -> None:
        client = await aio.connect("127.0.0.1", silent, **QUICK)
        closing = asyncio.ensure_future(client.close(SOON * 10))
        await asyncio.sleep(0)
        closing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await closing
        assert (await asyncio.wait_for(client.wait_closed(), SOON)).name == "closed"

    asyncio.run(main())


def test_a_close_while_the_client_connects_for_the_first_time_is_heard(silent):
    async def main() -> None:
        client = aio.Client("127.0.0.1", silent, **QUICK)
        connecting = asyncio.ensure_future(client.connect())
        await asyncio.sleep(0)
        await client.close()
        with pytest.raises(ConnectionClosed):
            await asyncio.wait_for(connecting, SOON)
        assert (client.state.name, client.state.reason) == ("closed", "closed by the program")

    asyncio.run(main())


def test_a_first_attempt_that_is_cancelled_leaves_no_client_that_seems_open(silent):
    async def main() -> None:
        def on_state(state) -> None:
            if state.name == "open" and not connecting.cancelled():
                connecting.cancel()

        client = aio.Client("127.0.0.1", silent, on_state=on_state, **QUICK)
        connecting = asyncio.ensure_future(client.connect())
        with pytest.raises(asyncio.CancelledError):
            await connecting
        assert client.state.name == "closed"
        with pytest.raises(ConnectionClosed):
            client.send_nowait(1, b"")
        await client.connect()
        assert client.state.name == "open"
        await client.close(0.0)

    asyncio.run(main())


def test_a_second_connect_is_refused_and_harms_nothing(server):
    before = set(threading.enumerate())
    with zinx_client.connect("127.0.0.1", server.port, **QUICK) as client:
        with pytest.raises(RuntimeError):
            client.connect()
        assert client.request(1, b"there", 1, SOON) == b"there"
        # One that is left from an earlier test may end meanwhile.
        assert len(set(threading.enumerate()) - before) == 1
    with pytest.raises(ConnectionClosed):
        client.connect()
    assert client.state.name == "closed"


@pytest.mark.skipif(sys.version_info < (3, 11), reason="an older asyncio does not tell who was cancelled")
def test_a_handler_that_waits_for_something_cancelled_is_logged_and_the_next_message_handled(server, caplog):
    async def main() -> None:
        heard = asyncio.Event()

        async def handle(data: bytes) -> None:
            if data == b"first":
                other = asyncio.get_running_loop().create_future()
                other.cancel()
                await other
            heard.set()

        async with aio.Client("127.0.0.1", server.port, **QUICK) as client:
            client.on(1, handle)
            await client.send(1, "first")
            await client.send(1, "second")
            await asyncio.wait_for(heard.wait(), SOON)

    asyncio.run(main())
    heard = threading.Event()

    def handle(data: bytes) -> None:
        if data == b"first":
            raise concurrent.futures.CancelledError
        heard.set()

    with zinx_client.connect("127.0.0.1", server.port, **QUICK) as client:
        client.on(1, handle)
        client.send(1, "first")
        client.send(1, "second")
        assert heard.wait(SOON)
    assert caplog.text.count("the handler of message 1") == 2


def test_an_answer_that_cannot_be_sent_is_logged(server, caplog):
    with zinx_client.connect("127.0.0.1", server.port, **QUICK) as client:
        client.answer(10, 11, lambda _: None)
        client.send(4, b"?")
        end = time.monotonic() + SOON
        while "the answer to message 10" not in caplog.text:
            assert time.monotonic() < end, "not within a minute"
            time.sleep(0.002)


def test_what_waits_for_the_end_hears_of_it(server):
    client = zinx_client.connect("127.0.0.1", server.port, **QUICK)
    client.send(1, "hello")
    assert client.receive(SOON) == Message(1, b"hello")
    states = []
    waiting = [threading.Thread(target=lambda: states.append(client.wait_closed().name)) for _ in range(8)]
    for thread in waiting:
        thread.start()
    client.close()
    client.drop_socket()
    for thread in waiting:
        thread.join(SOON)
    assert states == ["closed"] * 8
