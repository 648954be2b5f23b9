"""A fleet of charging stations, made of the PyPI packages ocpp and websockets: independent of this project.

    python3 demo/ocpp/fleet.py ws://localhost:9000/ocpp/ 500
"""

import asyncio
import datetime
import random
import sys
import time

import websockets
from ocpp.routing import on
from ocpp.v16 import ChargePoint, call, call_result


class Station(ChargePoint):
    """A station. A silent one sends as the others do, and answers no question."""

    def __init__(self, name, connection, silent=False):
        super().__init__(name, connection, response_timeout=120)
        self.silent = silent
        self.reported = 0
        self.asked = []

    async def route_message(self, text):
        if self.silent and text.startswith("[2,"):
            return
        await super().route_message(text)

    @on("RemoteStartTransaction")
    def on_remote_start(self, id_tag, **_):
        self.asked.append("RemoteStartTransaction")
        return call_result.RemoteStartTransaction(status="Accepted")

    @on("ChangeAvailability")
    def on_change_availability(self, **_):
        self.asked.append("ChangeAvailability")
        return call_result.ChangeAvailability(status="Accepted")

    @on("TriggerMessage")
    def on_trigger(self, requested_message, **_):
        self.asked.append("TriggerMessage")
        return call_result.TriggerMessage(status="Accepted")

    @on("GetConfiguration")
    def on_get_configuration(self, **_):
        return call_result.GetConfiguration(
            configuration_key=[{"key": "HeartbeatInterval", "readonly": False, "value": "300"}]
        )

    async def begin(self):
        """Boots, and starts to charge."""
        booted = await self.call(call.BootNotification(charge_point_model="Model 1", charge_point_vendor="Seed"))
        assert booted.status == "Accepted", booted
        await self.call(call.StatusNotification(connector_id=1, error_code="NoError", status="Charging"))
        assert (await self.call(call.Authorize(id_tag="tag"))).id_tag_info["status"] == "Accepted"
        began = await self.call(
            call.StartTransaction(connector_id=1, id_tag="tag", meter_start=0, timestamp=now())
        )
        self.transaction = began.transaction_id

    async def report(self):
        """A meter value."""
        self.reported += 1
        sampled = [{"timestamp": now(), "sampled_value": [{"value": str(self.reported)}]}]
        await self.call(call.MeterValues(connector_id=1, meter_value=sampled, transaction_id=self.transaction))

    async def end(self):
        await self.call(call.StopTransaction(meter_stop=self.reported, timestamp=now(), transaction_id=self.transaction))
        await self.call(call.Heartbeat())


def now():
    return datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


async def live(url, name, over, silent=False, stations=None, every=1.0):
    """One connection of a station: it reports until `over` is set. Raises if the connection is lost."""
    async with websockets.connect(url + name, subprotocols=["ocpp1.6"], open_timeout=60, ping_interval=None) as socket:
        station = Station(name, socket, silent)
        if stations is not None:
            stations[name] = station
        # A call would go on waiting for its answer if the connection is lost: the listener notices that.
        tasks = [asyncio.ensure_future(work) for work in (station.start(), report(station, over, every))]
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for task in done:
            task.result()


async def report(station, over, every):
    await station.begin()
    while not over.is_set():
        await station.report()
        try:
            await asyncio.wait_for(over.wait(), every)
        except asyncio.TimeoutError:
            pass
    await station.end()


FIRST_PAUSE, LONGEST_PAUSE = 2.0, 30.0


async def stay(url, name, over, stations, attempts=None):
    """A station that comes back if its connection is lost. The pause before each attempt is random, so that a fleet does not come back all at
    once, and may be twice as long after each failure. The times of the attempts go into `attempts`."""
    failures = 0
    while not over.is_set():
        before = stations.get(name)
        try:
            return await live(url, name, over, stations=stations)
        except (OSError, websockets.WebSocketException):
            failures = failures + 1 if stations.get(name) is before else 0
        pause = random.uniform(0, min(LONGEST_PAUSE, FIRST_PAUSE * 2**failures))
        if attempts is not None:
            attempts.append(time.monotonic() + pause)
        await asyncio.sleep(pause)


async def main(url, count):
    over, stations = asyncio.Event(), {}
    await asyncio.gather(*(stay(url, f"CP{n:03}", over, stations) for n in range(count)))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2])))
