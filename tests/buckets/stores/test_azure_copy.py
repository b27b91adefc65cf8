"""Copies inside Azure: by whose right, and what is made of answers that no healthy server gives."""

from __future__ import annotations

import hashlib
from base64 import b64encode
from dataclasses import replace
from urllib.parse import parse_qs, urlsplit

import pytest
from azure.storage.blob.aio import ContainerClient

from airflow_provider_neuro_buckets.buckets.errors import (
    BadRequest,
    Conflict,
    IntegrityError,
    InvalidAnswer,
    PermissionDenied,
    ResourceNotFound,
    UnsupportedProvider,
)
from airflow_provider_neuro_buckets.buckets.stores.azure_copy import site_of
from airflow_provider_neuro_buckets.buckets.stores.base import BlobMeta, BlobStore, CopySource, Site, may_copy_inside
from airflow_provider_neuro_buckets.buckets.stores.direct import Request
from buckets.stores.test_azure_faults import BUCKET, SAS, Answer, Seen, answer, refusal, scripted
from conformance.asking import source_of
from conformance.rigs.azure import READ_ONLY, AzureServer
from conformance.rigs.base import describe_bucket, describe_keys, opened

MIB = 1024**2
MD5 = hashlib.md5(b"content")
MD5_HEADER = b64encode(MD5.digest()).decode()
DONE = answer(202, ETag='"0x2"', x_ms_copy_status="success")


async def source_in(store: BlobStore, key: str = "source", *, size: int = 7, has_md5: bool = True) -> CopySource:
    meta = BlobMeta(key=key, size=size, etag="0x1", md5=MD5.hexdigest() if has_md5 else None)
    return CopySource(site=await store.site(), meta=meta, address=store.address(key))


async def test_the_request_names_the_source_with_its_right_its_version_and_its_md5() -> None:
    async with scripted(DONE) as (store, script):
        made = await store.copy_from("to/a b", await source_in(store, "from/é+%?#/x"))
        site = await store.site()
    (seen,) = script.seen
    assert (seen.method, seen.target, seen.body) == ("PUT", f"/acc/cont/to/a%20b?{SAS}", b"")
    endpoint = site.credentials.credentials["storage_endpoint"]
    assert seen.headers["x-ms-copy-source"] == f"{endpoint}/cont/from/%C3%A9%2B%25%3F%23/x?{SAS}"
    assert seen.headers["x-ms-source-if-match"] == '"0x1"'
    assert seen.headers["x-ms-source-content-md5"] == MD5_HEADER
    assert seen.headers["x-ms-requires-sync"] == "true"
    assert (made.size, made.etag, made.md5) == (7, "0x2", MD5.hexdigest())


async def test_a_copy_without_an_md5_is_looked_up() -> None:
    async with scripted(DONE, answer(200, body=b"12345", ETag='"0x2"')) as (store, script):
        made = await store.copy_from("key", await source_in(store, has_md5=False))
        assert [seen.method for seen in script.seen] == ["PUT", "HEAD"]
    assert "x-ms-source-content-md5" not in script.seen[0].headers
    assert (made.size, made.md5) == (5, None)


def test_a_request_does_not_show_the_right_that_is_in_its_headers() -> None:
    request = Request(what="cannot copy", method="PUT", path="key", headers={"x-ms-copy-source": f"https://x/y?{SAS}"})
    assert "c2VjcmV0" not in repr(request)


@pytest.mark.parametrize("status", ["pending", "failed", "aborted", ""])
async def test_a_copy_that_is_not_told_to_be_done_is_not(status: str) -> None:
    said = answer(202, x_ms_copy_status=status) if status else answer(202)
    async with scripted(said) as (store, _):
        with pytest.raises(InvalidAnswer):
            await store.copy_from("key", await source_in(store))


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (412, "SourceConditionNotMet", Conflict),
        (404, "CannotVerifyCopySource", ResourceNotFound),
        (403, "CannotVerifyCopySource", PermissionDenied),
        (409, "CannotVerifyCopySource", PermissionDenied),
        (403, "AuthorizationPermissionMismatch", PermissionDenied),
        (400, "Md5Mismatch", IntegrityError),
        (400, "InvalidHeaderValue", BadRequest),
        (501, "APINotImplemented", UnsupportedProvider),
    ],
)
async def test_a_refusal_is_asked_once_and_told_with_both_addresses(status: int, code: str, kind: type) -> None:
    message = f"The source https://acc.example.org/cont/source?{SAS} cannot be read."
    async with scripted(refusal(status, code, message)) as (store, script):
        with pytest.raises(kind) as caught:
            await store.copy_from("key", await source_in(store))
        assert len(script.seen) == 1
        for key in ("source", "key"):
            assert store.address(key) in str(caught.value)
    assert "c2VjcmV0" not in str(caught.value)


