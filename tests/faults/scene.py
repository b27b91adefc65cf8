"""A client whose requests to a real server all pass through the fault proxy."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from yarl import URL

from airflow_provider_neuro_buckets.buckets import Buckets, BucketsConfig
from conformance.rigs.base import Rig
from faults.proxy import FaultProxy, Rule, fault_proxy
from promises.scene import secret_of

#: What providers call the address of their service among the credentials.
_ADDRESSES = ("endpoint_url", "storage_endpoint")


def at(rig: Rig, key: str = "") -> str:
    """Return the address of a key."""
    return f"blob:{rig.bucket.name}/{key}"


def endpoint_of(rig: Rig) -> tuple[str, str]:
    """Return the name of the service's address among the credentials of a rig, and the address."""
    return next((name, rig.keys.credentials[name]) for name in _ADDRESSES if name in rig.keys.credentials)


@asynccontextmanager
async def behind_proxy(rig: Rig, *rules: Rule, **config: float | str) -> AsyncIterator[tuple[Buckets, FaultProxy]]:
    """Open a client of a rig's bucket, with neither token nor platform, through a proxy.

    :param config: fields of `BucketsConfig`.
    """
    async with fault_proxy(endpoint_of(rig)[1], *rules) as proxy, client_at(rig, proxy.url, **config) as buckets:
        yield buckets, proxy


@asynccontextmanager
async def client_at(rig: Rig, address: str, **config: float | str) -> AsyncIterator[Buckets]:
    """Open a client of a rig's bucket that finds the service at another address."""
    name, _ = endpoint_of(rig)
    secret = secret_of(rig.bucket, **{**rig.keys.credentials, name: address})
    async with Buckets.open(BucketsConfig(persistent_credentials=secret, **config)) as buckets:  # type: ignore[arg-type]  # by name
        yield buckets


@asynccontextmanager
async def platform_behind_proxy(
    local: BucketsConfig, *rules: Rule, timeout_seconds: float = 60.0
) -> AsyncIterator[tuple[Buckets, FaultProxy]]:
    """Open a client of the local platform through a proxy; the storage is asked directly."""
    assert local.buckets_url is not None
    async with (
        fault_proxy(str(URL(local.buckets_url)), *rules) as proxy,
        Buckets.open(
            BucketsConfig(
                buckets_url=proxy.url,
                token=local.token,
                cluster_name=local.cluster_name,
                org_name=local.org_name,
                project_name=local.project_name,
                timeout_seconds=timeout_seconds,
            )
        ) as buckets,
    ):
        yield buckets, proxy
