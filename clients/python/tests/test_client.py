"""What the client promises, against the real server, in both forms."""

import asyncio
import pathlib
import socket
import threading
import time

import pytest

import zinx_client
from zinx_client import Json, Message, aio

QUICK = {"backoff": (0.01, 0.1)}
SOON = 60


def connect(server, **options):
    return zinx_client.connect("127.0.0.1", server.port, **{**QUICK, **options})


def wait_until(condition) -> None:
    end = time.monotonic() + SOON
    while not condition():
        assert time.monotonic() < end, "not within a minute"
        time.sleep(0.002)


def test_a_message_is_sent_and_its_echo_received(server):
    with connect(server) as client:
        client.send(1, "hello")
        assert client.receive(SOON) == Message(1, b"hello")


def test_a_client_that_connects_at_the_second_attempt_has_its_handlers(server):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        nobody = taken.getsockname()[1]
    client, heard = zinx_client.Client("127.0.0.1", nobody, **QUICK), threading.Event()
    client.on(1, lambda _: heard.set())
    with pytest.raises(OSError):
        client.connect()
    client._client._port = server.port
    with client:
        client.send(1, "hello")
        assert heard.wait(SOON)


def test_handlers_run_one_after_the_other_and_may_use_the_client(server):
    heard, done = [], threading.Event()

    def handle(data: bytes) -> None:
        heard.append((int.from_bytes(data, "little"), client.request(1, data, 1, SOON)))
        if len(heard) == 20:
            done.set()

    with connect(server) as client:
        client.on(3, handle)
        client.send(2, (20).to_bytes(4, "little"))
        assert done.wait(SOON)
    assert heard == [(n, n.to_bytes(4, "little")) for n in range(20)]


def test_a_handler_that_fails_is_logged_and_the_next_message_handled(server, caplog):
    heard = threading.Event()

    def handle(data: bytes) -> None:
        if data == b"first":
            raise RuntimeError("on purpose")
        heard.set()

    with connect(server) as client:
        client.on(1, handle)
        client.send(1, "first")
        client.send(1, "second")
        assert heard.wait(SOON)
    assert "on purpose" in caplog.text


def test_the_server_is_answered_while_a_handler_waits_for_its_answer(server):
    bought = []
    done = threading.Event()

    def buy(_: bytes) -> None:
        # The server asks before it answers this.
        bought.append(client.request(4, b"sure?", 12, SOON))
        done.set()

    with connect(server) as client:
        client.answer(10, 11, lambda question: b"yes, " + question)
        client.on(1, buy)
        client.send(1, b"")
        assert done.wait(SOON)
    assert bought == [b"yes, sure?"]


def test_answers_may_be_coroutines_and_messages_are_handled_meanwhile(server):
    async def main() -> None:
        async with aio.Client("127.0.0.1", server.port, **QUICK) as client:
            go_on = asyncio.Event()

            async def answer(question: bytes) -> bytes:
                await go_on.wait()
                return b"at last"

            client.answer(10, 11, answer)
            client.on(99_998, lambda _: None)
            asked = asyncio.ensure_future(client.request(4, b"?", 12, SOON))
            other = await aio.connect("127.0.0.1", server.port, **QUICK)
            assert await other.request(1, b"meanwhile", 1, SOON) == b"meanwhile"
            go_on.set()
            assert await asked == b"at last"
            await other.close()

    asyncio.run(main())


def test_a_request_that_is_not_answered_times_out(server):
    with connect(server) as client:
        with pytest.raises(zinx_client.TimedOut):
            client.request(1, b"", 9, timeout=0.05)
        assert client.request(1, b"after", 1, SOON) == b"after"


def test_answers_are_matched_by_a_number_if_they_carry_one(server):
    async def main() -> None:
        async with await aio.connect("127.0.0.1", server.port, **QUICK) as client:
            asks = [client.request(1, bytes([n]), 1, SOON, match=lambda data, n=n: data == bytes([n])) for n in range(9)]
            assert await asyncio.gather(*asks) == [bytes([n]) for n in range(9)]

    asyncio.run(main())


def test_data_may_be_json_or_whatever_a_codec_makes_of_it(server):
    with connect(server, codec=Json()) as client:
        assert client.request(1, {"name": "李", "n": [1, 2]}, 1, SOON) == {"name": "李", "n": [1, 2]}

    class Numbers:
        def encode(self, msg_id, value):
            return str(value + msg_id).encode()

        def decode(self, msg_id, data):
            return int(data) - msg_id

    with connect(server, codec=Numbers()) as client:
        assert client.request(1, 41, 1, SOON) == 41


def test_the_other_format(start):
    server = start(ZINX_DATAPACK="tlv_big_endian")
    with connect(server, format="tlv_big_endian") as client:
        assert client.request(1, b"x" * 4000, 1, SOON) == b"x" * 4000


def test_a_server_that_does_not_resume_is_talked_to_all_the_same(start):
    server, states = start(ZINX_RESUMEMS="0"), []
    with connect(server, on_state=states.append) as client:
        assert client.request(1, b"1", 1, SOON) == b"1"
        assert not client.can_resume
        client.drop_socket()
        wait_until(lambda: [state.name for state in states].count("open") == 2)
        assert client.request(1, b"2", 1, SOON) == b"2"
    assert not any(state.resumed for state in states)


def test_closed_by_the_server_on_purpose_is_closed_for_good(server):
    states = []
    with connect(server, on_state=states.append) as client:
        client.request(1, b"", 1, SOON)
        client.send(5, b"")
        assert client.wait_closed().name == "closed"
        with pytest.raises(zinx_client.ConnectionClosed):
            client.send(1, b"")
        with pytest.raises(zinx_client.ConnectionClosed):
            client.receive(SOON)
    assert states[-1].reason == "the server has closed on purpose"


