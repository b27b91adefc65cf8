"""Plays one cell with one client, and judges what came of it."""

from __future__ import annotations

import asyncio
import random
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from benchmarks.faults.bucket import KEY, Blob, Bucket, NoFault, serving
from benchmarks.faults.cell import MIB, Cell, Direction, Occurring, Outcome, Result, Size
from benchmarks.faults.downloads import replaced

OLD = b"what was there before"
_TARGET = "blob.bin"


class Client(Protocol):
    """A program that moves one blob."""

    @property
    def name(self) -> str:
        """How tables call it."""
        ...

    async def move(self, direction: Direction, url: str, local: Path) -> str | None:
        """Upload or download the blob at a server; return what was said of a failure, `None` for a success."""
        ...


@dataclass(frozen=True, slots=True)
class Contents:
    """What is moved, by its size."""

    small: Blob
    large: Blob

    @classmethod
    def of(cls, small: int = 3 * MIB, large: int = 20 * MIB) -> Contents:
        """Make contents of so many bytes."""
        made = random.Random(36)  # noqa: S311 - any bytes do, the same each time
        return cls(Blob.of(made.randbytes(small)), Blob.of(made.randbytes(large)))

    def __getitem__(self, size: Size) -> Blob:
        return self.small if size is Size.SMALL else self.large


async def play(cell: Cell, client: Client, contents: Contents, folder: Path) -> Result:
    """Play one cell in an empty folder.

    :raises RuntimeError: the fault did not occur: the cell shows nothing.
    """
    new = contents[cell.size]
    is_download = cell.direction is Direction.DOWNLOAD
    local = folder / _TARGET
    await asyncio.to_thread(local.write_bytes, OLD if is_download else new.content)
    fault = Occurring(cell)
    async with serving(fault, {KEY: new if is_download else Blob.of(OLD)}) as bucket:
        begun = time.monotonic()
        said = await client.move(cell.direction, bucket.url, local)
        seconds = time.monotonic() - begun
        if not fault.met:
            raise RuntimeError(f"{client.name} never met {cell.name}: it said {said}")
        judge = _downloaded if is_download else _uploaded
        outcome, found, left = await asyncio.to_thread(judge, bucket, local, new, is_told=said is not None)
    return Result(outcome=outcome, found=found, left=left, seconds=seconds, said=said or "")


async def check_rightly(direction: Direction, client: Client, contents: Contents, folder: Path) -> None:
    """See to it that a client moves both sizes where nothing goes wrong: else its cells would show nothing.

    :raises RuntimeError: it does not.
    """
    for size in Size:
        cell_folder = folder / size
        cell_folder.mkdir()
        new = contents[size]
        is_download = direction is Direction.DOWNLOAD
        local = cell_folder / _TARGET
        await asyncio.to_thread(local.write_bytes, OLD if is_download else new.content)
        async with serving(NoFault(), {KEY: new if is_download else Blob.of(OLD)}) as bucket:
            said = await client.move(direction, bucket.url, local)
            found = await asyncio.to_thread(local.read_bytes) if is_download else bucket.blobs[KEY].content
        if said is not None or found != new.content:
            raise RuntimeError(f"{client.name} cannot {direction} a {size} blob from a server without faults: {said}")


def _downloaded(bucket: Bucket, local: Path, new: Blob, *, is_told: bool) -> tuple[Outcome, str, int]:
    there = local.read_bytes() if local.exists() else None
    left = sum(1 for path in local.parent.iterdir() if path != local)
    # Of a blob that is replaced meanwhile, either version is right as long as it is one.
    right = {new.content, replaced(new).content} if bucket.blobs[KEY] is not new else {new.content}
    outcome, found = _judged(there, right, is_told=is_told)
    return outcome, found, left


def _uploaded(bucket: Bucket, _: Path, new: Blob, *, is_told: bool) -> tuple[Outcome, str, int]:
    there = bucket.blobs.get(KEY)
    outcome, found = _judged(there.content if there else None, {new.content}, is_told=is_told)
    if there is None and is_told:
        outcome = Outcome.CLEAN  # nothing wrong can be read there
    return outcome, found, len(bucket.uploads)


def _judged(there: bytes | None, right: set[bytes], *, is_told: bool) -> tuple[Outcome, str]:
    if there in right:
        return (Outcome.CLEAN if is_told else Outcome.CORRECT), "new"
    found = "nothing" if there is None else "old" if there == OLD else "wrong bytes"
    if not is_told:
        return Outcome.SILENT, found
    return (Outcome.CLEAN if there == OLD else Outcome.DESTROYED), found
