"""What the workers of a soak do, and what must then be true of every file and blob."""

from __future__ import annotations

import random
import re
import struct
import sys
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path

from airflow_provider_neuro_buckets.buckets import Buckets, BucketsError, ResourceNotFound, TransferError
from conformance.rigs.seaweedfs import SeaweedRig
from faults.apart import Crossed

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

Version = int | None
"""Which content a key has; `None`: there is no blob."""

lines_of_operation: ContextVar[list[str]] = ContextVar("lines_of_operation", default=[])  # noqa: B039 - nobody reads it
"""The lines of the log about what is being done here."""
_ATTEMPT = re.compile(r"; attempt (\d+) in ")


def content_of(version: int) -> bytes:
    """Return a content that tells which one it is, and that no part of another can be mistaken for."""
    dice = random.Random(version)
    size = dice.choice(_LARGE if dice.random() < LARGE_SHARE else _SMALL)
    head = _HEAD.pack(version, size)[:size]
    return head + dice.randbytes(size - len(head))


@dataclass(frozen=True, kw_only=True)
class Failed:
    """An operation that ended with an error.

    :ivar lines: what the log told of it before.
    """

    operation: str
    error: Exception
    lines: list[str]

    @property
    def kind(self) -> str:
        """What was done, and what became of it: of a folder, of the files that failed."""
        errors = self.error.failures.values() if isinstance(self.error, TransferError) else [self.error]
        return f"{self.operation} {', '.join(sorted({type(error).__name__ for error in errors}))}"

    @property
    def attempts(self) -> int:
        """Of the request that was made most often, how often it was."""
        return max((int(found[1]) for line in self.lines if (found := _ATTEMPT.search(line))), default=1)


@dataclass(kw_only=True)
class Figures:
    """What a soak found. The last five must be zero.

    :ivar unheard: uploads that were begun, while the answer with their id was lost: nobody can end them.
    :ivar uploads_left: the key of each other upload that was not ended, and the requests about it.
    """

    seed: int
    seconds: float = 0.0
    operations: Counter[str] = field(default_factory=Counter)
    failed: list[Failed] = field(default_factory=list)
    files: int = 0
    bytes_moved: int = 0
    requests: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    retries: int = 0
    not_aborted: int = 0
    most_memory_mib: int = 0
    unheard: int = 0
    wrong: list[str] = field(default_factory=list)
    uploads_left: list[str] = field(default_factory=list)
    files_left: list[str] = field(default_factory=list)
    sockets_left: int = 0
    tasks_left: list[str] = field(default_factory=list)

    def count(self, crossed: Crossed, uploads: Mapping[str, str], heard: set[str]) -> None:
        """Take note of what has passed the proxies, and of uploads that are open in the end.

        :param uploads: their keys, by id.
        :param heard: the ids that the client was told.
        """
        self.requests, self.faults = crossed.requests, crossed.faults
        unknown = Counter(key for upload, key in uploads.items() if upload not in heard)
        unexplained = unknown - crossed.unheard
        self.unheard = unknown.total() - unexplained.total()
        known = {upload: key for upload, key in uploads.items() if upload in heard}
        self.uploads_left = [
            *(f"{key}, begun unheard" for key in unexplained.elements()),
            *("\n  ".join([f"{key} {upload}", *crossed.about.get(upload, [])]) for upload, key in known.items()),
        ]

    @property
    def is_clean(self) -> bool:
        return not (self.wrong or self.uploads_left or self.files_left or self.sockets_left or self.tasks_left)

    def rows(self) -> list[tuple[str, str]]:
        """Return the figures for people."""
        kinds = ", ".join(f"{kind} {count}" for kind, count in sorted(self.faults.items()))
        attempts = defaultdict[str, list[int]](list)
        for one in self.failed:
            attempts[one.kind].append(one.attempts)
        told = "; ".join(
            f"{kind}: {len(made)}, after up to {max(made)} attempts" for kind, made in sorted(attempts.items())
        )
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
            ("operations that ended with an error", f"{len(self.failed):,} ({told or 'none'})"),
            ("largest memory of the client's process", f"{self.most_memory_mib:,} MiB"),
            ("uploads begun whose answer was lost: their id is unknown", f"{self.unheard:,}"),
            ("files lost, truncated or mixed, good files destroyed", str(len(self.wrong))),
            ("uploads that could not be aborted in time, as the log told", str(self.not_aborted)),
            ("uploads left open that the client knew of", str(len(self.uploads_left))),
            ("temporary files left", str(len(self.files_left))),
            ("sockets left", str(self.sockets_left)),
            ("tasks left", str(len(self.tasks_left))),
        ]


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
        before = lines_of_operation.set([])
        try:
            yield
        except (BucketsError, FileNotFoundError) as error:
            self._figures.failed.append(Failed(operation=what, error=error, lines=lines_of_operation.get()))
        finally:
            lines_of_operation.reset(before)

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
            self.shared[key].discard(None)  # nobody deletes it
        async with self._counted("read shared"):
            path = home / "shared"
            await self._buckets.download_file(self._at(key), path)
            self._see_shared(key, path.read_bytes(), "a download")

    def _see_shared(self, key: str, content: bytes | None, where: str) -> None:
        if not any((None if one is None else content_of(one)) == content for one in self.shared[key]):
            size = "nothing" if content is None else f"{len(content)} bytes"
            self._figures.wrong.append(f"{where} of {key}: {size} that nobody wrote")
        self._moved(content or b"")

    # What must be true in the end

    async def compare(self, rig: SeaweedRig) -> None:
        """Compare the whole bucket, as the provider's own SDK sees it, with what was written."""
        there = set(await rig.names())
        for key in self.may_be.keys() | self.shared.keys() | there:
            content = await rig.get(key) if key in there else None
            if key in self.shared:
                self._see_shared(key, content, "the blob")
            else:
                self._see(key, content, "the blob")
