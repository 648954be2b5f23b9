"""The client is what `tests/vectors` say."""

import pytest

from vectors import Player, load, plain
from zinx_client.errors import FrameTooLarge
from zinx_client.frames import FORMATS, Splitter

FRAMES = load("frames.json")
EXCHANGES = [
    pytest.param(file, exchange, format, id=f"{file[:-5]}: {exchange['name']} ({format})")
    for file in ("heartbeats.json", "calls.json", "resume.json")
    for exchange in load(file)["exchanges"]
    if exchange.get("only") != "server"
    for format in ("ltv_little_endian", "tlv_big_endian")
]


def test_frames_are_packed_and_split():
    for vector in FRAMES["frames"]:
        format, data = FORMATS[vector["pack"]], plain(vector["data"])
        assert format.pack(vector["id"], data) == plain(vector["bytes"]), vector["name"]
        assert list(Splitter(format, 1 << 20).feed(plain(vector["bytes"]))) == [(vector["id"], data)], vector["name"]


@pytest.mark.parametrize("vector", FRAMES["streams"], ids=lambda vector: f"{vector['name']} ({vector['pack']})")
def test_streams_are_split_however_they_are_cut(vector):
    stream = plain(vector["bytes"])
    expected = [(message["id"], plain(message["data"])) for message in vector["messages"]]
    for cut in range(len(stream) + 1):
        assert read([stream[:cut], stream[cut:]], vector) == (expected, vector["ends"]), cut
    assert read([bytes([byte]) for byte in stream], vector) == (expected, vector["ends"])


def read(pieces, vector):
    splitter = Splitter(FORMATS[vector["pack"]], vector["max_packet_size"])
    messages = []
    try:
        for piece in pieces:
            messages += iter_noting(splitter.feed(piece), messages)
    except FrameTooLarge:
        return messages, "too large"
    return messages, "in a frame" if splitter.in_frame else "end"


def iter_noting(found, messages):
    """Takes them one by one, for the last may be an error."""
    for message in found:
        messages.append(message)
    return []


@pytest.mark.parametrize("file, exchange, format", EXCHANGES)
def test_exchange(file, exchange, format):
    player = Player(load(file)["ids"], format)
    try:
        player.play(exchange)
    finally:
        player.end()
