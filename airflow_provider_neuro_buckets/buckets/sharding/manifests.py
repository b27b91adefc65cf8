"""Manifests as blobs: what they are called, what stands at their head, and how they are written and fetched."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing
from itertools import islice
from pathlib import Path

from airflow_provider_neuro_buckets.buckets.errors import ConfigurationError, ResourceNotFound
from airflow_provider_neuro_buckets.buckets.sharding.entries import Entry
from airflow_provider_neuro_buckets.buckets.sharding.opened import OpenedJob
from airflow_provider_neuro_buckets.buckets.sharding.spool import lines_of, member
from airflow_provider_neuro_buckets.buckets.sharding.values import Action
from airflow_provider_neuro_buckets.buckets.stores.base import BlobStore
from airflow_provider_neuro_buckets.buckets.threads import in_thread
from airflow_provider_neuro_buckets.buckets.transfer.content import put_content, read_content

DONE = ".done"
"""Behind the key of a manifest: which of its items are done."""
RESULT = ".result.gz"
"""Behind the key of a manifest: what has come of its shard."""
REPORT = "report.json"
"""In the folder of a plan."""
_AT_ONCE = 1024 * 1024


def key_of(home: str, number: int) -> str:
    """Return the key of a manifest in the folder of its plan."""
    return f"{home}{number:05}.ndjson.gz"


def head_of(action: Action, opened: OpenedJob) -> bytes:
    """Return the first line of a manifest: what it is for."""
    return json.dumps({"action": action, "src": opened.src.address(), "dst": opened.dst.address()}).encode()


async def put_lines(store: BlobStore, key: str, head: bytes, path: Path) -> None:
    """Write a blob of lines, compressed: a first one, and those of a local file that is."""

    async def content() -> AsyncGenerator[bytes, None]:
        yield member(head + b"\n")
        with path.open("rb") as file:
            while chunk := await in_thread(lambda: file.read(_AT_ONCE)):
                yield chunk

    await put_content(store, key, content())


async def fetch(store: BlobStore, key: str, path: Path) -> None:
    """Write a blob to a local file.

    A shard takes its time: nobody keeps a connection open for it, and no blob that is replaced meanwhile disturbs it.

    :raises ResourceNotFound: there is no such blob.
    """
    with path.open("wb") as file:
        async with aclosing(read_content(store, key)) as chunks:
            async for chunk in chunks:
                file.write(chunk)


async def fetch_manifest(store: BlobStore, key: str, path: Path, *, head: bytes) -> None:
    """Write a manifest to a local file.

    :raises ResourceNotFound: there is no such manifest.
    :raises ConfigurationError: it is not what it should be for.
    """
    try:
        await fetch(store, key, path)
    except ResourceNotFound:
        raise ResourceNotFound(
            f"there is no manifest {store.address(key)}: its plan was concluded, or is no more", remedy="Plan again"
        ) from None
    if next(lines_of(path), None) != head:
        raise ConfigurationError(
            f"the manifest {store.address(key)} was not made for this: {head.decode()}",
            remedy="Pass the job that was planned",
        )


def entries_of(path: Path) -> Iterator[Entry]:
    """Yield the items of a manifest in a local file. Blocking, for no longer than it takes to read some kilobytes."""
    return map(Entry.of, islice(lines_of(path), 1, None))
