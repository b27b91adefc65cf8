"""The column of this package in the fault matrix: all cells at once, since most of their time is waiting."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path

import pytest

from airflow_provider_neuro_buckets.buckets.retry import RetryPolicy
from benchmarks.faults.cell import MIB, Cell, Direction, Outcome, Result, cells_of
from benchmarks.faults.downloads import DOWNLOADS
from benchmarks.faults.ours import Ours
from benchmarks.faults.play import Contents, check_rightly, play
from benchmarks.faults.uploads import UPLOADS

CELLS = [*cells_of(Direction.DOWNLOAD, DOWNLOADS), *cells_of(Direction.UPLOAD, UPLOADS)]
AT_ONCE = 24
NO_WAIT = RetryPolicy(attempts=3, throttled_attempts=3, first_wait=0, longest_wait=0, deadline=60)


def ours(cell: Cell) -> Ours:
    # Only who is met by silence is impatient: anybody else may be slow.
    return Ours(silence=5.0 if cell.kind.name == "stall" else 60, retry=NO_WAIT)


def contents(direction: Direction) -> Contents:
    """Just beyond what is moved in one request."""
    return Contents.of(small=256 * 1024, large=(17 if direction is Direction.DOWNLOAD else 9) * MIB)


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Result]:
    async def play_all() -> dict[str, Result]:
        of = {direction: contents(direction) for direction in Direction}
        slots = asyncio.Semaphore(AT_ONCE)

        async def one(cell: Cell) -> tuple[str, Result]:
            async with slots:
                folder = tmp_path_factory.mktemp("cell")
                return cell.name, await play(cell, ours(cell), of[cell.direction], folder)

        longest_first = sorted(CELLS, key=lambda cell: (cell.times, cell.direction, cell.kind.name != "stall"))
        return dict(await asyncio.gather(*map(one, longest_first)))

    return asyncio.run(play_all())


@pytest.mark.parametrize("direction", Direction)
async def test_both_blobs_are_moved_where_nothing_goes_wrong(direction: Direction, tmp_path: Path) -> None:
    await check_rightly(direction, Ours(silence=60, retry=NO_WAIT), contents(direction), tmp_path)


@pytest.mark.parametrize("cell", CELLS, ids=lambda cell: cell.name)
def test_a_server_that_errs_costs_no_wrong_bytes_and_no_good_ones(cell: Cell, results: Mapping[str, Result]) -> None:
    result = results[cell.name]
    assert result.outcome in {Outcome.CORRECT, Outcome.CLEAN}, result
    assert result.left == 0, result


@pytest.mark.parametrize("cell", [cell for cell in CELLS if cell.is_recoverable], ids=lambda cell: cell.name)
def test_what_goes_wrong_once_is_recovered(cell: Cell, results: Mapping[str, Result]) -> None:
    assert results[cell.name].outcome is Outcome.CORRECT, results[cell.name]


def test_the_matrix_has_the_cells_that_its_page_tells_of() -> None:
    assert len([cell for cell in CELLS if cell.direction is Direction.DOWNLOAD]) == 36
    assert len({kind.name for kind in DOWNLOADS}) == 11
    assert len({cell.name for cell in CELLS}) == len(CELLS)
