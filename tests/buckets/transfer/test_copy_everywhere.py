"""Copies through the client: within a bucket, between buckets of one provider, and between providers."""

from __future__ import annotations

import hashlib
import random
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from uuid import uuid4

import pytest

from airflow_provider_neuro_buckets.buckets import (
    Bucket,
    BucketCredentials,
    Buckets,
    InvalidAddress,
)
from buckets.transfer.clients import at, client, over_a_meter
from conformance.rigs.base import Rig, describe_bucket, describe_keys
from conformance.rigs.gcp import GcsServer
from conformance.rigs.registry import Servers

# Azure's SDK, around the store, hands large bodies to aiohttp in one piece.
pytestmark = pytest.mark.filterwarnings("ignore:Sending a large body directly:ResourceWarning")

MIB = 1024 * 1024
LARGE = random.Random(5).randbytes(20 * MIB + 7)


async def contents(rig: Rig, prefix: str = "") -> Mapping[str, bytes]:
    return {key: await rig.get(key) for key in await rig.names() if key.startswith(prefix)}


async def test_within_a_bucket_no_byte_of_a_blob_passes_through_the_client(rig: Rig) -> None:
    blobs = {"large": LARGE, "d/a b+%20#?é": b"names", "d/e/f": b"deep"}
    for key, content in blobs.items():
        await rig.put(f"src/{key}", content)
    async with over_a_meter((rig.bucket, rig.keys)) as (buckets, meter):
        report = await buckets.copy_dir(at(rig.bucket, "src"), at(rig.bucket, "dst/below"))
        one = await buckets.copy_blob(at(rig.bucket, "src/large"), at(rig.bucket, "single"))
    assert (report.files, report.bytes, report.failed) == (len(blobs), sum(map(len, blobs.values())), {})
    assert (one.files, one.bytes) == (1, len(LARGE))
    assert await contents(rig, "dst/") == {f"dst/below/{key}": content for key, content in blobs.items()}
    assert await rig.get("single") == LARGE
    assert 0 < meter.total < 100_000


async def second(servers: Servers, first: Rig, stack: AsyncExitStack) -> tuple[Rig, BucketCredentials]:
    """Return another bucket of the same service, and credentials by which that is reached as the first one is."""
    server = servers.running(first.provider)
    other = await stack.enter_async_context(server.rig())
    if isinstance(server, GcsServer):  # each of its rigs has a front of its own
        named = {"bucket_name": other.keys.credentials["bucket_name"]}
        return other, replace(other.keys, credentials={**first.keys.credentials, **named})
    return other, other.keys


@pytest.mark.parametrize("provider", ["aws", "azure", "gcp"])
async def test_between_two_buckets_of_a_provider_no_byte_of_a_blob_passes_through_the_client(
    servers: Servers, provider: str
) -> None:
    async with AsyncExitStack() as stack:
        src = await stack.enter_async_context(servers.running(provider).rig())
        dst, keys = await second(servers, src, stack)
        await src.put("src/large", LARGE)
        await src.put("src/d/small", b"small")
        async with over_a_meter((src.bucket, src.keys), (dst.bucket, keys)) as (buckets, meter):
            report = await buckets.copy_dir(at(src.bucket, "src"), at(dst.bucket))
        assert (report.files, report.bytes) == (2, len(LARGE) + 5)
        assert await contents(dst) == {"large": LARGE, "d/small": b"small"}
        assert 0 < meter.total < 100_000


@asynccontextmanager
async def two_of_the_platform(buckets: Buckets) -> AsyncIterator[tuple[Bucket, Bucket]]:
    """Make two buckets of the local platform, and fill the first."""
    pair = [await buckets.create(f"copy-{uuid4().hex[:12]}") for _ in range(2)]
    await buckets.put_blob(pair[0].id, "src/large", LARGE)
    await buckets.put_blob(pair[0].id, "src/d/small", b"small")
    yield pair[0], pair[1]
    for bucket in pair:
        await buckets.rm(bucket.id, force=True)


async def content_of(buckets: Buckets, bucket: Bucket) -> Mapping[str, str]:
    """Return the digest of each blob."""
    found = {}
    async for entry in buckets.list_blobs(at(bucket), recursive=True):
        async with buckets.fetch_blob(bucket.id, entry.key) as chunks:
            found[entry.key] = digest([chunk async for chunk in chunks])
    return found


