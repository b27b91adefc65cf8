from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import suppress
from uuid import uuid4

import pytest

from airflow_provider_neuro_buckets.buckets import Bucket, Buckets, ResourceNotFound
from airflow_provider_neuro_buckets.local.child import RunningPlatform
from buckets.eras.service import Service
from conformance.rigs.base import Rig
from conformance.rigs.registry import RIGS, Servers
from promises.scene import client_of


@pytest.fixture(autouse=True)
def impatient(impatient: None) -> None:
    """For each test here."""


@pytest.fixture(params=sorted(RIGS))
async def rig(request: pytest.FixtureRequest, servers: Servers) -> AsyncIterator[Rig]:
    """A fresh bucket of each provider in turn, or of those that the test names."""
    async with servers.running(request.param).rig() as rig:
        yield rig


@pytest.fixture
async def lone(rig: Rig) -> AsyncIterator[Buckets]:
    """A client that knows the rig's bucket by its credentials, and nothing else."""
    async with client_of(rig) as buckets:
        yield buckets


@pytest.fixture
async def local(neuro_buckets_local: RunningPlatform) -> AsyncIterator[Buckets]:
    """A client of the local platform."""
    async with Buckets.open(neuro_buckets_local.config) as buckets:
        yield buckets


@pytest.fixture
async def made(local: Buckets) -> AsyncIterator[Bucket]:
    """A fresh bucket of the local platform."""
    bucket = await local.create(f"promise-{uuid4().hex[:12]}")
    yield bucket
    with suppress(ResourceNotFound):
        await local.rm(bucket.id, force=True)


@pytest.fixture
async def service(request: pytest.FixtureRequest) -> AsyncIterator[Service]:
    """A buckets service of the era that the test is parametrised with."""
    async with Service(request.param).running() as service:
        yield service
