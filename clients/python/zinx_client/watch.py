"""What happens to a socket when nothing else does: heartbeats, silence, and a server that does not resume."""

from __future__ import annotations

import asyncio
from typing import Callable

from .options import Options
from .session import Session, Stage
from .wire import Wire

HEARTBEAT = b"heartbeat"


async def watch(wire: Wire, session: Session, options: Options, send: Callable[[int, bytes], None]) -> None:
    """Watches one socket until it is cancelled, or has cut the socket."""
    now = asyncio.get_running_loop().time
    token_by: float | None = wire.begun + options.connect_timeout
    beat_at = wire.begun + options.heartbeat
    while True:
        times = [token_by] if token_by is not None else []
        times += [beat_at] if options.heartbeat else []
        # What is not read may have come.
        heard = wire.last_heard if wire.reads else now()
        times += [heard + options.silence] if options.silence else []
        if not times:
            return
        await asyncio.sleep(max(0.0, min(times) - now()))
        if token_by is not None and now() >= token_by:
            token_by = None
            session.does_not_resume()
        if options.silence and wire.reads and now() >= wire.last_heard + options.silence:
            wire.cut(f"nothing has come for {options.silence} s")
            return
        if options.heartbeat and now() >= beat_at:
            beat_at = max(beat_at + options.heartbeat, now())
            if session.has_room(len(HEARTBEAT)) and session.stage is not Stage.RESUMING:
                send(options.heartbeat_id, HEARTBEAT)
