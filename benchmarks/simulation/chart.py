"""The chart of what copies of some sizes take with more and more workers, one panel for each scene."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from html import escape

from benchmarks.simulation.model import Forecast

WIDTH, PANEL, TOP, LEFT, GAP = 940, 230, 60, 70, 80
HEIGHT = TOP + PANEL + 60
COLOURS = ("#2ca02c", "#1f77b4", "#9467bd", "#d62728")
MARKS = {10: "10 s", 60: "1 min", 600: "10 min", 3600: "1 h", 36_000: "10 h"}


def draw(forecasts: Mapping[str, Sequence[Sequence[Forecast]]]) -> str:
    """Return the chart as SVG.

    :param forecasts: by the title of a scene, one line for each size, with a point for each number of workers.
    """
    every = [point.seconds for lines in forecasts.values() for line in lines for point in line]
    bottom, top = math.log(min(every) / 1.3), math.log(max(every) * 1.3)
    width = (WIDTH - LEFT - 20 - GAP * (len(forecasts) - 1)) / len(forecasts)
    parts = [_text(LEFT, 22, "Time of a copy by workers and blobs, as simulated", size=15)]
    for number, (title, lines) in enumerate(forecasts.items()):
        parts += _panel(title, lines, left=LEFT + number * (width + GAP), width=width, span=(bottom, top))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" '
        f'font-family="sans-serif" font-size="11">\n<rect width="100%" height="100%" fill="white"/>\n'
        + "\n".join(parts)
        + "\n</svg>\n"
    )


def _panel(
    title: str, lines: Sequence[Sequence[Forecast]], *, left: float, width: float, span: tuple[float, float]
) -> Iterator[str]:
    most = max(point.workers for line in lines for point in line)

    def x(workers: int) -> float:
        return left + math.log2(workers) / max(math.log2(most), 1) * width

    def y(seconds: float) -> float:
        return TOP + PANEL - (math.log(seconds) - span[0]) / (span[1] - span[0]) * PANEL

    for at, part in enumerate(_halves(title)):
        yield _text(left, TOP - 22 + 13 * at, part)
    yield f'<rect x="{left:.1f}" y="{TOP}" width="{width:.1f}" height="{PANEL}" fill="none" stroke="#bbb"/>'
    for seconds, name in MARKS.items():
        if span[0] < math.log(seconds) < span[1]:
            yield (
                f'<line x1="{left:.1f}" x2="{left + width:.1f}" y1="{y(seconds):.1f}" y2="{y(seconds):.1f}" '
                f'stroke="#eee"/>'
            )
            yield _text(left - 5, y(seconds) + 4, name, anchor="end")
    for point in lines[0]:
        yield _text(x(point.workers), TOP + PANEL + 15, str(point.workers), anchor="middle")
    yield _text(left + width / 2, TOP + PANEL + 32, "workers", anchor="middle")
    for line, colour in zip(lines, COLOURS, strict=False):
        points = " ".join(f"{x(point.workers):.1f},{y(point.seconds):.1f}" for point in line)
        yield f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2"/>'
        yield _text(x(line[0].workers) + 4, y(line[0].seconds) - 5, f"{line[0].blobs:,} blobs", fill=colour)


def _halves(title: str) -> list[str]:
    """Divide a long title at a comma or blank near its middle."""
    if len(title) < 36:  # noqa: PLR2004 - what fits above a panel
        return ["", title]
    blanks = [at for at, letter in enumerate(title) if letter == " "]
    middle = min(blanks, key=lambda at: abs(at - len(title) // 2))
    return [title[:middle], title[middle + 1 :]]


def _text(x: float, y: float, text: str, *, anchor: str = "start", fill: str = "#222", size: int = 11) -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{fill}" font-size="{size}">{escape(text)}</text>'
    )
