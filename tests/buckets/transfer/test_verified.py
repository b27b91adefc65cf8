"""For how many files a checksum was compared, and that one wrong bit in one range of many is never kept."""

from __future__ import annotations

import random
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import pytest

from airflow_provider_neuro_buckets.buckets.errors import IntegrityError
from airflow_provider_neuro_buckets.buckets.listing import Listing
from airflow_provider_neuro_buckets.buckets.stores.base import (
    BlobMeta,
    Capability,
    CopySource,
    Slot,
    Told,
    nobody,
)
from airflow_provider_neuro_buckets.buckets.stores.checksums import CRC_FROM
from airflow_provider_neuro_buckets.buckets.transfer.engine import Existing, Remote
from airflow_provider_neuro_buckets.buckets.transfer.plan import MIB, PART, SINGLE_READ
from buckets.transfer.asking import copy, copy_one, download, download_one, upload, upload_one
from buckets.transfer.front import behind
from buckets.transfer.trees import plant, snapshot
from buckets.transfer.watched import WatchedStore, remote
from conformance.rigs.base import Rig
from conformance.rigs.s3 import S3Rig

SMALL = b"content"
LARGE = random.Random(9).randbytes(SINGLE_READ + 5 * MIB)
UNUSUAL = 6 * MIB + 12345
"""As many parts of this size as of 6 MiB, which is what is tried first."""
RANGES = {PART: PART, 5 * MIB: 5 * MIB, UNUSUAL: 6 * MIB}

pytestmark = pytest.mark.usefixtures("no_open_files")


async def put_parts(rig: Rig, key: str, content: bytes, part: int) -> None:
    """Upload as other programs do, so that there is nothing but the MD5s of the parts."""
    assert isinstance(rig, S3Rig)
    await rig.put_parts(key, [content[at : at + part] for at in range(0, len(content), part)])


