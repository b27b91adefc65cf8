"""The GCS store on a real server: tokens that end, content stored as gzip, batches, checksums of uploads in parts."""

from __future__ import annotations

import asyncio
import gzip
import subprocess
import sys
import traceback
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import aiohttp
import google_crc32c
import pytest
from yarl import URL

from airflow_provider_neuro_buckets.buckets.config import BucketsConfig
from airflow_provider_neuro_buckets.buckets.credentials import CredentialSource
from airflow_provider_neuro_buckets.buckets.errors import (
    AuthenticationError,
    ConfigurationError,
    Conflict,
    InvalidAddress,
    InvalidAnswer,
    ResourceNotFound,
    UnsupportedProvider,
)
from airflow_provider_neuro_buckets.buckets.http.pool import open_connections
from airflow_provider_neuro_buckets.buckets.models import BucketCredentials
from airflow_provider_neuro_buckets.buckets.stores.base import Capability
from airflow_provider_neuro_buckets.buckets.stores.checksums import Checksum
from airflow_provider_neuro_buckets.buckets.stores.registry import ClosableStore, open_store
from conformance.asking import blobs_under, content_of, keys_of
from conformance.rigs.base import IMPATIENT, describe_keys
from conformance.rigs.gcp import GcsRig

PART = 5 * 1024**2


@asynccontextmanager
async def with_token(
    rig: GcsRig, *, life: timedelta = timedelta(hours=1)
) -> AsyncIterator[tuple[ClosableStore, list[BucketCredentials]]]:
    """Open a store as with temporary credentials: a token from the platform, another each time it is asked."""
    given: list[BucketCredentials] = []

    async def fetch() -> BucketCredentials:
        given.append(
            describe_keys(
                rig.bucket,
                bucket_name=rig.keys.credentials["bucket_name"],
                project="test-project",
                endpoint_url=rig.front.endpoint,
                access_token=rig.front.issue(),
                expire_time=(datetime.now(UTC) + life).isoformat(),
            )
        )
        return given[-1]

    async with open_connections(BucketsConfig(buckets_url="http://127.0.0.1/unused", timeout_seconds=60)) as http:
        store = open_store(bucket=rig.bucket, credentials=CredentialSource(fetch), http=http, retry=IMPATIENT)
        yield store, given
        await store.aclose()


async def test_one_token_serves_many_requests(gcs_rig: GcsRig) -> None:
    await gcs_rig.store.write("blob", b"content")
    await asyncio.gather(*(gcs_rig.store.head("blob") for _ in range(30)))
    assert len(gcs_rig.front.assertions) == 1


async def test_a_revoked_token_is_replaced_once_for_all_who_meet_it(gcs_rig: GcsRig) -> None:
    await gcs_rig.store.write("blob", b"content")
    gcs_rig.front.tokens.clear()
    await asyncio.gather(*(gcs_rig.store.head("blob") for _ in range(50)))
    assert len(gcs_rig.front.assertions) == 2


async def test_an_upload_in_parts_goes_on_across_a_new_token(gcs_rig: GcsRig) -> None:
    async with gcs_rig.store.multipart("big") as upload:
        await upload.put_part(1, b"1" * PART)
        gcs_rig.front.tokens.clear()
        await upload.put_part(2, b"2")
        gcs_rig.front.tokens.clear()
        await upload.complete()
    assert await gcs_rig.get("big") == b"1" * PART + b"2"
    assert len(gcs_rig.front.assertions) == 3


async def test_the_platform_is_asked_for_another_token_when_one_has_ended(gcs_rig: GcsRig) -> None:
    async with with_token(gcs_rig) as (store, given):
        await store.write("blob", b"content")
        assert len(given) == 1
        gcs_rig.front.tokens.clear()
        assert await content_of(store, "blob") == b"content"
        assert len(given) == 2


async def test_a_token_that_ends_soon_is_replaced_before_the_service_refuses_it(gcs_rig: GcsRig) -> None:
    async with with_token(gcs_rig, life=timedelta(seconds=1.2)) as (store, given):
        await store.write("blob", b"content")
        await asyncio.sleep(1)
        await store.head("blob")
        assert len(given) >= 2
        assert len({credentials.credentials["access_token"] for credentials in given}) == len(given)


