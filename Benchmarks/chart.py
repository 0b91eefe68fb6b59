#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Draws Docs/benchmarks.svg from the tables of Benchmarks/RESULTS.md.

  Benchmarks/chart.py            writes the chart
  Benchmarks/chart.py --check    changes nothing; fails unless the chart is what the tables make

One bar for each row of a number (P1 and up) that has a peer: how many times as fast as the peer ours is, on a
logarithmic axis from "as fast as the peer"; a tick where the number to reach is. Where several tables have rows of one
number, the last of them counts.
"""

import argparse
import math
import pathlib
import re
import sys
from xml.sax.saxutils import escape

ROOT = pathlib.Path(__file__).resolve().parent.parent
RESULTS, CHART = ROOT / "Benchmarks/RESULTS.md", ROOT / "Docs/benchmarks.svg"
COLUMNS = ("what", "ours", "peer", "ratio", "reach")
PARITY = 0.97  # "≥ 1.0" counts as reached from here on, see RESULTS.md.

WIDTH, LABELS, PLOT, TOP, ROW, BAR, FOOT = 900, 372, 410, 84, 28, 16, 50
STYLE = """
  .ground { fill: #ffffff; stroke: #d0d7de }
  text { font: 13px system-ui, -apple-system, "Segoe UI", sans-serif; fill: #1f2328 }
  .title { font-size: 16px; font-weight: 600 }
  .small { font-size: 12px; fill: #59636e }
  .value { font-weight: 600 }
  .grid { stroke: #d8dee4 }
  .even { stroke: #59636e; stroke-width: 1.5 }
  .reached { fill: #1a7f37 }
  .missed { fill: #bc4c00 }
  .target { stroke: #1f2328; stroke-width: 2.5 }
  @media (prefers-color-scheme: dark) {
    .ground { fill: #0d1117; stroke: #3d444d }
    text { fill: #f0f6fc }
    .small { fill: #9198a1 }
    .grid { stroke: #2a313c }
    .even { stroke: #9198a1 }
    .reached { fill: #3fb950 }
    .missed { fill: #f0883e }
    .target { stroke: #f0f6fc }
  }
"""


class Result:
    """One row: `speed` is how many times as fast as the peer, `target` what it should be."""

    def __init__(self, number, name, ratio, reach):
        self.number, self.name = number, name
        bound = float(reach[1:])
        is_time = reach[0] == "≤"
        self.speed, self.target = (1 / ratio, 1 / bound) if is_time else (ratio, bound)
        self.is_reached = ratio <= bound if is_time else ratio >= (PARITY if bound == 1 else bound)
        self.peer = "docker-registry" if number >= 10 else "nginx"


def results(text):
    """The rows with a peer, in the order of their numbers."""
    tables, is_inside = {}, False
    for line in [*text.splitlines(), ""]:
        cells = tuple(cell.strip() for cell in line.strip().strip("|").split("|")) if line.startswith("|") else ()
        if not cells:
            is_inside = False
        elif cells[:len(COLUMNS)] == COLUMNS:
            is_inside, table = True, {}
        elif is_inside and (found := re.match(r"P(\d+) ", cells[0])):
            number, (name, _, _, ratio, reach) = int(found[1]), cells[:len(COLUMNS)]
            if ratio == "–" or not re.fullmatch(r"[≤≥] \d+(\.\d+)?", reach):
                continue
            if number not in table:
                tables[number] = table[number] = []
            table[number].append(Result(number, name, float(ratio), reach))
    return [result for number in sorted(tables) for result in tables[number]]


def svg(rows):
    powers = [math.log2(value) for row in rows for value in (row.speed, row.target)]
    low, high = min(-1, math.floor(min(powers))), max(1, math.ceil(max(powers)))
    bottom = TOP + len(rows) * ROW

    def x(value):
        return LABELS + (math.log2(value) - low) / (high - low) * PLOT

    parts = [
        f'<rect class="ground" x="0.5" y="0.5" width="{WIDTH - 1}" height="{bottom + FOOT - 1}" rx="8"/>',
        '<text class="title" x="20" y="30">How many times as fast as the peer</text>',
        '<text class="small" x="20" y="50">P1–P9 beside nginx, from P10 on beside docker-registry; same machine, '
        'medians of interleaved pairs, logarithmic</text>',
    ]
    for power in range(low, high + 1):
        place = x(2.0**power)
        parts.append(f'<line class="{"grid" if power else "even"}" x1="{place:.1f}" y1="{TOP - 6}" x2="{place:.1f}" '
                     f'y2="{bottom + 2}"/>')
        parts.append(f'<text class="small" x="{place:.1f}" y="{TOP - 12}" text-anchor="middle">{2.0**power:g}×</text>')
    for index, row in enumerate(rows):
        top = TOP + index * ROW + (ROW - BAR) / 2
        left, right = sorted((x(1), x(row.speed)))
        # A bar that would be too thin to see is still a bar.
        left, right = (left - 1, left + 1) if right - left < 2 else (left, right)
        target = x(row.target)
        parts.append(
            f'<g><title>{escape(row.name)}: {row.speed:.2f} times as fast as {row.peer}, to reach {row.target:.2f}'
            '</title>'
            f'<text x="20" y="{top + 12.5}">{escape(row.name)}</text>'
            f'<rect class="{"reached" if row.is_reached else "missed"}" x="{left:.1f}" y="{top}" '
            f'width="{right - left:.1f}" height="{BAR}" rx="2"/>'
            f'<line class="target" x1="{target:.1f}" y1="{top - 4}" x2="{target:.1f}" y2="{top + BAR + 4}"/>'
            f'<text class="value" x="{WIDTH - 20}" y="{top + 12.5}" text-anchor="end">{row.speed:.2f}×</text></g>')
    legend = bottom + 30
    parts += [
        f'<rect class="reached" x="20" y="{legend - 10}" width="12" height="12" rx="2"/>',
        f'<text class="small" x="38" y="{legend}">reached (“≥ 1.0” from {PARITY} on)</text>',
        f'<rect class="missed" x="250" y="{legend - 10}" width="12" height="12" rx="2"/>',
        f'<text class="small" x="268" y="{legend}">not reached</text>',
        f'<line class="target" x1="366" y1="{legend - 12}" x2="366" y2="{legend + 4}"/>',
        f'<text class="small" x="376" y="{legend}">to reach</text>',
    ]
    body = "\n".join("  " + part for part in parts)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {bottom + FOOT}" width="{WIDTH}" '
        f'height="{bottom + FOOT}" role="img" aria-label="How many times as fast as the peer">\n'
        f"  <style>{STYLE}  </style>\n{body}\n</svg>\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="change nothing; fail if the chart is another")
    is_check = parser.parse_args().check
    rows = results(RESULTS.read_text())
    if not rows:
        raise SystemExit(f"error: no row with a peer in {RESULTS}")
    drawing = svg(rows)
    if not is_check:
        CHART.write_text(drawing)
    elif not CHART.exists() or CHART.read_text() != drawing:
        raise SystemExit("error: Docs/benchmarks.svg is not what the results make: run Benchmarks/chart.py")
    return 0


sys.exit(main())
