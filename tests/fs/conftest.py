from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_neuro_buckets.buckets.models import Bucket, BucketCredentials
from airflow_provider_neuro_buckets.fs.blob import BlobFileSystem
from conformance.rigs.registry import Servers
from platform_rig import Platform
from promises.scene import secret_of


@pytest.fixture
def fs(platform: Platform) -> Iterator[BlobFileSystem]:  # noqa: ARG001 - it is the default connection
    """The filesystem on the default connection, which is a local platform."""
    with opened() as fs:
        yield fs


@contextmanager
def opened(conn_id: str | None = None) -> Iterator[BlobFileSystem]:
    """Open a filesystem that no other test has used; close it afterwards."""
    named: dict[str, Any] = {} if conn_id is None else {"conn_id": conn_id}
    fs = BlobFileSystem(**named, skip_instance_cache=True)
    try:
        yield fs
    finally:
        fs.close()


@pytest.fixture(scope="session")
def servers() -> Iterator[Servers]:
    """The servers of the conformance suite."""
    with ExitStack() as stack:
        yield Servers(stack)


def connection_to(servers: Servers, provider: str) -> tuple[str, str]:
    """Make a bucket of a provider; return a connection to it, with no platform, and its name there."""

    async def make() -> tuple[Bucket, BucketCredentials]:
        async with servers.running(provider).rig() as rig:
            return rig.bucket, rig.keys

    bucket, keys = asyncio.run(make())
    secret = secret_of(bucket, **keys.credentials)
    extra = {"persistent_credentials_secret": secret}
    return json.dumps({"conn_type": "neuro_buckets", "extra": extra}), str(bucket.name)


@pytest.fixture(scope="session")
def moto(servers: Servers) -> tuple[str, str]:
    """A connection to a storage that takes every key, and its bucket."""
    return connection_to(servers, "aws")


@pytest.fixture
def exact(moto: tuple[str, str], monkeypatch: pytest.MonkeyPatch) -> Iterator[BlobFileSystem]:
    """A filesystem on moto, whose bucket `models` is emptied at the end."""
    connection, bucket = moto
    monkeypatch.setenv("AIRFLOW_CONN_EXACT", connection)
    with opened("exact") as fs:
        yield fs
        for name in fs.find(bucket):
            fs.rm_file(name)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A small local tree."""
    for name in ("a.txt", "deep/b.txt", "deep/er/c.txt"):
        path = tmp_path / "folder" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    return tmp_path / "folder"
