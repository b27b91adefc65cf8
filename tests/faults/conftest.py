from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack

import pytest

from airflow_provider_neuro_buckets.local.child import RunningPlatform
from conformance.rigs.base import Rig
from conformance.rigs.registry import RIGS, Servers
from conformance.rigs.seaweedfs import LocalServer


@pytest.fixture(scope="session")
def servers() -> Iterator[Servers]:
    with ExitStack() as stack:
        yield Servers(stack)


@pytest.fixture(scope="session")
def neuro_buckets_local(servers: Servers) -> RunningPlatform:
    """The local platform that the rig of SeaweedFS runs anyway."""
    server = servers.running("seaweedfs")
    assert isinstance(server, LocalServer)
    return server.platform


@pytest.fixture(params=sorted(RIGS))
async def rig(request: pytest.FixtureRequest, servers: Servers) -> AsyncIterator[Rig]:
    """A fresh bucket of each provider in turn, or of those that the test names."""
    async with servers.running(request.param).rig() as rig:
        yield rig


@pytest.fixture
async def seaweedfs(servers: Servers) -> AsyncIterator[Rig]:
    """A fresh bucket of the server behind the local platform."""
    async with servers.running("seaweedfs").rig() as rig:
        yield rig
