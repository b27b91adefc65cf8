"""Part B of the catalogue: answers too long, of the wrong types, from elsewhere, or by servers that can do less."""

from __future__ import annotations

import gzip
import json
import tracemalloc
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_neuro_buckets.buckets import BucketsConfig, BucketsError, ConfigurationError, InvalidAnswer
from airflow_provider_neuro_buckets.buckets.answers import (
    choose_place,
    read_bucket,
    read_credentials,
    read_persistent,
)
from airflow_provider_neuro_buckets.buckets.errors import UnsupportedProvider
from airflow_provider_neuro_buckets.buckets.stores.digest import md5
from airflow_provider_neuro_buckets.local.child import RunningPlatform
from buckets.stores.s3_scripts import blob, listing, refusal, store_at, stored
from conformance.asking import blobs_under, content_of
from conformance.rigs.base import Rig
from faults.crafted import Answer, Asked, crafted, in_turn, reply
from faults.proxy import ALWAYS, Rule
from faults.scene import at, behind_proxy, platform_behind_proxy
from faults.toxics import Answer as Instead
from faults.toxics import EndlessBody, EndlessHeaders, redirect
from promises.scene import on

CONTENT = b"content"
LISTING = r"list-type=2|comp=list|/o\?"
MIB = 1024 * 1024

everywhere = on("aws", "azure", "gcp")
pytestmark = pytest.mark.usefixtures("impatient")


@contextmanager
def at_most(mebibytes: float) -> Iterator[None]:
    """See to it that a block takes no more memory than that."""
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < mebibytes * MIB
    finally:
        tracemalloc.stop()


# Too much


@everywhere
async def test_a_listing_without_end_is_cut_off_before_it_fills_memory_f47(rig: Rig) -> None:
    endless = Rule(fault=EndlessBody(), method="GET", target=LISTING, times=ALWAYS)
    async with behind_proxy(rig, endless) as (buckets, _):
        with at_most(64), pytest.raises(InvalidAnswer, match="more than"):
            await buckets.blob_rm(at(rig), recursive=True)


async def test_headers_without_end_are_cut_off_f47() -> None:
    async with crafted(in_turn(reply(200, headers={"X-Long": "x" * MIB}))) as server, store_at(server) as store:
        with at_most(16), pytest.raises(BucketsError):
            await store.head("key")


async def test_an_answer_of_the_platform_without_end_is_cut_off_f47(neuro_buckets_local: RunningPlatform) -> None:
    for fault in (EndlessBody(), EndlessHeaders()):
        async with platform_behind_proxy(neuro_buckets_local.config, Rule(fault=fault, times=ALWAYS)) as (buckets, _):
            with at_most(48), pytest.raises(BucketsError):
                await buckets.get("data")


BOMB = gzip.compress(bytes(64 * MIB), compresslevel=1)
PACKED = (("Content-Encoding", "gzip"), ("Content-Type", "application/json"))


@everywhere
async def test_a_compressed_listing_is_not_unpacked_f48(rig: Rig) -> None:
    bomb = Rule(fault=Instead(200, BOMB, PACKED), method="GET", target=LISTING, times=ALWAYS)
    async with behind_proxy(rig, bomb) as (buckets, _):
        with at_most(16), pytest.raises(InvalidAnswer):
            await buckets.blob_rm(at(rig), recursive=True)


async def test_a_compressed_answer_of_the_platform_is_not_unpacked_f48(neuro_buckets_local: RunningPlatform) -> None:
    bomb = Rule(fault=Instead(200, BOMB, PACKED), times=ALWAYS)
    async with platform_behind_proxy(neuro_buckets_local.config, bomb) as (buckets, _):
        with at_most(16), pytest.raises(InvalidAnswer, match="not JSON"):
            await buckets.get("data")


async def test_a_compressed_refusal_is_not_unpacked_f48() -> None:
    bomb = reply(403, BOMB, {"Content-Encoding": "gzip"})
    async with crafted(in_turn(bomb)) as server, store_at(server) as store:
        with at_most(16), pytest.raises(PermissionError):
            await store.write("key", CONTENT)


# Of the wrong types