def test_or_a_new_connection_begins_if_the_program_wants_that(server):
    states = []
    with connect(server, on_state=states.append, reconnect="always") as client:
        client.request(1, b"", 1, SOON)
        client.send(5, b"")
        wait_until(lambda: [state.name for state in states].count("open") == 2)
        assert client.request(1, b"again", 1, SOON) == b"again"


def test_the_last_word_of_the_server_is_the_reason(start):
    server = start(ZINX_LASTWORDMSGID="77", ZINX_IDLETIMEOUTMS="300", ZINX_RESUMEMS="0")
    with connect(server, last_word_id=77, reconnect=False) as client:
        client.send(1, b"")
        assert "IdleTimeoutMs" in client.wait_closed().reason


def test_a_close_lets_what_was_sent_arrive_and_twice_is_the_same_as_once():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        client = zinx_client.connect("127.0.0.1", listener.getsockname()[1], **QUICK)
        accepted, _ = listener.accept()
        for n in range(1000):
            client.send(20, n.to_bytes(4, "little"))
        closing = threading.Thread(target=client.close)
        closing.start()
        received = b""
        while piece := accepted.recv(1 << 16):
            received += piece
        accepted.close()
        closing.join(SOON)
        client.close()
    assert len(received) == 8 + 1000 * 12, "open, and a thousand frames"
    with pytest.raises(zinx_client.ConnectionClosed):
        client.send(1, b"")


def test_heartbeats_keep_a_connection_to_a_server_that_watches(start):
    server, states = start("100", ZINX_HEARTBEATMAX="1"), []
    with connect(server, heartbeat=0.1, on_state=states.append) as client:
        time.sleep(2.5)
        assert client.request(1, b"there", 1, SOON) == b"there"
    assert [state.name for state in states] == ["connecting", "open", "closed"]


def test_a_silent_server_is_taken_for_lost():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        states = []
        client = zinx_client.connect(
            "127.0.0.1", listener.getsockname()[1], silence=0.1, on_state=states.append, **QUICK
        )
        first, _ = listener.accept()
        second, _ = listener.accept()
        client.close(0.0)
        first.close()
        second.close()
    assert any("nothing has come" in state.reason for state in states)


def test_the_buffer_is_bounded_and_a_send_waits_for_room():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        client = zinx_client.connect("127.0.0.1", listener.getsockname()[1], max_buffer=64 * 1024, **QUICK)
        listener.accept()
        with pytest.raises(zinx_client.TimedOut):
            for _ in range(100):
                client.send(1, b"x" * 4096, timeout=0.1)
        assert 60 * 1024 <= client.buffered <= 64 * 1024
        client.close(0.0)


def test_while_messages_wait_nothing_more_is_read_and_none_is_lost(server):
    with connect(server, max_inbox=16) as client:
        client.send(2, (1000).to_bytes(4, "little"))
        # Answers come through all the same.
        assert client.request(1, b"and", 1, SOON) == b"and"
        for n in range(1000):
            assert client.receive(SOON) == Message(3, n.to_bytes(4, "little"))


def test_a_large_message_is_not_sent_and_harms_nothing(server):
    with connect(server, max_packet=4096) as client:
        with pytest.raises(zinx_client.FrameTooLarge):
            client.send(1, b"x" * 4097)
        assert client.request(1, b"x" * 4096, 1, SOON) == b"x" * 4096


def test_all_come_back_when_the_server_is_killed_and_starts_again(start):
    server, clients = start(), []
    for _ in range(20):
        states = []
        clients.append((connect(server, on_state=states.append), states))
    for client, _ in clients:
        client.request(1, b"", 1, SOON)
        assert client.can_resume
    server.end()
    start(ZINX_TCPPORT=str(server.port))
    for client, states in clients:
        # "open" alone may be the old connection, whose end has not been seen yet.
        wait_until(lambda states=states: [state.name for state in states].count("open") == 2)
        assert client.request(1, b"back", 1, SOON) == b"back"
        # The new server does not know their tokens.
        assert sum(state.refused == 3 for state in states) == 1
        client.close()


def test_no_server_is_an_error_of_the_first_attempt():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(OSError):
        zinx_client.connect("127.0.0.1", port)
    client = zinx_client.Client("127.0.0.1", port)
    client.close()
    with pytest.raises(zinx_client.ConnectionClosed):
        client.send(1, b"")


def test_pauses_grow_and_are_drawn_at_random():
    options = zinx_client.Options(backoff=(1.0, 30.0), draw=lambda: 0.5)
    assert [options.pause(failures) for failures in (0, 1, 2, 5, 6, 1000)] == [0.5, 1.0, 2.0, 15.0, 15.0, 15.0]
    drawn = {round(zinx_client.Options().pause(5), 6) for _ in range(100)}
    assert len(drawn) > 90 and max(drawn) <= 30


def test_options_are_checked():
    for wrong in ({"format": "xml"}, {"max_buffer": 10}):
        with pytest.raises(ValueError):
            zinx_client.Client("127.0.0.1", 1, **wrong)
    with pytest.raises(TypeError):
        zinx_client.Client("127.0.0.1", 1, colour="red")


def test_the_programs_of_the_readme_run_also_the_tutorials_client_in_three_lines(server, capsys):
    readme = (pathlib.Path(__file__).parents[1] / "README.md").read_text()
    programs = [block.split("```")[0] for block in readme.split("```python\n")[1:]]
    for program in programs:
        exec(program.replace("7777", str(server.port)), {"__name__": "readme"})
    said = capsys.readouterr().out
    assert len(programs) == 3 and said.count("Message(id=1, data=b'ping')") == 2 and "Zinx client message" in said
