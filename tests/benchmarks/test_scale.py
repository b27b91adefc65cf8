"""The simulation of transfers in shards: its clock, its service, what is concluded from it."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterator
from dataclasses import replace

import pytest

from benchmarks.simulation.chart import draw
from benchmarks.simulation.clock import Line, run
from benchmarks.simulation.fleet import Moved, Planned, move, plan
from benchmarks.simulation.model import Airflow, Run, calibrated, forecast, limit, shards_for
from benchmarks.simulation.report import render
from benchmarks.simulation.service import Conditions, Lake, Verb

PLANNED = Planned(blobs=1_000_000, seconds=20.0, cpu_seconds=12.0, memory_mib=9.0, pages=1000)
MOVED = Moved(workers=4, blobs=10_000, per_second=2000.0, refused=0.0, asked={"COPY": 1.0, "GET": 0.002})
PAGE = "\n".join(
    f"<!-- {name}: made -->\nold\n<!-- end of {name} -->" for name in ("largest", "limits", "plans", "checked")
)


@pytest.fixture(autouse=True)
def quiet(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Each failure that the service makes up is a line in the log."""
    with caplog.at_level(logging.ERROR):
        yield


def test_the_clock_jumps_to_what_is_waited_for() -> None:
    begun = time.process_time()

    async def wait() -> float:
        async with asyncio.TaskGroup() as group:
            group.create_task(asyncio.sleep(3600))
            group.create_task(asyncio.sleep(60))
        return asyncio.get_running_loop().time()

    assert run(wait()) == (3600, 3600)
    assert time.process_time() - begun < 60


def test_work_for_threads_is_done_and_its_errors_are_raised() -> None:
    async def ask() -> int:
        with pytest.raises(ZeroDivisionError):
            await asyncio.to_thread(lambda: 1 / 0)
        return await asyncio.to_thread(lambda: 6 * 7)

    assert run(ask()) == (42, 0)


def test_who_waits_for_nothing_is_told() -> None:
    async def wait() -> None:
        await asyncio.get_running_loop().create_future()

    with pytest.raises(RuntimeError, match="everybody waits"):
        run(wait())


def test_a_line_does_one_thing_after_another() -> None:
    async def use() -> None:
        line = Line()
        async with asyncio.TaskGroup() as group:
            for _ in range(5):
                group.create_task(line.use(2))

    assert run(use())[1] == pytest.approx(10)


def test_a_lake_lists_each_of_its_blobs_once() -> None:
    lake = Lake(2345, 4096)
    keys = [blob.key for page in lake.pages("") for blob in page.blobs]
    assert (len(keys), len(set(keys)), keys) == (2345, 2345, sorted(keys))
    sizes = {blob.key: blob.size for page in lake.pages("") for blob in page.blobs}
    assert all(lake.size_of(key) == size for key, size in sizes.items())
    assert sum(sizes.values()) / 2345 == pytest.approx(4096, rel=0.01)


def test_a_plan_costs_a_request_for_each_page_and_no_more_memory_for_more_blobs() -> None:
    few, many = [plan(Conditions(), blobs, 4096, 4) for blobs in (20_000, 100_000)]
    assert (few.pages, many.pages) == (102, 102)
    assert many.memory_mib - few.memory_mib < 20


def test_more_workers_move_more_until_the_service_refuses() -> None:
    conditions = Conditions(writes_per_second=1200.0)
    one, two, eight = [
        move(conditions, workers=workers, shards=2 * workers, blobs=800 * workers, size=4096, is_one_service=True)
        for workers in (1, 2, 8)
    ]
    assert (one.refused, eight.refused > 0) == (0, True)
    assert one.per_second < two.per_second
    assert eight.per_second < 1.5 * 1200
    assert eight.asked[Verb.COPY] > one.asked[Verb.COPY] >= 1


