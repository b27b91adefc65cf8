from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from uuid import uuid4

import fsspec
import pytest

from airflow_provider_neuro_buckets.buckets.sharding import FilesystemEnd
from buckets.sharding.sites import Site, Sites
from buckets.transfer.clients import client
from conformance.rigs.registry import Servers


@pytest.fixture
async def sites(servers: Servers) -> AsyncIterator[Sites]:
    """Makes fresh buckets of any provider, each with a client of its own."""
    async with AsyncExitStack() as stack:

        async def site(provider: str) -> Site:
            rig = await stack.enter_async_context(servers.running(provider).rig())
            return Site(rig, await stack.enter_async_context(client((rig.bucket, rig.keys))))

        yield site


@pytest.fixture
def memory() -> Iterator[FilesystemEnd]:
    """A folder of a filesystem of another kind, which is not there yet."""
    fs, above = fsspec.filesystem("memory"), f"/{uuid4().hex}"
    yield FilesystemEnd(fs, f"{above}/folder")
    if fs.exists(above):
        fs.rm(above, recursive=True)


@pytest.fixture
async def aws(sites: Sites) -> Site:
    """A bucket of a server that lists keys in their order."""
    return await sites("aws")


@pytest.fixture
async def aws_too(sites: Sites) -> Site:
    """One more bucket there, with another client."""
    return await sites("aws")
