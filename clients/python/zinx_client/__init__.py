"""A client for zinx servers, in plain Python: `connect` for programs that wait, `aio.connect` for asyncio. See README.md."""

from . import aio
from .blocking import Client, connect
from .errors import BufferFull, ConnectionClosed, FrameTooLarge, ProtocolError, TimedOut, ZinxError
from .frames import Message
from .options import Bytes, Codec, Json, Options, State

__all__ = [
    "BufferFull", "Bytes", "Client", "Codec", "ConnectionClosed", "FrameTooLarge", "Json", "Message", "Options",
    "ProtocolError", "State", "TimedOut", "ZinxError", "aio", "connect",
]
__version__ = "0.1.0"
