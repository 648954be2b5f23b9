#!/usr/bin/env python3
"""zinx beside Go Zinx over each transport: both echo for `zinx bench`, in turn, in a closed loop.

Usage: benches/beside_go.py, after
    cargo build --release --manifest-path benches/load/Cargo.toml
    cargo build --release -p zinx-tool --features bench,websocket,kcp
It needs a Go toolchain. It prints what the processor does in the server for each message, and the rate; medians of the rounds."""
import argparse
import json
import os
import pathlib
import shlex
import signal
import statistics
import subprocess
import time

import agree
import compare

LOADS = agree.LOADS
URLS = {"tcp": "tcp://127.0.0.1:{port}", "ws": "ws://127.0.0.1:{port}/", "kcp": "kcp://127.0.0.1:{port}"}


def servers(over, go):
    ours = compare.SERVERS["zinx"] if over == "tcp" else f"{compare.BIN}/zinx_over {over} {{port}}"
    return {"zinx": ours, "go_zinx": f"{go} -transport {over}"}


def start(command, port, cores):
    """Starts a server, and waits until its port is one of the system's: over KCP it accepts no connection that says nothing."""
    words = (["taskset", "-c", "0"] if cores == 1 else []) + shlex.split(command.replace("{port}", str(port)))
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    for _ in range(500):
        tables = [pathlib.Path(f"/proc/net/{name}") for name in ("tcp", "tcp6", "udp", "udp6")]
        if any(f":{port:04X} " in table.read_text() for table in tables if table.exists()):
            return process
        time.sleep(0.02)
    process.kill()
    raise SystemExit(f"nothing listens on {port}: {command}")


def measure(over, load, port, options):
    connections, window = LOADS[load]
    words = [f"{agree.ZINX}", "bench", URLS[over].format(port=port), "--id", "1", "--size", "64", "--json"]
    words += ["--connections", str(connections), "--window", str(window), "--seconds", str(options.seconds)]
    # What the processor does for a server counts from its beginning, so the messages must.
    words += ["--warm-up", "0"]
    done = subprocess.run(agree.on_its_core(words, options.cores), capture_output=True, text=True, timeout=120, check=True)
    measured = json.loads(done.stdout)
    return max(measured["messages"], 1), measured["rate"]


def end(process):
    """Ends a server, unless it has ended with its clients, as that of Go does. Returns the microseconds that it has run."""
    os.kill(process.pid, signal.SIGKILL)
    _, _, used = os.wait4(process.pid, 0)
    return (used.ru_utime + used.ru_stime) * 1e6


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--over", default=",".join(URLS), help=", ".join(URLS))
    parser.add_argument("--loads", default="pp50,pipe", help=", ".join(LOADS))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=2)
    parser.add_argument("--cores", type=int, choices=[1, 2], default=1, help="1: one for the server, one for the load")
    options = parser.parse_args()
    go = agree.go_server()
    if not go:
        raise SystemExit(1)
    port = 22000 + os.getpid() % 4000
    print(f"{'':<16}{'':<10}{'cpu us':>10}{'rate':>12}{'ratio':>8}")
    for over in options.over.split(","):
        for load in options.loads.split(","):
            found = {name: [] for name in servers(over, go)}
            for _ in range(options.rounds):
                for name, command in servers(over, go).items():
                    port += 1
                    process = start(command, port, options.cores)
                    try:
                        messages, rate = measure(over, load, port, options)
                    finally:
                        used = end(process)
                    found[name].append((used / messages, rate))
            base = None
            for name, rounds in found.items():
                used, rate = (statistics.median(one) for one in zip(*rounds))
                base = base or used
                print(f"{over + ' ' + load:<16}{name:<10}{used:>10.2f}{rate:>12.0f}{used / base:>8.2f}", flush=True)


if __name__ == "__main__":
    main()
