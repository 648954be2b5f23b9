"""Resuming through a proxy that cuts: whatever byte a connection is cut after, nothing is lost or doubled, in both directions."""

import asyncio
import random
import struct

from proxy import Cut, Proxy
from zinx_client import aio

SAY, SAID, TELL, TOLD, WHO, WHOM = 20, 21, 22, 23, 24, 25
QUICK = {"backoff": (0.001, 0.02)}

#: Frames of the exchange: asking for a token, its answer, four numbers and the same four back; and coming back.
OPEN, TOKEN, NUMBERS, RESUME, COUNT = 8, 44, 4 * 12, 40, 16


async def say_all(client: aio.Client, count: int) -> "tuple[list[int], int]":
    """Says numbers, and hears them. Returns what the server has heard, and the id of the connection on it."""
    for n in range(count):
        await client.send(SAY, struct.pack("<I", n))
    heard = [struct.unpack("<I", (await client.receive(60)).data)[0] for _ in range(count)]
    assert heard == list(range(count)), "from the server"
    told = await client.request(TELL, b"", TOLD, 60)
    who = await client.request(WHO, b"", WHOM, 60)
    return list(struct.unpack(f"<{len(told) // 4}I", told)), struct.unpack("<Q", who)[0]


async def check(port: int, cuts: "list[Cut]", count: int = 4) -> int:
    """A connection that is cut once it has a token. Returns how often it has come back."""
    async with Proxy(port) as proxy:
        states = []
        async with await aio.connect("127.0.0.1", proxy.port, **QUICK, on_state=states.append) as client:
            before = await client.request(WHO, b"", WHOM, 60)
            assert client.can_resume
            proxy.cuts = [Cut()] * proxy.accepted + cuts
            # So the first cut is of a socket that comes back, and of the bytes behind that.
            client.drop_socket()
            heard, who = await say_all(client, count)
        assert heard == list(range(count)), "from the client"
        assert struct.pack("<Q", who) == before, "the same connection"
        assert {state.name for state in states} == {"connecting", "open", "resuming", "closed"}
        assert [state.name for state in states].count("connecting") == 1
        return [state.resumed for state in states].count(True)


async def check_all(port: int, plans: "list[list[Cut]]", count: int = 4) -> None:
    """Some at a time."""
    places = asyncio.Semaphore(16)

    async def one(plan) -> None:
        async with places:
            assert await asyncio.wait_for(check(port, plan, count), 240) >= 1

    await asyncio.gather(*map(one, plans))


def test_cut_after_any_byte_of_coming_back_and_going_on_towards_the_server(server):
    length = RESUME + COUNT + NUMBERS
    asyncio.run(check_all(server.port, [[Cut(up=at, reset=reset)] for at in range(length) for reset in (False, True)]))


def test_cut_after_any_byte_of_coming_back_and_going_on_from_the_server(server):
    length = TOKEN + NUMBERS
    asyncio.run(check_all(server.port, [[Cut(down=at, reset=reset)] for at in range(length) for reset in (False, True)]))


def test_cut_again_after_any_byte_of_coming_back(server):
    first = Cut(up=RESUME + COUNT + 18, down=TOKEN + 18)
    plans = [[first, Cut(up=at)] for at in range(RESUME + COUNT + 24)] + [[first, Cut(down=at)] for at in range(TOKEN + 24)]
    asyncio.run(check_all(server.port, plans))


def test_cut_at_a_thousand_random_points(server):
    draw = random.Random(20261127)

    def cut() -> Cut:
        return Cut(draw.randrange(500), draw.randrange(500), draw.random() < 0.5)

    plans = [[cut() for _ in range(draw.randrange(1, 6))] for _ in range(1000)]
    assert sum(map(len, plans)) > 1000
    asyncio.run(check_all(server.port, plans, count=12))


def test_cut_after_any_byte_of_the_first_token(server):
    """Then there is nothing to resume: the program is told how much may be lost, and nothing is doubled."""

    async def one(cut: Cut) -> None:
        async with Proxy(server.port, [cut]) as proxy:
            states = []
            async with await aio.connect("127.0.0.1", proxy.port, **QUICK, on_state=states.append) as client:
                for n in range(4):
                    await client.send(SAY, struct.pack("<I", n))
                while proxy.accepted < 2 or client.state.name != "open":
                    await asyncio.sleep(0.001)
                told = await client.request(TELL, b"", TOLD, 60)
                heard = list(struct.unpack(f"<{len(told) // 4}I", told))
            if any(state.resumed for state in states):
                assert heard == [0, 1, 2, 3]
            else:
                lost = max(state.lost for state in states if state.name == "connecting")
                assert (lost, heard) == (4, [])

    async def all_of_them() -> None:
        await asyncio.gather(*(one(Cut(up=at)) for at in range(OPEN + NUMBERS)))
        await asyncio.gather(*(one(Cut(down=at)) for at in range(TOKEN)))

    asyncio.run(all_of_them())
