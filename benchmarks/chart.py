"""The chart: one SVG, drawn by hand, so that the benchmark needs no plotting library."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from html import escape

from benchmarks.results import Record
from benchmarks.verdict import per_file, ratio
from benchmarks.works import ALL, GROWTH, OFFICIAL, OURS, RCLONE, S3HOOK, S5CMD, SIZES, Server

WIDTH, LEFT, RIGHT = 900, 250, 40
BAR, GAP, HEAD = 11, 14, 70
LEAST, MOST = 0.01, 6.0
COLOURS = {S5CMD: "#1f77b4", RCLONE: "#9467bd", OFFICIAL: "#d62728", S3HOOK: "#ff7f0e", OURS: "#2ca02c"}
TICKS = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0)
PANEL, PANEL_TOP = 220, 60


def draw(records: Mapping[str, Record]) -> str:
    """Return the chart: our time relative to each peer's, and time a file as folders grow."""
    bars = list(_bars(records))
    rows = sum(len(peers) * BAR + GAP for _, peers in bars)
    bottom = HEAD + rows
    height = bottom + 40 + PANEL_TOP + PANEL + 50
    parts = [
        *_legend(),
        *_axis(bottom),
        *_bar_marks(bars),
        *_growth(records, top=bottom + 40 + PANEL_TOP),
    ]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" '
        f'font-family="sans-serif" font-size="12">\n<rect width="100%" height="100%" fill="white"/>\n'
        + "\n".join(parts)
        + "\n</svg>\n"
    )


def _bars(records: Mapping[str, Record]) -> Iterator[tuple[str, list[tuple[str, float]]]]:
    for work in ALL:
        record = records.get(work.name)
        if record is None:
            continue
        found = [(peer, value) for peer in COLOURS if peer != OURS and (value := ratio(record, peer)) is not None]
        if found:
            title = work.title if work.server is not Server.AZURITE else f"Azure: {work.title}"
            yield title, found


def _x(value: float) -> float:
    """Return where a ratio lies, on a logarithmic scale."""
    share = math.log(min(max(value, LEAST), MOST) / LEAST) / math.log(MOST / LEAST)
    return LEFT + share * (WIDTH - LEFT - RIGHT)


def _text(x: float, y: float, text: str, *, anchor: str = "start", fill: str = "#222", size: int = 12) -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{fill}" font-size="{size}">{escape(text)}</text>'
    )


def _line(x1: float, y1: float, x2: float, y2: float, *, stroke: str = "#ddd", width: float = 1.0) -> str:
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{stroke}" stroke-width="{width}"/>'


def _legend() -> Iterator[str]:
    yield _text(10, 22, "Wall time of this package as a part of each peer's (less is better)", size=15)
    x = float(LEFT)
    for peer, colour in COLOURS.items():
        if peer != OURS:
            yield f'<rect x="{x:.1f}" y="33" width="12" height="10" fill="{colour}"/>'
            yield _text(x + 16, 42, f"of {peer}")
            x += 110


def _axis(bottom: float) -> Iterator[str]:
    for tick in TICKS:
        dark = tick == 1.0
        yield _line(_x(tick), HEAD - 8, _x(tick), bottom, stroke="#444" if dark else "#ddd", width=1.5 if dark else 1)
        yield _text(_x(tick), HEAD - 12, f"{tick:g} ×", anchor="middle", size=11)


def _bar_marks(bars: Sequence[tuple[str, Sequence[tuple[str, float]]]]) -> Iterator[str]:
    y = float(HEAD)
    for title, peers in bars:
        yield _text(LEFT - 8, y + (len(peers) * BAR) / 2 + 4, title, anchor="end")
        for peer, value in peers:
            yield (
                f'<rect x="{LEFT}" y="{y:.1f}" width="{_x(value) - LEFT:.1f}" height="{BAR - 2}" '
                f'fill="{COLOURS[peer]}"/>'
            )
            yield _text(_x(value) + 4, y + BAR - 3, f"{value:.2f}", size=10)
            y += BAR
        y += GAP


def _growth(records: Mapping[str, Record], *, top: float) -> Iterator[str]:
    """Draw time a file over the number of files, one panel for each direction."""
    wide = (WIDTH - 3 * 60) / 2
    for number, (way, names) in enumerate(GROWTH.items()):
        left = 60 + number * (wide + 60)
        curves = {
            peer: [
                (size, value * 1000)
                for size, name in zip(SIZES, names, strict=True)
                if name in records and (value := per_file(records[name], peer)) is not None
            ]
            for peer in (OURS, S5CMD, RCLONE)
        }
        highest = max((value for points in curves.values() for _, value in points), default=0.0)
        if highest:
            yield _text(left, top - 18, f"Milliseconds a file of 4 KiB, {way}, by files in the folder", size=13)
            yield from _panel(left, top, wide, highest, curves)


def _panel(
    left: float, top: float, wide: float, highest: float, curves: Mapping[str, Sequence[tuple[int, float]]]
) -> Iterator[str]:
    def place(size: int, value: float) -> tuple[float, float]:
        share = math.log(size / SIZES[0]) / math.log(SIZES[-1] / SIZES[0])
        return left + share * (wide - 60), top + PANEL * (1 - value / (1.1 * highest))

    yield _line(left, top + PANEL, left + wide - 60, top + PANEL, stroke="#444")
    for size in SIZES:
        yield _text(place(size, 0)[0], top + PANEL + 16, f"{size:,}", anchor="middle", size=11)
    for part in (0.5, 1.0):
        y = place(SIZES[0], highest * part)[1]
        yield _line(left, y, left + wide - 60, y)
        yield _text(left - 6, y + 4, f"{highest * part:.2g}", anchor="end", size=11)
    for peer, points in curves.items():
        if points:
            spots = [place(size, value) for size, value in points]
            path = " ".join(f"{x:.1f},{y:.1f}" for x, y in spots)
            yield f'<polyline points="{path}" fill="none" stroke="{COLOURS[peer]}" stroke-width="2"/>'
            yield from (f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{COLOURS[peer]}"/>' for x, y in spots)
            yield _text(spots[-1][0] + 6, spots[-1][1] + 4, peer, fill=COLOURS[peer], size=11)
