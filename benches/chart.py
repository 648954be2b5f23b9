#!/usr/bin/env python3
"""Draws docs/img/performance.svg from the tables in docs/performance.md: server CPU a message, as ratios to the limit.

Usage: benches/chart.py, from anywhere. Reads the first table whose header begins with `| scenario |`: a row a scenario, a
column a server, each cell a ratio. Python's standard library only."""
import pathlib
import sys
from xml.sax.saxutils import escape

ROOT = pathlib.Path(__file__).resolve().parent.parent
COLOURS = ["#8c8c8c", "#d9822b", "#2b6cb0", "#9467bd", "#2a9d8f", "#bc4749"]
WIDTH, BAR, GAP, LEFT, TOP = 760, 13, 14, 90, 64
LONGEST = 4.0  # ratios above are cut, and say so


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


def draw(servers, rows):
    scale = (WIDTH - LEFT - 60) / LONGEST
    group = BAR * len(servers) + GAP
    height = TOP + group * len(rows) + 30
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" font-family="sans-serif" font-size="12">',
        f'<rect width="{WIDTH}" height="{height}" fill="white"/>',
        f'<text x="{LEFT}" y="20" font-size="14">Server CPU a message, as a ratio to the epoll limit (shorter is better)</text>',
    ]
    x = LEFT
    for server, colour in zip(servers, COLOURS):
        out.append(f'<rect x="{x}" y="32" width="11" height="11" fill="{colour}"/><text x="{x + 16}" y="42">{escape(server)}</text>')
        x += 30 + 7 * len(server)
    for n, (name, values) in enumerate(rows):
        top = TOP + n * group
        out.append(f'<text x="{LEFT - 8}" y="{top + group / 2}" text-anchor="end">{escape(name)}</text>')
        for k, (value, colour) in enumerate(zip(values, COLOURS)):
            if value is None:
                continue
            y, long = top + k * BAR, min(value, LONGEST) * scale
            more = " (cut)" if value > LONGEST else ""
            out.append(f'<rect x="{LEFT}" y="{y}" width="{long:.1f}" height="{BAR - 2}" fill="{colour}"/>')
            out.append(f'<text x="{LEFT + long + 4:.1f}" y="{y + BAR - 3}" font-size="10">{value:g}{more}</text>')
    one = LEFT + scale
    out.append(f'<line x1="{one}" y1="{TOP - 6}" x2="{one}" y2="{height - 24}" stroke="#444" stroke-dasharray="3 3"/>')
    out.append(f'<text x="{one}" y="{height - 8}" text-anchor="middle" font-size="10">the limit</text></svg>')
    return "\n".join(out) + "\n"


def main():
    text = (ROOT / "docs" / "performance.md").read_text(encoding="utf-8")
    target = ROOT / "docs" / "img" / "performance.svg"
    target.parent.mkdir(exist_ok=True)
    target.write_text(draw(*table(text)), encoding="utf-8")
    print(f"wrote {target.relative_to(ROOT)}", file=sys.stderr)


if __name__ == "__main__":
    main()
