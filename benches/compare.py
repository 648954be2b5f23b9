#!/usr/bin/env python3
"""Runs servers side by side under one load, and prints medians and ratios to the first server.

Usage: benches/compare.py [NAME=COMMAND ..], after `cargo build --release --manifest-path benches/load/Cargo.toml`.
COMMAND starts another server, {port} is replaced: to compare two commits. See benches/README.md."""
import argparse
import contextlib
import os
import pathlib
import shlex
import shutil
import socket
import statistics
import subprocess
import tempfile
import threading
import time
import urllib.request

BIN = pathlib.Path(os.environ.get("BENCH_BIN", pathlib.Path(__file__).resolve().parent / "load/target/release"))
SERVERS = {
    "epoll_framed": f"{BIN}/epoll_framed {{port}}",
    "tokio_direct": f"{BIN}/tokio_direct {{port}}",
    "tokio_split": f"{BIN}/tokio_split {{port}}",
    "zinx": f"{BIN}/zinx_echo {{port}}",
}
SCENARIOS = {
    "pp1": "echo --connections 1",
    "pp50": "echo --connections 50",
    "pp1000": "echo --connections 1000",
    "pipe": "echo --connections 50 --window 64",
    "big": "echo --connections 10 --window 4 --payload 65536",
    "bcast": "broadcast --connections 1000 --window 4",
    "idle10k": "idle --connections 10000",
    "idle18k": "idle --connections 18000",
    "beats18k": "heartbeats --connections 18000",
    "connects": "connects --connections 64",
    "new1000": "newcomer --connections 1000",
    "newpipe": "newcomer --connections 50 --window 64",
    "waits": "echo --connections 50 --id 3",
}
# Over another transport than TCP: the scenario begins with its name.
TLS_FILES = " ".join(str(BIN.parents[3] / "tests/data/tls" / name) for name in ("server.pem", "server.key"))
OVER = {
    "tls": {
        "tokio_rustls": f"{BIN}/tokio_rustls {{port}} {TLS_FILES}",
        "zinx": f"{BIN}/zinx_over tls {{port}} {TLS_FILES}",
    },
    "ws": {
        "tokio_tungstenite": f"{BIN}/tokio_tungstenite {{port}}",
        "zinx": f"{BIN}/zinx_over ws {{port}}",
    },
}
# What the admin plane costs: `zinx` is without the cargo feature, the others with it. Their binary is one of its own.
ADMIN_BIN = pathlib.Path(os.environ.get("BENCH_ADMIN_BIN", BIN.parent / "admin/release"))
ADMIN = {
    "zinx": SERVERS["zinx"],
    "admin_off": f"{ADMIN_BIN}/zinx_echo {{port}}",
    "admin_on": f"{ADMIN_BIN}/zinx_echo {{port}} 127.0.0.1:{{plane}}",
    "admin_scraped": f"{ADMIN_BIN}/zinx_echo {{port}} 127.0.0.1:{{plane}}",
}
# What the cluster costs where all is local: `zinx` is without the cargo feature, the others with it.
REDIS_BIN = pathlib.Path(os.environ.get("BENCH_REDIS_BIN", BIN.parent / "redis/release"))
CLUSTER = {
    "zinx": SERVERS["zinx"],
    "cluster_off": f"{REDIS_BIN}/zinx_echo {{port}}",
    "cluster_on": f"{REDIS_BIN}/zinx_echo {{port}} off redis://127.0.0.1:{{redis}}",
}
for part in ("admin", "cluster"):
    SCENARIOS |= {f"{part}_{name}": SCENARIOS[name] for name in ("pp50", "pipe", "idle10k")}
for over in OVER:
    SCENARIOS |= {f"{over}_{name}": f"{SCENARIOS[name]} --over {over}" for name in ("pp50", "pipe", "big", "idle10k")}
# What a row tells, the figure first whose ratio is printed.
COLUMNS = {
    "echo": ["cpu_us", "rate", "p50", "p99", "p999"],
    "broadcast": ["cpu_us", "rate"],
    "idle": ["per_conn_B", "per_conn_vmas", "idle_cpu", "connrate"],
    "heartbeats": ["per_conn_B", "per_conn_vmas", "idle_cpu"],
    "connects": ["rate", "cpu_us"],
    "newcomer": ["p99", "p50", "load_p99"],
}
# tokio_direct sends to nobody else, and only zinx has a handler that waits.
LEFT_OUT = {"bcast": ["tokio_direct"], "waits": ["epoll_framed", "tokio_direct", "tokio_split"]}


def plane(port):
    return port + 5000


def scrape(port, ended):
    """Asks for the metrics every second, as Prometheus would, until the load has ended."""
    while not ended.wait(1):
        with urllib.request.urlopen(f"http://127.0.0.1:{plane(port)}/metrics", timeout=10) as answer:
            if not answer.read().endswith(b"# EOF\n"):
                raise SystemExit("the metrics are cut")


