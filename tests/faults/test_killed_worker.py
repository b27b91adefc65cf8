"""A worker that is killed, and what the next try makes of what it left."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest

from airflow_provider_neuro_buckets.buckets import Buckets
from airflow_provider_neuro_buckets.buckets.stores.s3_resume import read
from airflow_provider_neuro_buckets.buckets.transfer.plan import PART
from airflow_provider_neuro_buckets.hooks.persistent import persistent_connection
from airflow_provider_neuro_buckets.operators.tries import MARK
from buckets.transfer.trees import snapshot
from faults.worker import start
from metered import Meter, metered
from platform_rig import Platform

MIB = 1024 * 1024
KILLS = 10
LARGE, SMALL = (3, 40 * MIB), (300, 8 * 1024)


@dataclass
class Bench:
    """A bucket behind a meter, and the task that moves it.

    :ivar most_noted: most parts that were written down when a try was killed; none are of a file that is whole.
    """

    bucket: str
    connection: str
    meter: Meter
    states: Path
    tries: int = 0
    most_noted: int = 0

    async def attempt(self, name: str, options: dict[str, str], *, killed_after: int | None = None) -> int:
        """Try once; return the bytes that passed. With `killed_after` the process is killed after so many."""
        self.tries += 1
        before = self.meter.total
        process = start(name, options, connection=self.connection, states=self.states, try_number=self.tries)

        def kill() -> None:
            if killed_after is not None and self.meter.total - before >= killed_after and process.is_alive():
                self.meter.passed = None
                process.kill()
                self.meter.cut()

        self.meter.passed = kill
        await ended(process)
        self.meter.passed = None
        assert process.exitcode == (-9 if killed_after else 0)
        await self.meter.is_idle.wait()  # what the wire still held is counted
        if killed_after is not None:
            self.most_noted = max(self.most_noted, self.noted())
        return self.meter.total - before

    async def killed(self, name: str, options: dict[str, str], *, clean: int) -> int:
        """Kill the task at random moments, ten times; return the bytes that passed."""
        chance = random.Random(20)
        shares = [chance.uniform(0.04, 0.14) for _ in range(KILLS)]
        return sum([await self.attempt(name, options, killed_after=int(clean * share)) for share in shares])

    def noted(self) -> int:
        """Return how many parts of large uploads are written down for the next try."""
        uploads = json.loads(self.states.read_text())[MARK]["uploads"]
        return sum(len(read(note.split(" ")[1])) for _, note in uploads.values())


async def ended(process: BaseProcess) -> None:
    over = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_reader(process.sentinel, over.set)
    try:
        await over.wait()
    finally:
        loop.remove_reader(process.sentinel)
        process.join()


@pytest.fixture
async def bench(platform: Platform, bucket: str, tmp_path: Path) -> AsyncIterator[Bench]:
    async with Buckets.open(platform.running.config) as buckets:
        given = await buckets.persistent_credentials_create([(await buckets.get(bucket)).id])
        described = await buckets.get(bucket)
    keys = given.credentials[0]
    async with metered(keys.credentials["endpoint_url"]) as meter:
        through = replace(keys, credentials={**keys.credentials, "endpoint_url": meter.url})
        connection = json.loads(persistent_connection(replace(given, credentials=[through]), [described]))
        connection["extra"]["max_concurrency"] = 1  # so that a part has arrived before bytes of the next pass
        yield Bench(bucket, json.dumps(connection), meter, tmp_path / "states.json")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Large files and small ones."""
    folder, chance = tmp_path / "folder", random.Random(19)
    folder.mkdir()
    for count, size in (LARGE, SMALL):
        for number in range(count):
            (folder / f"{size}-{number}").write_bytes(chance.randbytes(size))
    return folder


async def test_f78_a_worker_killed_ten_times_in_a_download_fetches_no_more_than_was_under_way_twice(
    bench: Bench, folder: Path, tmp_path: Path
) -> None:
    up = {"src": str(folder), "dst": f"blob:{bench.bucket}/d/"}
    await bench.attempt("BucketUploadDirOperator", up)
    clean = await bench.attempt("BucketDownloadDirOperator", {"src": up["dst"], "dst": str(tmp_path / "clean")})
    down = {"src": up["dst"], "dst": str(tmp_path / "down")}
    moved = await bench.killed("BucketDownloadDirOperator", down, clean=clean)
    moved += await bench.attempt("BucketDownloadDirOperator", down)
    assert snapshot(tmp_path / "down") == snapshot(folder)
    assert moved <= 1.1 * clean + bench.meter.in_vain


async def test_f78_a_worker_killed_ten_times_in_an_upload_sends_no_more_than_was_under_way_twice(
    bench: Bench, folder: Path, tmp_path: Path
) -> None:
    clean = await bench.attempt("BucketUploadDirOperator", {"src": str(folder), "dst": f"blob:{bench.bucket}/clean/"})
    up = {"src": str(folder), "dst": f"blob:{bench.bucket}/up/"}
    moved = await bench.killed("BucketUploadDirOperator", up, clean=clean)
    noted = bench.noted()
    last = await bench.attempt("BucketUploadDirOperator", up)
    await bench.attempt("BucketDownloadDirOperator", {"src": up["dst"], "dst": str(tmp_path / "down")})
    assert snapshot(tmp_path / "down") == snapshot(folder)
    assert bench.most_noted > 0
    assert last <= 1.1 * clean - noted * PART
    late = KILLS * PART  # a part may have arrived that was not yet written down
    assert moved + last <= 1.1 * clean + bench.meter.in_vain + late