KEYS = {
    "bucket_id": "bucket-1",
    "provider": "aws",
    "read_only": False,
    "credentials": {"bucket_name": "real", "access_key_id": "AKID", "secret_access_key": "a secret"},
}
BUCKET_FIELDS = {
    "id": "bucket-1",
    "owner": "alice",
    "name": "data",
    "provider": "aws",
    "created_at": "2026-11-24T13:48:15+00:00",
    "imported": False,
    "public": False,
    "org_name": "acme",
    "project_name": "ml",
}
PERSISTENT = {"id": "keys-1", "owner": "alice", "name": "keys", "read_only": False, "credentials": [KEYS]}
PLATFORM = {
    "authorized": True,
    "clusters": [{"name": "main", "buckets_url": "https://buckets.example.org", "orgs": ["acme"]}],
    "projects": [{"name": "ml", "cluster_name": "main", "org_name": "acme"}],
}

Read = Callable[[Any], object]
READERS: Mapping[str, tuple[Read, Mapping[str, Any]]] = {
    "bucket": (lambda answer: read_bucket(answer, "main"), BUCKET_FIELDS),
    "credentials": (read_credentials, KEYS),
    "persistent credentials": (lambda answer: read_persistent(answer, "main"), PERSISTENT),
    "configuration": (
        lambda answer: choose_place(answer, BucketsConfig(api_url="https://api.example.org", token="token"), None),
        PLATFORM,
    ),
}
TEXT = st.text(st.characters(exclude_categories=()), max_size=8)  # lone surrogates too: JSON can hold them
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


@pytest.mark.parametrize("name", READERS)
def test_fields_that_nobody_knows_do_not_matter_f50(name: str) -> None:
    read, answer = READERS[name]
    assert read({**answer, "unknown": {"deep": [1]}, "another": None}) == read(answer)


NEEDED = {
    "bucket": ["id", "owner", "provider", "created_at"],
    "credentials": ["bucket_id", "provider", "credentials"],
    "persistent credentials": ["id", "owner", "credentials"],
}


@pytest.mark.parametrize(("name", "field"), [(name, field) for name, fields in NEEDED.items() for field in fields])
def test_a_field_that_is_missing_or_of_another_type_is_named_f50(name: str, field: str) -> None:
    read, answer = READERS[name]
    missing = {key: value for key, value in answer.items() if key != field}
    for wrong in (missing, *({**answer, field: value} for value in (None, 5, True, ""))):
        with pytest.raises(InvalidAnswer, match=field):
            read(wrong)


@given(st.data())
@pytest.mark.parametrize("name", READERS)
def test_whatever_is_in_a_field_an_answer_is_read_or_refused_in_our_words_f50(name: str, data: st.DataObject) -> None:
    read, answer = READERS[name]
    field = data.draw(st.sampled_from(sorted(answer)))
    value = data.draw(JSON | st.lists(JSON, max_size=2) | st.builds(lambda inner: [inner], _changed(answer[field])))
    with suppress(BucketsError):
        assert repr(read({**answer, field: value}))


def _changed(value: Any) -> st.SearchStrategy[Any]:
    """Give the first object of a list with one field replaced."""
    if not (isinstance(value, list) and isinstance(value[0], dict)):
        return JSON
    first = value[0]
    return st.builds(lambda field, other: {**first, field: other}, st.sampled_from(sorted(first)), JSON)


@given(JSON)
@pytest.mark.parametrize("name", READERS)
def test_no_json_is_read_as_an_answer_that_it_is_not_f50(name: str, answer: Any) -> None:
    with pytest.raises(BucketsError):
        READERS[name][0](answer)


@pytest.mark.parametrize("answer", [None, [], "text", 5, {}, [{}], {"id": None}])
async def test_what_the_platform_answers_instead_of_a_bucket_is_told_as_such_f50(
    neuro_buckets_local: RunningPlatform, answer: Any
) -> None:
    said = Rule(fault=Instead(200, json.dumps(answer).encode()), times=ALWAYS)
    async with platform_behind_proxy(neuro_buckets_local.config, said) as (buckets, _):
        with pytest.raises(InvalidAnswer):
            await buckets.get("data")


