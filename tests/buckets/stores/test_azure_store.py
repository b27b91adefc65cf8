from __future__ import annotations

import asyncio
import hashlib
import logging
import pickle
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import aiohttp
import pytest
from azure.storage.blob import AccessPolicy, ContainerSasPermissions, ContentSettings, generate_container_sas
from azure.storage.blob.aio import ContainerClient
from yarl import URL

from airflow_provider_neuro_buckets.buckets.config import BucketsConfig
from airflow_provider_neuro_buckets.buckets.credentials import CredentialSource
from airflow_provider_neuro_buckets.buckets.errors import (
    AuthenticationError,
    BadRequest,
    BucketsError,
    ConfigurationError,
    Conflict,
    InvalidAddress,
    PermissionDenied,
    ResourceNotFound,
    UnsupportedProvider,
)
from airflow_provider_neuro_buckets.buckets.http.pool import open_connections
from airflow_provider_neuro_buckets.buckets.models import BucketCredentials
from airflow_provider_neuro_buckets.buckets.stores.base import BlobStore, ByteRange
from airflow_provider_neuro_buckets.buckets.stores.registry import ClosableStore, open_store
from conformance.rigs.azure import READ_ONLY, AzureServer
from conformance.rigs.azurite import ACCOUNT
from conformance.rigs.base import IMPATIENT, describe_bucket, describe_keys

BUCKET = describe_bucket(id_="bucket-1", name="models", provider="azure")
ODD_KEYS = ["a//b", "/lead", "dir/", "spa ce", "ключ/é", "q?x#y", "100%25", "plus+&=", "tab\tnew\nline", "'\"<>", "🦀"]


class Fetches:
    """Hands out credentials as a platform would: the first, then the second, and so on; the last for ever."""

    def __init__(self, *given: BucketCredentials) -> None:
        self._given = given
        self.count = 0

    async def __call__(self) -> BucketCredentials:
        self.count += 1
        return self._given[min(self.count, len(self._given)) - 1]


@asynccontextmanager
async def opened(*given: BucketCredentials) -> AsyncIterator[tuple[ClosableStore, Fetches]]:
    fetches = Fetches(*given)
    async with open_connections(BucketsConfig(buckets_url="http://127.0.0.1/unused", timeout_seconds=60)) as http:
        store = open_store(bucket=BUCKET, credentials=CredentialSource(fetches), http=http, retry=IMPATIENT)
        yield store, fetches
        await store.aclose()


def account_key(azure: AzureServer, container: ContainerClient) -> BucketCredentials:
    return describe_keys(
        BUCKET,
        bucket_name=container.container_name,
        storage_endpoint=azure.azurite.endpoint,
        credential=azure.azurite.account_key,
    )


def ended(azure: AzureServer, container: ContainerClient) -> BucketCredentials:
    """Return a SAS that has ended, without an `expiry` that would tell so beforehand."""
    return describe_keys(
        BUCKET,
        bucket_name=container.container_name,
        storage_endpoint=azure.azurite.endpoint,
        sas_token=azure.sas(container.container_name, life=timedelta(minutes=-1)),
    )


async def content_of(store: BlobStore, key: str, *, span: ByteRange | None = None, etag: str | None = None) -> bytes:
    async with store.read(key, span=span, etag=etag) as body:
        return b"".join([chunk async for chunk in body.chunks()])


async def keys_of(store: BlobStore, prefix: str = "", *, page_size: int | None = None) -> list[str]:
    return [blob.key async for page in store.pages(prefix, page_size=page_size) for blob in page.blobs]


async def upload(store: BlobStore, key: str, *parts: bytes) -> None:
    async with store.multipart(key) as sent:
        for number, part in enumerate(parts, start=1):
            await sent.put_part(number, part)
        await sent.complete()


VERBS: dict[str, Callable[[BlobStore], Awaitable[object]]] = {
    "head": lambda store: store.head("blob"),
    "read": lambda store: content_of(store, "blob"),
    "list": keys_of,
    "write": lambda store: store.write("new", b"content"),
    "parts": lambda store: upload(store, "new", b"content"),
    "delete one": lambda store: store.delete(["blob"]),
    "delete many": lambda store: store.delete(["blob", "missing"]),
}


# --- what a SAS allows, and for how long


async def test_a_read_only_sas_reads_and_lists(azure: AzureServer, container: ContainerClient) -> None:
    await container.upload_blob("blob", b"content")
    async with opened(azure.keys(BUCKET, container.container_name, permission=READ_ONLY)) as (store, _):
        assert await content_of(store, "blob") == b"content"
        assert await keys_of(store) == ["blob"]


