"""The soak: uploads and downloads through proxies in which some of all requests fail, then a search for what is wrong.

``python tests/faults/soak.py --seconds 1800`` runs it, and writes its figures into docs with ``--write``.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import random
import resource
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from pathlib import Path
from unittest import mock

from airflow_provider_neuro_buckets.buckets import Buckets, BucketsConfig
from airflow_provider_neuro_buckets.buckets.stores.s3_upload import S3Upload
from airflow_provider_neuro_buckets.buckets.transfer import fetch, plan, upload
from conformance.rigs.seaweedfs import LocalServer, SeaweedRig, serve
from faults.apart import Apart, proxies_apart
from faults.scene import endpoint_of
from faults.soaked import KIB, PART, RANGE, Figures, Soaked, lines_of_operation

SILENCE = 10.0
"""Seconds: longer than a healthy server is silent on a busy machine."""
DOCUMENT = Path(__file__).parents[2] / "docs" / "reliability.md"


@contextmanager
def small_parts() -> Iterator[None]:
    """Let transfers cut files of some MiB as they do with larger ones: into parts of `PART`, and ranges of `RANGE`."""
    with (
        mock.patch.object(upload, "PART", PART),
        mock.patch.object(upload, "plan_parts", partial(plan.plan_parts, wanted=PART)),
        mock.patch.object(plan, "PART", RANGE),
        mock.patch.object(fetch, "SINGLE_READ", 2 * RANGE),
    ):
        yield


class Warnings(logging.Handler):
    """Counts the lines that tell of another attempt, and of an upload that could not be aborted.

    Each goes to the operation that it is about, too.
    """

    def __init__(self) -> None:
        super().__init__()
        self.retries = 0
        self.not_aborted = 0

    def emit(self, record: logging.LogRecord) -> None:
        line = record.getMessage()
        self.retries += "; attempt " in line
        self.not_aborted += "was not aborted" in line
        lines_of_operation.get().append(line)


@contextmanager
def heard_of() -> Iterator[set[str]]:
    """Give the ids of the uploads that a client was told of."""
    ids: set[str] = set()
    begin = S3Upload._begin

    async def note(upload: S3Upload) -> None:
        await begin(upload)
        ids.add(upload._id)

    with mock.patch.object(S3Upload, "_begin", note):
        yield ids


async def uploads_at(rig: SeaweedRig) -> dict[str, str]:
    """Return the keys of the uploads that are open, by their ids, as the provider's own SDK sees them."""
    pages = rig.client.get_paginator("list_multipart_uploads").paginate(Bucket=rig.real_name)
    return {one["UploadId"]: one["Key"] async for page in pages for one in page.get("Uploads", [])}


def sockets_open() -> int:
    """Return how many sockets this process has."""
    links = (path.readlink() for path in Path("/proc/self/fd").iterdir() if path.is_symlink())
    return sum(str(link).startswith("socket:") for link in links)


def temporary_files(work: Path) -> list[str]:
    """Return the hidden files below a folder: the soak itself makes none."""
    return [str(path) for path in work.rglob(".*") if path.is_file()]


async def soak(
    server: LocalServer,
    work: Path,
    *,
    seed: int,
    workers: int,
    seconds: float,
    at_least: int = 0,
    rate: float = 0.05,
) -> Figures:
    """Run for so many seconds, and until at least so many operations were done."""
    figures = Figures(seed=seed)
    warnings = Warnings()
    log = logging.getLogger("airflow_provider_neuro_buckets")
    log.addHandler(warnings)
    begun, tasks = time.monotonic(), asyncio.all_tasks()

    def is_over() -> bool:
        return time.monotonic() - begun > seconds and figures.operations.total() >= at_least

    async with (
        server.rig() as rig,
        proxies_apart(server.platform.buckets_url, endpoint_of(rig)[1], seed=seed, rate=rate) as proxies,
    ):
        await rig.names()  # its own connection is open from here on
        sockets = sockets_open()
        with heard_of() as heard:
            async with client(server, proxies) as buckets:
                soaked = Soaked(buckets, str(rig.bucket.name), work, figures, is_over)
                async with asyncio.TaskGroup() as group:
                    for number in range(workers):
                        group.create_task(soaked.worker(number))
            figures.seconds = time.monotonic() - begun
            figures.most_memory_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // KIB
        await asyncio.sleep(0.1)  # the loop lets go of what was closed
        figures.sockets_left = max(0, sockets_open() - sockets)
        await soaked.compare(rig)
        figures.count(await proxies.crossed(), await uploads_at(rig), heard)
    figures.tasks_left = [repr(task) for task in asyncio.all_tasks() - tasks]
    figures.files_left = temporary_files(work)
    figures.retries, figures.not_aborted = warnings.retries, warnings.not_aborted
    log.removeHandler(warnings)
    return figures


@asynccontextmanager
async def client(server: LocalServer, proxies: Apart) -> AsyncIterator[Buckets]:
    """Open a client of the platform whose every request passes a proxy, to the platform and to the storage."""
    platform = server.platform
    config = BucketsConfig(
        buckets_url=proxies.url,
        token=platform.token,
        cluster_name=platform.cluster_name,
        org_name=platform.org_name,
        project_name=platform.project_name,
        timeout_seconds=SILENCE,
    )
    with small_parts():
        async with Buckets.open(config) as buckets:
            yield buckets


def write(figures: Figures) -> None:
    """Put figures into the document."""
    begin, end = "<!-- soak: made by tests/faults/soak.py -->\n", "<!-- /soak -->\n"
    before, _, rest = DOCUMENT.read_text().partition(begin)
    rows = "".join(f"| {name} | {value} |\n" for name, value in [("what", "figure"), ("---", "---"), *figures.rows()])
    DOCUMENT.write_text(before + begin + rows + end + rest.partition(end)[2])


def show(*lines: str) -> None:
    """Print lines at once."""
    for line in lines:
        print(line, flush=True)  # noqa: T201 - a command prints


def main() -> None:
    """Run a soak from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=1800)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10_000))
    parser.add_argument("--workers", type=int, default=12)
    parser.add_argument("--write", action="store_true", help="write the figures into docs/reliability.md")
    asked = parser.parse_args()
    show(f"seed {asked.seed}")
    logging.getLogger("airflow_provider_neuro_buckets").propagate = False
    with serve() as server, tempfile.TemporaryDirectory(prefix="soak-") as work:
        running = soak(server, Path(work), seed=asked.seed, workers=asked.workers, seconds=asked.seconds)
        figures = asyncio.run(running)
    show(*(f"{name:60} {value}" for name, value in figures.rows()))
    for one in figures.failed:
        show(f"{one.kind}: {one.error}", *(f"    {line}" for line in one.lines))
    show(*figures.wrong, *figures.uploads_left, *figures.files_left, *figures.tasks_left)
    if asked.write:
        write(figures)
    sys.exit(not figures.is_clean)


if __name__ == "__main__":
    main()
