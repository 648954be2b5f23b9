"""The central system with a fleet of independent stations. `ZINX_TEST_OCPP` names the program; else it is built."""

import asyncio
import json
import os
import pathlib
import re
import socket
import subprocess
import time

import pytest

pytest.importorskip("ocpp")
pytest.importorskip("websockets")
from fleet import live, stay  # noqa: E402

ROOT = pathlib.Path(__file__).resolve().parents[2]
STATIONS, SILENT = 500, 20
ASKS = {
    "RemoteStartTransaction": {"idTag": "operator"},
    "ChangeAvailability": {"connectorId": 0, "type": "Operative"},
    "TriggerMessage": {"requestedMessage": "MeterValues"},
}


def start(port=0):
    """A server. Returns its process, and the ports of stations and operator."""
    program = os.environ.get("ZINX_TEST_OCPP", ROOT / "target/debug/examples/ocpp_server")
    if "ZINX_TEST_OCPP" not in os.environ:
        build = ["cargo", "build", "-q", "-p", "zinx-demo", "--features", "websocket,json", "--example", "ocpp_server"]
        subprocess.run(build, cwd=ROOT, check=True)
    settings = {"ZINX_WSPORT": str(port), "OCPP_OPERATOR_PORT": "0", "OCPP_PATIENCE_MS": "8000", "RUST_LOG": "info,may=warn"}
    process = subprocess.Popen([program], env={**os.environ, **settings}, stderr=subprocess.PIPE, text=True)
    operator = stations = None
    for line in process.stderr:
        operator = operator or (found := re.search(r"operator's page is at http://127.0.0.1:(\d+)", line)) and found[1]
        if found := re.search(r"listening on 127\.0\.0\.1:(\d+), ws", line):
            stations = found[1]
            break
    assert operator and stations
    return process, int(stations), int(operator)


def end(process):
    process.kill()
    process.wait()
    process.stderr.close()


@pytest.fixture
def server():
    """The ports of stations and operator."""
    process, stations, operator = start()
    yield stations, operator
    end(process)


async def http(port, method, path, body=None):
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    data = json.dumps(body).encode() if body is not None else b""
    writer.write(f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(data)}\r\n\r\n".encode() + data)
    answer = await reader.read()
    writer.close()
    return answer.split(b"\r\n\r\n", 1)[1]


def test_five_hundred_stations_are_asked_while_they_report_and_exactly_the_silent_ones_time_out(server):
    asyncio.run(ask_all(*server))


async def ask_all(port, operator):
    over, stations = asyncio.Event(), {}
    names = [f"CP{n:03}" for n in range(STATIONS)]
    silent = set(names[::STATIONS // SILENT])
    url = f"ws://127.0.0.1:{port}/ocpp/"
    lives = [
        asyncio.ensure_future(live(url, name, over, name in silent, stations)) for name in names
    ]
    while sum(station.reported > 0 for station in stations.values()) < STATIONS:
        for life in lives:
            assert not life.done(), life.exception()
        await asyncio.sleep(0.1)
    places = asyncio.Semaphore(100)

    async def ask(name, action):
        async with places:
            return name, json.loads(await http(operator, "POST", f"/stations/{name}/{action}", ASKS[action]))

    outcomes = await asyncio.gather(*(ask(name, action) for action in ASKS for name in names))
    over.set()
    await asyncio.gather(*lives)
    timed_out = [name for name, outcome in outcomes if outcome == {"error": "timed out"}]
    assert sorted(timed_out) == sorted(3 * list(silent))
    answered = [outcome for name, outcome in outcomes if name not in silent]
    assert answered == 3 * (STATIONS - SILENT) * [{"answer": {"status": "Accepted"}}]
    assert all(sorted(station.asked) == sorted(ASKS) for name, station in stations.items() if name not in silent)
    rows = {row["name"]: row for row in json.loads(await http(operator, "GET", "/stations"))}
    assert len(rows) == STATIONS
    for name, station in stations.items():
        row = rows[name]
        assert (row["meterValues"], row["model"]) == (station.reported, "Seed Model 1")
        assert row["configurationKeys"] == (0 if name in silent else 1)


def test_the_page_of_the_operator_is_there_and_a_station_that_is_away_is_an_error(server):
    page = asyncio.run(http(server[1], "GET", "/"))
    assert b"Charging stations" in page
    outcome = json.loads(asyncio.run(http(server[1], "POST", "/stations/NOBODY/TriggerMessage", {})))
    assert outcome == {"error": "connection closed"} or "clos" in outcome["error"], outcome


def test_a_fleet_is_back_soon_after_the_server_was_killed_and_does_not_come_all_at_once():
    # Bound, so that no other program gets the port while the server is away.
    with socket.socket() as reserved:
        reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        reserved.bind(("127.0.0.1", 0))
        asyncio.run(come_back(reserved.getsockname()[1]))


async def come_back(port):
    over, stations, attempts = asyncio.Event(), {}, []
    names = [f"CP{n:03}" for n in range(STATIONS)]
    process, _, _ = start(port)
    began = time.monotonic()
    url = f"ws://127.0.0.1:{port}/ocpp/"
    lives = [asyncio.ensure_future(stay(url, name, over, stations, attempts)) for name in names]

    async def all_report(before):
        while sum(station is not before.get(name) and station.reported > 0 for name, station in stations.items()) < STATIONS:
            for life in lives:
                assert not life.done(), life.exception()
            await asyncio.sleep(0.05)

    await all_report({})
    at_once = STATIONS / (time.monotonic() - began)
    first, attempts[:] = dict(stations), []
    killed = time.monotonic()
    end(process)
    process, _, operator = start(port)
    try:
        await asyncio.wait_for(all_report(first), 60)
        took = time.monotonic() - killed
        peak = max(sum(at <= other < at + 1 for other in attempts) for at in attempts)
        print(f"{STATIONS} stations: back and charging {took:.1f} s after the kill; at most {peak} attempts in a second, {len(attempts)} in all; "
              f"the server took {at_once:.0f} a second when all came at once")
        assert took < 10
        assert peak < 0.8 * STATIONS
        rows = json.loads(await http(operator, "GET", "/stations"))
        assert sorted(row["name"] for row in rows if row["status"] == "Charging") == names
        over.set()
        await asyncio.gather(*lives)
    finally:
        end(process)
