"""What the tests of the S3 store on crafted servers share: answers in the words of S3, and a store that hears them."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace

from airflow_provider_neuro_buckets.buckets.config import BucketsConfig
from airflow_provider_neuro_buckets.buckets.credentials import CredentialSource
from airflow_provider_neuro_buckets.buckets.http.pool import open_connections
from airflow_provider_neuro_buckets.buckets.models import BucketCredentials, provider_of
from airflow_provider_neuro_buckets.buckets.pace import Pace
from airflow_provider_neuro_buckets.buckets.retry import RetryPolicy
from airflow_provider_neuro_buckets.buckets.stores.registry import ClosableStore, open_store
from conformance.rigs.base import describe_bucket, describe_keys
from faults.crafted import Answer, Asked, CraftedServer, reply

SECRET = "the-secret-of-the-bucket"
MODIFIED = "Tue, 24 Nov 2026 13:48:15 GMT"
#: Three tries without a wait.
AT_ONCE = RetryPolicy(attempts=3, throttled_attempts=4, first_wait=0, longest_wait=0, deadline=60)
BUCKET = describe_bucket(id_="bucket-1", name="models", provider="aws")

Fetch = Callable[[], Awaitable[BucketCredentials]]


def keys_of(server: CraftedServer, token: str = "first-token") -> BucketCredentials:
    """Return credentials that lead to a crafted server."""
    return describe_keys(
        BUCKET,
        bucket_name="real",
        region_name="us-east-1",
        endpoint_url=server.url,
        access_key_id="AKIDEXAMPLE",
        secret_access_key=SECRET,
        session_token=token,
    )


class Renewals:
    """Hands out credentials with a new token each time.

    :ivar count: how often it was asked.
    """

    def __init__(self, server: CraftedServer, *tokens: str) -> None:
        self._server = server
        self._tokens = tokens
        self.count = 0

    async def __call__(self) -> BucketCredentials:
        token = self._tokens[min(self.count, len(self._tokens) - 1)]
        self.count += 1
        return keys_of(self._server, token)


@asynccontextmanager
async def store_at(
    server: CraftedServer,
    *,
    fetch: Fetch | None = None,
    retry: RetryPolicy = AT_ONCE,
    silence: float = 60.0,
    provider: str = "aws",
    verify: bool | str = True,
    pace: Pace | None = None,
) -> AsyncIterator[ClosableStore]:
    """Open an S3 store on a crafted server.

    :param silence: seconds without a byte after which a request is given up.
    """
    source = CredentialSource(fetch or Renewals(server, "first-token"))
    config = BucketsConfig(buckets_url="http://127.0.0.1/unused", timeout_seconds=silence, verify=verify)
    async with open_connections(config) as http:
        bucket = replace(BUCKET, provider=provider_of(provider))
        yield open_store(bucket=bucket, credentials=source, http=http, retry=retry, pace=pace)


def etag_of(content: bytes) -> str:
    """Return the ETag of S3 for a blob of one part, with its quotes."""
    return f'"{hashlib.md5(content).hexdigest()}"'


def blob(content: bytes, **headers: str) -> Answer:
    """Answer with a whole blob; to a HEAD with what is said of it."""
    return reply(200, content, {"ETag": etag_of(content), "Last-Modified": MODIFIED, **_named(headers)})


def span(content: bytes, start: int, stop: int, **headers: str) -> Answer:
    """Answer with a range of a blob."""
    found = {
        "ETag": etag_of(content),
        "Last-Modified": MODIFIED,
        "Content-Range": f"bytes {start}-{stop - 1}/{len(content)}",
        **_named(headers),
    }
    return reply(206, content[start:stop], found)


def stored(etag: str | None = None, **headers: str) -> Callable[[Asked], Answer]:
    """Answer to a PUT: with the ETag of what came, or another one."""
    return lambda asked: reply(200, b"", {"ETag": etag or etag_of(asked.body), **_named(headers)})


def refusal(status: int, code: str, message: str = "No.") -> Answer:
    """Answer with an error document."""
    return reply(status, f"<Error><Code>{code}</Code><Message>{message}</Message></Error>".encode())


def listing(*keys: str, token: str | None = None, extra: str = "") -> Answer:
    """Answer with a page of a listing; `token` leads to the next."""
    items = "".join(f"<Contents><Key>{key}</Key><Size>1</Size></Contents>" for key in keys)
    following = f"<IsTruncated>true</IsTruncated><NextContinuationToken>{token}</NextContinuationToken>"
    return reply(200, f"<ListBucketResult>{items}{following if token else ''}{extra}</ListBucketResult>".encode())


def _named(headers: Mapping[str, str]) -> dict[str, str]:
    return {name.replace("_", "-"): value for name, value in headers.items()}
