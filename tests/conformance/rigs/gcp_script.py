"""A server that answers a GCS store as a test has written down, on loopback: for answers that no healthy one gives."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import google_crc32c
from aiohttp import web

from airflow_provider_neuro_buckets.buckets.stores.registry import ClosableStore
from conformance.rigs.base import describe_bucket, describe_keys, opened

BUCKET = describe_bucket(id_="bucket-1", name="models", provider="gcp")
TOKEN = "ya29.secret-of-this-test"


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes


Answer = Callable[[Seen], web.Response | None]


class Script:
    """Answers each request with the next entry, the last one for ever; `None` breaks the connection."""

    def __init__(self, *answers: Answer) -> None:
        self._answers = answers
        self.seen: list[Seen] = []
        self.endpoint = ""

    @property
    def said(self) -> list[str]:
        """Methods and targets of the requests so far."""
        return [f"{seen.method} {seen.target}" for seen in self.seen]

    async def handle(self, request: web.Request) -> web.StreamResponse:
        seen = Seen(method=request.method, target=request.raw_path, headers=request.headers, body=await request.read())
        answer = self._answers[min(len(self.seen), len(self._answers) - 1)](seen)
        self.seen.append(seen)
        if answer is None:
            assert request.transport is not None
            request.transport.abort()
            return web.Response()
        return answer


@asynccontextmanager
async def scripted(*answers: Answer) -> AsyncIterator[tuple[ClosableStore, Script]]:
    script = Script(*answers)
    app = web.Application(client_max_size=64 * 1024**2)
    app.router.add_route("*", "/{path:.*}", script.handle)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        script.endpoint = f"http://127.0.0.1:{runner.addresses[0][1]}"
        keys = describe_keys(BUCKET, bucket_name="real", project="p", access_token=TOKEN, endpoint_url=script.endpoint)
        async with opened(BUCKET, keys) as store:
            yield store, script
    finally:
        await runner.cleanup()


def answer(status: int = 200, *, body: bytes = b"", **headers: str) -> Answer:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda _: web.Response(status=status, body=body, headers=named)


def refusal(status: int, reason: str, message: str = "no") -> Answer:
    error = {"code": status, "message": message, "errors": [{"reason": reason, "message": message}]}
    return answer(status, body=json.dumps({"error": error}).encode())


def broken(_: Seen) -> None:
    return None


def described(key: str, content: bytes, **changes: Any) -> Answer:
    blob = {
        "kind": "storage#object",
        "name": key,
        "size": str(len(content)),
        "generation": "17",
        "md5Hash": base64.b64encode(hashlib.md5(content).digest()).decode(),
        "crc32c": crc32c(content),
    }
    return answer(body=json.dumps(blob | changes).encode())


def crc32c(content: bytes) -> str:
    return base64.b64encode(google_crc32c.Checksum(content).digest()).decode()
