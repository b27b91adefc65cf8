"""What a server that enforces rights says to the S3 store: credentials that ended, may only read, or are wrong."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace

import aiohttp
import pytest
from yarl import URL

from airflow_provider_neuro_buckets.buckets.config import BucketsConfig
from airflow_provider_neuro_buckets.buckets.credentials import CredentialSource
from airflow_provider_neuro_buckets.buckets.errors import AuthenticationError, PermissionDenied, ResourceNotFound
from airflow_provider_neuro_buckets.buckets.http.pool import open_connections
from airflow_provider_neuro_buckets.buckets.listing import Listing
from airflow_provider_neuro_buckets.buckets.models import BucketCredentials
from airflow_provider_neuro_buckets.buckets.removal import remove_path
from airflow_provider_neuro_buckets.buckets.stores.base import BlobMeta, BlobStore, CopySource, may_copy_inside
from airflow_provider_neuro_buckets.buckets.stores.registry import open_store
from conformance.asking import blobs_under, content_of, keys_of, source_of
from conformance.rigs.base import IMPATIENT, opened
from conformance.rigs.seaweedfs import LocalServer, SeaweedRig


@asynccontextmanager
async def store_with(rig: SeaweedRig, *keys: BucketCredentials) -> AsyncIterator[tuple[BlobStore, list[int]]]:
    """Open a store that gets the credentials in turn; the list grows by one each time that it asks."""
    asked: list[int] = []

    async def fetch() -> BucketCredentials:
        asked.append(len(asked))
        return keys[min(len(asked), len(keys)) - 1]

    async with open_connections(BucketsConfig(buckets_url="http://127.0.0.1/unused")) as http:
        yield (
            open_store(bucket=rig.bucket, credentials=CredentialSource(fetch), http=http, retry=IMPATIENT),
            asked,
        )


async def upload(store: BlobStore) -> None:
    async with store.multipart("made") as parts:
        await parts.put_part(1, b"part")
        await parts.complete()


async def copy(store: BlobStore) -> None:
    meta = BlobMeta(key="there", size=7, etag=hashlib.md5(b"content").hexdigest())
    await store.copy_from("made", CopySource(site=await store.site(), meta=meta, address=store.address("there")))


VERBS: dict[str, Callable[[BlobStore], Awaitable[object]]] = {
    "head": lambda store: store.head("there"),
    "read": lambda store: content_of(store, "there"),
    "write": lambda store: store.write("made", b"content"),
    "multipart": upload,
    "copy": copy,
    "pages": blobs_under,
    "delete": lambda store: store.delete(["there"]),
    "delete many": lambda store: store.delete(["there", "made"]),
}


@pytest.fixture
async def ended(seaweedfs: LocalServer, seaweed_rig: SeaweedRig) -> BucketCredentials:
    await seaweed_rig.put("there", b"content")
    return seaweedfs.ended_keys(seaweed_rig)


async def test_every_verb_notices_that_its_credentials_ended_and_goes_on_with_new_ones(
    seaweed_rig: SeaweedRig, ended: BucketCredentials
) -> None:
    for name, verb in VERBS.items():
        async with store_with(seaweed_rig, ended, seaweed_rig.keys) as (store, asked):
            await verb(store)
            assert len(asked) == 2, name


async def test_a_missing_blob_is_missing_also_when_the_credentials_have_just_ended(
    seaweed_rig: SeaweedRig, ended: BucketCredentials
) -> None:
    async with store_with(seaweed_rig, ended, seaweed_rig.keys) as (store, _):
        with pytest.raises(ResourceNotFound):
            await store.head("missing")


async def test_without_new_credentials_every_verb_says_that_they_ended(
    seaweed_rig: SeaweedRig, ended: BucketCredentials
) -> None:
    for name, verb in VERBS.items():
        if name == "delete":
            continue  # tells it of the one key
        async with store_with(seaweed_rig, ended) as (store, _):
            with pytest.raises(AuthenticationError):
                await verb(store)
    async with store_with(seaweed_rig, ended) as (store, _):
        assert {key: type(error) for key, error in (await store.delete(["there"])).items()} == {
            "there": AuthenticationError
        }


async def test_who_may_only_read_reads(seaweedfs: LocalServer, seaweed_rig: SeaweedRig) -> None:
    await seaweed_rig.put("there", b"content")
    async with opened(seaweed_rig.bucket, await seaweedfs.read_only_keys(seaweed_rig.bucket)) as store:
        assert (await store.head("there")).size == 7
        assert await content_of(store, "there") == b"content"
        assert keys_of(await blobs_under(store)) == ["there"]
        async with aiohttp.ClientSession() as http:
            url = await store.sign("there", expires_in_seconds=60)
            assert await (await http.get(URL(url, encoded=True))).read() == b"content"


async def test_who_may_only_read_changes_nothing_and_is_told_so(
    seaweedfs: LocalServer, seaweed_rig: SeaweedRig
) -> None:
    await seaweed_rig.put("there", b"content")
    await seaweed_rig.put("folder/there", b"content")
    async with opened(seaweed_rig.bucket, await seaweedfs.read_only_keys(seaweed_rig.bucket)) as store:
        with pytest.raises(PermissionDenied):
            await store.write("there", b"other")
        with pytest.raises(PermissionDenied):
            await upload(store)
        with pytest.raises(PermissionDenied):
            await copy(store)
        assert {key: type(error) for key, error in (await store.delete(["there"])).items()} == {
            "there": PermissionDenied
        }
        failures = await store.delete(["there", "folder/there"])
        assert {key: type(error) for key, error in failures.items()} == dict.fromkeys(
            ("there", "folder/there"), PermissionDenied
        )
        with pytest.raises(PermissionDenied):
            await remove_path(Listing(seaweed_rig.bucket, store), "folder", recursive=True)
    assert sorted(await seaweed_rig.names()) == ["folder/there", "there"]
    assert await seaweed_rig.get("there") == b"content"


async def test_a_wrong_secret_is_an_authentication_error_that_does_not_show_it(seaweed_rig: SeaweedRig) -> None:
    wrong = {**seaweed_rig.keys.credentials, "secret_access_key": "wrong-secret-of-mine"}
    async with opened(seaweed_rig.bucket, replace(seaweed_rig.keys, credentials=wrong)) as store:
        with pytest.raises(AuthenticationError) as caught:
            await content_of(store, "key")
    assert "wrong-secret-of-mine" not in str(caught.value)


async def test_credentials_of_one_bucket_open_no_other(seaweedfs: LocalServer, seaweed_rig: SeaweedRig) -> None:
    async with seaweedfs.rig() as other:
        await other.put("there", b"secret")
        stray = {**seaweed_rig.keys.credentials, "bucket_name": other.real_name}
        async with opened(other.bucket, replace(seaweed_rig.keys, credentials=stray)) as store:
            with pytest.raises(PermissionDenied):
                await content_of(store, "there")
            with pytest.raises(PermissionDenied):
                await blobs_under(store)


async def test_credentials_of_one_bucket_copy_nothing_out_of_another(
    seaweedfs: LocalServer, seaweed_rig: SeaweedRig
) -> None:
    async with seaweedfs.rig() as other:
        await other.put("there", b"secret")
        source = await source_of(other.store, "there")
        assert not may_copy_inside(source.site, await seaweed_rig.store.site())
        with pytest.raises(PermissionDenied):
            await seaweed_rig.store.copy_from("copy", source)
        assert await seaweed_rig.names() == []
