"""Medians, ratios and what was missed: pure arithmetic on records."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from benchmarks.job import Sample
from benchmarks.results import Record
from benchmarks.works import COROUTINE, GROWTH, MOST_GROWTH, OURS, SIZES, Work


@dataclass(frozen=True, slots=True)
class Figure:
    """Something that was to be reached, and what was reached; both in the same unit, less is better."""

    name: str
    value: float
    most: float

    @property
    def is_met(self) -> bool:
        """Whether it was reached."""
        return self.value <= self.most


def seconds(sample: Sample) -> float:
    """Return the wall time of a sample."""
    return sample.seconds


def cpu(sample: Sample) -> float:
    """Return the CPU time of a sample."""
    return sample.cpu_seconds


def loop_gap(sample: Sample) -> float:
    """Return for how long the event loop did nothing else; infinite where nobody looked."""
    return math.inf if sample.loop_gap_seconds is None else sample.loop_gap_seconds


def peak(record: Record, peer: str) -> int | None:
    """Return the most memory that a peer took in any round; `None` if it has no sample."""
    return max((sample.peak_bytes for sample in record.samples(peer).values()), default=None)


def middle(record: Record, peer: str, of: Callable[[Sample], float]) -> float | None:
    """Return the median of a peer; `None` if it has no sample."""
    values = [of(sample) for sample in record.samples(peer).values()]
    return median(values) if values else None


def ratios(record: Record, peer: str, of: Callable[[Sample], float] = seconds) -> list[float]:
    """Return ours divided by a peer's, for each round that both have."""
    ours, theirs = record.samples(OURS), record.samples(peer)
    return [of(ours[number]) / of(theirs[number]) for number in sorted(ours.keys() & theirs.keys())]


def ratio(record: Record, peer: str, of: Callable[[Sample], float] = seconds) -> float | None:
    """Return the median of the ratios; `None` without any."""
    found = ratios(record, peer, of)
    return median(found) if found else None


def figures(work: Work, record: Record) -> list[Figure]:
    """Return what a row had to reach, as far as it was measured."""
    return list(_figures(work, record))


def _figures(work: Work, record: Record) -> Iterator[Figure]:
    limits = work.limits
    for what, of, most_of in (("", seconds, limits.ratios), ("CPU ", cpu, limits.cpu_ratios)):
        for peer, most in most_of.items():
            value = ratio(record, peer, of)
            if value is not None:
                yield Figure(f"{what}× {peer}", value, most)
    absolute = (
        ("seconds", middle(record, OURS, seconds), limits.seconds),
        ("bytes above idle", peak(record, OURS), limits.peak_bytes),
        ("seconds of loop gap", middle(record, COROUTINE, loop_gap), limits.loop_gap_seconds),
    )
    for name, value, most_or_none in absolute:
        if most_or_none is not None and value is not None:
            yield Figure(name, value, most_or_none)


def per_file(record: Record, peer: str) -> float | None:
    """Return the median seconds a file."""
    value = middle(record, peer, seconds)
    return None if value is None else value / record.files


def growth(records: Mapping[str, Record], names: Sequence[str], peer: str) -> list[float]:
    """Return the seconds a file of a peer in each of some rows; empty unless it has all of them."""
    found = [per_file(records[name], peer) for name in names if name in records]
    times = [value for value in found if value is not None]
    return times if len(times) == len(names) else []


def growth_figures(records: Mapping[str, Record]) -> list[Figure]:
    """Return what growing folders had to reach, as far as it was measured."""
    return [
        Figure(f"× the time a file of {SIZES[0]:,} files at {SIZES[-1]:,} ({way})", times[-1] / times[0], MOST_GROWTH)
        for way, names in GROWTH.items()
        if (times := growth(records, names, OURS))
    ]
