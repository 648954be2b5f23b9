#!/usr/bin/env python3
"""Three nodes and a Redis: zinx beside centrifuge, the library of centrifugo, and socket.io. Prints medians of the rounds.

Usage: benches/nodes.py. It builds what it needs, with cargo, go and npm, into benches/load/target (once: some minutes), and leaves out
the servers whose tools are missing. See benches/README.md for what is compared."""
import argparse
import contextlib
import os
import pathlib
import resource
import select
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time

import compare

HERE = pathlib.Path(__file__).resolve().parent
BUILT = HERE / "load/target/nodes"
NODES = 3
# The command of a node, and what its clients speak. `zinx alone` is three nodes that know nothing of each other.
SERVERS = {
    "zinx": (f"{compare.REDIS_BIN}/zinx_node {{port}} redis://127.0.0.1:{{redis}}", "zinx"),
    "zinx alone": (f"{compare.REDIS_BIN}/zinx_node {{port}}", "zinx"),
    "centrifuge": (f"{BUILT}/centrifuge {{port}} redis://127.0.0.1:{{redis}}", "centrifuge"),
    "socket.io": (f"node {BUILT}/socketio/server.mjs {{port}} redis://127.0.0.1:{{redis}} pubsub", "socketio"),
    "socket.io sharded": (f"node {BUILT}/socketio/server.mjs {{port}} redis://127.0.0.1:{{redis}} sharded", "socketio"),
}
# The jobs of `nodes_load`, and what a row tells. User n is on node n % 3, so that the next user is on another node.
SCENARIOS = {
    "push1": ("push {seconds} 1 1", "one user pushes to a user of another node, again and again"),
    "pushes": ("push {seconds} {pairs} 1", "many users of each node do so at once"),
    "near": ("push {seconds} {pairs} 3", "the same, to users of the same node"),
    "all": ("broadcast {seconds}", "one user sends to all, again when all have it"),
}
COLUMNS = {
    "push1": ["p50", "p99", "nodes_us", "redis_us"],
    "pushes": ["per_node", "p50", "p99", "nodes_us", "redis_us", "load_%"],
    "near": ["per_node", "p50", "p99", "nodes_us", "redis_us", "load_%"],
    "all": ["whole", "p50", "p99", "rate", "nodes_us", "redis_us", "load_%"],
}
COUNTED = {
    "login": "a login",
    "pushes": "a push to another node",
    "near": "a push on one node",
    "all": "a broadcast",
    "idle": "a node at rest, a second",
}


def build(names):
    """Builds the servers; returns the names of those that can be had."""
    if "BENCH_BIN" not in os.environ:
        cargo = ["cargo", "build", "--release", "--manifest-path", HERE / "load/Cargo.toml", "--target-dir"]
        subprocess.run([*cargo, compare.BIN.parent, "--bin", "nodes_load"], check=True)
        subprocess.run([*cargo, compare.REDIS_BIN.parent, "--features", "redis", "--bin", "zinx_node"], check=True)
    BUILT.mkdir(parents=True, exist_ok=True)
    builders = {"zinx": lambda: None, "centrifuge": build_centrifuge, "socket.io": build_socketio}
    reasons = {}
    for kind in dict.fromkeys(name.split()[0] for name in names):
        reasons[kind] = builders[kind]()
        if reasons[kind]:
            print(f"left out: {kind}, because {reasons[kind]}", flush=True)
    return [name for name in names if not reasons[name.split()[0]]]


def build_centrifuge():
    if not shutil.which("go"):
        return "there is no go"
    built = subprocess.run(["go", "build", "-o", BUILT / "centrifuge", "."], cwd=HERE / "nodes/centrifuge")
    return "go could not build it" if built.returncode else None


def build_socketio():
    if not shutil.which("node") or not shutil.which("npm"):
        return "there is no node with npm"
    folder = BUILT / "socketio"
    folder.mkdir(exist_ok=True)
    lock = folder / "package-lock.json"
    wanted = HERE / "nodes/socketio"
    is_there = (folder / "installed").exists() and lock.read_bytes() == (wanted / lock.name).read_bytes()
    for file in wanted.iterdir():
        shutil.copy(file, folder)
    if is_there:
        return None
    words = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
    if subprocess.run(words, cwd=folder).returncode:
        return "npm could not install it"
    (folder / "installed").touch()
    return None


