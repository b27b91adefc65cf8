from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from airflow_provider_neuro_buckets.buckets import opening
from airflow_provider_neuro_buckets.buckets.retry import RetryPolicy
from airflow_provider_neuro_buckets.buckets.transfer import content
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


@pytest.fixture
def impatient(impatient: None, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: ARG001 - it is that of the platform
    """The same of the storage, and of what goes on where it broke."""
    monkeypatch.setattr(opening, "DATA", RetryPolicy(first_wait=0.002))
    monkeypatch.setattr(content, "FIRST_PAUSE", 0.002)
