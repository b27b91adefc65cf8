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
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from pathlib import Path
from unittest import mock
from urllib.parse import unquote

from airflow_provider_neuro_buckets.buckets import Buckets, BucketsConfig
from airflow_provider_neuro_buckets.buckets.transfer import fetch, plan, upload
from conformance.rigs.seaweedfs import LocalServer, SeaweedRig, serve
from faults import storm
from faults.proxy import FaultProxy, fault_proxy
from faults.soaked import KIB, PART, RANGE, Figures, Soaked
from faults.toxics import Answer, Disguise, ResetRequest, StallRequest, Truncate

DOCUMENT = Path(__file__).parents[2] / "docs" / "reliability.md"
_NOT_ACTED = (Answer, ResetRequest, StallRequest)
"""Faults of which the server hears nothing."""


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
    """Counts the lines that tell of another attempt, and of an upload that could not be aborted."""

    def __init__(self) -> None:
        super().__init__()
        self.retries = 0
        self.not_aborted = 0

    def emit(self, record: logging.LogRecord) -> None:
        self.retries += "; attempt " in record.getMessage()
        self.not_aborted += "was not aborted" in record.getMessage()


def unheard(storage: FaultProxy) -> Counter[str]:
    """Return the keys of uploads that a server may have begun, and a client never heard of."""
    told_otherwise = [seen for seen in storage.struck if isinstance(seen.fault, Disguise | Truncate)]
    return Counter(
        unquote(seen.target.partition("?")[0].split("/", 2)[2])
        for seen in {seen.number: seen for seen in (*storage.unheard, *told_otherwise)}.values()
        if seen.method == "POST" and seen.target.endswith("?uploads=") and not isinstance(seen.fault, _NOT_ACTED)
    )


def sockets_open() -> int:
    """Return how many sockets this process has."""
    links = (path.readlink() for path in Path("/proc/self/fd").iterdir() if path.is_symlink())
    return sum(str(link).startswith("socket:") for link in links)


def temporary_files(work: Path) -> list[str]:
    """Return the hidden files below a folder: the soak itself makes none."""
    return [str(path) for path in work.rglob(".*") if path.is_file()]


async def soak(
    server: LocalServer, work: Path, *, seed: int, workers: int, seconds: float, requests: float, rate: float = 0.05
) -> Figures:
    """Run for so many seconds or until so many requests were made, whichever comes first."""
    figures = Figures(seed=seed)
    warnings = Warnings()
    log = logging.getLogger("airflow_provider_neuro_buckets")
    log.addHandler(warnings)
    begun, tasks = time.monotonic(), asyncio.all_tasks()
    async with server.rig() as rig:
        await rig.names()  # its own connection is open from here on
        sockets = sockets_open()
        async with client(server, rig, seed=seed, rate=rate) as (buckets, proxies):

            def is_over() -> bool:
                made = sum(len(proxy.seen) for proxy in proxies)
                return time.monotonic() - begun > seconds or made >= requests

            soaked = Soaked(buckets, str(rig.bucket.name), work, figures, is_over)
            async with asyncio.TaskGroup() as group:
                for number in range(workers):
                    group.create_task(soaked.worker(number))
        figures.seconds = time.monotonic() - begun
        await soaked.compare(rig)
        figures.unheard = unheard(proxies[1])
        figures.uploads_left = sorted((Counter(await rig.unfinished()) - figures.unheard).elements())
        await asyncio.sleep(0.1)  # the loop lets go of what was closed
        figures.sockets_left = max(0, sockets_open() - sockets)
    figures.tasks_left = [repr(task) for task in asyncio.all_tasks() - tasks]
    figures.files_left = temporary_files(work)
    for proxy in proxies:
        figures.requests += len(proxy.seen)
        figures.faults += Counter(type(seen.fault).__name__ for seen in proxy.struck)
    figures.retries, figures.not_aborted = warnings.retries, warnings.not_aborted
    figures.most_memory_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // KIB
    log.removeHandler(warnings)
    return figures


@asynccontextmanager
async def client(
    server: LocalServer, rig: SeaweedRig, *, seed: int, rate: float
) -> AsyncIterator[tuple[Buckets, list[FaultProxy]]]:
    """Open a client of the platform whose every request passes a proxy, to the platform and to the storage."""
    platform = server.platform
    endpoint = rig.keys.credentials["endpoint_url"]
    async with fault_proxy(platform.buckets_url) as front, fault_proxy(endpoint) as behind:
        front.plan, behind.plan = storm.control_plane(seed=seed, rate=rate), storm.storage(seed=seed + 1, rate=rate)
        front.renamed[endpoint] = behind.url
        config = BucketsConfig(
            buckets_url=front.url,
            token=platform.token,
            cluster_name=platform.cluster_name,
            org_name=platform.org_name,
            project_name=platform.project_name,
            timeout_seconds=2,
        )
        with small_parts():
            async with Buckets.open(config) as buckets:
                yield buckets, [front, behind]


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
    parser.add_argument("--workers", type=int, default=16)
    parser.add_argument("--write", action="store_true", help="write the figures into docs/reliability.md")
    asked = parser.parse_args()
    show(f"seed {asked.seed}")
    logging.getLogger("airflow_provider_neuro_buckets").propagate = False
    with serve() as server, tempfile.TemporaryDirectory(prefix="soak-") as work:
        running = soak(
            server, Path(work), seed=asked.seed, workers=asked.workers, seconds=asked.seconds, requests=float("inf")
        )
        figures = asyncio.run(running)
    show(*(f"{name:60} {value}" for name, value in figures.rows()))
    show(*figures.wrong, *figures.uploads_left, *figures.files_left, *figures.tasks_left)
    if asked.write:
        write(figures)
    sys.exit(not figures.is_clean)


if __name__ == "__main__":
    main()
