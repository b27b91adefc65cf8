from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest

from airflow_provider_neuro_buckets.buckets import Buckets
from conformance.rigs.base import Rig
from conformance.rigs.registry import RIGS, Servers

if TYPE_CHECKING:
    from airflow_provider_neuro_buckets.local.child import RunningPlatform


@pytest.fixture
async def aws(servers: Servers) -> AsyncIterator[Rig]:
    """A fresh bucket of a server that takes every key as it is."""
    async with servers.running("aws").rig() as rig:
        yield rig


@pytest.fixture
async def seaweedfs(servers: Servers) -> AsyncIterator[Rig]:
    """A fresh bucket of the server behind the local platform."""
    async with servers.running("seaweedfs").rig() as rig:
        yield rig


@pytest.fixture(params=["aws", "seaweedfs"])
async def s3(request: pytest.FixtureRequest, servers: Servers) -> AsyncIterator[Rig]:
    """A fresh bucket of each of these two."""
    async with servers.running(request.param).rig() as rig:
        yield rig


@pytest.fixture(params=sorted(RIGS))
async def rig(request: pytest.FixtureRequest, servers: Servers) -> AsyncIterator[Rig]:
    """A fresh bucket of each provider in turn."""
    async with servers.running(request.param).rig() as rig:
        yield rig


@pytest.fixture
def no_open_files(tmp_path: Path) -> Iterator[None]:
    """See to it that a test leaves none of its files open."""
    yield
    links = [path.readlink() for path in Path("/proc/self/fd").iterdir() if path.is_symlink()]
    assert [link for link in links if link.is_relative_to(tmp_path)] == []


@pytest.fixture(scope="module")
def module_bucket(neuro_buckets_local: RunningPlatform) -> str:
    """A bucket of the local platform for one module of tests."""
    name = f"transfers-{uuid4().hex[:12]}"

    async def create() -> None:
        async with Buckets.open(neuro_buckets_local.config) as buckets:
            await buckets.create(name)

    asyncio.run(create())
    return name


@pytest.fixture
async def buckets(neuro_buckets_local: RunningPlatform) -> AsyncIterator[Buckets]:
    """An open client of the local platform."""
    async with Buckets.open(neuro_buckets_local.config) as buckets:
        yield buckets


@pytest.fixture
def place(module_bucket: str) -> str:
    """The address of a folder that is this test's own."""
    return f"blob:{module_bucket}/{uuid4().hex[:8]}"