def digest(chunks: Iterable[bytes]) -> str:
    return hashlib.sha256(b"".join(chunks)).hexdigest()


async def test_persistent_credentials_for_two_buckets_copy_between_them_inside_the_storage(buckets: Buckets) -> None:
    async with two_of_the_platform(buckets) as (src, dst):
        lasting = await buckets.persistent_credentials_create([src.id, dst.id])
        keys = {item.bucket_id: item for item in lasting.credentials}
        async with over_a_meter((src, keys[src.id]), (dst, keys[dst.id])) as (lone, meter):
            report = await lone.copy_dir(at(src, "src"), at(dst))
        assert report.files == 2
        assert await content_of(buckets, dst) == {"large": digest([LARGE]), "d/small": digest([b"small"])}
        assert 0 < meter.total < 100_000


async def test_temporary_credentials_for_one_bucket_each_let_the_blobs_pass_through_the_client(
    buckets: Buckets,
) -> None:
    async with two_of_the_platform(buckets) as (src, dst):
        keys = [await buckets.request_tmp_credentials(bucket.id) for bucket in (src, dst)]
        async with over_a_meter((src, keys[0]), (dst, keys[1])) as (lone, meter):
            report = await lone.copy_dir(at(src, "src"), at(dst))
        assert report.files == 2
        assert await content_of(buckets, dst) == {"large": digest([LARGE]), "d/small": digest([b"small"])}
        assert min(meter.sent, meter.received) > len(LARGE)


async def test_the_platforms_own_credentials_copy_within_a_bucket_and_between_two(buckets: Buckets) -> None:
    async with two_of_the_platform(buckets) as (src, dst):
        assert (await buckets.copy_dir(f"blob:{src.name}/src", f"blob:{src.name}/dst")).files == 2
        assert (await buckets.copy_dir(f"blob:{src.name}/dst", f"blob:{dst.name}")).files == 2
        assert await content_of(buckets, dst) == {"large": digest([LARGE]), "d/small": digest([b"small"])}


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("aws", "azure"),
        ("azure", "seaweedfs"),
        ("seaweedfs", "aws"),
        ("azure", "aws"),
        ("gcp", "azure"),
        ("aws", "gcp"),
    ],
)
async def test_between_providers_blobs_arrive_whole_under_their_keys(servers: Servers, one: str, other: str) -> None:
    blobs = {"large": LARGE, "d/a b+%20#?é": b"names", "empty": b"", "part": LARGE[: 8 * MIB]}
    async with servers.running(one).rig() as src, servers.running(other).rig() as dst:
        for key, content in blobs.items():
            await src.put(f"src/{key}", content)
        async with client((src.bucket, src.keys), (dst.bucket, dst.keys)) as buckets:
            report = await buckets.copy_dir(at(src.bucket, "src"), at(dst.bucket, "dst"))
            blob = await buckets.copy_blob(at(src.bucket, "src/large"), at(dst.bucket, "single"))
        assert (report.files, report.bytes) == (len(blobs), sum(map(len, blobs.values())))
        assert blob.bytes == len(LARGE)
        assert await contents(dst) == {
            **{f"dst/{key}": content for key, content in blobs.items()},
            "single": LARGE,
        }
        assert await dst.unfinished() in ([], None)


async def test_a_bucket_that_is_known_by_two_names_is_not_copied_into_itself(aws: Rig) -> None:
    await aws.put("x/a", b"content")
    alias = describe_bucket(id_=f"bucket-{uuid4()}", name="alias", provider="aws")
    keys = describe_keys(alias, **aws.keys.credentials)
    async with client((aws.bucket, aws.keys), (alias, keys)) as buckets:
        with pytest.raises(InvalidAddress, match="into itself"):
            await buckets.copy_dir(at(aws.bucket, "x"), at(alias, "x/y"))
        with pytest.raises(InvalidAddress, match="to itself"):
            await buckets.copy_blob(at(aws.bucket, "x/a"), at(alias, "x/a"))
        assert (await buckets.copy_dir(at(aws.bucket, "x"), at(alias, "y"))).files == 1
    assert sorted(await aws.names()) == ["x/a", "y/a"]
