"""Copies inside Azure: which blob, in which version, and by whose right.

The right is the source's own, in its URL: its SAS, or one for this blob alone made with the account key. Azure takes it
from there, so the two containers need no rights in common; they may even be in two accounts.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Final
from urllib.parse import urlsplit

from airflow_provider_neuro_buckets.buckets.errors import AlreadyExists, InvalidAnswer, PermissionDenied
from airflow_provider_neuro_buckets.buckets.models import BucketCredentials
from airflow_provider_neuro_buckets.buckets.stores.azure_access import AzureAccess
from airflow_provider_neuro_buckets.buckets.stores.azure_wire import encode_key, meta_of_headers
from airflow_provider_neuro_buckets.buckets.stores.base import BlobMeta, CopySource, Site
from airflow_provider_neuro_buckets.buckets.stores.digest import base64_of
from airflow_provider_neuro_buckets.buckets.stores.direct import DirectLane, Request

AT_ONCE: Final = 256 * 1024**2
"""The largest blob that Azure copies while one waits; larger ones are copied in parts."""
_AZURE = (
    ".blob.core.windows.net",
    ".blob.storage.azure.net",
    ".blob.core.usgovcloudapi.net",
    ".blob.core.chinacloudapi.cn",
)
_LIFE_SECONDS = 3600
_SMALL_ANSWER = 1024 * 1024


def site_of(credentials: BucketCredentials) -> Site:
    """Return where the container of some credentials is. All accounts of one Azure are one service.

    A SAS goes to the service that copies, so this must never hold for somebody else's.
    """
    access = AzureAccess.of(credentials)
    base, _, container = access.container_url.rpartition("/")
    host = urlsplit(base).hostname or ""
    domain = next((domain for domain in _AZURE if host.endswith(domain) and base.startswith("https:")), None)
    return Site(
        service=f"azure {domain or base}",
        bucket=f"{host}/{container}" if domain else container,
        credentials=credentials,
    )


async def copy_headers(source: CopySource) -> dict[str, str]:
    """Return what a request to copy says of its source: only this version of it."""
    access, path = AzureAccess.of(source.site.credentials), encode_key(source.meta.key)
    if access.sas:
        url = access.url(path)
    else:
        url = await asyncio.to_thread(access.read_url, path, source.meta.key, expires_in_seconds=_LIFE_SECONDS)
    # The content type says nothing here; but it is signed, and sent in any case.
    headers = {"x-ms-copy-source": url, "Content-Length": "0", "Content-Type": "application/octet-stream"}
    if source.meta.etag is not None:
        headers["x-ms-source-if-match"] = f'"{source.meta.etag}"'
    return headers


async def ask(lane: DirectLane, request: Request) -> Mapping[str, str]:
    """Send a request to copy; return the headers of the answer.

    :raises PermissionDenied: Azure does not get at the source: so it says also by a 409.
    """
    try:
        response, _ = await lane.fetch(request, largest=_SMALL_ANSWER)
    except AlreadyExists as error:
        raise PermissionDenied(error.problem, remedy="Let the blob pass through this process") from None
    return response.headers


async def copy_whole(lane: DirectLane, key: str, source: CopySource, what: str) -> BlobMeta | None:
    """Let Azure copy a blob in one request; `None` if nothing proves that the copy is the source."""
    headers = {**await copy_headers(source), "x-ms-requires-sync": "true"}
    if source.meta.md5 is not None:
        headers["x-ms-source-content-md5"] = base64_of(bytes.fromhex(source.meta.md5))
    told = await ask(lane, Request(what=what, method="PUT", path=encode_key(key), headers=headers))
    if (status := told.get("x-ms-copy-status")) != "success":
        raise InvalidAnswer(f"{what}: the copy is {status or 'not told to be done'}", remedy="Try again")
    if source.meta.md5 is None:
        return None
    made = meta_of_headers(key, told, source.meta.size)
    return BlobMeta(key=key, size=made.size, etag=made.etag, modified_at=made.modified_at, md5=source.meta.md5)
