from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from conformance.rigs.base import Rig
from conformance.rigs.registry import RIGS, Servers


@pytest.fixture(params=sorted(RIGS))
async def rig(request: pytest.FixtureRequest, servers: Servers) -> AsyncIterator[Rig]:
    """A fresh bucket of each provider in turn; skipped where the store does not declare what the test needs."""
    async with servers.running(request.param).rig() as rig:
        needed = {capability for marker in request.node.iter_markers("needs") for capability in marker.args}
        if missing := sorted(needed - rig.store.capabilities):
            pytest.skip(f"the store of {request.param} does not declare {', '.join(missing)}")
        yield rig
