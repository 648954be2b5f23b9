"""Runs a server of this folder on a free port, which it tells on standard error: python3 run_server.py FILE"""

import socket
import sys


class Socket(socket.socket):
    def bind(self, address):
        super().bind((address[0], 0))

    def listen(self, backlog):
        super().listen(backlog)
        print("listening on 127.0.0.1:%d" % self.getsockname()[1], file=sys.stderr, flush=True)


# For those who print a socket.
Socket.__module__, Socket.__qualname__ = "socket", "socket"
socket.socket = Socket

sys.stdout.reconfigure(encoding="utf-8", line_buffering=True)
with open(sys.argv[1], encoding="utf-8") as program:
    exec(compile(program.read(), sys.argv[1], "exec"))