@pytest.mark.parametrize("verb", ["write", "parts"])
async def test_a_read_only_sas_cannot_write(azure: AzureServer, container: ContainerClient, verb: str) -> None:
    async with opened(azure.keys(BUCKET, container.container_name, permission=READ_ONLY)) as (store, fetches):
        with pytest.raises(PermissionDenied, match="blob://test-cluster/test-org/test-project/models/new"):
            await VERBS[verb](store)
    assert [name async for name in container.list_blob_names()] == []
    assert fetches.count == 1


@pytest.mark.parametrize("keys", [["a"], ["a", "b"]])
async def test_a_read_only_sas_deletes_nothing_and_each_key_has_its_reason(
    azure: AzureServer, container: ContainerClient, keys: list[str]
) -> None:
    for key in keys:
        await container.upload_blob(key, b"content")
    async with opened(azure.keys(BUCKET, container.container_name, permission=READ_ONLY)) as (store, _):
        failures = await store.delete(keys)
    assert {key: type(error) for key, error in failures.items()} == dict.fromkeys(keys, PermissionDenied)
    assert [name async for name in container.list_blob_names()] == keys


@pytest.mark.parametrize("verb", VERBS)
async def test_a_sas_that_has_ended_is_renewed_once_and_the_request_sent_again(
    azure: AzureServer, container: ContainerClient, verb: str
) -> None:
    await container.upload_blob("blob", b"content")
    good = azure.keys(BUCKET, container.container_name)
    async with opened(ended(azure, container), good) as (store, fetches):
        await VERBS[verb](store)
    assert fetches.count == 2
    names = [name async for name in container.list_blob_names()]
    assert names == {"write": ["blob", "new"], "parts": ["blob", "new"]}.get(verb, [] if "delete" in verb else ["blob"])


async def test_many_requests_that_meet_an_ended_sas_at_once_renew_it_once(
    azure: AzureServer, container: ContainerClient
) -> None:
    await container.upload_blob("blob", b"content")
    good = azure.keys(BUCKET, container.container_name)
    async with opened(ended(azure, container), good) as (store, fetches):
        metas = await asyncio.gather(*(store.head("blob") for _ in range(20)))
    assert len(metas) == 20
    assert fetches.count == 2


async def test_a_sas_that_ends_while_the_store_is_open_is_renewed(
    azure: AzureServer, container: ContainerClient
) -> None:
    await container.upload_blob("blob", b"content")
    short = describe_keys(
        BUCKET,
        bucket_name=container.container_name,
        storage_endpoint=azure.azurite.endpoint,
        sas_token=azure.sas(container.container_name, life=timedelta(seconds=2)),
    )
    good = azure.keys(BUCKET, container.container_name)
    url = URL(f"{container.url}/blob?{short.credentials['sas_token']}", encoded=True)
    async with opened(short, good) as (store, fetches), aiohttp.ClientSession() as http:
        await store.head("blob")
        while (await http.head(url)).status != 403:  # noqa: ASYNC110 - the server says when it has ended, not our clock
            await asyncio.sleep(0.1)
        assert await content_of(store, "blob") == b"content"
        assert await store.delete(["blob", "missing"]) == {}
    assert fetches.count == 2


@pytest.mark.parametrize("verb", ["head", "read", "list", "write", "parts"])
async def test_a_sas_that_still_is_refused_after_one_renewal_is_an_authentication_error(
    azure: AzureServer, container: ContainerClient, verb: str
) -> None:
    async with opened(ended(azure, container)) as (store, fetches):
        with pytest.raises(AuthenticationError):
            await VERBS[verb](store)
    assert fetches.count == 2


async def test_a_sas_of_a_stored_policy_works_until_the_policy_is_gone(
    azure: AzureServer, container: ContainerClient
) -> None:
    policy = AccessPolicy(
        permission=ContainerSasPermissions(read=True, write=True, list=True, delete=True),
        start=datetime.now(UTC) - timedelta(hours=1),
        expiry=datetime.now(UTC) + timedelta(days=1),
    )
    await container.set_container_access_policy({"persistent": policy})
    sas = generate_container_sas(
        ACCOUNT, container.container_name, account_key=azure.azurite.account_key, policy_id="persistent"
    )
    keys = describe_keys(
        BUCKET, bucket_name=container.container_name, storage_endpoint=azure.azurite.endpoint, sas_token=sas
    )
    async with opened(keys) as (store, _):
        await store.write("blob", b"content")
        assert await content_of(store, "blob") == b"content"
        await container.set_container_access_policy({})
        with pytest.raises(AuthenticationError):
            await store.head("blob")


# --- the account key


@pytest.mark.parametrize("key", ODD_KEYS)
async def test_an_account_key_signs_every_request_of_every_key(
    azure: AzureServer, container: ContainerClient, key: str
) -> None:
    async with opened(account_key(azure, container)) as (store, fetches):
        await store.write(key, b"content")
        meta = await store.head(key)
        assert await content_of(store, key, span=ByteRange(1, 3), etag=meta.etag) == b"on"
        assert await keys_of(store, key) == [key]
        await upload(store, key, b"con", b"", b"tent", b"s")
        assert await content_of(store, key) == b"contents"
        assert await store.delete([key, "missing"]) == {}
        assert await keys_of(store) == []
    assert fetches.count == 1