async def test_tokens_that_are_never_accepted_end_in_one_error_after_one_renewal(gcs_rig: GcsRig) -> None:
    async with with_token(gcs_rig) as (store, given):
        gcs_rig.front.issue = lambda: "ya29.never-accepted"  # type: ignore[method-assign]  # an account that was shut down
        with pytest.raises(AuthenticationError, match="Invalid Credentials") as caught:
            await store.head("blob")
        assert len(given) == 2
        assert "ya29" not in "".join(traceback.format_exception(caught.value))


async def test_with_a_token_only_the_store_says_that_it_cannot_sign(gcs_rig: GcsRig) -> None:
    async with with_token(gcs_rig) as (store, _):
        await store.write("blob", b"content")
        assert Capability.SIGN not in store.capabilities
        with pytest.raises(UnsupportedProvider, match="access token"):
            await store.sign("blob", expires_in_seconds=60)


async def test_a_signed_url_needs_no_token_and_makes_no_request(gcs_rig: GcsRig) -> None:
    await gcs_rig.put("a b/caf\u00e9", b"content")
    url = await gcs_rig.store.sign("a b/caf\u00e9", expires_in_seconds=60)
    assert gcs_rig.front.assertions == []
    async with aiohttp.ClientSession() as http, http.get(URL(url, encoded=True)) as answer:
        assert (answer.status, await answer.read()) == (200, b"content")


async def test_with_a_token_nothing_of_google_is_loaded() -> None:
    program = (
        "import sys, airflow_provider_neuro_buckets.buckets.stores.gcs\n"
        "print([name for name in sys.modules if name.startswith(('google.auth', 'botocore', 'azure'))])"
    )
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", program, stdout=subprocess.PIPE)
    out, _ = await process.communicate()
    assert (process.returncode, out.strip()) == (0, b"[]")


async def test_an_endpoint_without_tls_that_is_not_this_machine_gets_no_token(gcs_rig: GcsRig) -> None:
    keys = {**gcs_rig.keys.credentials, "access_token": "ya29.x", "endpoint_url": "http://storage.example.org"}

    async def fetch() -> BucketCredentials:
        return describe_keys(gcs_rig.bucket, **keys)

    async with open_connections(BucketsConfig(buckets_url="http://127.0.0.1/unused")) as http:
        store = open_store(bucket=gcs_rig.bucket, credentials=CredentialSource(fetch), http=http, retry=IMPATIENT)
        with pytest.raises(ConfigurationError, match="endpoint_url"):
            await store.head("blob")


async def test_a_blob_stored_as_gzip_is_read_as_it_is_stored(gcs_rig: GcsRig) -> None:
    packed = gzip.compress(b"content" * 1000)
    blob = gcs_rig.around.blob("packed.txt")
    blob.content_encoding = "gzip"
    await asyncio.to_thread(blob.upload_from_string, packed, content_type="text/plain")
    assert (await gcs_rig.store.head("packed.txt")).size == len(packed)
    assert await content_of(gcs_rig.store, "packed.txt") == packed


async def test_metadata_may_change_without_a_new_version(gcs_rig: GcsRig) -> None:
    await gcs_rig.store.write("blob", b"content")
    etag = (await gcs_rig.store.head("blob")).etag

    def describe() -> None:
        blob = gcs_rig.around.blob("blob")
        blob.metadata = {"colour": "blue"}
        blob.patch()

    await asyncio.to_thread(describe)
    assert await content_of(gcs_rig.store, "blob", etag=etag) == b"content"


async def test_every_verb_tells_the_same_version(gcs_rig: GcsRig) -> None:
    written = await gcs_rig.store.write("blob", b"content")
    async with gcs_rig.store.read("blob") as body:
        read = body.meta
    (listed,) = await blobs_under(gcs_rig.store)
    assert {meta.etag for meta in (written, read, listed, await gcs_rig.store.head("blob"))} == {written.etag}
    assert {meta.md5 for meta in (written, read, listed)} == {written.md5}
    assert written.created_at is not None


async def test_an_upload_in_parts_tells_the_version_that_it_made(gcs_rig: GcsRig) -> None:
    async with gcs_rig.store.multipart("big") as upload:
        await upload.put_part(2, b"end")
        await upload.put_part(1, b"1" * PART)
        made = await upload.complete()
    head = await gcs_rig.store.head("big")
    assert (made.etag, made.size) == (head.etag, PART + 3)
    assert await content_of(gcs_rig.store, "big", etag=made.etag) == b"1" * PART + b"end"


