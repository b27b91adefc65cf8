"""The tables of docs/scale.md, between marks in a page that people write."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence

from benchmarks.simulation.fleet import Planned
from benchmarks.simulation.model import Forecast, Run

Forecasts = Mapping[str, Sequence[Sequence[Forecast]]]


def render(
    page: str,
    *,
    forecasts: Forecasts,
    limits: Mapping[str, str],
    planned: Sequence[Planned],
    checked: Sequence[tuple[Run, Forecast]],
) -> str:
    """Return the page with its tables made anew.

    :raises ValueError: the page lacks the marks of one of them.
    """
    largest = planned[-1].blobs
    tables = {
        "largest": _table(
            [
                "copy of " + f"{largest:,}" + " blobs",
                "workers",
                "shards",
                "time",
                "of it the plan",
                "requests",
                "price",
            ],
            _largest(forecasts),
        ),
        "limits": "\n".join(f"- **{title}**: {sentence}" for title, sentence in limits.items()),
        "plans": _table(["blobs", "pages", "the service's time", "CPU time", "memory"], map(_plan, planned)),
        "checked": _table(
            ["blobs", "workers", "shards", "measured", "forecast", "forecast to measured"], map(_check, checked)
        ),
    }
    for name, table in tables.items():
        page, count = re.subn(
            rf"(<!-- {name}: [^\n]*-->\n).*?(<!-- end of {name} -->)",
            lambda found, table=table: f"{found[1]}\n{table}\n\n{found[2]}",  # type: ignore[misc]  # bound on purpose
            page,
            flags=re.DOTALL,
        )
        if not count:
            raise ValueError(f"the page has no marks for {name!r}")
    return page


def _largest(forecasts: Forecasts) -> Iterator[list[str]]:
    for title, lines in forecasts.items():
        for one in lines[-1]:
            yield [
                title,
                str(one.workers),
                str(one.shards),
                _time(one.seconds),
                _time(one.plan),
                f"{one.requests / 1e6:.1f} million",
                f"{one.dollars:,.0f} $",
            ]


def _plan(planned: Planned) -> list[str]:
    return [
        f"{planned.blobs:,}",
        f"{planned.pages:,}",
        _time(planned.seconds),
        _time(planned.cpu_seconds),
        f"{planned.memory_mib:.0f} MiB",
    ]


def _check(one: tuple[Run, Forecast]) -> list[str]:
    run, told = one
    measured = run.seconds["run"]
    return [
        f"{run.blobs:,}",
        str(run.workers),
        str(run.shards),
        _time(measured),
        _time(told.seconds),
        f"{told.seconds / measured:.2f} ×",
    ]


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _time(seconds: float) -> str:
    if seconds < 120:  # noqa: PLR2004 - two minutes
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.1f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"  # noqa: PLR2004 - two hours
