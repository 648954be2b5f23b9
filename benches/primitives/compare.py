#!/usr/bin/env python3
"""The primitives of zinx::green beside those of tokio, of Go and of `may` alone, in one run.

    cargo build --release --manifest-path benches/primitives/Cargo.toml
    (cd benches/primitives/go && go build -o primitives .)
    benches/primitives/compare.py [--workers 1] [--rounds 5] [NAME ...]

Each round runs every program once for each benchmark, in an order that alternates. Printed are medians: nanoseconds per
operation by the clock and of processor time, and ours as a ratio to tokio's and to Go's, by processor time and, in
brackets, by the clock. With one worker the clock says more; on a machine that does other work, processor time does.
"""
import argparse
import math
import os
import pathlib
import statistics
import subprocess

HERE = pathlib.Path(__file__).parent
NAMES = ["spawn", "queue1", "queue1024", "event", "semaphore", "yield", "timers"]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--workers", default="1")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("names", nargs="*", default=NAMES)
    args = parser.parse_args()
    target = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", HERE / "target"))
    rust = str(target / "release" / "primitives")
    programs = {
        "ours": [rust, "ours"],
        "tokio": [rust, "tokio"],
        "go": [str(HERE / "go" / "primitives")],
        "may": [rust, "may"],
    }
    found = {}
    for turn in range(args.rounds):
        order = list(programs)[:: -1 if turn % 2 else 1]
        for name in args.names:
            for program in order:
                command = [*programs[program], name, args.workers]
                said = subprocess.run(command, check=True, capture_output=True, text=True, timeout=120).stdout
                found.setdefault((name, program), []).append([float(number) for number in said.split()])
    print("| | zinx | tokio | Go | may alone | to tokio | to Go |")
    print("|---|---|---|---|---|---|---|")
    for name in args.names:
        medians = {
            program: [statistics.median(column) for column in zip(*found[name, program])] for program in programs
        }
        # `may` alone has not all of them.
        cells = ["-" if math.isnan(cpu) else f"{clock:.0f} ({cpu:.0f})" for clock, cpu in medians.values()]
        (clock, cpu), others = medians["ours"], [medians["tokio"], medians["go"]]
        ratios = [f"{cpu / other[1]:.2f} ({clock / other[0]:.2f})" for other in others]
        print("| " + " | ".join([name, *cells, *ratios]) + " |")


if __name__ == "__main__":
    main()
