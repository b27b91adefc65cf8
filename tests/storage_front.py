"""A front before the storage of the local platform, and an Airflow connection that leads through it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace

from airflow_provider_neuro_buckets.buckets import Buckets
from airflow_provider_neuro_buckets.hooks.persistent import persistent_connection
from faults.proxy import Seen, fault_proxy
from faults.toxics import Answer


@dataclass
class StorageFront:
    """Hands requests on, and may fail some.

    :ivar connection: an Airflow connection whose requests all come through here; it needs no platform.
    :ivar bucket: address of the bucket that it is for.
    :ivar seen: method, path and query of each request.
    :ivar failures: how many of the next requests fail with 503.
    """

    connection: str = ""
    bucket: str = ""
    seen: list[str] = field(default_factory=list)
    failures: int = 0

    def listings(self) -> list[str]:
        """Return the requests that list."""
        return [request for request in self.seen if "list-type" in request]

    def plan(self, request: Seen) -> Answer | None:
        """Take note of a request; let it fail while there are failures left."""
        self.seen.append(f"{request.method} {request.target}")
        if self.failures <= 0:
            return None
        self.failures -= 1
        return Answer(503)


@asynccontextmanager
async def storage_front(buckets: Buckets, bucket_id: str) -> AsyncIterator[StorageFront]:
    """Put a front before the storage of a bucket."""
    given = await buckets.persistent_credentials_create([bucket_id])
    keys = given.credentials[0]
    async with fault_proxy(keys.credentials["endpoint_url"]) as proxy:
        through = replace(keys, credentials={**keys.credentials, "endpoint_url": proxy.url})
        bucket = await buckets.get(bucket_id)
        front = StorageFront(
            connection=persistent_connection(replace(given, credentials=[through]), [bucket]), bucket=str(bucket.uri)
        )
        assert json.loads(front.connection)["conn_type"] == "neuro_buckets"
        proxy.plan = front.plan
        yield front
    await buckets.persistent_credentials_rm(given.id)
