"""What can go wrong. Every error of this package is a `ZinxError`."""

from __future__ import annotations


class ZinxError(Exception):
    """The base of all errors of this package."""


class ConnectionClosed(ZinxError, ConnectionError):
    """The client is closed, or the connection that a request was sent on ended for good before its answer came."""


class TimedOut(ZinxError, TimeoutError):
    """No answer, no message or no room within the time."""


class BufferFull(ZinxError):
    """So much waits for the server that one more message is over `max_buffer`."""


class FrameTooLarge(ZinxError, ValueError):
    """A message is larger than `max_packet`: the server's is an error of the connection, one's own is not sent."""


class ProtocolError(ZinxError):
    """The server has sent a frame of resuming that does not belong there. The connection ends."""
