from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import pytest

from airflow_provider_neuro_buckets.buckets import Buckets, BucketsConfig
from buckets.eras.service import TOKEN, Service

Open = Callable[..., AbstractAsyncContextManager[Buckets]]


@pytest.fixture(autouse=True)
def impatient(impatient: None) -> None:
    """For each test here."""


@pytest.fixture
async def service(request: pytest.FixtureRequest) -> AsyncIterator[Service]:
    """A service of the era that the test is parametrised with."""
    async with Service(request.param).running() as service:
        yield service


@pytest.fixture
def client() -> Open:
    """Return what opens a client on a service: Alice, in project ml of acme where not told otherwise."""

    def client(service: Service, **config: str | None) -> AbstractAsyncContextManager[Buckets]:
        place: dict[str, Any] = {"cluster_name": "main", "org_name": "acme", "project_name": "ml"} | config
        return Buckets.open(BucketsConfig(buckets_url=service.url, token=TOKEN, name="connection 'test'", **place))

    return client
