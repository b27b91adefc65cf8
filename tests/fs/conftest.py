from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from anyio.from_thread import start_blocking_portal

import airflow_provider_neuro_buckets.fs.path  # noqa: F401 - an old universal_pathlib must be told of it
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


@contextmanager
def connection_to(servers: Servers, provider: str) -> Iterator[tuple[str, str]]:
    """Make a bucket of a provider; give a connection to it, with no platform, and its name there, for a while.

    What stands before a provider's server is part of this process. It has a thread of its own: the filesystem blocks
    the one that asks.
    """
    server = servers.running(provider)
    with start_blocking_portal() as portal, portal.wrap_async_context_manager(server.rig()) as rig:
        extra = {"persistent_credentials_secret": secret_of(rig.bucket, **rig.keys.credentials)}
        yield json.dumps({"conn_type": "neuro_buckets", "extra": extra}), str(rig.bucket.name)


@pytest.fixture(scope="session")
def moto(servers: Servers) -> Iterator[tuple[str, str]]:
    """A connection to a storage that takes every key, and its bucket."""
    with connection_to(servers, "aws") as connection:
        yield connection


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
