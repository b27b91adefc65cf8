from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from conformance.rigs.base import Rig
from conformance.rigs.registry import RIGS, Servers


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
