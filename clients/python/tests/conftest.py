"""A real server, in a process of its own, on free ports."""

import os
import pathlib
import re
import subprocess
import threading

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[3]


class Server:
    """`demo/clients/server.rs` with settings from the environment, ended with the test."""

    def __init__(self, *args: str, **env: str) -> None:
        settings = {"ZINX_TCPPORT": "0", "ZINX_WSPORT": "0", "ZINX_RESUMEMS": "60000", "RUST_LOG": "info,may=warn", **env}
        self.process = subprocess.Popen(
            [program(), *args], env={**os.environ, **settings}, stderr=subprocess.PIPE, text=True, cwd="/"
        )
        self.said: list[str] = []
        for line in self.process.stderr:
            self.said.append(line)
            if found := re.search(r"listening on 127\.0\.0\.1:(\d+)", line):
                self.port = int(found[1])
                break
        else:
            raise RuntimeError("the server does not listen: " + "".join(self.said))
        threading.Thread(target=lambda: self.said.extend(self.process.stderr), daemon=True).start()

    def end(self) -> None:
        self.process.kill()
        self.process.wait()


def program() -> str:
    """The server: `ZINX_TEST_SERVER`, or built here."""
    if found := os.environ.get("ZINX_TEST_SERVER"):
        return found
    build = ["cargo", "build", "-q", "-p", "zinx-demo", "--features", "websocket", "--example", "clients_server"]
    subprocess.run(build, cwd=ROOT, check=True)
    os.environ["ZINX_TEST_SERVER"] = str(ROOT / "target/debug/examples/clients_server")
    return os.environ["ZINX_TEST_SERVER"]


@pytest.fixture
def start():
    """Starts servers."""
    servers = []

    def start(*args: str, **env: str) -> Server:
        servers.append(Server(*args, **env))
        return servers[-1]

    yield start
    for server in servers:
        server.end()


@pytest.fixture(scope="session")
def server():
    """One server for tests that need nothing special."""
    server = Server()
    yield server
    server.end()


@pytest.fixture(autouse=True)
def deadline():
    """Ends the process, loudly, if a test takes too long."""
    watch = threading.Timer(600, lambda: (print("WATCHDOG: a test is not over", flush=True), os.abort()))
    watch.daemon = True
    watch.start()
    yield
    watch.cancel()
