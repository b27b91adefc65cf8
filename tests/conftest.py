from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
import uuid
from collections.abc import Awaitable, Callable, Iterator
from typing import TYPE_CHECKING, TypeVar

import pytest

if TYPE_CHECKING:
    from airflow_provider_neuro_buckets.buckets import Buckets
    from airflow_provider_neuro_buckets.local.child import RunningPlatform

T = TypeVar("T")

AIRFLOW_HOME = tempfile.mkdtemp(prefix="neuro-buckets-airflow-")

# Airflow reads its environment when it is first imported, which is after this file and before any test.
os.environ |= {
    "AIRFLOW_HOME": AIRFLOW_HOME,
    "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
    "AIRFLOW__CORE__UNIT_TEST_MODE": "True",  # operators may be executed outside of a task
}


def pytest_unconfigure() -> None:
    shutil.rmtree(AIRFLOW_HOME, ignore_errors=True)


class Platform:
    """A running platform as a test sees it from outside: a client of its own, apart from what is tested."""

    def __init__(self, running: RunningPlatform) -> None:
        self.running = running

    def ask(self, question: Callable[[Buckets], Awaitable[T]]) -> T:
        """Await `question(client)` with a client that is open for as long."""
        from airflow_provider_neuro_buckets.buckets import Buckets  # noqa: PLC0415 - not for tests of other rooms

        async def ask() -> T:
            async with Buckets.open(self.running.config) as buckets:
                return await question(buckets)

        return asyncio.run(ask())

    def put(self, bucket: str, **blobs: bytes) -> None:
        """Put some blobs."""

        async def put(buckets: Buckets) -> None:
            for key, content in blobs.items():
                await buckets.put_blob(bucket, key, content)

        self.ask(put)

    def keys(self, bucket: str) -> list[str]:
        """Return all keys of a bucket."""

        async def keys(buckets: Buckets) -> list[str]:
            return [entry.key async for entry in buckets.list_blobs(f"blob:{bucket}", recursive=True, limit=None)]

        return self.ask(keys)

    def buckets(self) -> list[str | None]:
        """Return the names of all buckets."""

        async def names(buckets: Buckets) -> list[str | None]:
            return [bucket.name async for bucket in buckets.list()]

        return self.ask(names)


@pytest.fixture
def platform(neuro_buckets_local: RunningPlatform, monkeypatch: pytest.MonkeyPatch) -> Platform:
    """A local platform, and the default Airflow connection to it."""
    monkeypatch.setenv("AIRFLOW_CONN_NEURO_BUCKETS_DEFAULT", neuro_buckets_local.connection)
    return Platform(neuro_buckets_local)


@pytest.fixture
def bucket(platform: Platform) -> Iterator[str]:
    """The name of a fresh bucket."""
    name = f"test-{uuid.uuid4().hex[:12]}"
    platform.ask(lambda buckets: buckets.create(name))
    yield name
    if name in platform.buckets():
        platform.ask(lambda buckets: buckets.rm(name, force=True))
