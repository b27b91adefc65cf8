"""Buckets and credentials, end to end on the local platform."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import aiohttp
import pytest

from airflow_provider_neuro_buckets.buckets import (
    AlreadyExists,
    AuthenticationError,
    BadRequest,
    BlobObject,
    Bucket,
    BucketNotEmpty,
    Buckets,
    BucketsConfig,
    BucketUsage,
    ConfigurationError,
    PermissionDenied,
    ResourceNotFound,
    persistent_secret,
)
from airflow_provider_neuro_buckets.local.child import RunningPlatform


@pytest.fixture
async def buckets(neuro_buckets_local: RunningPlatform) -> AsyncIterator[Buckets]:
    async with Buckets.open(neuro_buckets_local.config) as buckets:
        yield buckets


@pytest.fixture
async def reader(neuro_buckets_local: RunningPlatform) -> AsyncIterator[Buckets]:
    """A client of the user who may only read."""
    config = replace(neuro_buckets_local.config, token=neuro_buckets_local.readonly_token)
    async with Buckets.open(config) as buckets:
        yield buckets


def fresh() -> str:
    return f"test-{uuid.uuid4().hex[:12]}"


@pytest.fixture
async def made(buckets: Buckets) -> AsyncIterator[Bucket]:
    bucket = await buckets.create(fresh())
    yield bucket
    with suppress(ResourceNotFound):
        await buckets.rm(bucket.id, force=True)


async def keys(buckets: Buckets, bucket: Bucket) -> list[str]:
    return [entry.key async for entry in buckets.list_blobs(bucket.uri / "", recursive=True)]


async def test_a_wrong_address_of_the_buckets_service_is_told_with_the_field_to_mend(
    neuro_buckets_local: RunningPlatform,
) -> None:
    wrong = f"{neuro_buckets_local.buckets_url}/nothing"
    async with Buckets.open(replace(neuro_buckets_local.config, buckets_url=wrong)) as buckets:
        with pytest.raises(ResourceNotFound, match=r"at http.*/nothing: the service answered 404\. Check buckets_url"):
            await buckets.check()


async def test_a_bucket_is_made_found_listed_and_deleted(buckets: Buckets) -> None:
    name = fresh()
    bucket = await buckets.create(name)
    assert (bucket.name, bucket.cluster_name, bucket.org_name, bucket.project_name) == (name, "local", "neuro", "demo")
    assert abs(bucket.created_at - datetime.now(UTC)) < timedelta(minutes=5)
    for by in (name, bucket.id, bucket.uri, str(bucket.uri), f"blob:{name}"):
        assert await buckets.get(str(by)) == bucket
    assert bucket in [item async for item in buckets.list()]
    with pytest.raises(AlreadyExists):
        await buckets.create(name)
    await buckets.rm(name)
    with pytest.raises(ResourceNotFound):
        await buckets.rm(name)
    with pytest.raises(ResourceNotFound):
        await buckets.head_blob(bucket.id, "key")


async def test_a_bucket_without_a_name_goes_by_its_id(buckets: Buckets) -> None:
    bucket = await buckets.create()
    assert (bucket.name, str(bucket.uri)) == (None, f"blob://local/neuro/demo/{bucket.id}")
    await buckets.put_blob(bucket.id, "key", b"content")
    assert [entry.key async for entry in buckets.list_blobs(f"{bucket.uri}/")] == ["key"]
    await buckets.rm(bucket.id, force=True)


async def test_a_full_bucket_stays_with_everybodys_credentials_unless_it_is_forced(
    buckets: Buckets, made: Bucket
) -> None:
    await buckets.put_blob(made.id, "a/key", b"content")
    lasting = await buckets.persistent_credentials_create([made.id])
    with pytest.raises(BucketNotEmpty, match="force=True"):
        await buckets.rm(made.id)
    assert await buckets.persistent_credentials_get(lasting.id) == lasting
    assert await keys(buckets, made) == ["a/key"]
    await buckets.rm(made.id, force=True)
    with pytest.raises(ResourceNotFound):
        await buckets.get(made.id)
    with pytest.raises(ResourceNotFound):
        await buckets.persistent_credentials_get(lasting.id)


async def test_a_bucket_of_more_than_one_batch_is_emptied_by_force(buckets: Buckets, made: Bucket) -> None:
    await asyncio.gather(*(buckets.put_blob(made.id, f"d{n % 7}/{n}", b"") for n in range(1100)))
    usage = [item async for item in buckets.get_disk_usage(made.id)]
    assert usage[-1] == BucketUsage(total_bytes=0, object_count=1100)
    assert [item.object_count for item in usage] == sorted(item.object_count for item in usage)
    await buckets.rm(made.id, force=True)


async def test_disk_usage_counts_bytes_and_blobs_and_yields_for_an_empty_bucket(buckets: Buckets, made: Bucket) -> None:
    assert [item async for item in buckets.get_disk_usage(made.id)] == [BucketUsage(total_bytes=0, object_count=0)]
    await buckets.put_blob(made.id, "a", b"12345")
    await buckets.put_blob(made.id, "b/c", b"1234567")
    async with buckets.get_disk_usage(f"blob:{made.name}") as usage:
        assert [item async for item in usage][-1] == BucketUsage(total_bytes=12, object_count=2)


async def test_an_imported_bucket_is_another_door_to_the_same_blobs(buckets: Buckets, made: Bucket) -> None:
    lasting = await buckets.persistent_credentials_create([made.id])
    raw = dict(lasting.credentials[0].credentials)
    real_name = raw.pop("bucket_name")
    door = await buckets.import_external(Bucket.Provider.SEAWEEDFS, real_name, raw, name=fresh())
    assert (door.imported, door.provider) == (True, "seaweedfs")
    await buckets.put_blob(door.id, "key", b"through the door")
    assert (await buckets.head_blob(made.id, "key")).size == 16
    url = await buckets.make_signed_url(f"{door.uri}/key")
    async with aiohttp.ClientSession() as http, http.get(url) as answer:
        assert (answer.status, await answer.read()) == (200, b"through the door")
    # Only the platform's record goes, full as it is.
    await buckets.rm(door.id)
    assert await keys(buckets, made) == ["key"]
    with pytest.raises(BadRequest, match="nope"):
        await buckets.import_external("nope", real_name, raw)


@pytest.mark.parametrize("provider", ["open_stack", "emc_ecs"])
async def test_a_url_into_an_imported_bucket_is_signed_here_where_the_platform_cannot(
    buckets: Buckets, made: Bucket, provider: str
) -> None:
    lasting = await buckets.persistent_credentials_create([made.id])
    raw = dict(lasting.credentials[0].credentials)
    door = await buckets.import_external(provider, raw.pop("bucket_name"), raw, name=fresh())
    await buckets.put_blob(made.id, "key", b"content")
    url = await buckets.make_signed_url(f"{door.uri}/key")
    async with aiohttp.ClientSession() as http, http.get(url) as answer:
        assert (answer.status, await answer.read()) == (200, b"content")


async def test_every_secret_is_told_to_the_surroundings_when_it_is_first_seen(
    neuro_buckets_local: RunningPlatform, made: Bucket
) -> None:
    seen: set[str] = set()

    async def mask(secret: str) -> None:
        seen.add(secret)

    async with Buckets.open(replace(neuro_buckets_local.config, on_secret=mask)) as buckets:
        tmp = await buckets.request_tmp_credentials(made.id)
        lasting = await buckets.persistent_credentials_create([made.id])
        await buckets.import_external("aws", "theirs", {"access_key_id": "AK", "secret_access_key": "given-by-hand"})
    secrets = {neuro_buckets_local.token, "given-by-hand", tmp.credentials["session_token"]}
    secrets |= {keys.credentials["secret_access_key"] for keys in (tmp, lasting.credentials[0])}
    assert secrets <= seen
    assert not {"us-east-1", tmp.credentials["endpoint_url"], tmp.credentials["bucket_name"]} & seen


async def test_an_imported_bucket_is_not_for_persistent_credentials(buckets: Buckets) -> None:
    door = await buckets.import_external("aws", "theirs", {"access_key_id": "AK", "secret_access_key": "not real"})
    with pytest.raises(BadRequest, match="imported bucket"):
        await buckets.persistent_credentials_create([door.id])


async def test_a_bucket_of_another_provider_lists_and_shows(buckets: Buckets) -> None:
    door = await buckets.import_external("gcp", "theirs", {"key_data": "bm9uZQ=="}, name=fresh())
    assert door.id in [item.id async for item in buckets.list()]
    assert (await buckets.get(door.id)).provider == "gcp"


async def test_a_public_bucket_is_read_by_anybody_until_it_is_closed(buckets: Buckets, made: Bucket) -> None:
    await buckets.put_blob(made.id, "key", b"for all")
    signed = await buckets.make_signed_url(f"{made.uri}/key")
    plain = signed.with_query(None)

    async def status() -> int:
        async with aiohttp.ClientSession() as http, http.get(plain) as answer:
            return answer.status

    assert await status() == 403
    assert (await buckets.set_public_access(made.id, public_access=True)).public
    assert (await buckets.get(made.id)).public
    assert await status() == 200
    assert not (await buckets.set_public_access(str(made.name), public_access=False)).public
    assert await status() == 403


async def test_a_signed_url_leads_to_the_very_key_and_lives_no_longer_than_it_may(
    buckets: Buckets, made: Bucket
) -> None:
    await buckets.put_blob(made.id, "d/a b+c%20\u00e9?#.txt", b"content")
    (entry,) = [entry async for entry in buckets.list_blobs(f"{made.uri}/", recursive=True)]
    url = await buckets.make_signed_url(entry.uri, expires_in_seconds=60)
    async with aiohttp.ClientSession() as http, http.get(url) as answer:
        assert (answer.status, await answer.read()) == (200, b"content")
    for seconds in (0, -1, 604_801):
        with pytest.raises(ConfigurationError, match="seconds"):
            await buckets.make_signed_url(entry.uri, expires_in_seconds=seconds)
    with pytest.raises(ConfigurationError, match="key of the blob is empty"):
        await buckets.make_signed_url(made.uri)


async def test_persistent_credentials_are_made_found_listed_and_deleted(buckets: Buckets, made: Bucket) -> None:
    name = fresh()
    lasting = await buckets.persistent_credentials_create([str(made.name)], name=name)
    assert (lasting.name, lasting.read_only, lasting.cluster_name) == (name, False, "local")
    assert [item.bucket_id for item in lasting.credentials] == [made.id]
    assert (
        lasting
        == await buckets.persistent_credentials_get(name)
        == await buckets.persistent_credentials_get(lasting.id)
    )
    assert lasting in [item async for item in buckets.persistent_credentials_list("local")]
    with pytest.raises(AlreadyExists):
        await buckets.persistent_credentials_create([made.id], name=name)
    await buckets.persistent_credentials_rm(name)
    with pytest.raises(ResourceNotFound):
        await buckets.persistent_credentials_rm(lasting.id)


async def test_temporary_credentials_are_fresh_and_read_only_for_a_reader(
    buckets: Buckets, reader: Buckets, made: Bucket
) -> None:
    first, second = await buckets.request_tmp_credentials(made.id), await buckets.request_tmp_credentials(made.id)
    assert first.bucket_id == made.id
    assert first.credentials["access_key_id"] != second.credentials["access_key_id"]
    assert not first.read_only
    assert (await reader.request_tmp_credentials(made.id)).read_only


async def test_a_reader_reads_and_may_do_nothing_else(buckets: Buckets, reader: Buckets, made: Bucket) -> None:
    await buckets.put_blob(made.id, "key", b"content")
    async with reader.fetch_blob(made.id, "key") as content:
        assert b"".join([chunk async for chunk in content]) == b"content"
    with pytest.raises(PermissionDenied):
        await reader.put_blob(made.id, "key", b"other")
    with pytest.raises(PermissionDenied):
        await reader.delete_blob(made.id, "key")
    with pytest.raises(PermissionDenied, match="write on blob://local/neuro/demo"):
        await reader.create(fresh())
    with pytest.raises(PermissionDenied, match=f"write on {made.uri}"):
        await reader.set_public_access(made.id, public_access=True)
    await buckets.blob_rm(f"{made.uri}/key")
    with pytest.raises(PermissionDenied, match=f"write on {made.uri}"):
        await reader.rm(made.id)
    assert await buckets.get(made.id) == made


async def test_a_wrong_token_is_an_authentication_error_that_names_the_connection(
    neuro_buckets_local: RunningPlatform,
) -> None:
    config = replace(neuro_buckets_local.config, token="stale-and-wrong", name="connection 'c'")
    async with Buckets.open(config) as buckets:
        with pytest.raises(AuthenticationError, match="connection 'c'") as caught:
            await buckets.check()
    assert "stale-and-wrong" not in str(caught.value)
    async with Buckets.open(replace(config, api_url=neuro_buckets_local.api_url, buckets_url=None)) as buckets:
        with pytest.raises(AuthenticationError, match=r"connection 'c'.*does not accept the token"):
            await buckets.check()


# Persistent credentials without the platform


@pytest.fixture
async def lone(buckets: Buckets, made: Bucket) -> AsyncIterator[Buckets]:
    """A client with persistent credentials for the bucket, and neither token nor platform."""
    lasting = await buckets.persistent_credentials_create([made.id])
    async with Buckets.open(BucketsConfig(persistent_credentials=persistent_secret(lasting, [made]))) as lone:
        yield lone


async def test_blobs_work_with_persistent_credentials_alone(lone: Buckets, buckets: Buckets, made: Bucket) -> None:
    await lone.put_blob(str(made.name), "d/key", b"content")
    assert await keys(buckets, made) == ["d/key"]
    (entry,) = [entry async for entry in lone.glob_blobs(f"blob:/demo/{made.name}/**/k*")]
    assert isinstance(entry, BlobObject)
    assert entry.uri == made.uri / "d" / "key"
    assert entry.bucket == replace(made, public=False)
    assert await lone.blob_is_dir(f"blob:{made.id}/d")
    url = await lone.make_signed_url(entry.uri)
    async with aiohttp.ClientSession() as http, http.get(url) as answer:
        assert (answer.status, await answer.read()) == (200, b"content")
    await lone.blob_rm(f"blob:{made.name}/d", recursive=True)
    assert await keys(buckets, made) == []


async def test_read_only_persistent_credentials_read_and_are_denied_everything_else(
    buckets: Buckets, made: Bucket
) -> None:
    await buckets.put_blob(made.id, "key", b"content")
    lasting = await buckets.persistent_credentials_create([made.id], read_only=True)
    secret = persistent_secret(lasting, [made])
    async with Buckets.open(BucketsConfig(persistent_credentials=secret)) as lone:
        assert (await lone.head_blob(made.id, "key")).size == 7
        with pytest.raises(PermissionDenied):
            await lone.put_blob(made.id, "key", b"other")
        with pytest.raises(PermissionDenied):
            await lone.delete_blob(made.id, "key")
        with pytest.raises(PermissionDenied):
            await lone.blob_rm(f"blob:{made.name}/key")
    assert await keys(buckets, made) == ["key"]


async def test_deleted_persistent_credentials_are_rejected_and_shown_nowhere(buckets: Buckets, made: Bucket) -> None:
    lasting = await buckets.persistent_credentials_create([made.id])
    secret = persistent_secret(lasting, [made])
    await buckets.persistent_credentials_rm(lasting.id)
    async with Buckets.open(BucketsConfig(persistent_credentials=secret)) as lone:
        with pytest.raises(PermissionError) as caught:
            await lone.put_blob(made.id, "key", b"content")
    keys = lasting.credentials[0].credentials
    assert not any(keys[name] in str(caught.value) for name in ("access_key_id", "secret_access_key"))