def bound(words, core=None):
    """The words of a process that ends with this one, however this one ends, and runs on one core if one is given."""
    return ["setpriv", "--pdeathsig", "KILL", *(["taskset", "-c", str(core)] if core is not None else []), *words]


@contextlib.contextmanager
def redis_server(core=None):
    """A Redis of our own, which keeps nothing, for as long as it is needed: its port and its process."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with tempfile.TemporaryDirectory() as folder:
        words = ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--dir", folder, "--save", "", "--appendonly", "no"]
        process = subprocess.Popen(bound(words, core), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            wait_until_it_listens(process, port, "redis-server")
            yield port, process
        finally:
            process.kill()
            process.wait()


def wait_until_it_listens(process, port, command):
    for _ in range(500):
        try:
            socket.create_connection(("127.0.0.1", port), 0.5).close()
            return process
        except OSError:
            time.sleep(0.02)
    process.kill()
    raise SystemExit(f"nothing listens on {port}: {command}")


def start(command, port, cores):
    words = shlex.split(command.replace("{port}", str(port)).replace("{plane}", str(plane(port))))
    if cores == 1:
        words = ["taskset", "-c", "0"] + words
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return wait_until_it_listens(process, port, command)


def load(scenario, port, pid, seconds, cores):
    words = [f"{BIN}/load", *shlex.split(SCENARIOS[scenario])]
    words += ["--port", str(port), "--pid", str(pid), "--seconds", str(seconds)]
    if cores == 1:
        words = ["taskset", "-c", "1"] + words
    done = subprocess.run(words, capture_output=True, text=True, timeout=120)
    if done.returncode:
        return {"error": done.stderr.strip()[-160:]}
    return dict(pair.split("=") for pair in done.stdout.split())


def measure(scenario, servers, options, port):
    runs = {name: [] for name in servers}
    turns = list(servers.items())
    for _ in range(options.rounds):
        for name, command in turns:
            port += 1
            process = start(command, port, options.cores)
            ended = threading.Event()
            scraper = threading.Thread(target=scrape, args=(port, ended))
            if name == "admin_scraped":
                scraper.start()
            try:
                runs[name].append(load(scenario, port, process.pid, options.seconds, options.cores))
            finally:
                ended.set()
                if scraper.ident:
                    scraper.join()
                process.kill()
                process.wait()
        # Whoever comes first, or behind a heavy neighbour, does so once.
        turns = turns[1:] + turns[:1]
    return runs, port


def show(scenario, runs):
    columns = COLUMNS[SCENARIOS[scenario].split()[0]]
    print(f"\n{scenario:<16}" + "".join(f"{column:>14}" for column in columns) + f"{'ratio':>8}")
    base = None
    for name, rounds in runs.items():
        errors = [measured["error"] for measured in rounds if "error" in measured]
        if errors:
            print(f"{name:<16}error: {errors[0]}")
            continue
        values = [statistics.median(float(measured[column]) for measured in rounds) for column in columns]
        base = base or values[0] or 1.0
        figures = "".join(f"{value:>14.3f}" for value in values)
        print(f"{name:<16}{figures}{values[0] / base:>8.2f}", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scenarios", default="pp1,pp50,pp1000,pipe,big,bcast", help=", ".join(SCENARIOS))
    parser.add_argument("--servers", default=",".join(SERVERS), help="of those built in, or none")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=1.0)
    parser.add_argument("--cores", type=int, choices=[1, 2], default=1, help="1: one for the server, one for the load")
    parser.add_argument("others", nargs="*", metavar="NAME=COMMAND")
    options = parser.parse_args()
    for wanted, known in [(options.servers, [*SERVERS, "none"]), (options.scenarios, SCENARIOS)]:
        for name in wanted.split(","):
            if name not in known:
                parser.error(f"there is no {name!r}; there are {', '.join(known)}")
    servers = {name: SERVERS[name] for name in options.servers.split(",") if name != "none"}
    servers.update(other.split("=", 1) for other in options.others)
    port = 21000 + os.getpid() % 4000
    for scenario in options.scenarios.split(","):
        left_out = LEFT_OUT.get(scenario, [])
        over = (OVER | {"admin": ADMIN, "cluster": CLUSTER}).get(scenario.split("_")[0])
        taking_part = {name: command for name, command in servers.items() if name not in left_out}
        if over:
            taking_part = over | dict(other.split("=", 1) for other in options.others)
        if over is CLUSTER and not shutil.which("redis-server"):
            print("left out: cluster_on, because there is no redis-server")
            del taking_part["cluster_on"]
        with redis_server() if "cluster_on" in taking_part else contextlib.nullcontext((0, None)) as (redis, _):
            taking_part = {name: command.replace("{redis}", str(redis)) for name, command in taking_part.items()}
            runs, port = measure(scenario, taking_part, options, port)
        show(scenario, runs)


if __name__ == "__main__":
    main()
