"""Bars of what ``schedules.py --json`` measured: ``python bench/plot.py FILE OUT.svg [--framework pytest]``."""

import argparse
import json
import statistics
from html import escape
from pathlib import Path
from typing import Any

BAR, GAP, LEFT, WIDTH = 16, 6, 330, 760
INK, OURS, THEIRS, LINE = "#24292f", "#1a7f5a", "#8c959f", "#d0d7de"


def bars(rows: list[dict[str, Any]], framework: str) -> str:
    """An SVG: one group a number of lanes, one bar a way, from 1 (the ideal schedule) to its median ratio."""
    found = [row for row in rows if row["framework"] == framework]
    most = max(row["ratio"] for row in found)
    parts: list[str] = []
    top = 30
    for lanes in sorted({row["lanes"] for row in found}):
        parts.append(f'<text x="8" y="{top + 14}" font-weight="600">{lanes} lanes</text>')
        top += 24
        for way in dict.fromkeys(row["way"] for row in found):
            ratios = [row["ratio"] for row in found if row["way"] == way and row["lanes"] == lanes]
            if not ratios:
                continue
            ratio = statistics.median(ratios)
            width = (ratio - 1) / (most - 1) * (WIDTH - LEFT - 60)
            fill = OURS if way.startswith("Resit") else THEIRS
            parts += [
                f'<text x="{LEFT - 8}" y="{top + 12}" text-anchor="end">{escape(way)}</text>',
                f'<rect x="{LEFT}" y="{top}" width="{max(width, 1):.1f}" height="{BAR}" fill="{fill}"/>',
                f'<text x="{LEFT + width + 6:.1f}" y="{top + 12}">{ratio:.2f}</text>',
            ]
            top += BAR + GAP
        top += 10
    title = f"{framework}: time from request to verdict, as a ratio to the ideal schedule (shorter is better)"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {top}" font-family="system-ui, sans-serif" '
        f'font-size="12" fill="{INK}" role="img" aria-label="{escape(title)}">\n'
        f'<rect width="{WIDTH}" height="{top}" fill="#ffffff"/>\n'
        f'<text x="8" y="18" font-size="13">{escape(title)}</text>\n'
        f'<line x1="{LEFT}" y1="30" x2="{LEFT}" y2="{top - 8}" stroke="{LINE}"/>\n' + "\n".join(parts) + "\n</svg>\n"
    )


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("measured", type=Path, metavar="FILE")
    parser.add_argument("picture", type=Path, metavar="OUT.svg")
    parser.add_argument("--framework", default="pytest")
    options = parser.parse_args()
    options.picture.write_text(bars(json.loads(options.measured.read_text()), options.framework))


if __name__ == "__main__":
    main()
