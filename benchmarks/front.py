"""A front before the local platform with what the official SDK wants beyond it, and nothing for anybody else.

The SDK reads its user's name out of the token, so it needs one with a name in it, and it insists on addresses of
services that a bucket never meets (wire protocol, 2.3 and 2.8). All else is passed on as it is.
"""

from __future__ import annotations

import base64
import json
import os
import sys
from collections.abc import Mapping
from typing import Any

import aiohttp
from aiohttp import web

API = "/api/v1"
PLATFORM, TOKEN, SDK_TOKEN = "BENCH_PLATFORM_URL", "BENCH_PLATFORM_TOKEN", "BENCH_SDK_TOKEN"
"""Environment: where the platform is (up to its port), its token, and the token that stands for it here."""
_SERVICES = ("registry", "storage", "users", "monitoring", "secrets", "disks")
_NOT_PASSED_ON = frozenset({"host", "authorization", "content-length", "transfer-encoding", "accept-encoding"})


def token_of(user: str) -> str:
    """Return a token in the form of a JWT that names a user; its signature is never looked at."""
    parts = ({"alg": "HS256", "typ": "JWT"}, {"identity": user})
    encoded = [base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode() for part in parts]
    return ".".join([*encoded, base64.urlsafe_b64encode(os.urandom(32)).rstrip(b"=").decode()])


def application(platform: str, token: str, sdk_token: str) -> web.Application:
    """Return the front of `platform`: whoever brings `sdk_token` is passed on with `token`."""

    async def answer(request: web.Request) -> web.Response:
        headers = {name: value for name, value in request.headers.items() if name.lower() not in _NOT_PASSED_ON}
        if request.headers.get("Authorization") == f"Bearer {sdk_token}":
            headers["Authorization"] = f"Bearer {token}"
        body = await request.read()
        async with (
            aiohttp.ClientSession(auto_decompress=False) as http,
            http.request(
                request.method, platform + request.path_qs, headers=headers, data=body or None, allow_redirects=False
            ) as reply,
        ):
            content = await reply.read()
            if request.path == f"{API}/config" and reply.status == web.HTTPOk.status_code:
                return web.json_response(_completed(json.loads(content), f"{request.scheme}://{request.host}"))
            return web.Response(status=reply.status, body=content, content_type=reply.content_type)

    front = web.Application()
    front.router.add_route("*", "/{anything:.*}", answer)
    return front


def _completed(config: Mapping[str, Any], here: str) -> dict[str, Any]:
    """Return the platform's configuration with the keys that are missing, and its buckets behind this front."""
    services = {f"{name}_url": f"{here}{API}/{name}" for name in _SERVICES}
    clusters = [
        {
            **services,
            "resource_presets": [],
            "resource_pool_types": [],
            "timezone": "UTC",
            **cluster,
            "buckets_url": f"{here}{API}/buckets",
        }
        for cluster in config.get("clusters", [])
    ]
    login = {f"{name}_url": f"{here}/{name}" for name in ("auth", "token", "logout", "headless_callback", "admin")}
    texts = {"client_id": "benchmark", "audience": here, "callback_urls": [f"{here}/callback"]}
    return {**login, **texts, **config, "clusters": clusters}


async def _main() -> None:
    runner = web.AppRunner(application(os.environ[PLATFORM], os.environ[TOKEN], os.environ[SDK_TOKEN]), access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]
    print(f"http://{host}:{port}{API}", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    import asyncio

    sys.exit(asyncio.run(_main()))