def test_what_is_streamed_is_read_and_written_and_takes_the_network_its_time() -> None:
    conditions = Conditions(bytes_per_second=10e6, cpu=0.0, failures=0.0)
    moved = move(conditions, workers=1, shards=2, blobs=200, size=1_000_000, is_one_service=False)
    assert moved.asked[Verb.READ] > 1
    assert moved.asked[Verb.WRITE] > 1
    # Ten megabytes a second, and each byte comes and goes.
    assert moved.per_second == pytest.approx(5, rel=0.2)


@pytest.mark.parametrize(
    ("blobs", "workers", "shards"),
    [(10, 4, 10), (10_000, 1, 16), (10_000, 8, 32), (10_000_000, 1, 200), (100_000_000, 4, 1024)],
)
def test_shards_are_enough_for_all_workers_and_small_enough_to_be_done_again(
    blobs: int, workers: int, shards: int
) -> None:
    assert shards_for(blobs, workers) == shards


def test_a_forecast_adds_up() -> None:
    told = forecast(PLANNED, MOVED, Airflow(task_seconds=2.0, tasks_per_second=10.0, run_seconds=5.0), shards=16)
    assert (told.plan, told.airflow, told.move) == (20.0, 4 * 2.0 + 5.0, 500.0)
    assert told.seconds == 533.0
    assert told.requests == 1000 + 1_000_000 + 2000
    assert told.dollars == pytest.approx(0.005 + 5.0 + 0.0008)


def test_a_forecast_waits_for_the_scheduler_where_that_is_slower() -> None:
    told = forecast(PLANNED, MOVED, Airflow(task_seconds=0.1, tasks_per_second=1.0, run_seconds=0.0), shards=40)
    assert told.airflow == 40.0


def test_the_limit_is_where_twice_the_workers_bring_less_than_half_as_much_again() -> None:
    fleets = [replace(MOVED, workers=2**n, per_second=rate) for n, rate in enumerate((100.0, 190.0, 200.0))]
    assert limit(fleets).startswith("4 workers move 1.05 times what 2 do: the service has no more")
    fleets[2] = replace(fleets[2], refused=0.05)
    assert "asks to slow down (5.0% of" in limit(fleets)
    assert limit(fleets[:2]).startswith("2 workers are not the end")


def test_a_machine_is_known_by_two_runs_and_foretells_a_third() -> None:
    def ran(blobs: int) -> Run:
        plan, transfer = 3.0 + blobs * 1e-5, 8 * 1.5 + blobs / 1000
        seconds = {"plan": plan, "transfer": transfer, "run": plan + transfer + 4.0}
        return Run(blobs=blobs, workers=2, shards=16, rounds=8, seconds=seconds)

    conditions, airflow = calibrated(ran(5000), ran(20_000))
    assert conditions.writes_per_second == pytest.approx(1000)
    assert airflow.task_seconds == pytest.approx(1.5)
    planned = plan(conditions, 40_000, 1024, 16)
    moved = move(conditions, workers=2, shards=4, blobs=4000, size=1024, is_one_service=True)
    told = forecast(planned, moved, airflow, shards=16)
    assert told.seconds == pytest.approx(ran(40_000).seconds["run"], rel=0.05)


def test_the_page_and_the_chart_show_what_was_found_out() -> None:
    told = forecast(PLANNED, MOVED, Airflow())
    checked = [(Run(blobs=1000, workers=2, shards=8, rounds=4, seconds={"run": 533.0}), told)]
    page = render(
        PAGE, forecasts={"a copy": [[told]]}, limits={"a copy": "no end."}, planned=[PLANNED], checked=checked
    )
    assert "old" not in page
    assert "- **a copy**: no end." in page
    assert "| 1,000,000 | 1,000 | 20.0 s | 12.0 s | 9 MiB |" in page
    assert (
        render(page, forecasts={"a copy": [[told]]}, limits={"a copy": "no end."}, planned=[PLANNED], checked=checked)
        == page
    )
    with pytest.raises(ValueError, match="no marks for 'largest'"):
        render("", forecasts={"a copy": [[told]]}, limits={}, planned=[PLANNED], checked=checked)
    assert "1,000,000 blobs" in draw({"a copy": [[told, replace(told, workers=8)]]})