async def test_a_part_too_small_to_be_in_the_middle_is_told_and_nothing_is_left(gcs_rig: GcsRig) -> None:
    async def upload() -> None:
        async with gcs_rig.store.multipart("big") as parts:
            await parts.put_part(1, b"small")
            await parts.put_part(2, b"end")
            await parts.complete()

    with pytest.raises(Exception, match="EntityTooSmall"):
        await upload()
    assert await gcs_rig.unfinished() == []
    assert await gcs_rig.names() == []


async def test_hundreds_of_blobs_are_deleted_and_missing_ones_do_not_matter(gcs_rig: GcsRig) -> None:
    keys = [f"folder/{number} \u00e9?#" for number in range(230)]
    await asyncio.gather(*(gcs_rig.store.write(key, b"") for key in keys[::2]))
    await gcs_rig.store.write("kept", b"")
    assert await gcs_rig.store.delete([*keys, "..", "line\nbreak"]) == {}
    assert await gcs_rig.names() == ["kept"]


async def test_a_deletion_of_nothing_asks_nothing(gcs_rig: GcsRig) -> None:
    assert await gcs_rig.store.delete([]) == {}
    assert gcs_rig.front.assertions == []


async def test_a_batch_goes_on_across_a_new_token(gcs_rig: GcsRig) -> None:
    await gcs_rig.store.write("a", b"")
    await gcs_rig.store.write("b", b"")
    gcs_rig.front.tokens.clear()
    assert await gcs_rig.store.delete(["a", "b"]) == {}
    assert keys_of(await blobs_under(gcs_rig.store)) == []


async def test_a_name_that_google_does_not_take_is_not_found_and_not_written(gcs_rig: GcsRig) -> None:
    with pytest.raises(ResourceNotFound, match="line break"):
        await gcs_rig.store.head("a\nb")
    with pytest.raises(InvalidAddress, match="line break"):
        await gcs_rig.store.write("a\nb", b"")


async def test_a_version_that_was_replaced_is_a_conflict(gcs_rig: GcsRig) -> None:
    old = await gcs_rig.store.write("blob", b"old")
    await gcs_rig.store.write("blob", b"new")
    with pytest.raises(Conflict):
        await content_of(gcs_rig.store, "blob", etag=old.etag)


async def test_a_bucket_that_is_not_there_is_told(gcs_rig: GcsRig) -> None:
    keys = {**gcs_rig.keys.credentials, "bucket_name": "never-made"}

    async def fetch() -> BucketCredentials:
        return describe_keys(gcs_rig.bucket, **keys)

    async with open_connections(BucketsConfig(buckets_url="http://127.0.0.1/unused")) as http:
        store = open_store(bucket=gcs_rig.bucket, credentials=CredentialSource(fetch), http=http, retry=IMPATIENT)
        with pytest.raises(ResourceNotFound):
            await store.write("blob", b"")
        with pytest.raises(ResourceNotFound):
            await blobs_under(store)


async def test_credentials_without_token_and_key_are_told(gcs_rig: GcsRig) -> None:
    async def fetch() -> BucketCredentials:
        return describe_keys(gcs_rig.bucket, bucket_name="real", project="p")

    async with open_connections(BucketsConfig(buckets_url="http://127.0.0.1/unused")) as http:
        store = open_store(bucket=gcs_rig.bucket, credentials=CredentialSource(fetch), http=http, retry=IMPATIENT)
        with pytest.raises(InvalidAnswer, match="key_data"):
            await store.head("blob")


async def test_what_came_in_parts_has_a_crc32c_to_compare_it_with(gcs_rig: GcsRig) -> None:
    content = bytes(range(256)) * (PART // 256) + b"end"
    async with gcs_rig.store.multipart("blob") as upload:
        await upload.put_part(1, content[:PART])
        await upload.put_part(2, content[PART:])
        await upload.complete()
    meta = await gcs_rig.store.head("blob")
    assert await gcs_rig.store.checksum(meta) == Checksum("crc32c", google_crc32c.Checksum(content).digest())
    await gcs_rig.put("blob", b"another version")
    assert await gcs_rig.store.checksum(meta) is None
