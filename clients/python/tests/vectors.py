"""Reads `tests/vectors`, and plays the server's part of an exchange."""

import json
import pathlib
import queue
import socket
import struct
from concurrent.futures import ThreadPoolExecutor

import zinx_client

FOLDER = pathlib.Path(__file__).resolve().parents[3] / "tests/vectors"
PATIENCE = 30


def load(file: str) -> dict:
    return json.loads((FOLDER / file).read_text())


def plain(text: str) -> bytes:
    """Data without tokens."""
    return b"".join(map(item_bytes, text.split()))


def item_bytes(item: str) -> bytes:
    digits, _, times = item.partition("x")
    return bytes.fromhex(digits) * int(times or 1)


class Player:
    """A server that says what an exchange has for it, and a client that is told what to do."""

    def __init__(self, ids: dict, format: str) -> None:
        self.ids, self.format = ids, zinx_client.options.FORMATS[format]
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.listener.settimeout(PATIENCE)
        self.socket = None
        self.tokens: dict[str, bytes] = {}
        self.states: queue.Queue = queue.Queue()
        self.requests: list = []
        self.threads = ThreadPoolExecutor(4)
        self.client = zinx_client.Client(
            "127.0.0.1", self.listener.getsockname()[1], format=format, backoff=(0.001, 0.05), grace=PATIENCE,
            on_state=self.states.put,
        )  # fmt: skip
        self.client.answer(10, 11, lambda question: b"yes, " + question)

    def play(self, exchange: dict) -> None:
        self.client.connect()
        for step in exchange["steps"]:
            if step.get("only") != "server":
                for _ in range(step.get("times", 1)):
                    self.step(step)

    def step(self, step: dict) -> None:
        if "do" in step:
            self.do(step["do"])
        elif "client" in step:
            self.expect(step["client"])
        elif "server" in step:
            if step.get("arrives", True):
                self.send(step["server"])
        elif step.get("ends") == "client":
            assert self.accepted().recv(1) == b"", "the client ends"
            self.drop()
        elif "lost" in step or step.get("ends") == "server":
            self.drop()
        elif "got" in step:
            message = self.client.receive(PATIENCE)
            assert (message.id, message.data) == (step["got"]["id"], plain(step["got"]["data"]))
        elif "answered" in step:
            self.check_answer(step["answered"])
        elif "state" in step:
            self.wait_for_state(step["state"], step.get("number"))
        else:
            raise AssertionError(f"an unknown step: {step}")

    def do(self, what: dict) -> None:
        if "send" in what:
            self.client.send(what["send"]["id"], plain(what["send"]["data"]))
        elif "request" in what:
            asked = what["request"]
            args = (asked["id"], plain(asked["data"]), asked["reply_id"], asked["timeout_ms"] / 1000)
            self.requests.append(self.threads.submit(self.client.request, *args))
        else:
            self.threads.submit(self.client.close)

    def check_answer(self, expected: "str | None") -> None:
        asked = self.requests.pop(0)
        if expected is None:
            assert isinstance(asked.exception(PATIENCE), zinx_client.TimedOut)
        else:
            assert asked.result(PATIENCE) == plain(expected)

    def wait_for_state(self, name: str, number: "int | None") -> None:
        while True:
            state = self.states.get(timeout=PATIENCE)
            told = "refused" if state.refused is not None else "resumed" if state.resumed else state.name
            if told == name and state.refused == number:
                return

    def expect(self, frame: dict) -> None:
        head = self.read(8)
        first, second = struct.unpack("<II" if self.format.name.startswith("ltv") else ">II", head)
        length, msg_id = (first, second) if self.format.name.startswith("ltv") else (second, first)
        data, rest = self.read(length), frame["data"].split()
        assert msg_id == self.id(frame), (msg_id, data, frame)
        expected = b"".join(self.token(item) if item.startswith("{") else item_bytes(item) for item in rest)
        assert data == expected, (data, frame)

    def send(self, frame: dict) -> None:
        items = [b" any" if item == "*" else self.token(item) if item[0] == "{" else item_bytes(item) for item in frame["data"].split()]
        data = b"".join(items)
        numbers = (len(data), self.id(frame))
        ltv = self.format.name.startswith("ltv")
        self.accepted().sendall(struct.pack("<II" if ltv else ">II", *(numbers if ltv else numbers[::-1])) + data)

    def token(self, item: str) -> bytes:
        return self.tokens.setdefault(item, f"the token {item}".encode().ljust(24, b"."))

    def id(self, frame: dict) -> int:
        return self.ids.get(frame["id"], frame["id"])

    def read(self, length: int) -> bytes:
        data = b""
        while len(data) < length:
            piece = self.accepted().recv(length - len(data))
            assert piece, f"the client has ended the stream, {length - len(data)} bytes are missing"
            data += piece
        return data

    def accepted(self) -> socket.socket:
        """The socket, accepted if there is none."""
        if self.socket is None:
            self.socket, _ = self.listener.accept()
            self.socket.settimeout(PATIENCE)
        return self.socket

    def drop(self) -> None:
        self.accepted().close()
        self.socket = None

    def end(self) -> None:
        # It would wait for a server that says nothing any more.
        self.client.close(0.0)
        self.threads.shutdown()
        self.listener.close()
        if self.socket is not None:
            self.socket.close()