class Cluster:
    """Redis, three nodes and their users, for as long as they are needed."""

    def __init__(self, name, options, life):
        command, wire = SERVERS[name]
        server_core, load_core = (0, 1) if options.cores == 1 else (None, None)
        self.redis_port, self.redis = life.enter_context(compare.redis_server(server_core))
        self.said = life.enter_context(tempfile.TemporaryFile("w+"))
        ports, self.nodes, self.load = free_ports(NODES), [], None
        life.callback(self.end)
        for port in ports:
            words = command.replace("{port}", str(port)).replace("{redis}", str(self.redis_port)).split()
            self.nodes.append(self.spawn(words, server_core))
            compare.wait_until_it_listens(self.nodes[-1], port, name)
        # Until each knows of the others.
        time.sleep(1.5)
        before = self.usage()
        words = [f"{compare.BIN}/nodes_load", wire, str(options.users), *map(str, ports)]
        self.load = self.spawn(words, load_core, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.login_seconds = float(self.hear(300)["seconds"])
        self.login_commands = per(commands_since(before, self.usage()), options.users)

    def spawn(self, words, core, **pipes):
        pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL} | pipes
        return subprocess.Popen(compare.bound(words, core), stderr=self.said, start_new_session=True, **pipes)

    def end(self):
        for process in [self.load, *self.nodes]:
            if process:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()

    def hear(self, seconds):
        """The next line of the load."""
        if not select.select([self.load.stdout], [], [], seconds)[0] or not (line := self.load.stdout.readline()):
            self.said.seek(0)
            raise RuntimeError("; ".join(self.said.read().splitlines()[-3:]) or "the load says nothing")
        return dict(pair.split("=") for pair in line.decode().split())

    def ask(self, job, seconds):
        self.load.stdin.write(f"{job}\n".encode())
        self.load.stdin.flush()
        return {name: float(value) for name, value in self.hear(seconds + 20).items()}

    def usage(self):
        """Seconds of processor time of the nodes, of Redis and of the load; how often Redis has run each command."""
        return {
            "nodes": sum(cpu(node.pid) for node in self.nodes),
            "redis": cpu(self.redis.pid),
            "load": cpu(self.load.pid) if self.load else 0.0,
            "commands": commands(self.redis_port),
        }

    def usage_at_rest(self):
        """The usage once Redis has little left to do: servers do not wait for all that they ask it."""
        usage = self.usage()
        for _ in range(100):
            before, _ = usage, time.sleep(0.1)
            usage = self.usage()
            if sum(commands_since(before, usage).values()) < 10:
                break
        return usage

    def measure(self, scenario, options):
        job = SCENARIOS[scenario][0].replace("{pairs}", str(options.pairs))
        self.ask(job.replace("{seconds}", str(options.seconds / 3)), options.seconds)
        before = self.usage_at_rest()
        measured = self.ask(job.replace("{seconds}", str(options.seconds)), options.seconds)
        after = self.usage_at_rest()
        messages = measured["messages"]
        of_each = options.users if scenario == "all" else 1
        for what in ("nodes", "redis"):
            measured[f"{what}_us"] = (after[what] - before[what]) * 1e6 / messages / of_each
        measured["load_%"] = 100 * (after["load"] - before["load"]) / (messages / measured["rate"])
        measured["per_node"] = measured["rate"] / NODES
        measured["commands"] = per(commands_since(before, after), messages)
        return measured

    def idle(self, seconds):
        time.sleep(1)
        before = self.usage()
        time.sleep(seconds)
        return per(commands_since(before, self.usage()), seconds * NODES)


