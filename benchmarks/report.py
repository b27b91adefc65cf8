"""RESULTS.md: what was measured and how, what was missed, and where the time goes then."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from benchmarks import chart
from benchmarks.data import MIB
from benchmarks.results import Record
from benchmarks.verdict import (
    Figure,
    cpu,
    figures,
    growth,
    growth_figures,
    middle,
    peak,
    ratio,
    ratios,
    seconds,
)
from benchmarks.works import ALL, COROUTINE, GROWTH, MOST_GROWTH, OFFICIAL, OURS, S5CMD, SIZES, Server, Work

HOW = f"""
Each row is measured on a server that is started for it alone, peers in turn, each round beginning with another one;
a job counts only if afterwards every file or blob is there with the right bytes, every key was listed, every key was
deleted. Ratios are ours divided by the peer's, taken within each round; the table has their medians.

- **{OURS}**: one call of `NeuroBucketsHook` in a fresh process that has the package loaded, as a task has: reading the
  Airflow connection, asking the platform for bucket and credentials, connecting, verifying and closing included.
- **s5cmd**, **rclone**: their whole process, with the same temporary credentials. s5cmd as it comes; rclone with 32
  files at a time instead of 4, `--fast-list`, and for the update the server's times, which is its fastest way.
- **{OFFICIAL}**: one call of its client in a fresh process that has it loaded and is logged in. It takes minutes, so it
  has fewer rounds; its ratios are of the rounds that it took part in.
- **S3Hook**: one call of a hook in a fresh process that has it loaded, where it has such a call.

