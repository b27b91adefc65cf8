"""Copies inside Google Cloud Storage: a rewrite, which the service goes on with as often as it is asked to."""

from __future__ import annotations

import json
from dataclasses import replace

from airflow_provider_neuro_buckets.buckets.credentials import needed
from airflow_provider_neuro_buckets.buckets.errors import InvalidAnswer
from airflow_provider_neuro_buckets.buckets.models import BucketCredentials
from airflow_provider_neuro_buckets.buckets.stores.base import BlobMeta, CopySource, Site, Slot, Told
from airflow_provider_neuro_buckets.buckets.stores.direct import DirectLane, Request
from airflow_provider_neuro_buckets.buckets.stores.gcs_wire import (
    BLOB_FIELDS,
    BUCKET,
    endpoint,
    parse_blob,
    parse_document,
    quoted,
)

_FIELDS = f"kind,done,rewriteToken,totalBytesRewritten,resource({BLOB_FIELDS})"
_SMALL_ANSWER = 1024 * 1024
_FRUITLESS = 5
"""So many answers in a row without a byte more mean that nothing will come of it."""


def site_of(credentials: BucketCredentials) -> Site:
    """Return where the bucket of some credentials is. Which other buckets a token opens, only the service knows."""
    keys = credentials.credentials
    return Site(service=f"gcs {endpoint(keys)}", bucket=needed(keys, "bucket_name"), credentials=credentials)


async def rewrite(lane: DirectLane, key: str, source: CopySource, what: str, *, slot: Slot, copied: Told) -> BlobMeta:
    """Let the service copy a blob: at once where it only has to note that it has another name, else piece by piece."""
    src = f"storage/v1/b/{quoted(source.site.bucket)}/o/{quoted(source.meta.key)}"
    query = f"fields={quoted(_FIELDS)}"
    if source.meta.etag is not None:
        query += f"&ifSourceGenerationMatch={quoted(source.meta.etag)}"
    first = Request(
        what=what,
        method="POST",
        path=f"{src}/rewriteTo/b/{BUCKET}/o/{quoted(key)}",
        query=query,
        headers={"Content-Type": "application/json", "Content-Length": "0"},
    )
    request, done, fruitless = first, 0, 0
    while True:
        async with slot():
            _, answer = await lane.fetch(request, largest=_SMALL_ANSWER)
        found = parse_document(answer, "storage#rewriteResponse", what)
        if found.get("done") is True:
            made, _ = parse_blob(key, json.dumps(found.get("resource")).encode(), what)
            copied(made.size)
            return made
        token, so_far = found.get("rewriteToken"), str(found.get("totalBytesRewritten", ""))
        if not isinstance(token, str) or not token or not so_far.isdecimal():
            raise InvalidAnswer(f"{what}: the copy goes on, but the storage does not say how")
        fruitless = fruitless + 1 if int(so_far) <= done else 0
        if fruitless >= _FRUITLESS:
            raise InvalidAnswer(f"{what}: the copy does not get beyond {done} bytes", remedy="Try again later")
        done = int(so_far)
        copied(done)
        request = replace(first, query=f"{query}&rewriteToken={quoted(token)}")