def flipping(*, times: int, length: int) -> Callable[[bytes], bytes]:
    """Return what flips one bit in the middle of an answer of some length, so many times."""
    left = iter(range(times))

    def tamper(body: bytes) -> bytes:
        if len(body) != length or next(left, None) is None:
            return body
        changed = bytearray(body)
        changed[length // 2] ^= 4
        return bytes(changed)

    return tamper


async def test_small_files_are_verified_by_checksum_on_every_provider(rig: Rig, tmp_path: Path) -> None:
    plant(tmp_path / "src", {"a": SMALL, "b/c": SMALL * 2, "empty": b""})
    there = remote(rig, "d")[0]
    up = await upload(tmp_path / "src", there)
    down = await download(there, tmp_path / "back")
    assert (up.files, up.verified, down.files, down.verified) == (3, 3, 3, 3)


async def test_a_large_file_is_verified_by_the_checksum_that_the_provider_has(rig: Rig, tmp_path: Path) -> None:
    plant(tmp_path, {"src": LARGE})
    there = remote(rig, "k")[0]
    up = await upload_one(tmp_path / "src", there)
    down = await download_one(there, tmp_path / "back")
    # Azurite checks no block; it keeps the MD5 of the whole. Google has a CRC32C of the whole, its fake also an MD5.
    assert up.verified == (0 if rig.provider == "azure" else 1)
    assert down.verified == 1
    assert snapshot(tmp_path)["back"] == LARGE


async def test_files_that_are_up_to_date_are_not_counted(aws: Rig, tmp_path: Path) -> None:
    plant(tmp_path, {"a": SMALL})
    there = remote(aws, "d")[0]
    await upload(tmp_path, there)
    report = await upload(tmp_path, there, existing=Existing.UPDATE)
    assert (report.files, report.verified, report.unchanged) == (0, 0, 1)


PARTS = pytest.mark.parametrize(
    "part",
    [PART, 5 * MIB, 10 * MIB, len(LARGE), UNUSUAL, 15 * MIB],
    ids=["ours", "5 MiB", "10 MiB", "one part", "unusual", "15 MiB"],
)


@PARTS
async def test_a_large_blob_of_parts_is_verified_whoever_uploaded_it(s3: Rig, tmp_path: Path, part: int) -> None:
    await put_parts(s3, "k", LARGE, part)
    report = await download_one(remote(s3, "k")[0], tmp_path / "f")
    assert report.verified == 1
    assert snapshot(tmp_path) == {"f": LARGE}


@pytest.mark.parametrize("part", RANGES, ids=["ours", "5 MiB", "unusual"])
async def test_one_bit_flipped_in_one_of_many_ranges_is_noticed_and_all_is_read_again_f33(
    s3: Rig, tmp_path: Path, part: int
) -> None:
    await put_parts(s3, "k", LARGE, part)
    async with behind(s3) as (front, listing):
        front.tamper = flipping(times=1, length=RANGES[part])
        report = await download_one(Remote(listing, "k"), tmp_path / "f")
        assert len([line for line in front.seen if line.startswith("GET")]) > 2 * len(LARGE) // PART
    assert report.verified == 1
    assert snapshot(tmp_path) == {"f": LARGE}


@pytest.mark.parametrize("part", [PART, UNUSUAL], ids=["ours", "unusual"])
@pytest.mark.parametrize("existing", [Existing.REPLACE, Existing.CONTINUE])
async def test_one_bit_that_is_always_flipped_in_one_of_many_ranges_is_never_kept_f33(
    s3: Rig, tmp_path: Path, part: int, existing: Existing
) -> None:
    await put_parts(s3, "k", LARGE, part)
    plant(tmp_path, {"f": LARGE[:5]})
    async with behind(s3) as (front, listing):
        front.tamper = flipping(times=1000, length=RANGES[part])
        with pytest.raises(IntegrityError, match=r"blob:.*/k"):
            await download_one(Remote(listing, "k"), tmp_path / "f", existing=existing)
    assert snapshot(tmp_path) == {"f": LARGE[:5]}


@pytest.mark.parametrize("size", [CRC_FROM, len(LARGE)])
async def test_one_bit_flipped_in_what_has_a_crc32_is_noticed_f33(s3: Rig, tmp_path: Path, size: int) -> None:
    content = LARGE[:size]
    plant(tmp_path, {"src": content})
    await upload_one(tmp_path / "src", remote(s3, "k")[0])
    assert await s3.store.checksum(await s3.store.head("k")) is not None
    async with behind(s3) as (front, listing):
        front.tamper = flipping(times=1, length=min(size, PART))
        report = await download_one(Remote(listing, "k"), tmp_path / "f")
        assert report.verified == 1
        assert snapshot(tmp_path)["f"] == content
        front.tamper = flipping(times=1000, length=min(size, PART))
        with pytest.raises(IntegrityError, match=r"blob:.*/k"):
            await download_one(Remote(listing, "k"), tmp_path / "other")
    assert not (tmp_path / "other").exists()


async def test_a_small_blob_of_parts_is_verified_as_well(s3: Rig, tmp_path: Path) -> None:
    content = LARGE[: 7 * MIB]
    await put_parts(s3, "d/k", content, 5 * MIB + 1)
    report = await download(remote(s3, "d")[0], tmp_path)
    assert (report.verified, snapshot(tmp_path)) == (1, {"k": content})
    async with behind(s3) as (front, listing):
        front.tamper = flipping(times=1000, length=len(content))
        with pytest.raises(IntegrityError):
            await download_one(Remote(listing, "d/k"), tmp_path / "other")
    assert snapshot(tmp_path) == {"k": content}


async def test_parts_of_different_sizes_prove_nothing_and_count_as_unverified(s3: Rig, tmp_path: Path) -> None:
    assert isinstance(s3, S3Rig)
    await s3.put_parts("k", [LARGE[start * MIB : stop * MIB] for start, stop in [(0, 6), (6, 15), (15, 21)]])
    report = await download_one(remote(s3, "k")[0], tmp_path / "f")
    assert (report.files, report.verified) == (1, 0)
    assert snapshot(tmp_path) == {"f": LARGE}


async def test_what_verifies_a_large_blob_asks_for_no_byte_of_it_twice(rig: Rig, tmp_path: Path) -> None:
    plant(tmp_path, {"src": LARGE})
    await upload_one(tmp_path / "src", remote(rig, "k")[0])
    there, store = remote(rig, "k")
    report = await download_one(there, tmp_path / "f")
    starts = store.starts("read")
    assert report.verified == 1
    assert len(starts) == len(set(starts))


@pytest.mark.parametrize("part", [PART, 5 * MIB, UNUSUAL], ids=["ours", "5 MiB", "unusual"])
async def test_a_copy_that_passes_through_here_is_verified_on_its_way_in_and_out(
    aws: Rig, seaweedfs: Rig, part: int
) -> None:
    await put_parts(seaweedfs, "k", LARGE, part)
    report = await copy_one(remote(seaweedfs, "k")[0], remote(aws, "copy")[0])
    assert (report.files, report.verified) == (1, 1)
    assert await aws.get("copy") == LARGE


@pytest.mark.parametrize("part", [PART, UNUSUAL], ids=["ours", "unusual"])
async def test_one_bit_flipped_on_the_way_of_a_copy_through_here_is_noticed(
    aws: Rig, seaweedfs: Rig, part: int
) -> None:
    await put_parts(seaweedfs, "k", LARGE, part)
    async with behind(seaweedfs) as (front, listing):
        front.tamper = flipping(times=1, length=PART)
        report = await copy_one(Remote(listing, "k"), remote(aws, "copy")[0])
        assert report.verified == 1
        assert await aws.get("copy") == LARGE
        front.tamper = flipping(times=1000, length=PART)
        with pytest.raises(IntegrityError):
            await copy_one(Remote(listing, "k"), remote(aws, "other")[0])
    assert await aws.names() == ["copy"]


async def test_a_copy_inside_the_storage_counts_as_verified_where_both_have_a_checksum_to_compare(rig: Rig) -> None:
    await rig.put("d/a", SMALL)
    await rig.put("d/b", SMALL * 3)
    report = await copy(remote(rig, "d")[0], remote(rig, "e")[0])
    assert (report.files, report.verified) == (2, 2)


class Mute(WatchedStore):
    """A store whose provider has no checksum of what it copied."""

    async def copy_from(
        self, key: str, source: CopySource, *, slot: Slot = nullcontext, copied: Told = nobody
    ) -> BlobMeta:
        made = await super().copy_from(key, source, slot=slot, copied=copied)
        return replace(made, md5=None, etag="opaque")


async def test_a_copy_of_which_the_storage_tells_no_checksum_is_not_counted_as_verified(aws: Rig) -> None:
    await aws.put("k", SMALL)
    report = await copy_one(remote(aws, "k")[0], Remote(Listing(aws.bucket, Mute(aws.store)), "copy"))
    assert (report.files, report.verified) == (1, 0)
    assert Capability.COPY in aws.store.capabilities