CPU is that of the client: of a command line all of it, of a Python client that of the call. Memory is the peak above
what the idle process holds. Before each job everything written so far is flushed to the disk.
""".strip()


def write(records: Mapping[str, Record], folder: Path) -> None:
    """Write RESULTS.md and the chart into a folder."""
    (folder / "chart.svg").write_text(chart.draw(records))
    (folder / "RESULTS.md").write_text("\n".join(_lines(records)) + "\n")


def _lines(records: Mapping[str, Record]) -> Iterator[str]:
    rows = [(work, records[work.name]) for work in ALL if work.name in records]
    yield "# Results\n"
    yield "`make bench` measures all of this anew.\n"
    if any(record.scale != 1.0 for _, record in rows):
        yield "**Only a part of the files was used: these figures try the benchmark out and say nothing else.**\n"
    yield "![Wall time of this package relative to its peers, and time per file as folders grow](chart.svg)\n"
    for server, title in (
        (Server.SEAWEEDFS, "## S3 (SeaweedFS)"),
        (Server.MANY_KEYS, "## A million keys"),
        (Server.AZURITE, "## Azure (Azurite)"),
    ):
        chosen = [(work, record) for work, record in rows if work.server is server]
        if chosen:
            yield title + "\n"
            yield from _table(chosen)
            yield ""
    yield from _growth(records)
    yield from _missed(rows, records)
    yield "## How it is measured\n"
    yield HOW + "\n"
    yield from _machines([record for _, record in rows])


def _table(rows: Sequence[tuple[Work, Record]]) -> Iterator[str]:
    yield "| work | peer | rounds | seconds | CPU seconds | peak memory | ours is | at most |"
    yield "|---|---|---|---|---|---|---|---|"
    for work, record in rows:
        title = work.title
        for peer in record.peers:
            yield _line(work, record, peer, title)
            title = ""


def _line(work: Work, record: Record, peer: str, title: str) -> str:
    wall, used, most_memory = middle(record, peer, seconds), middle(record, peer, cpu), peak(record, peer)
    if wall is None or used is None or most_memory is None:
        return f"| {title} | {peer} | 0 | failed: {_short(record.errors(peer))} | | | | |"
    found = None if peer in {OURS, COROUTINE} else ratio(record, peer)
    most = work.limits.ratios.get(peer)
    compared, limit = "", ""
    if found is not None:
        spread = ratios(record, peer)
        compared = f"{found:.2f} × ({min(spread):.2f}–{max(spread):.2f})"
    if most is not None and found is not None:
        limit = f"{most:g} × {_mark(found <= most)}"
    failures = f", {len(record.errors(peer))} failed" if record.errors(peer) else ""
    rounds = f"{len(record.samples(peer))}{failures}"
    memory = f"{most_memory / MIB:.0f} MiB"
    return f"| {title} | {peer} | {rounds} | {wall:.2f} | {used:.2f} | {memory} | {compared} | {limit} |"


def _mark(is_met: bool) -> str:  # noqa: FBT001 - one meaning
    return "✓" if is_met else "**missed**"


def _short(errors: Sequence[str]) -> str:
    return errors[0][:200].replace("|", "/").replace("\n", " ") if errors else "no round"


def _growth(records: Mapping[str, Record]) -> Iterator[str]:
    lines = [
        f"| {way} | {peer} | {' | '.join(f'{value * 1000:.2f}' for value in times)} | {times[-1] / times[0]:.2f} × |"
        for way, names in GROWTH.items()
        for peer in (OURS, S5CMD)
        if (times := growth(records, names, peer))
    ]
    if lines:
        yield "## Growth\n"
        yield f"Milliseconds a file, as the folder grows; ours at most {MOST_GROWTH} ×.\n"
        sizes = " | ".join(f"{size:,}" for size in SIZES)
        yield f"| direction | peer | {sizes} | {SIZES[-1]:,} to {SIZES[0]:,} |"
        yield "|---" * (len(SIZES) + 3) + "|"
        yield "\n".join(lines) + "\n"


def _missed(rows: Sequence[tuple[Work, Record]], records: Mapping[str, Record]) -> Iterator[str]:
    grown = growth_figures(records)
    found = [(work, record, figures(work, record)) for work, record in rows]
    missed = [(work, record, what) for work, record, whole in found if (what := _unmet(whole))]
    checked = len(grown) + sum(len(whole) for _, _, whole in found)
    yield "## What was missed\n"
    if not missed and not _unmet(grown):
        yield f"Nothing: all {checked} figures were reached.\n"
    if _unmet(grown):
        yield "\n".join(f"- {_told(figure)}" for figure in _unmet(grown)) + "\n"
    for work, record, what in missed:
        yield f"### {work.title} ({work.name})\n"
        yield "\n".join(f"- {_told(figure)}" for figure in what) + "\n"
        if record.profile:
            yield "Where the CPU time of the event loop's thread goes:\n"
            yield f"```\n{record.profile}\n```\n"


def _unmet(whole: Sequence[Figure]) -> list[Figure]:
    return [figure for figure in whole if not figure.is_met]


def _told(figure: Figure) -> str:
    if figure.name.startswith("bytes"):
        return f"{figure.value / MIB:.0f} MiB above idle, at most {figure.most / MIB:.0f} MiB was wanted"
    return f"{figure.value:.2f} {figure.name}, at most {figure.most:g} was wanted"


def _machines(records: Sequence[Record]) -> Iterator[str]:
    yield "## Machine and versions\n"
    seen: dict[str, list[str]] = {}
    for record in records:
        text = "; ".join(f"{name} {value}" for name, value in record.machine.items())
        seen.setdefault(text, []).append(record.work)
    for text, works in seen.items():
        which = "" if len(seen) == 1 else f" ({', '.join(works)})"
        yield f"- {text}{which}"
    if records:
        times = sorted(record.measured_at for record in records)
        loading = [sample.loading_cpu_seconds for record in records for sample in record.samples(OURS).values()]
        yield f"- Measured from {times[0]} to {times[-1]}."
        if loading:
            yield (
                f"- Before its first call a process spends {sorted(loading)[len(loading) // 2]:.1f} CPU seconds on "
                "loading Python, Airflow and this package."
            )
