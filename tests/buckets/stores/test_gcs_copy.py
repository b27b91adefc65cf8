"""Copies inside Google Cloud Storage: how a rewrite is gone on with, and answers that no healthy server gives."""

from __future__ import annotations

import base64
import hashlib
import json
from typing import Any

import pytest

from airflow_provider_neuro_buckets.buckets.errors import (
    BadRequest,
    Conflict,
    InvalidAnswer,
    PermissionDenied,
    ResourceNotFound,
    Unavailable,
)
from airflow_provider_neuro_buckets.buckets.stores.base import BlobMeta, BlobStore, CopySource, Site, may_copy_inside
from airflow_provider_neuro_buckets.buckets.stores.gcs_copy import site_of
from conformance.asking import source_of
from conformance.rigs.base import describe_keys, opened
from conformance.rigs.gcp import GcsRig, GcsServer
from conformance.rigs.gcp_script import BUCKET, TOKEN, Answer, answer, broken, refusal, scripted

MD5 = hashlib.md5(b"content")


def rewritten(key: str = "key", **changes: Any) -> Answer:
    blob = {
        "kind": "storage#object",
        "name": key,
        "size": "7",
        "generation": "18",
        "md5Hash": base64.b64encode(MD5.digest()).decode(),
    }
    document = {"kind": "storage#rewriteResponse", "done": True, "totalBytesRewritten": "7", "resource": blob}
    return answer(body=json.dumps(document | changes).encode())


def going_on(done: int, token: str = "a/b+c") -> Answer:
    document = {"kind": "storage#rewriteResponse", "done": False, "totalBytesRewritten": str(done)}
    return answer(body=json.dumps({**document, "rewriteToken": token}).encode())


async def source_in(store: BlobStore, key: str = "source") -> CopySource:
    return CopySource(site=await store.site(), meta=BlobMeta(key=key, size=7, etag="17"), address=store.address(key))


async def test_the_request_names_both_blobs_and_the_version_of_the_source() -> None:
    async with scripted(rewritten("to/a b")) as (store, script):
        made = await store.copy_from("to/a b", await source_in(store, "from/é+%?#/x"))
    (seen,) = script.seen
    path, _, query = seen.target.partition("?")
    assert path == ("/storage/v1/b/real/o/from%2F%C3%A9%2B%25%3F%23%2Fx/rewriteTo/b/real/o/to%2Fa%20b")
    assert "ifSourceGenerationMatch=17" in query.split("&")
    assert (seen.method, seen.body, seen.headers["Authorization"]) == ("POST", b"", f"Bearer {TOKEN}")
    assert (made.size, made.etag, made.md5) == (7, "18", MD5.hexdigest())


async def test_a_rewrite_is_gone_on_with_until_it_is_done() -> None:
    told: list[int] = []
    async with scripted(going_on(3), going_on(5, "second"), rewritten()) as (store, script):
        await store.copy_from("key", await source_in(store), copied=told.append)
    first, *others = [seen.target for seen in script.seen]
    assert "rewriteToken=" not in first
    assert others == [f"{first}&rewriteToken=a%2Fb%2Bc", f"{first}&rewriteToken=second"]
    assert told == [3, 5, 7]


async def test_a_rewrite_that_does_not_get_on_is_given_up() -> None:
    async with scripted(going_on(3)) as (store, script):
        with pytest.raises(InvalidAnswer, match="beyond 3 bytes"):
            await store.copy_from("key", await source_in(store))
        assert len(script.seen) < 10


@pytest.mark.parametrize(
    "bad",
    [
        answer(body=b""),
        answer(body=b"<html>"),
        answer(body=b'{"kind": "storage#object"}'),
        rewritten(done=False),
        rewritten(done=False, rewriteToken="t", totalBytesRewritten="many"),
        rewritten(done="true"),
        rewritten("another"),
        rewritten(resource=None),
    ],
)
async def test_an_answer_that_does_not_tell_of_the_copy_is_none(bad: Answer) -> None:
    async with scripted(bad) as (store, _):
        with pytest.raises(InvalidAnswer):
            await store.copy_from("key", await source_in(store))


@pytest.mark.parametrize(
    ("status", "reason", "kind"),
    [
        (412, "conditionNotMet", Conflict),
        (404, "notFound", ResourceNotFound),
        (403, "forbidden", PermissionDenied),
        (400, "invalid", BadRequest),
    ],
)
async def test_a_refusal_is_asked_once_and_told_with_both_addresses(status: int, reason: str, kind: type) -> None:
    async with scripted(refusal(status, reason)) as (store, script):
        with pytest.raises(kind) as caught:
            await store.copy_from("key", await source_in(store))
        assert len(script.seen) == 1
        for key in ("source", "key"):
            assert store.address(key) in str(caught.value)


async def test_lost_and_busy_answers_are_asked_for_again() -> None:
    async with scripted(broken, refusal(503, "backendError"), rewritten()) as (store, script):
        await store.copy_from("key", await source_in(store))
        assert len(script.seen) == 3
    async with scripted(broken) as (store, _):
        with pytest.raises(Unavailable):
            await store.copy_from("key", await source_in(store))


async def test_one_token_copies_between_two_buckets(gcs: GcsServer, gcs_rig: GcsRig) -> None:
    await gcs_rig.put("source", b"content")
    async with gcs.rig() as other:
        keys = {**gcs_rig.keys.credentials, "bucket_name": other.keys.credentials["bucket_name"]}
        async with opened(other.bucket, describe_keys(other.bucket, **keys)) as store:
            assert may_copy_inside(await gcs_rig.store.site(), await store.site())
            await store.copy_from("copy", await source_of(gcs_rig.store, "source"))
        assert await other.get("copy") == b"content"
        assert await other.names() == ["copy"]


def site(**keys: str) -> Site:
    return site_of(describe_keys(BUCKET, **{"bucket_name": "b", "access_token": "t", **keys}))


def test_any_two_buckets_of_one_service_may_be_tried() -> None:
    assert may_copy_inside(site(), site(bucket_name="other", access_token="another"))
    assert not may_copy_inside(site(), site(endpoint_url="https://storage.example.org"))
