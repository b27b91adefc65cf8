"""The soak: uploads and downloads through proxies in which some of all requests fail, then a search for what is wrong.

``python tests/faults/soak.py --seconds 1800`` runs it, and writes its figures into docs with ``--write``.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import random
import resource
import struct
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from unittest import mock
from urllib.parse import unquote

from airflow_provider_neuro_buckets.buckets import Buckets, BucketsConfig, BucketsError, ResourceNotFound
from airflow_provider_neuro_buckets.buckets.transfer import fetch, plan, upload
from conformance.rigs.seaweedfs import LocalServer, SeaweedRig, serve
from faults import storm
from faults.proxy import FaultProxy, fault_proxy
from faults.toxics import Answer, Late, ResetRequest, StallRequest

DOCUMENT = Path(__file__).parents[2] / "docs" / "reliability.md"
KIB = 1024
PART = 5 * 1024 * KIB
"""The smallest part that S3 takes."""
RANGE = 1024 * KIB
"""What is read at once: a file of some MiB comes in many ranges."""
_HEAD = struct.Struct(">QQ")
_SMALL = (0, 1, 15, 16, 4 * KIB, 60 * KIB, 300 * KIB)
_LARGE = (RANGE, 2 * RANGE + 1, 3 * RANGE + 7, PART, PART + 1, 2 * PART + 99)
LARGE_SHARE = 0.2
KEYS = 6
SHARED = 3
TREE = 8

_NOT_ACTED = (Answer, Late, ResetRequest, StallRequest)
"""Faults after which the server has begun nothing, or the client hears of it."""

Version = int | None
"""Which content a key has; `None`: there is no blob."""


def content_of(version: int) -> bytes:
    """Return a content that tells which one it is, and that no part of another can be mistaken for."""
    dice = random.Random(version)
    size = dice.choice(_LARGE if dice.random() < LARGE_SHARE else _SMALL)
    head = _HEAD.pack(version, size)[:size]
    return head + dice.randbytes(size - len(head))


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


@dataclass(kw_only=True)
class Figures:
    """What a soak found. The last five must be zero.

    :ivar unheard: keys of uploads that were begun, while the answer with their id was lost: nobody can end them.
    """

    seed: int
    seconds: float = 0.0
    operations: Counter[str] = field(default_factory=Counter)
    told: Counter[str] = field(default_factory=Counter)
    files: int = 0
    bytes_moved: int = 0
    requests: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    retries: int = 0
    most_memory_mib: int = 0
    unheard: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    uploads_left: list[str] = field(default_factory=list)
    files_left: list[str] = field(default_factory=list)
    sockets_left: int = 0
    tasks_left: list[str] = field(default_factory=list)

    @property
    def is_clean(self) -> bool:
        return not (self.wrong or self.uploads_left or self.files_left or self.sockets_left or self.tasks_left)

    def rows(self) -> list[tuple[str, str]]:
        """Return the figures for people."""
        kinds = ", ".join(f"{kind} {count}" for kind, count in sorted(self.faults.items()))
        told = ", ".join(f"{kind} {count}" for kind, count in sorted(self.told.items())) or "none"
        return [
            ("seed", str(self.seed)),
            ("duration", f"{self.seconds:,.0f} s"),
            ("operations", f"{self.operations.total():,}"),
            (
                "files moved, and compared with what they must be",
                f"{self.files:,} ({self.bytes_moved / 2**30:.1f} GiB)",
            ),
            ("requests", f"{self.requests:,}"),
            ("requests that failed", f"{self.faults.total():,} ({kinds})"),
            ("attempts made again", f"{self.retries:,}"),
            ("operations that ended with an error", f"{self.told.total():,} ({told})"),
            ("largest memory of the process, proxies included", f"{self.most_memory_mib:,} MiB"),
            ("uploads begun whose answer was lost: their id is unknown", f"{self.unheard.total():,}"),
            ("files lost, truncated or mixed, good files destroyed", str(len(self.wrong))),
            ("uploads left open whose beginning was answered", str(len(self.uploads_left))),
            ("temporary files left", str(len(self.files_left))),
            ("sockets left", str(self.sockets_left)),
            ("tasks left", str(len(self.tasks_left))),
        ]


class Retries(logging.Handler):
    """Counts the lines that tell of another attempt."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def emit(self, record: logging.LogRecord) -> None:
        self.count += "; attempt " in record.getMessage()


