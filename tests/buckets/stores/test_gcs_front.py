"""The front of the GCS rig, held to what Google's own SDK sends and expects of the real service."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import closing, contextmanager
from datetime import timedelta
from pathlib import Path

import aiohttp
import pytest
from google.api_core.exceptions import PreconditionFailed
from google.auth.exceptions import RefreshError
from google.cloud import storage
from google.cloud.storage import transfer_manager
from google.oauth2.credentials import Credentials as TokenCredentials
from google.oauth2.service_account import Credentials
from yarl import URL

from conformance.rigs.gcp import Account, GcsRig, GcsServer
from conformance.rigs.gcp_front import SCOPE, Front


@contextmanager
def sdk(front: Front, credentials: Credentials | TokenCredentials) -> Iterator[storage.Client]:
    """Open Google's SDK on the front, as on the real service."""
    options = {"api_endpoint": front.endpoint}
    with closing(storage.Client(project="p", credentials=credentials, client_options=options)) as client:
        client._connection.API_BASE_URL = front.endpoint
        yield client


def account_credentials(account: Account, front: Front) -> Credentials:
    key = account.key_file(f"{front.endpoint}/token")
    credentials: Credentials = Credentials.from_service_account_info(key, scopes=[SCOPE])
    return credentials


@pytest.fixture
async def bucket(gcs: GcsServer, gcs_rig: GcsRig) -> AsyncIterator[storage.Bucket]:
    """The rig's bucket, seen by the SDK with the account's key through the front."""
    with sdk(gcs_rig.front, account_credentials(gcs.account, gcs_rig.front)) as client:
        yield client.bucket(gcs_rig.around.name)


async def test_the_sdk_gets_a_token_for_its_key_and_works_with_it(bucket: storage.Bucket, gcs_rig: GcsRig) -> None:
    await asyncio.to_thread(bucket.blob("folder/blob").upload_from_string, b"content", checksum="crc32c")
    assert await asyncio.to_thread(bucket.blob("folder/blob").download_as_bytes) == b"content"
    assert await gcs_rig.names() == ["folder/blob"]


async def test_the_sdk_uploads_in_parts_side_by_side(bucket: storage.Bucket, gcs_rig: GcsRig, tmp_path: Path) -> None:
    content = bytes(range(256)) * 50_000
    (tmp_path / "big").write_bytes(content)
    await asyncio.to_thread(
        transfer_manager.upload_chunks_concurrently,
        str(tmp_path / "big"),
        bucket.blob("folder/big one"),
        chunk_size=5 * 1024**2,
        worker_type=transfer_manager.THREAD,
        checksum="crc32c",
    )
    assert await gcs_rig.get("folder/big one") == content
    assert await gcs_rig.unfinished() == []


async def test_the_sdk_lists_pages(bucket: storage.Bucket, gcs_rig: GcsRig) -> None:
    for key in ["a", "b/1", "b/2", "c", "d/1"]:
        await gcs_rig.put(key, b"")

    def pages() -> list[list[str]]:
        listing = bucket.list_blobs(delimiter="/", page_size=2)
        return [[blob.name for blob in page] + sorted(page.prefixes) for page in listing.pages]

    assert await asyncio.to_thread(pages) == [["a", "b/"], ["c", "d/"]]


async def test_the_sdk_is_told_that_a_generation_is_gone(bucket: storage.Bucket, gcs_rig: GcsRig) -> None:
    await gcs_rig.put("blob", b"old")
    old = (await gcs_rig.store.head("blob")).etag
    await gcs_rig.put("blob", b"new")
    with pytest.raises(PreconditionFailed):
        await asyncio.to_thread(bucket.blob("blob").download_as_bytes, if_generation_match=int(old or "0"))


async def test_the_sdks_signed_url_opens_its_blob_and_no_other(bucket: storage.Bucket, gcs_rig: GcsRig) -> None:
    await gcs_rig.put("a b/c", b"content")
    await gcs_rig.put("a b/d", b"secret")
    url = bucket.blob("a b/c").generate_signed_url(
        version="v4", expiration=timedelta(minutes=5), api_access_endpoint=gcs_rig.front.endpoint
    )
    async with aiohttp.ClientSession() as http:
        async with http.get(URL(url, encoded=True)) as answer:
            assert (answer.status, await answer.read()) == (200, b"content")
        async with http.get(URL(url.replace("/c?", "/d?"), encoded=True)) as answer:
            assert answer.status == 401
        async with http.get(URL(url.replace("X-Goog-Expires=300", "X-Goog-Expires=301"), encoded=True)) as answer:
            assert answer.status == 401


async def test_the_sdk_is_refused_with_a_token_that_nobody_issued(gcs_rig: GcsRig) -> None:
    # The SDK takes the 401 for a token that has ended, and has nothing to renew it with.
    with sdk(gcs_rig.front, TokenCredentials("ya29.made-up")) as client, pytest.raises(RefreshError, match="refresh"):
        await asyncio.to_thread(lambda: list(client.bucket(gcs_rig.around.name).list_blobs()))


async def test_the_sdk_gets_no_token_for_a_key_of_somebody_else(gcs_rig: GcsRig) -> None:
    credentials = account_credentials(Account.made(), gcs_rig.front)
    with sdk(gcs_rig.front, credentials) as client, pytest.raises(RefreshError, match="invalid_grant"):
        await asyncio.to_thread(lambda: list(client.bucket(gcs_rig.around.name).list_blobs()))
