from __future__ import annotations

import aiohttp
import pytest
from yarl import URL

from airflow_provider_neuro_buckets.buckets.errors import BucketsError, InvalidAddress
from airflow_provider_neuro_buckets.buckets.stores.base import Capability
from conformance.asking import blobs_under, content_of, keys_of, level_of
from conformance.hostile import HOSTILE, REWRITTEN, try_each
from conformance.rigs.base import Rig


async def signed_content(rig: Rig, key: str) -> tuple[int, bytes]:
    url = await rig.store.sign(key, expires_in_seconds=60)
    async with aiohttp.ClientSession() as http, http.get(URL(url, encoded=True)) as answer:
        return answer.status, await answer.read()


@pytest.mark.parametrize("kind", HOSTILE)
async def test_a_hostile_key_is_written_found_read_listed_signed_and_deleted_under_exactly_its_name(
    rig: Rig, kind: str, subtests: pytest.Subtests
) -> None:
    async def check(key: str) -> None:
        content = key.encode()
        await rig.store.write(key, content)
        assert await rig.names() == [key]
        assert (await rig.store.head(key)).size == len(content)
        assert await content_of(rig.store, key) == content
        assert keys_of(await blobs_under(rig.store)) == [key]
        assert keys_of(await blobs_under(rig.store, key)) == [key]
        assert await level_of(rig.store, key) == ([], [key])
        top, slash, _ = key.partition("/")
        if slash:  # SeaweedFS shows for a while the folders of keys that are gone
            assert top + "/" in (await level_of(rig.store, ""))[0]
        if Capability.SIGN in rig.store.capabilities:
            assert await signed_content(rig, key) == (200, content)
        await rig.store.write("beside", b"")
        assert await rig.store.delete([key, "beside"]) == {}
        assert await rig.names() == []
        await rig.store.write(key, content)
        assert await rig.store.delete([key]) == {}
        assert await rig.names() == []

    await try_each(rig, kind, subtests, check)


@pytest.mark.parametrize("key", ["a b+c%20%2F", "caf\u00e9/\U0001f600", "#?&=[]{}'\"<>~*"])
async def test_a_hostile_key_may_be_uploaded_in_parts(rig: Rig, key: str) -> None:
    async with rig.store.multipart(key) as upload:
        await upload.put_part(1, b"part")
        await upload.complete()
    assert await rig.get(key) == b"part"
    assert await rig.names() == [key]


@pytest.mark.parametrize("key", REWRITTEN)
async def test_a_key_that_the_server_refuses_or_rewrites_is_never_written_in_silence_f85(rig: Rig, key: str) -> None:
    if rig.refuses(key) is None:
        pytest.skip(f"{rig.provider} takes this key")

    async def upload() -> None:
        async with rig.store.multipart(key) as parts:
            await parts.put_part(1, b"part")
            await parts.complete()

    await rig.put("a/b", b"precious")
    with pytest.raises(BucketsError):
        await rig.store.write(key, b"content")
    with pytest.raises(BucketsError):
        await upload()
    assert await rig.names() == ["a/b"]
    assert await rig.get("a/b") == b"precious"


@pytest.mark.parametrize("key", ["a//b", "a\\b", "/a/b", "a/./b", "a/x/../b"])
async def test_a_rewritten_key_never_reaches_the_blob_it_would_be_rewritten_to(rig: Rig, key: str) -> None:
    await rig.put("a/b", b"precious")
    with pytest.raises(BucketsError):
        await rig.store.head(key)
    with pytest.raises(BucketsError):
        await content_of(rig.store, key)
    await rig.store.delete([key])
    await rig.store.delete([key, "missing"])
    assert await rig.get("a/b") == b"precious"
    assert key not in keys_of(await blobs_under(rig.store))


async def test_a_prefix_that_is_no_text_is_refused_like_such_a_key(rig: Rig) -> None:
    with pytest.raises(InvalidAddress, match="not Unicode text"):
        await blobs_under(rig.store, "a\udcff/")


@pytest.mark.parametrize("prefix", ["a//", "/", "//", "a/./", "./", "../", "a\\"])
async def test_a_listing_shows_only_keys_that_start_with_the_prefix(rig: Rig, prefix: str) -> None:
    await rig.put("a/b", b"")
    assert await blobs_under(rig.store, prefix) == []
    assert await level_of(rig.store, prefix) == ([], [])
