"""A front before the storage of the local platform, and an Airflow connection that leads through it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field, replace

from airflow_provider_neuro_buckets.buckets import Buckets
from airflow_provider_neuro_buckets.hooks.persistent import persistent_connection
from faults.proxy import ALWAYS, Plan, Rule, Seen, fault_proxy, fault_proxy_in_thread, script
from faults.toxics import Answer, Stall, StallRequest
from platform_rig import Platform

MIB = 1024 * 1024
_PASS = 4
"""So many parts of uploads, and so many answers with content, pass before the others stall."""


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


@contextmanager
def platform_front(platform: Platform, bucket: str, plan: Plan) -> Iterator[str]:
    """Put a front before a platform and the storage of its buckets; give an Airflow connection that leads through it.

    :param bucket: any of them.
    :param plan: what becomes of each request to the storage.
    """
    given = platform.ask(lambda buckets: buckets.request_tmp_credentials(bucket))
    storage_url, connection = given.credentials["endpoint_url"], json.loads(platform.running.connection)
    with fault_proxy_in_thread(storage_url) as storage, fault_proxy_in_thread(connection["host"]) as service:
        storage.plan = plan
        service.renamed[storage_url] = storage.url
        yield json.dumps(connection | {"host": service.url})


@contextmanager
def where_transfers_stall(platform: Platform, bucket: str) -> Iterator[str]:
    """The same, where a large transfer begins well, and never ends: whoever cuts it off is not too late."""
    parts = Rule(fault=StallRequest(MIB), method="PUT", target="partNumber=", skip=_PASS, times=ALWAYS)
    contents = Rule(fault=Stall(MIB), method="GET", target=r"^/[^/?]+/[^?]+$", skip=_PASS, times=ALWAYS)
    with platform_front(platform, bucket, script(parts, contents)) as connection:
        yield connection