async def test_the_blocks_of_a_large_blob_are_ranges_of_the_same_version_and_its_md5_is_kept() -> None:
    def whole(seen: Seen) -> Answer:
        if seen.method == "HEAD":
            return answer(200, body=bytes(12), ETag='"0x3"', Content_MD5=MD5_HEADER)
        return answer(201, ETag='"0x3"')

    async with scripted(lambda seen: whole(seen)(seen)) as (store, script):
        store.copy_part = 5
        made = await store.copy_from("key", await source_in(store, size=12))
    *blocks, commit, _, _ = script.seen
    assert (made.size, made.etag) == (12, "0x3")
    assert made.md5 is None, "it is what the commit said, and proves nothing"
    spans = ("bytes=0-4", "bytes=5-9", "bytes=10-11")
    by_range = {seen.headers["x-ms-source-range"]: seen for seen in blocks}
    assert set(by_range) == set(spans)
    for seen in blocks:
        assert (seen.method, seen.body) == ("PUT", b"")
        assert seen.headers["x-ms-source-if-match"] == '"0x1"'
        assert seen.headers["x-ms-copy-source"].endswith(f"/acc/cont/source?{SAS}")
    ids = [
        parse_qs(urlsplit(by_range[span].target).query)["blockid"][0]
        for span in ("bytes=0-4", "bytes=5-9", "bytes=10-11")
    ]
    listed = commit.body.decode()
    places = [listed.index(f"<Latest>{block}</Latest>") for block in ids]
    assert places == sorted(places)
    assert commit.headers["x-ms-blob-content-md5"] == MD5_HEADER


async def test_a_block_that_cannot_be_made_commits_nothing() -> None:
    def choose(seen: Seen) -> Answer:
        is_bad = seen.headers.get("x-ms-source-range") == "bytes=5-9"
        return refusal(412, "SourceConditionNotMet") if is_bad else answer(201)

    async with scripted(lambda seen: choose(seen)(seen)) as (store, script):
        store.copy_part = 5
        with pytest.raises(Conflict):
            await store.copy_from("key", await source_in(store, size=12))
    assert not [seen for seen in script.seen if "comp=blocklist" in seen.target]


async def test_with_the_account_key_the_source_shows_a_right_to_read_this_blob_and_nothing_else(
    azure: AzureServer, container: ContainerClient
) -> None:
    keys = describe_keys(
        BUCKET,
        bucket_name=container.container_name,
        storage_endpoint=azure.azurite.endpoint,
        credential=azure.azurite.account_key,
    )
    await container.upload_blob("so urce?", b"content")
    async with opened(BUCKET, keys) as store:
        await store.copy_from("copy", await source_of(store, "so urce?"))
    properties = await container.get_blob_client("copy").get_blob_properties()
    assert await (await container.download_blob("copy")).readall() == b"content"
    source = urlsplit(str(properties.copy.source))
    right = parse_qs(source.query)
    assert (right["sp"], right["sr"]) == (["r"], ["b"])
    assert azure.azurite.account_key not in str(properties.copy.source)


async def test_two_containers_need_no_rights_in_common(azure: AzureServer, container: ContainerClient) -> None:
    await container.upload_blob("source", b"content")
    async with azure.container() as other:
        source_bucket = describe_bucket(id_="bucket-1", name="one", provider="azure")
        copy_bucket = describe_bucket(id_="bucket-2", name="two", provider="azure")
        readable = azure.keys(source_bucket, container.container_name, permission=READ_ONLY)
        async with (
            opened(source_bucket, readable) as source,
            opened(copy_bucket, azure.keys(copy_bucket, other.container_name)) as copy,
        ):
            assert may_copy_inside(await source.site(), await copy.site())
            await copy.copy_from("copy", await source_of(source, "source"))
        assert await (await other.download_blob("copy")).readall() == b"content"


async def test_who_may_only_read_cannot_copy_to_there(azure: AzureServer, container: ContainerClient) -> None:
    await container.upload_blob("source", b"content")
    async with opened(BUCKET, azure.keys(BUCKET, container.container_name, permission=READ_ONLY)) as store:
        with pytest.raises(PermissionDenied):
            await store.copy_from("copy", await source_of(store, "source"))
    assert [name async for name in container.list_blob_names()] == ["source"]


def site(endpoint: str = "https://acc.blob.core.windows.net", container: str = "cont") -> Site:
    return site_of(describe_keys(BUCKET, bucket_name=container, storage_endpoint=endpoint, sas_token=SAS))


@pytest.mark.parametrize(
    ("other", "holds"),
    [
        (site(), True),
        (site(container="other"), True),
        (site("https://another.blob.core.windows.net"), True),
        (site("http://acc.blob.core.windows.net"), False),
        (site("https://acc.blob.core.chinacloudapi.cn"), False),
        (site("https://acc.blob.core.windows.net.example.org"), False),
        (site("https://blob.core.windows.net"), False),
        (site("https://acc.example.org"), False),
        (site("http://127.0.0.1:10000/acc"), False),
    ],
)
def test_a_sas_goes_only_to_the_azure_it_is_of(other: Site, holds: bool) -> None:  # noqa: FBT001 - an expectation
    assert may_copy_inside(site(), other) is holds
    assert may_copy_inside(other, site()) is holds


def test_a_service_that_is_not_azure_itself_is_only_one_with_itself() -> None:
    here = site("http://127.0.0.1:10000/acc")
    assert may_copy_inside(here, site("http://127.0.0.1:10000/acc/", container="other"))
    assert not may_copy_inside(here, site("http://127.0.0.1:10001/acc"))
    assert not may_copy_inside(here, site("http://127.0.0.1:10000/another"))
    assert not replace(here, bucket="other").is_bucket_of(here)
    assert not site("https://one.blob.core.windows.net").is_bucket_of(site("https://two.blob.core.windows.net"))