async def test_a_wrong_account_key_is_an_authentication_error(azure: AzureServer, container: ContainerClient) -> None:
    wrong = describe_keys(BUCKET, **{**account_key(azure, container).credentials, "credential": "d3Jvbmc="})
    async with opened(wrong) as (store, _):
        with pytest.raises(AuthenticationError):
            await store.head("blob")


@pytest.mark.parametrize("key", ODD_KEYS)
async def test_a_signed_url_reads_its_blob_and_allows_nothing_else(
    azure: AzureServer, container: ContainerClient, key: str
) -> None:
    await container.upload_blob(key, b"content")
    await container.upload_blob("other", b"secret")
    async with opened(account_key(azure, container)) as (store, _), aiohttp.ClientSession() as http:
        signed = await store.sign(key, expires_in_seconds=60)
        async with http.get(URL(signed, encoded=True)) as answer:
            assert await answer.read() == b"content"
        async with http.delete(URL(signed, encoded=True)) as answer:
            assert answer.status == 403
        async with http.get(URL(f"{container.url}/other?{signed.partition('?')[2]}", encoded=True)) as answer:
            assert answer.status == 403


async def test_a_sas_cannot_sign_and_says_what_can(azure: AzureServer, container: ContainerClient) -> None:
    async with opened(azure.keys(BUCKET, container.container_name)) as (store, _):
        with pytest.raises(UnsupportedProvider, match="account key"):
            await store.sign("blob", expires_in_seconds=60)


@pytest.mark.parametrize("seconds", [0, -1, 7 * 24 * 3600 + 1])
async def test_a_signed_url_lives_a_second_to_a_week(
    azure: AzureServer, container: ContainerClient, seconds: int
) -> None:
    async with opened(account_key(azure, container)) as (store, _):
        with pytest.raises(ConfigurationError):
            await store.sign("blob", expires_in_seconds=seconds)


# --- what Azure tells of a blob, and what it does not


async def test_head_listing_and_read_tell_the_same_of_a_blob(azure: AzureServer, container: ContainerClient) -> None:
    async with opened(azure.keys(BUCKET, container.container_name)) as (store, _):
        written = await store.write("blob", b"content")
        headed = await store.head("blob")
        [listed] = [blob async for page in store.pages("") for blob in page.blobs]
        async with store.read("blob", span=ByteRange(0, 1)) as body:
            assert body.meta == headed == listed
    assert headed.md5 == written.md5 == hashlib.md5(b"content").hexdigest()
    assert (headed.etag, headed.size) == (written.etag, written.size)
    told = await container.get_blob_client("blob").get_blob_properties()
    assert (headed.created_at, headed.modified_at) == (told.creation_time, told.last_modified)


async def test_a_blob_of_parts_has_no_md5(azure: AzureServer, container: ContainerClient) -> None:
    async with opened(azure.keys(BUCKET, container.container_name)) as (store, _):
        await upload(store, "blob", b"con", b"tent")
        assert (await store.head("blob")).md5 is None
        assert await content_of(store, "blob") == b"content"


async def test_a_blob_stored_with_a_content_encoding_is_read_as_it_is_stored_f38(
    azure: AzureServer, container: ContainerClient
) -> None:
    settings = ContentSettings(content_encoding="gzip")
    await container.upload_blob("blob", b"\x1f\x8bnot really", content_settings=settings)
    async with opened(azure.keys(BUCKET, container.container_name)) as (store, _):
        assert await content_of(store, "blob") == b"\x1f\x8bnot really"


# --- parts


async def test_parts_left_behind_do_not_change_the_key_nor_show_in_a_listing(
    azure: AzureServer, container: ContainerClient
) -> None:
    await container.upload_blob("old", b"old")
    async with opened(azure.keys(BUCKET, container.container_name)) as (store, _):
        for key in ("old", "new"):
            async with store.multipart(key) as sent:
                await sent.put_part(1, b"part")
        assert await keys_of(store) == ["old"]
        assert await content_of(store, "old") == b"old"
        await upload(store, "new", b"next")
        assert await content_of(store, "new") == b"next"


async def test_an_upload_swept_away_by_another_write_is_a_conflict_and_leaves_that_write_alone(
    azure: AzureServer, container: ContainerClient
) -> None:
    async with opened(azure.keys(BUCKET, container.container_name)) as (store, _), store.multipart("blob") as sent:
        await sent.put_part(1, b"mine")
        await upload(store, "blob", b"theirs")
        with pytest.raises(Conflict, match="models/blob"):
            await sent.complete()
        assert await content_of(store, "blob") == b"theirs"


