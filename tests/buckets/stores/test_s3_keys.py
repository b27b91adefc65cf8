"""Keys that an S3 provider is known to rewrite: such a key is never sent."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from airflow_provider_neuro_buckets.buckets.errors import InvalidAddress, ResourceNotFound
from airflow_provider_neuro_buckets.buckets.stores.registry import ClosableStore
from buckets.stores.s3_scripts import listing, store_at, stored
from conformance.asking import blobs_under, content_of
from faults.crafted import Answer, Asked, CraftedServer, crafted, reply

#: Providers, and keys that they would keep under another name or refuse.
REWRITTEN = [
    *(("minio", key) for key in ("a//b", "/a", "a/./b", "..")),
    *(("seaweedfs", key) for key in ("a//b", "/a", "a/./b", "..", "a\\b")),
]
EVERYTHING = ("a//b", "/a", "a/../b", "..", "a\\b")
KEPT = [
    *((provider, key) for provider in ("aws", "open_stack", "emc_ecs") for key in EVERYTHING),
    ("minio", "a\\b"),
    ("minio", "a/"),
    ("seaweedfs", "..."),
]


def choose(asked: Asked) -> Answer:
    if asked.method == "PUT":
        return stored()(asked)
    if asked.method == "GET" and "list-type" in asked.query:
        return listing()
    return reply(204)


@pytest.fixture
async def server() -> AsyncIterator[CraftedServer]:
    async with crafted(choose) as server:
        yield server


@pytest.fixture
async def store(server: CraftedServer, request: pytest.FixtureRequest) -> AsyncIterator[ClosableStore]:
    async with store_at(server, provider=request.param) as store:
        yield store


@pytest.mark.parametrize(("store", "key"), REWRITTEN, indirect=["store"])
async def test_what_the_provider_would_rewrite_is_refused_before_it_is_sent(
    server: CraftedServer, store: ClosableStore, key: str, request: pytest.FixtureRequest
) -> None:
    provider = request.node.callspec.params["store"]
    with pytest.raises(InvalidAddress, match=f"{provider} cannot keep"):
        await store.write(key, b"content")
    with pytest.raises(InvalidAddress, match=f"{provider} cannot keep"):
        async with store.multipart(key):
            pytest.fail("an upload began")
    with pytest.raises(InvalidAddress, match=f"{provider} cannot keep"):
        await store.sign(key, expires_in_seconds=60)
    with pytest.raises(ResourceNotFound, match=provider):
        await store.head(key)
    with pytest.raises(ResourceNotFound, match=provider):
        await content_of(store, key)
    assert await store.delete([key]) == {}
    assert await store.delete([key, key]) == {}
    assert server.asked == []


@pytest.mark.parametrize(("store", "key"), KEPT, indirect=["store"])
async def test_what_the_provider_keeps_is_sent_as_it_is(server: CraftedServer, store: ClosableStore, key: str) -> None:
    await store.write(key, b"content")
    assert server.asked[0].target == "/real/" + key.replace("\\", "%5C")


@pytest.mark.parametrize("store", ["seaweedfs"], indirect=True)
@pytest.mark.parametrize("prefix", ["a//", "/", "./", "../a", "a\\"])
async def test_no_key_of_the_provider_begins_with_what_it_cannot_keep(
    server: CraftedServer, store: ClosableStore, prefix: str
) -> None:
    assert await blobs_under(store, prefix) == []
    assert server.asked == []


@pytest.mark.parametrize("store", ["seaweedfs"], indirect=True)
async def test_a_folder_marker_is_written_without_content_only(server: CraftedServer, store: ClosableStore) -> None:
    await store.write("folder/", b"")
    assert [asked.target for asked in server.asked] == ["/real/folder/"]
    with pytest.raises(InvalidAddress, match="keeps no content"):
        await store.write("folder/", b"content")
    with pytest.raises(InvalidAddress, match="keeps no content"):
        async with store.multipart("folder/"):
            pytest.fail("an upload began")
    assert len(server.asked) == 1


@pytest.mark.parametrize("store", ["aws"], indirect=True)
@pytest.mark.parametrize("key", ["", "\udcff.bin"])
async def test_what_is_no_key_anywhere_is_refused(server: CraftedServer, store: ClosableStore, key: str) -> None:
    for verb in (store.head(key), store.write(key, b""), store.delete([key]), content_of(store, key)):
        with pytest.raises(InvalidAddress):
            await verb
    assert server.asked == []