def free_ports(count):
    with contextlib.ExitStack() as taken:
        listeners = [taken.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [listener.getsockname()[1] for listener in listeners]


def cpu(pid):
    """Processor time of all threads that are alive, in seconds."""
    nanos = 0
    for thread in pathlib.Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(OSError):
            nanos += int((thread / "schedstat").read_text().split()[0])
    return nanos / 1e9


def commands(port):
    with socket.create_connection(("127.0.0.1", port), 5) as conn, conn.makefile("rb") as answer:
        conn.sendall(b"INFO commandstats\r\n")
        text = answer.read(int(answer.readline()[1:])).decode()
    counts = {}
    for line in text.splitlines():
        if line.startswith("cmdstat_"):
            name, fields = line.removeprefix("cmdstat_").split(":")
            # A subcommand such as `client|setinfo` is its command's.
            name = name.split("|")[0]
            counts[name] = counts.get(name, 0) + int(fields.split(",")[0].removeprefix("calls="))
    counts.pop("info", None)
    return counts


def commands_since(before, after):
    counts = {name: count - before["commands"].get(name, 0) for name, count in after["commands"].items()}
    return {name: count for name, count in counts.items() if count}


def per(counts, of):
    return {name: count / of for name, count in counts.items()}


def run(name, options, found):
    """One turn of a server: all that is asked of it."""
    with contextlib.ExitStack() as life:
        cluster = Cluster(name, options, life)
        found["login"].append({"commands": cluster.login_commands, "seconds": cluster.login_seconds})
        if name != "zinx alone":
            found["idle"].append({"commands": cluster.idle(options.idle)})
        for scenario in options.scenarios:
            if name != "zinx alone" or scenario == "near":
                found[scenario].append(cluster.measure(scenario, options))


def show(found, options):
    for scenario in options.scenarios:
        columns = COLUMNS[scenario]
        print(f"\n{scenario}: {SCENARIOS[scenario][1]}")
        print(f"{'':<20}" + "".join(f"{column:>12}" for column in columns) + f"{'ratio':>8}")
        base = None
        for name, rounds in found.items():
            if rounds[scenario]:
                values = [statistics.median(measured[column] for measured in rounds[scenario]) for column in columns]
                base = base or values[0] or 1.0
                print(f"{name:<20}" + "".join(f"{value:>12.1f}" for value in values) + f"{values[0] / base:>8.2f}")
    print("\nlogins a second, one after the other")
    for name, rounds in found.items():
        if rounds["login"]:
            print(f"{name:<20}{options.users / statistics.median(login['seconds'] for login in rounds['login']):>12.1f}")
    print("\ncommands that Redis runs, within scripts too, for")
    for what, words in COUNTED.items():
        for name, rounds in found.items():
            if rounds.get(what) and name != "zinx alone":
                print(f"{words:<26}{name:<20}{said(rounds[what])}")


def said(rounds):
    names = {name for measured in rounds for name in measured["commands"]}
    counts = {name: statistics.median(measured["commands"].get(name, 0) for measured in rounds) for name in names}
    told = sorted(((count, name) for name, count in counts.items() if count >= 0.005), reverse=True)
    return f"{sum(count for count, _ in told):>8.2f}  " + ", ".join(f"{name} {count:.2f}" for count, name in told)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    scenarios = "; ".join(f"{name}: {words}" for name, (_, words) in SCENARIOS.items())
    parser.add_argument("--scenarios", default=",".join(SCENARIOS), help=scenarios)
    parser.add_argument("--servers", default=",".join(SERVERS), help=", ".join(SERVERS))
    parser.add_argument("--users", type=int, default=10_000, help="on all nodes together; each is in the group, too")
    parser.add_argument("--pairs", type=int, default=150, help="how many users push at once")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=3.0, help="for each scenario, after a third of it to warm up")
    parser.add_argument("--idle", type=float, default=15.0, help="seconds without a message, to count what nodes ask of Redis")
    parser.add_argument("--cores", type=int, choices=[1, 2], default=1, help="1: one for the nodes and Redis, one for the load")
    options = parser.parse_args()
    options.scenarios, options.servers = options.scenarios.split(","), options.servers.split(",")
    for wanted, known in [(options.servers, SERVERS), (options.scenarios, SCENARIOS)]:
        for name in wanted:
            if name not in known:
                parser.error(f"there is no {name!r}; there are {', '.join(known)}")
    if options.pairs + NODES > options.users:
        parser.error("there must be more users than pairs")
    if not shutil.which("redis-server"):
        raise SystemExit("nothing can be measured, because there is no redis-server")
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if 0 < most < options.users + 100:
        raise SystemExit(f"{options.users} users need as many open files, and at most {most} are allowed (`ulimit -n`)")
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    # So that the processes are ended then, too.
    for ends in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(ends, lambda number, _: sys.exit(128 + number))
    turns = build(options.servers)
    if not turns:
        raise SystemExit("nothing is left")
    failed = False
    found = {name: {what: [] for what in [*SCENARIOS, "login", "idle"]} for name in turns}
    for _ in range(options.rounds):
        for name in turns:
            print(f"{name} ..", end=" ", flush=True)
            try:
                run(name, options, found[name])
            except RuntimeError as error:
                failed = True
                print(f"error: {error}", end=" ")
        print(flush=True)
        # As in compare.py: each comes first once.
        turns = turns[1:] + turns[:1]
    print(f"{options.users} users on {NODES} nodes; microseconds; {options.rounds} rounds")
    show(found, options)
    raise SystemExit(1 if failed else 0)


if __name__ == "__main__":
    main()
