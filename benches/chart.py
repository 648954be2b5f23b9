#!/usr/bin/env python3
"""Draws docs/img/performance.svg from the tables in docs/performance.md: server CPU per message, as ratios to the limit.

Usage: benches/chart.py, from anywhere. Reads the first table whose header begins with `| scenario |`: a row a scenario, a
column a server, each cell a ratio. Python's standard library only."""
import math
import pathlib
import sys
from xml.sax.saxutils import escape

ROOT = pathlib.Path(__file__).resolve().parent.parent
COLOURS = ["#8c8c8c", "#d9822b", "#2b6cb0", "#9467bd", "#2a9d8f", "#bc4749"]
DARK = ["#a0a0a0", "#e8a15c", "#58a6ff", "#b392d6", "#4fc3b3", "#f0757a"]
# What the names of the rows stand for.
MEANING = {
    "pp1": "ping-pong, 1 connection",
    "pp50": "ping-pong, 50 connections",
    "pp1000": "ping-pong, 1,000 connections",
    "pipe": "50 connections, 64 outstanding",
    "big": "64 KiB, 10 connections",
    "bcast": "broadcast to 1,000",
}
WIDTH, BAR, GAP, LEFT, TOP = 860, 13, 16, 210, 92
# A logarithmic scale, since the ratios span two and a half decades: a bar begins at the left edge, and none is cut.
LEAST, MOST = 0.25, 128


def table(text):
    lines = text.splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith("| scenario |"))
    cells = lambda line: [cell.strip() for cell in line.strip().strip("|").split("|")]
    servers = cells(lines[start])[1:]
    rows = []
    for line in lines[start + 2 :]:
        if not line.startswith("|"):
            break
        name, *values = cells(line)
        rows.append((name, [float(value) if value not in ("", "-") else None for value in values]))
    return servers, rows


def at(ratio):
    return LEFT + (WIDTH - LEFT - 50) * math.log(ratio / LEAST) / math.log(MOST / LEAST)


def style():
    light = " ".join(f".c{n} {{ fill: {colour} }}" for n, colour in enumerate(COLOURS))
    dark = " ".join(f".c{n} {{ fill: {colour} }}" for n, colour in enumerate(DARK))
    return (
        "<style>.page { fill: #ffffff } text { fill: #1f2328 } line { stroke: #c8ced4 } .limit { stroke: #57606a }\n"
        f"{light}\n@media (prefers-color-scheme: dark) {{ .page {{ fill: #0d1117 }} text {{ fill: #e6edf3 }}\n"
        f"line {{ stroke: #30363d }} .limit {{ stroke: #a9b3bd }} {dark} }}</style>"
    )


def draw(servers, rows):
    group = BAR * len(servers) + GAP
    height = TOP + group * len(rows) + 46
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}"'
        ' font-family="sans-serif" font-size="12" role="img">',
        "<title>Server CPU per message, as a ratio to the epoll limit</title>",
        style(),
        f'<rect class="page" width="{WIDTH}" height="{height}"/>',
        '<text x="16" y="24" font-size="14">Server CPU per message, as a ratio to the epoll limit (shorter is better; the scale is logarithmic)</text>',
    ]
    for n, server in enumerate(servers):
        x, y = 16 + 250 * (n % 3), 36 + 20 * (n // 3)
        out.append(f'<rect class="c{n}" x="{x}" y="{y}" width="11" height="11"/><text x="{x + 17}" y="{y + 10}">{escape(server)}</text>')
    bottom = TOP + group * len(rows) - GAP / 2
    ratio = LEAST
    while ratio <= MOST:
        kind = "limit" if ratio == 1 else ""
        out.append(f'<line class="{kind}" x1="{at(ratio):.1f}" y1="{TOP - 8}" x2="{at(ratio):.1f}" y2="{bottom}"/>')
        out.append(f'<text x="{at(ratio):.1f}" y="{bottom + 16}" text-anchor="middle" font-size="10">{ratio:g}</text>')
        ratio *= 2
    out.append(f'<text x="{at(1):.1f}" y="{bottom + 30}" text-anchor="middle" font-size="10">the limit</text>')
    for n, (name, values) in enumerate(rows):
        top = TOP + n * group
        middle = top + BAR * len(servers) / 2
        out.append(f'<text x="{LEFT - 8}" y="{middle - 3}" text-anchor="end">{escape(name)}</text>')
        out.append(f'<text x="{LEFT - 8}" y="{middle + 12}" text-anchor="end" font-size="11">{escape(MEANING[name])}</text>')
        for k, value in enumerate(values):
            if value is None:
                continue
            y, end = top + k * BAR, at(value)
            out.append(f'<rect class="c{k}" x="{LEFT}" y="{y}" width="{end - LEFT:.1f}" height="{BAR - 2}"/>')
            out.append(f'<text x="{end + 4:.1f}" y="{y + BAR - 3}" font-size="10">{value:g}</text>')
    return "\n".join(out) + "\n</svg>\n"


def main():
    text = (ROOT / "docs" / "performance.md").read_text(encoding="utf-8")
    target = ROOT / "docs" / "img" / "performance.svg"
    target.parent.mkdir(exist_ok=True)
    target.write_text(draw(*table(text)), encoding="utf-8")
    print(f"wrote {target.relative_to(ROOT)}", file=sys.stderr)


if __name__ == "__main__":
    main()
