#!/usr/bin/env python3
"""Instructions per operation of the primitives, counted by valgrind: what a busy machine does not change.

    cargo build --release --manifest-path benches/primitives/Cargo.toml --features rustix/use-libc \\
        --config profile.release.debug=1 --target-dir benches/primitives/target/counted
    benches/primitives/instructions.py [--of ours|tokio|may] [--functions 25] [NAME ...]

A directory of its own, because rustix must use the C library: valgrind has no vDSO. Each benchmark runs once and three times,
with one worker, so that what the start costs cancels out. With `--functions`, prints where they go: instructions per operation
of the functions themselves, without what they call.
"""
import argparse
import pathlib
import re
import subprocess
import tempfile

HERE = pathlib.Path(__file__).parent
NAMES = ["spawn", "queue1", "queue1024", "event", "semaphore", "yield"]
OPERATIONS = {"event": 40_000, "semaphore": 40_000, "yield": 40_000}


def count(program, whose, name, times):
    """Instructions of each function in a run."""
    with tempfile.NamedTemporaryFile() as file:
        tool = ["valgrind", "-q", "--tool=cachegrind", "--cache-sim=no", f"--cachegrind-out-file={file.name}"]
        command = [*tool, program, whose, name, "1", str(times)]
        subprocess.run(command, check=True, capture_output=True, timeout=600)
        found, function = {}, ""
        for line in pathlib.Path(file.name).read_text().splitlines():
            if line.startswith("fn="):
                function = line[3:]
            elif re.match(r"\d+ \d+$", line):
                found[function] = found.get(function, 0) + int(line.split()[1])
        return found


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--of", default="ours")
    parser.add_argument("--functions", type=int, default=0)
    parser.add_argument("names", nargs="*", default=NAMES)
    args = parser.parse_args()
    program = str(HERE / "target" / "counted" / "release" / "primitives")
    for name in args.names:
        once, often = count(program, args.of, name, 1), count(program, args.of, name, 3)
        operations = 2 * OPERATIONS.get(name, 20_000)
        each = {function: (often[function] - once.get(function, 0)) / operations for function in often}
        print(f"{name}: {sum(each.values()):.0f} instructions")
        for function, cost in sorted(each.items(), key=lambda item: -item[1])[: args.functions]:
            print(f"    {cost:8.1f}  {function}")


if __name__ == "__main__":
    main()