# From elsewhere


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_no_redirect_of_the_platform_is_followed_f51(neuro_buckets_local: RunningPlatform, status: int) -> None:
    async with crafted(in_turn(reply(200, b"[]"))) as elsewhere:
        away = Rule(fault=redirect(status, f"{elsewhere.url}/buckets"), times=ALWAYS)
        async with platform_behind_proxy(neuro_buckets_local.config, away) as (buckets, proxy):
            with pytest.raises(InvalidAnswer, match="redirects"):
                await buckets.get("data")
            assert len(proxy.seen) == 1
    assert elsewhere.asked == []


MALFORMED = refusal(400, "AuthorizationHeaderMalformed", "the region 'us-east-1' is wrong; expecting 'eu-west-1'")
MOVED = reply(301, b"", {"x-amz-bucket-region": "eu-west-1"})


@pytest.mark.parametrize(("answer", "kind"), [(MALFORMED, ConfigurationError), (MOVED, InvalidAnswer)])
async def test_a_bucket_of_another_region_is_told_of_with_both_regions_and_what_to_set_f52(
    answer: Answer, kind: type[BucketsError]
) -> None:
    def choose(asked: Asked) -> Answer:
        return reply(400) if asked.method == "HEAD" and answer is MALFORMED else answer  # it has no body to tell in

    async with crafted(choose) as server, store_at(server) as store:
        for ask in (store.head("key"), store.write("key", CONTENT), content_of(store, "key"), blobs_under(store)):
            with pytest.raises(kind, match="region") as caught:
                await ask
            assert "eu-west-1" in str(caught.value)
            assert "us-east-1" in str(caught.value)


# By servers that can do less


def as_of_old(asked: Asked) -> Answer:
    """Answer as a service that knows none of the checksums which SDKs have begun to send, and says so."""
    newer = [name for name in asked.headers if "checksum" in name.lower() or name.lower() == "x-amz-trailer"]
    if newer or "aws-chunked" in asked.headers.get("Content-Encoding", ""):
        return refusal(501, "NotImplemented", f"A header means something that is not there: {newer}.")
    match asked.method:
        case "PUT":
            return stored()(asked)
        case "POST" if asked.query == "uploads=":
            return reply(200, BEGUN)
        case "POST" if asked.query == "delete=":
            assert asked.headers["Content-MD5"]
            return reply(200, b"<DeleteResult/>")
        case "POST":
            made = md5(md5(CONTENT)).hex()
            return reply(
                200, f'<CompleteMultipartUploadResult><ETag>"{made}-1"</ETag></CompleteMultipartUploadResult>'.encode()
            )
        case "GET" if "list-type" in asked.query:
            return listing("a", "b")
    return blob(CONTENT)


BEGUN = b"<InitiateMultipartUploadResult><UploadId>the-upload</UploadId></InitiateMultipartUploadResult>"


async def test_a_server_without_newer_checksums_sees_none_of_them_and_checks_md5_f54() -> None:
    async with crafted(as_of_old) as server, store_at(server) as store:
        await store.write("key", CONTENT)
        async with store.multipart("key") as upload:
            await upload.put_part(1, CONTENT)
            await upload.complete()
        assert await content_of(store, "key") == CONTENT
        assert await store.delete([meta.key for meta in await blobs_under(store)]) == {}
        assert all(asked.headers.get("Content-MD5") for asked in server.asked_by("PUT"))
        refused = [asked for asked in server.asked if "x-amz-checksum-algorithm" in asked.headers]
        assert [asked.query for asked in refused] == ["uploads="], "it is asked once, and then no more"


async def test_a_server_without_uploads_in_parts_is_told_of_and_nothing_is_left_f55() -> None:
    async with crafted(in_turn(refusal(501, "NotImplemented"))) as server, store_at(server) as store:
        with pytest.raises(UnsupportedProvider, match=r"cannot write blob://.*/key: .*NotImplemented"):
            async with store.multipart("key"):
                pytest.fail("there is no upload")
        assert [asked.query for asked in server.asked] == ["uploads="] * 2, "with a checksum, and without"
