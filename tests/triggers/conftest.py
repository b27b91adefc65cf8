from __future__ import annotations

import json
from collections.abc import AsyncIterator

import pytest

from airflow_provider_neuro_buckets.buckets import Buckets
from faulty_front import FaultyFront
from platform_rig import Platform


@pytest.fixture
async def buckets(platform: Platform) -> AsyncIterator[Buckets]:
    async with Buckets.open(platform.running.config) as buckets:
        yield buckets


@pytest.fixture
async def bucket(buckets: Buckets) -> AsyncIterator[str]:
    made = await buckets.create()
    yield made.id
    await buckets.rm(made.id, force=True)


@pytest.fixture
async def front(platform: Platform, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[FaultyFront]:
    """The same platform behind a front; it is the default connection."""
    async with FaultyFront.open(platform.running.api_url) as front:
        connection = json.loads(platform.running.connection) | {"host": front.api_url}
        monkeypatch.setenv("AIRFLOW_CONN_NEURO_BUCKETS_DEFAULT", json.dumps(connection))
        yield front
