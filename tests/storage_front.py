"""A front before the storage of the local platform, and an Airflow connection that leads through it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace

import aiohttp
from aiohttp import web
from yarl import URL

from airflow_provider_neuro_buckets.buckets import Buckets
from airflow_provider_neuro_buckets.hooks.persistent import persistent_connection

_HOP = {"connection", "content-length", "host", "keep-alive", "server", "transfer-encoding"}


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


@asynccontextmanager
async def storage_front(buckets: Buckets, bucket_id: str) -> AsyncIterator[StorageFront]:
    """Put a front before the storage of a bucket."""
    given = await buckets.persistent_credentials_create([bucket_id])
    keys = given.credentials[0]
    endpoint = keys.credentials["endpoint_url"]
    front = StorageFront()

    async def handle(request: web.Request) -> web.Response:
        front.seen.append(f"{request.method} {request.raw_path}")
        if front.failures > 0:
            front.failures -= 1
            return web.Response(status=503)
        headers = {name: value for name, value in request.headers.items() if name.lower() not in _HOP}
        headers["Host"] = request.host  # it is signed
        url = URL(endpoint + request.raw_path, encoded=True)
        async with http.request(request.method, url, headers=headers, allow_redirects=False) as answer:
            kept = {name: value for name, value in answer.headers.items() if name.lower() not in _HOP}
            if request.method == "HEAD":
                kept["Content-Length"] = answer.headers.get("Content-Length", "0")
            return web.Response(status=answer.status, headers=kept, body=await answer.read())

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handle)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    async with aiohttp.ClientSession(auto_decompress=False, connector=aiohttp.TCPConnector(limit=0)) as http:
        try:
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            here = f"http://127.0.0.1:{runner.addresses[0][1]}"
            through = replace(keys, credentials={**keys.credentials, "endpoint_url": here})
            bucket = await buckets.get(bucket_id)
            front.connection = persistent_connection(replace(given, credentials=[through]), [bucket])
            front.bucket = str(bucket.uri)
            assert json.loads(front.connection)["conn_type"] == "neuro_buckets"
            yield front
        finally:
            await runner.cleanup()
    await buckets.persistent_credentials_rm(given.id)
