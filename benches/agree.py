#!/usr/bin/env python3
"""Whether `zinx bench` says what the generator of benches/ says: both load the same servers in turn, in a closed loop.

Usage: benches/agree.py, after
    cargo build --release --manifest-path benches/load/Cargo.toml
    cargo build --release -p zinx-tool --features bench
With a Go toolchain it also loads Go Zinx's server, that of tests/interop/go. Ends with 1 if a rate differs by more than 10 %."""
import argparse
import json
import os
import pathlib
import shutil
import statistics
import subprocess

import compare

ROOT = pathlib.Path(__file__).resolve().parents[1]
ZINX = pathlib.Path(os.environ.get("BENCH_ZINX", ROOT / "target/release/zinx"))
LOADS = {
    "pp1": (1, 1),
    "pp50": (50, 1),
    "pipe": (50, 64),
}
MOST = 0.10


def go_server():
    """Builds the server of Go Zinx; None if there is no Go."""
    if not shutil.which("go"):
        print("left out: Go Zinx, because there is no go")
        return None
    program = ROOT / "benches/load/target/zinx_go_peer"
    subprocess.run(["go", "build", "-o", program, "."], cwd=ROOT / "tests/interop/go", check=True)
    return f"{program} -role server -pack ltv -port {{port}}"


def on_its_core(words, cores):
    return ["taskset", "-c", "1", *words] if cores == 1 else words


def by_generator(connections, window, port, pid, options):
    words = [f"{compare.BIN}/load", "echo", "--connections", str(connections), "--window", str(window)]
    words += ["--port", str(port), "--pid", str(pid), "--seconds", str(options.seconds)]
    done = subprocess.run(on_its_core(words, options.cores), capture_output=True, text=True, timeout=120, check=True)
    measured = dict(pair.split("=") for pair in done.stdout.split())
    return {name: float(measured[name]) for name in ("rate", "p50", "p99")}


def by_bench(connections, window, port, _pid, options):
    words = [f"{ZINX}", "bench", f"127.0.0.1:{port}", "--id", "1", "--size", "64", "--json"]
    words += ["--connections", str(connections), "--window", str(window), "--seconds", str(options.seconds)]
    done = subprocess.run(on_its_core(words, options.cores), capture_output=True, text=True, timeout=120, check=True)
    measured = json.loads(done.stdout)
    return {"rate": measured["rate"], "p50": measured["latency_us"]["p50"], "p99": measured["latency_us"]["p99"]}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--loads", default=",".join(LOADS), help=", ".join(LOADS))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=2)
    parser.add_argument("--cores", type=int, choices=[1, 2], default=1, help="1: one for the server, one for the load")
    options = parser.parse_args()
    servers = {"zinx": compare.SERVERS["zinx"]}
    if go := go_server():
        servers["go_zinx"] = go
    port, differ = 21000 + os.getpid() % 4000, []
    print(f"{'':<20}{'rate':>12}{'p50 us':>10}{'p99 us':>10}")
    for load in options.loads.split(","):
        for server, command in servers.items():
            found = {"generator": [], "zinx bench": []}
            for _ in range(options.rounds):
                for name, measure in zip(found, (by_generator, by_bench)):
                    port += 1
                    process = compare.start(command, port, options.cores)
                    try:
                        found[name].append(measure(*LOADS[load], port, process.pid, options))
                    finally:
                        process.kill()
                        process.wait()
            print(f"{load}, {server}")
            rates = []
            for name, rounds in found.items():
                rate, p50, p99 = (statistics.median(one[key] for one in rounds) for key in ("rate", "p50", "p99"))
                rates.append(rate)
                print(f"  {name:<18}{rate:>12.0f}{p50:>10.1f}{p99:>10.1f}", flush=True)
            difference = rates[1] / rates[0] - 1
            print(f"  {'difference':<18}{difference:>+12.1%}")
            if abs(difference) > MOST:
                differ.append(f"{load}, {server}: {difference:+.1%}")
    if differ:
        raise SystemExit("more than 10 % apart: " + "; ".join(differ))


if __name__ == "__main__":
    main()