async def test_parts_cannot_replace_a_blob_of_another_type_and_the_reason_is_told(
    azure: AzureServer, container: ContainerClient
) -> None:
    await container.get_blob_client("log").create_append_blob()
    async with opened(azure.keys(BUCKET, container.container_name)) as (store, _):
        with pytest.raises(BadRequest, match="InvalidBlobType"):
            await upload(store, "log", b"part")
        await store.write("log", b"content")
        assert await content_of(store, "log") == b"content"


# --- deletions


async def test_many_keys_are_deleted_over_several_batches(azure: AzureServer, container: ContainerClient) -> None:
    keys = [f"key/{number}" for number in range(300)]
    async with opened(azure.keys(BUCKET, container.container_name)) as (store, _):
        async with asyncio.TaskGroup() as group:
            for key in keys:
                group.create_task(store.write(key, b""))
        await store.write("kept", b"")
        assert await store.delete([*keys, "never-there"]) == {}
        assert await keys_of(store) == ["kept"]


async def test_odd_keys_are_deleted_in_a_batch(azure: AzureServer, container: ContainerClient) -> None:
    for key in ODD_KEYS:
        await container.upload_blob(key, b"content")
    async with opened(azure.keys(BUCKET, container.container_name)) as (store, _):
        assert await store.delete(ODD_KEYS) == {}
    assert [name async for name in container.list_blob_names()] == []


@pytest.mark.parametrize("others", [[], ["other"]])
async def test_a_blob_with_snapshots_is_not_deleted_and_the_reason_is_told(
    azure: AzureServer, container: ContainerClient, others: list[str]
) -> None:
    blob = container.get_blob_client("blob")
    await blob.upload_blob(b"content")
    await blob.create_snapshot()
    async with opened(azure.keys(BUCKET, container.container_name)) as (store, _):
        failures = await store.delete(["blob", *others])
    assert set(failures) == {"blob"}
    assert isinstance(failures["blob"], BadRequest)
    assert "SnapshotsPresent" in str(failures["blob"])


# --- keys and containers that cannot be


@pytest.mark.parametrize("key", ["./blob", "blob.", "x/../blob", "../other/blob"])
async def test_a_key_that_azure_would_turn_into_another_never_reaches_it(
    azure: AzureServer, container: ContainerClient, key: str
) -> None:
    await container.upload_blob("blob", b"content")
    async with opened(azure.keys(BUCKET, container.container_name)) as (store, _):
        with pytest.raises(InvalidAddress):
            await store.write(key, b"other")
        with pytest.raises(InvalidAddress):
            await upload(store, key, b"other")
        with pytest.raises(ResourceNotFound):
            await store.head(key)
        with pytest.raises(ResourceNotFound):
            await content_of(store, key)
        assert await store.delete([key]) == {}
        assert await store.delete([key, key]) == {}
    assert [name async for name in container.list_blob_names()] == ["blob"]


@pytest.mark.parametrize("verb", ["list", "write", "parts", "read", "head"])
async def test_a_container_that_is_not_there_is_not_found(azure: AzureServer, verb: str) -> None:
    async with opened(azure.keys(BUCKET, f"bucket-{uuid4().hex}")) as (store, _):
        with pytest.raises(ResourceNotFound):
            await VERBS[verb](store)


# --- secrets


async def test_no_secret_shows_in_an_error_a_log_or_a_repr_f109_f114(
    azure: AzureServer, container: ContainerClient, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    nowhere = describe_keys(
        BUCKET,
        bucket_name="nowhere",
        storage_endpoint="http://127.0.0.1:1/account",
        sas_token="sig=canary0123456789",
    )
    cases = [
        azure.keys(BUCKET, container.container_name, permission=READ_ONLY),
        ended(azure, container),
        nowhere,
        describe_keys(BUCKET, **{**account_key(azure, container).credentials, "credential": "Y2FuYXJ5Y2FuYXJ5"}),
        account_key(azure, container),
    ]
    shown = []
    for keys in cases:
        async with opened(keys) as (store, _):
            for verb in VERBS.values():
                try:
                    result = await verb(store)
                except BucketsError as error:
                    shown += [str(error), repr(error), *traceback.format_exception(error), repr(pickle.dumps(error))]
                else:
                    shown.append(repr(result))
            shown += [repr(store), repr(keys)]
            shown += [repr(vars(part)) for part in (store, store._lane, store._signer)]  # type: ignore[attr-defined]  # Azure's have
    text = "\n".join([*shown, caplog.text])
    assert "cannot write" in text
    for secret in ("sig=", "canary", azure.azurite.account_key, "SharedKey", "Y2FuYXJ5Y2FuYXJ5"):
        assert secret not in text
