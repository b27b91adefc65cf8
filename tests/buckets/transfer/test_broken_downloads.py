from __future__ import annotations

import asyncio
import errno
import random
import subprocess
from pathlib import Path

import pytest

from airflow_provider_neuro_buckets.buckets.errors import IntegrityError, ResourceNotFound, TransferError, Unavailable
from airflow_provider_neuro_buckets.buckets.transfer.engine import Existing, Remote
from airflow_provider_neuro_buckets.buckets.transfer.plan import MIB, PART, SINGLE_READ
from airflow_provider_neuro_buckets.buckets.transfer.temporary import is_temporary
from buckets.transfer.asking import download, download_one
from buckets.transfer.front import behind
from buckets.transfer.trees import plant, snapshot
from buckets.transfer.watched import Call, failing, remote
from conformance.rigs.base import Rig

SMALL = b"new content"
LARGE = random.Random(8).randbytes(SINGLE_READ + 77)
CONTENTS = pytest.mark.parametrize("content", [SMALL, LARGE], ids=["small", "large"])

pytestmark = pytest.mark.usefixtures("no_open_files")


@CONTENTS
@pytest.mark.parametrize(("verb", "at"), [("read", 0), ("chunk", 0), ("chunk", 1), ("chunk", 20)])
async def test_a_download_that_fails_in_the_middle_keeps_the_old_file_and_leaves_nothing(
    aws: Rig, tmp_path: Path, content: bytes, verb: str, at: int
) -> None:
    await aws.put("k", content)
    plant(tmp_path, {"f": b"old"})
    there, _ = remote(aws, "k", failing(verb, PermissionError("no"), at=0 if content is SMALL else at))
    with pytest.raises(PermissionError):
        await download_one(there, tmp_path / "f")
    assert snapshot(tmp_path) == {"f": b"old"}


@CONTENTS
async def test_a_connection_that_breaks_again_and_again_is_gone_on_with(
    aws: Rig, tmp_path: Path, content: bytes
) -> None:
    await aws.put("k", content)
    broken: set[int] = set()

    async def flap(call: Call) -> None:
        """Break each read once, behind its first chunk or before it."""
        if call.verb == "chunk" and call.start // PART not in broken and (call.start % PART or content is SMALL):
            broken.add(call.start // PART)
            raise Unavailable("the connection broke")

    there, _ = remote(aws, "k", flap)
    await download_one(there, tmp_path / "f")
    assert broken
    assert snapshot(tmp_path) == {"f": content}


async def test_a_connection_that_never_holds_ends_as_unavailable(aws: Rig, tmp_path: Path) -> None:
    await aws.put("k", SMALL)
    plant(tmp_path, {"f": b"old"})
    there, _ = remote(aws, "k", failing("chunk", Unavailable("broke")))
    with pytest.raises(Unavailable):
        await asyncio.wait_for(download_one(there, tmp_path / "f"), 60)
    assert snapshot(tmp_path) == {"f": b"old"}


@CONTENTS
async def test_a_blob_replaced_while_it_is_read_arrives_as_one_version_f36(
    aws: Rig, tmp_path: Path, content: bytes
) -> None:
    new = content[::-1]
    await aws.put("k", content)
    reads = 0

    async def replace(call: Call) -> None:
        nonlocal reads
        reads += call.verb == "read"
        if call.verb == "read" and reads == (1 if content is SMALL else 2):
            await aws.put("k", new)

    there, _ = remote(aws, "k", replace)
    await download_one(there, tmp_path / "f")
    assert snapshot(tmp_path) == {"f": new}


@CONTENTS
async def test_bytes_that_arrive_broken_once_are_read_again_f32(aws: Rig, tmp_path: Path, content: bytes) -> None:
    await aws.put("k", content)
    flips = iter([1])
    async with behind(aws) as (front, listing):
        front.tamper = lambda body: bytes([body[0] ^ next(flips, 0)]) + body[1:]
        await download_one(Remote(listing, "k"), tmp_path / "f")
        assert next(flips, None) is None
    assert snapshot(tmp_path) == {"f": content}


@CONTENTS
@pytest.mark.parametrize("existing", [Existing.REPLACE, Existing.CONTINUE])
async def test_bytes_that_always_arrive_broken_are_never_kept_f32(
    aws: Rig, tmp_path: Path, content: bytes, existing: Existing
) -> None:
    await aws.put("k", content)
    plant(tmp_path, {"f": content[:5]})
    async with behind(aws) as (front, listing):
        front.tamper = lambda body: body[:-1] + bytes([body[-1] ^ 1])
        with pytest.raises(IntegrityError, match=r"blob:.*/k"):
            await download_one(Remote(listing, "k"), tmp_path / "f", existing=existing)
    assert snapshot(tmp_path) == {"f": content[:5]}


async def test_a_blob_deleted_between_listing_and_reading_fails_alone_f37(aws: Rig, tmp_path: Path) -> None:
    for name in "abc":
        await aws.put(f"d/{name}", SMALL)

    async def delete(call: Call) -> None:
        if call == Call("read", "d/b"):
            await aws.store.delete(["d/b"])

    there, _ = remote(aws, "d", delete)
    with pytest.raises(TransferError) as caught:
        await download(there, tmp_path)
    assert {key.rpartition("/")[2]: type(error) for key, error in caught.value.failures.items()} == {
        "b": ResourceNotFound
    }
    assert snapshot(tmp_path) == {"a": SMALL, "c": SMALL}


@pytest.mark.parametrize("exists", [False, True])
async def test_a_disk_without_room_is_noticed_before_anything_is_fetched_and_ends_the_transfer_f69(
    aws: Rig, tmp_path: Path, *, exists: bool
) -> None:
    small_disk = tmp_path / "disk"
    small_disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=4M", "none", str(small_disk)]
    if subprocess.run(mount, check=False, capture_output=True).returncode:  # noqa: ASYNC221 - a moment
        pytest.skip("a disk of a few MiB cannot be mounted here: that takes root")
    try:
        await aws.put("d/a", LARGE)
        for number in range(50):
            await aws.put(f"d/b{number:02}", b"x" * MIB)
        if exists:
            plant(small_disk, {"a": b"old"})
        there, store = remote(aws, "d")
        with pytest.raises(TransferError) as caught:
            await download(there, small_disk)
        errors = caught.value.failures.values()
        assert {error.errno for error in errors if isinstance(error, OSError)} == {errno.ENOSPC}
        assert all(str(small_disk) in str(error) for error in errors)
        assert not [call for call in store.calls if call.verb == "read" and call.key == "d/a"]
        assert len([call for call in store.calls if call.verb == "read"]) < 50
        assert not [name for name in snapshot(small_disk) if is_temporary(name)]
        assert not exists or snapshot(small_disk)["a"] == b"old"
    finally:
        subprocess.run(["umount", str(small_disk)], check=True)  # noqa: ASYNC221 - a moment