class Soaked:
    """What is done, and what must then be true of it.

    :ivar may_be: which versions each key may have: two after a write that failed, until one of them is seen.
    :param is_over: tells when to stop.
    """

    def __init__(
        self, buckets: Buckets, bucket: str, work: Path, figures: Figures, is_over: Callable[[], bool]
    ) -> None:
        self._buckets = buckets
        self._bucket = bucket
        self._work = work
        self._figures = figures
        self._is_over = is_over
        self._versions = iter(range(figures.seed * 1_000_000, sys.maxsize))
        self.may_be: dict[str, set[Version]] = {}
        self.shared: dict[str, set[Version]] = {}

    async def worker(self, number: int) -> None:
        """Do one thing after another with keys and files of its own, and read and write a few that all share."""
        dice = random.Random(f"{self._figures.seed} {number}")
        home = self._work / str(number)
        home.mkdir()
        things: list[Callable[[], Awaitable[None]]] = [
            lambda: self._up(self._own(dice, number), home),
            lambda: self._down(self._own(dice, number), home),
            lambda: self._down(self._own(dice, number), home),
            lambda: self._put(self._own(dice, number)),
            lambda: self._remove(self._own(dice, number)),
            lambda: self._tree(f"{number}/tree", home),
            lambda: self._share(f"shared/{dice.randrange(SHARED)}", home),
        ]
        while not self._is_over():
            await dice.choice(things)()

    def _own(self, dice: random.Random, number: int) -> str:
        return f"{number}/{dice.randrange(KEYS)}"

    def _at(self, key: str) -> str:
        return f"blob:{self._bucket}/{key}"

    @asynccontextmanager
    async def _counted(self, what: str) -> AsyncIterator[None]:
        """Count an operation; an error is one way to end."""
        self._figures.operations[what] += 1
        try:
            yield
        except (BucketsError, FileNotFoundError) as error:
            self._figures.told[type(error).__name__] += 1

    def _moved(self, content: bytes) -> None:
        self._figures.files += 1
        self._figures.bytes_moved += len(content)

    def _written(self, key: str, version: Version) -> None:
        self.may_be[key] = {version}

    def _see(self, key: str, content: bytes | None, where: str) -> None:
        """Compare what a key was seen to have with what it may have."""
        allowed = self.may_be.get(key, {None})
        found = [one for one in allowed if (None if one is None else content_of(one)) == content]
        if found:
            self.may_be[key] = set(found)
            self._moved(content or b"")
        else:
            size = "nothing" if content is None else f"{len(content)} bytes"
            self._figures.wrong.append(f"{where} of {key}: {size}, may be {allowed}")

    # What is done

    async def _up(self, key: str, home: Path) -> None:
        version = next(self._versions)
        path = home / f"up-{key.partition('/')[2]}"
        path.write_bytes(content_of(version))
        self.may_be[key] = self.may_be.get(key, {None}) | {version}
        async with self._counted("upload_file"):
            await self._buckets.upload_file(path, self._at(key))
            self._written(key, version)

    async def _put(self, key: str) -> None:
        version = next(self._versions)
        content = content_of(version)

        async def pieces() -> AsyncIterator[bytes]:
            for at in range(0, len(content), RANGE):
                yield content[at : at + RANGE]

        self.may_be[key] = self.may_be.get(key, {None}) | {version}
        async with self._counted("put_blob"):
            await self._buckets.put_blob(self._bucket, key, pieces())
            self._written(key, version)

    async def _remove(self, key: str) -> None:
        self.may_be[key] = self.may_be.get(key, {None}) | {None}
        async with self._counted("blob_rm"):
            try:
                await self._buckets.blob_rm(self._at(key))
            except ResourceNotFound:
                if None not in self.may_be[key]:
                    raise
            self._written(key, None)

    async def _down(self, key: str, home: Path) -> None:
        """Download over what is there, which stays if that fails."""
        path = home / f"down-{key.partition('/')[2]}"
        before = path.read_bytes() if path.exists() else None
        async with self._counted("download_file"):
            try:
                await self._buckets.download_file(self._at(key), path)
            except ResourceNotFound:
                self._see(key, None, "a download")
            except BucketsError:
                after = path.read_bytes() if path.exists() else None
                if after != before:
                    self._figures.wrong.append(f"a failed download of {key} changed the file that was there")
                raise
            else:
                self._see(key, path.read_bytes(), "a download")

    async def _tree(self, prefix: str, home: Path) -> None:
        """Upload a folder over the last one, and download it."""
        src, dst = home / "tree-up", home / "tree-down"
        src.mkdir(exist_ok=True)
        versions = {f"{prefix}/f{number}": next(self._versions) for number in range(TREE)}
        for key, version in versions.items():
            (src / key.rpartition("/")[2]).write_bytes(content_of(version))
            self.may_be[key] = self.may_be.get(key, {None}) | {version}
        async with self._counted("upload_dir"):
            await self._buckets.upload_dir(src, self._at(prefix))
            for key, version in versions.items():
                self._written(key, version)
        async with self._counted("download_dir"):
            await self._buckets.download_dir(self._at(prefix), dst)
            for key in versions:
                path = dst / key.rpartition("/")[2]
                self._see(key, path.read_bytes() if path.exists() else None, "a folder's download")

    async def _share(self, key: str, home: Path) -> None:
        """Write a key that others write and read at the same time, and read it: some version of it, whole."""
        version = next(self._versions)
        self.shared.setdefault(key, {None}).add(version)
        async with self._counted("write shared"):
            await self._buckets.put_blob(self._bucket, key, content_of(version))
        async with self._counted("read shared"):
            path = home / "shared"
            await self._buckets.download_file(self._at(key), path)
            self._see_shared(key, path.read_bytes(), "a download")

    def _see_shared(self, key: str, content: bytes, where: str) -> None:
        if not any(one is not None and content_of(one) == content for one in self.shared[key]):
            self._figures.wrong.append(f"{where} of {key}: {len(content)} bytes that nobody wrote")
        self._moved(content)

    # What must be true in the end

    async def compare(self, rig: SeaweedRig) -> None:
        """Compare the whole bucket, as the provider's own SDK sees it, with what was written."""
        there = set(await rig.names())
        for key in self.may_be.keys() | self.shared.keys() | there:
            content = await rig.get(key) if key in there else None
            if key in self.shared:
                self._see_shared(key, content or b"?", "the blob")
            else:
                self._see(key, content, "the blob")


def unheard(storage: FaultProxy) -> Counter[str]:
    """Return the keys of uploads that a server began, and a client never heard of."""
    return Counter(
        unquote(seen.target.partition("?")[0].split("/", 2)[2])
        for seen in storage.struck
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
    retries = Retries()
    log = logging.getLogger("airflow_provider_neuro_buckets")
    log.addHandler(retries)
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
    figures.retries = retries.count
    figures.most_memory_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // KIB
    log.removeHandler(retries)
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
