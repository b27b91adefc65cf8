"""What the tests of the promises set up: clients of one bucket or one service, services that grant real storage."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any
from xml.sax.saxutils import escape

import pytest
from aiohttp import web

from airflow_provider_neuro_buckets.buckets import (
    Bucket,
    Buckets,
    BucketsConfig,
    PersistentBucketCredentials,
    persistent_secret,
)
from buckets.eras.service import ERAS, OLDER, OWNER, STRICT, TOKEN, Service, serving
from conformance.rigs.base import Rig, describe_bucket, describe_keys

every_era = pytest.mark.parametrize("service", ERAS, indirect=True)
older_eras = pytest.mark.parametrize("service", OLDER, indirect=True)
owner_era = pytest.mark.parametrize("service", [OWNER], indirect=True)
strict_era = pytest.mark.parametrize("service", [STRICT], indirect=True)


def on(*providers: str) -> pytest.MarkDecorator:
    """Run a test on the rigs of these only."""
    return pytest.mark.parametrize("rig", providers, indirect=True)


def at(rig: Rig, key: str = "") -> str:
    """Return the address of a key, as it stands."""
    return f"blob:{rig.bucket.name}/{key}"


def alice(service: Service, **config: Any) -> AbstractAsyncContextManager[Buckets]:
    """Open a client on a scripted service: Alice, in project ml of acme where not told otherwise."""
    place: dict[str, Any] = {"cluster_name": "main", "org_name": "acme", "project_name": "ml"} | config
    return Buckets.open(BucketsConfig(buckets_url=service.url, token=TOKEN, name="connection 'test'", **place))


def secret_of(bucket: Bucket, **keys: str) -> Mapping[str, Any]:
    """Return persistent credentials for one bucket, as a configuration takes them."""
    lasting = PersistentBucketCredentials(
        id="credentials-of-the-test",
        owner="tester",
        name=None,
        read_only=False,
        cluster_name=bucket.cluster_name,
        credentials=[describe_keys(bucket, **keys)],
    )
    return persistent_secret(lasting, [bucket])


def client_of(rig: Rig, **keys: str) -> AbstractAsyncContextManager[Buckets]:
    """Open a client with the credentials of a rig, and neither token nor platform.

    :param keys: what to change in the credentials.
    """
    secret = secret_of(rig.bucket, **{**rig.keys.credentials, **keys})
    return Buckets.open(BucketsConfig(persistent_credentials=secret))


async def content_of(buckets: Buckets, bucket: str, key: str, *, offset: int = 0) -> bytes:
    """Return the content of a blob."""
    async with buckets.fetch_blob(bucket, key, offset=offset) as chunks:
        return b"".join([chunk async for chunk in chunks])


async def keys_in(buckets: Buckets, address: str, *, recursive: bool = True) -> list[str]:
    """Return the sorted keys that a listing shows."""
    return sorted([entry.key async for entry in buckets.list_blobs(address, recursive=recursive, limit=None)])


class Granting(Service):
    """A strict service with one bucket, `data`, that is really the bucket of a rig.

    :ivar grants: credentials to hand out, one after the other; the last one again and again.
    :ivar granted: how many were handed out.
    """

    def __init__(self, rig: Rig, *grants: Mapping[str, str], **record: Any) -> None:
        super().__init__(STRICT)
        self.grants = [dict(grant) for grant in grants] or [dict(rig.keys.credentials)]
        self.granted = 0
        self.read_only = False
        self.id = self.add("data", provider=rig.provider, **record)

    async def _tmp(self, request: web.Request) -> web.Response:
        record = self._find(request)
        grant = self.grants[min(self.granted, len(self.grants) - 1)]
        self.granted += 1
        answer = {"bucket_id": record["id"], "provider": record["provider"], "read_only": self.read_only}
        return web.json_response(answer | {"credentials": grant})


class ManyKeys:
    """An S3 service whose only bucket has as many keys as told, and lists them page by page.

    :ivar pages: how many pages were asked for.
    """

    def __init__(self, count: int) -> None:
        self.keys = [f"key-{number:06}" for number in range(count)]
        self.pages = 0

    async def _list(self, request: web.Request) -> web.Response:
        self.pages += 1
        start = int(request.query.get("continuation-token", "0"))
        page = self.keys[start : start + 1000]
        more = start + 1000 < len(self.keys)
        items = "".join(
            f'<Contents><Key>{escape(key)}</Key><Size>1</Size><ETag>"e"</ETag>'
            "<LastModified>2025-01-02T03:04:05.000Z</LastModified></Contents>"
            for key in page
        )
        token = f"<NextContinuationToken>{start + 1000}</NextContinuationToken>" if more else ""
        text = f"<ListBucketResult><IsTruncated>{str(more).lower()}</IsTruncated>{token}{items}</ListBucketResult>"
        return web.Response(text=f'<?xml version="1.0"?>{text}', content_type="application/xml")

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Buckets]:
        """Serve, and open a client that knows the bucket as ``blob:models``."""
        application = web.Application()
        application.router.add_get("/{path:.*}", self._list)
        bucket = describe_bucket(id_="bucket-00000000-1111-4222-8333-444444444444", name="models", provider="aws")
        async with serving(application) as endpoint:
            secret = secret_of(
                bucket,
                bucket_name="real",
                endpoint_url=endpoint,
                access_key_id="AK",
                secret_access_key="not a real secret",
            )
            async with Buckets.open(BucketsConfig(persistent_credentials=secret)) as buckets:
                yield buckets
