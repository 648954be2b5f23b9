#!/usr/bin/env python3
"""How long the admin plane takes to answer while thousands of connections are open, and how large its answers are.

Usage: benches/crowd.py [connections, 18000], after the two builds that benches/README.md names for the scenarios of the admin plane.
Server and load need as many open files each (`ulimit -n`)."""
import json
import os
import statistics
import subprocess
import sys
import time
import urllib.request

import compare

PATHS = [
    "/healthz", "/varz", "/connz", "/connz?sort=waiting", "/connz?sort=pending", "/connz?sort=rtt", "/connz?sort=messages",
    "/connz?search=127", "/connz?limit=50&offset=10000", "/connz?limit=10000", "/greenz?limit=0", "/metrics",
]


def ask(port, path):
    begun = time.monotonic()
    with urllib.request.urlopen(f"http://127.0.0.1:{compare.plane(port)}{path}", timeout=60) as answer:
        return answer.read(), time.monotonic() - begun


def wait_connected(port, size, load):
    while json.loads(ask(port, "/connz?limit=1")[0])["matched"] < size:
        if load.poll() is not None:
            raise SystemExit(f"the load has ended: {load.stderr.read()}")
        time.sleep(0.2)


def main():
    size = int(sys.argv[1]) if len(sys.argv) > 1 else 18_000
    port = 21000 + os.getpid() % 4000
    server = compare.start(compare.ADMIN["admin_on"], port, cores=2)
    words = [f"{compare.BIN}/load", "idle", "--connections", str(size), "--port", str(port), "--pid", str(server.pid)]
    load = subprocess.Popen(words + ["--seconds", "60"], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    try:
        wait_connected(port, size, load)
        print(f"{size} connections\n{'':<32}{'median ms':>10}{'most ms':>10}{'KiB':>8}{'entries':>9}")
        for path in PATHS:
            answers = [ask(port, path) for _ in range(7)]
            body, times = answers[0][0], sorted(took * 1e3 for _, took in answers)
            entries = len(json.loads(body).get("entries", [])) if path.startswith("/connz") else ""
            print(f"{path:<32}{statistics.median(times):>10.1f}{times[-1]:>10.1f}{len(body) // 1024:>8}{entries:>9}", flush=True)
    finally:
        for process in (load, server):
            process.kill()
            process.wait()


if __name__ == "__main__":
    main()
