from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import nullcontext
from dataclasses import replace
from datetime import timedelta

import pytest

from airflow_provider_neuro_buckets.buckets.errors import (
    BadRequest,
    IntegrityError,
    InvalidAddress,
    IsADirectory,
    NotADirectory,
    PermissionDenied,
    ResourceNotFound,
    TransferError,
    Unavailable,
    UnsupportedProvider,
)
from airflow_provider_neuro_buckets.buckets.listing import Listing
from airflow_provider_neuro_buckets.buckets.stores.base import BlobMeta, CopySource, Page, Slot, Told, nobody
from airflow_provider_neuro_buckets.buckets.transfer import copying
from airflow_provider_neuro_buckets.buckets.transfer.engine import Existing, Refusals, Remote
from airflow_provider_neuro_buckets.buckets.transfer.plan import SINGLE_READ
from buckets.transfer.asking import copy, copy_one, window
from buckets.transfer.recording import Recorder
from buckets.transfer.test_cancel import at_every_moment
from buckets.transfer.watched import Call, Guard, WatchedStore, failing, remote
from conformance.rigs.base import Rig
from conformance.rigs.registry import Servers

LARGE = random.Random(8).randbytes(SINGLE_READ + 77)


async def fill(rig: Rig, *keys: str) -> None:
    for key in keys:
        await rig.put(key, key.encode())


async def contents(rig: Rig, prefix: str) -> dict[str, bytes]:
    return {key.removeprefix(prefix): await rig.get(key) for key in await rig.names() if key.startswith(prefix)}


@pytest.fixture
async def other(servers: Servers) -> AsyncIterator[Rig]:
    """A bucket of another provider than `aws`."""
    async with servers.running("azure").rig() as rig:
        yield rig


# Which keys


async def test_keys_stay_exactly_what_they_are_behind_the_two_addresses(aws: Rig) -> None:
    relative = ["a", "a/b", "a//b", "/lead", "//two", "../up", "./here", "a/..", "dot.", "back\\slash", "end /", "é#?%"]
    await fill(aws, *(f"x/{key}" for key in relative), "xy", "x")
    report = await copy(remote(aws, "x")[0], remote(aws, "to/here")[0])
    assert report.files == len(relative)
    assert await contents(aws, "to/here/") == {key: f"x/{key}".encode() for key in relative}


async def test_markers_of_folders_are_copied_but_for_that_of_the_bucket_itself(aws: Rig, other: Rig) -> None:
    for key in ("x/", "x/d/", "x/e/f"):
        await aws.put(key, b"")
    assert (await copy(remote(aws, "x")[0], remote(aws, "y")[0])).files == 3
    assert sorted(await contents(aws, "y/")) == ["", "d/", "e/f"]
    assert (await copy(remote(aws, "x")[0], remote(other, "")[0])).files == 2
    assert sorted(await other.names()) == ["d/", "e/f"]


async def test_content_in_the_marker_of_the_folder_is_a_failure_where_it_would_have_no_name(
    aws: Rig, other: Rig
) -> None:
    await fill(aws, "x/", "x/a")
    with pytest.raises(TransferError) as caught:
        await copy(remote(aws, "x")[0], remote(other, "")[0])
    assert list(caught.value.failures) == [aws.store.address("x/")]
    assert await other.names() == ["a"]


async def test_keys_that_the_destination_cannot_hold_are_failures_and_the_others_are_copied(
    aws: Rig, other: Rig
) -> None:
    await fill(aws, "x/good", "x/dot.", "x/a/../b", "x/a\\b", "x/a//b")
    with pytest.raises(TransferError) as caught:
        await copy(remote(aws, "x")[0], remote(other, "y")[0])
    failures = caught.value.failures
    assert set(failures) == {aws.store.address(f"x/{key}") for key in ("dot.", "a/../b", "a\\b")}
    assert {type(error) for error in failures.values()} == {InvalidAddress}
    assert sorted(await other.names()) == ["y/a//b", "y/good"]
    assert caught.value.report is not None


async def test_the_filter_is_asked_for_folders_once_and_for_blobs(aws: Rig) -> None:
    await fill(aws, "x/a", "x/b/1", "x/b/2", "x/c/d/3", "x/c/e")
    asked: list[str] = []

    async def keep(path: str) -> bool:
        asked.append(path)
        return path not in {"b/", "c/e"}

    assert (await copy(remote(aws, "x")[0], remote(aws, "y")[0], keep=keep)).files == 2
    assert sorted(await contents(aws, "y/")) == ["a", "c/d/3"]
    assert sorted(asked) == ["a", "b/", "c/", "c/d/", "c/d/3", "c/e"]


# Where to


@pytest.mark.parametrize("dst", ["x", "x/", "x/y", "x/y/"])
async def test_a_folder_is_not_copied_into_itself(aws: Rig, dst: str) -> None:
    await fill(aws, "x/a")
    with pytest.raises(InvalidAddress, match="into itself"):
        await copy(remote(aws, "x")[0], remote(aws, dst)[0])
    assert await aws.names() == ["x/a"]


async def test_a_whole_bucket_is_not_copied_into_itself(aws: Rig) -> None:
    await fill(aws, "a")
    with pytest.raises(InvalidAddress, match="into itself"):
        await copy(remote(aws, "")[0], remote(aws, "backup")[0])
    assert await aws.names() == ["a"]


async def test_a_folder_whose_name_only_begins_alike_is_another_one(aws: Rig) -> None:
    await fill(aws, "x/a")
    await copy(remote(aws, "x")[0], remote(aws, "xy")[0])
    assert sorted(await aws.names()) == ["x/a", "xy/a"]


async def test_a_folder_is_copied_to_above_itself_but_never_over_its_own_blobs(aws: Rig) -> None:
    await fill(aws, "a/b/one", "a/b/b/one", "a/b/c/two")
    with pytest.raises(TransferError) as caught:
        await copy(remote(aws, "a/b")[0], remote(aws, "a")[0])
    assert list(caught.value.failures) == [aws.store.address("a/b/b/one")]
    assert await contents(aws, "a/") == {
        "b/one": b"a/b/one",
        "b/b/one": b"a/b/b/one",
        "b/c/two": b"a/b/c/two",
        "one": b"a/b/one",
        "c/two": b"a/b/c/two",
    }


async def test_a_blob_is_copied_to_exactly_its_address(aws: Rig) -> None:
    await fill(aws, "x/a", "d/e")
    with pytest.raises(IsADirectory, match="Copy it with copy_dir"):
        await copy_one(remote(aws, "x")[0], remote(aws, "y")[0])
    for folder in ("d", "d/", "new/", ""):
        with pytest.raises(IsADirectory, match="is a folder"):
            await copy_one(remote(aws, "x/a")[0], remote(aws, folder)[0])
    with pytest.raises(InvalidAddress, match="to itself"):
        await copy_one(remote(aws, "x/a")[0], remote(aws, "x/a")[0])
    with pytest.raises(ResourceNotFound):
        await copy_one(remote(aws, "missing")[0], remote(aws, "y")[0])
    await copy_one(remote(aws, "x/a")[0], remote(aws, "d/copy")[0])
    assert await contents(aws, "d/") == {"e": b"d/e", "copy": b"x/a"}


async def test_what_is_no_folder_is_not_copied_as_one(aws: Rig) -> None:
    await fill(aws, "x")
    with pytest.raises(NotADirectory, match="Copy it with copy_blob"):
        await copy(remote(aws, "x")[0], remote(aws, "y")[0])
    with pytest.raises(ResourceNotFound, match="there is no folder"):
        await copy(remote(aws, "missing")[0], remote(aws, "y")[0])


# Inside the service, or through this process


@pytest.mark.parametrize("reason", [PermissionDenied("no"), UnsupportedProvider("no")], ids=["refused", "unknown"])
async def test_a_service_that_does_not_copy_is_asked_once_and_its_blobs_pass_through_here(
    aws: Rig, reason: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", logger=copying.__name__)
    await fill(aws, *(f"x/{number}" for number in range(5)))
    refusals = Refusals()
    for _ in range(2):
        there, store = remote(aws, "y", failing("copy", reason))
        await copy(remote(aws, "x")[0], there, refusals=refusals, through=window(max_concurrency=1))
        assert len(store.starts("write")) == 5
    assert not store.starts("copy")
    assert len(await contents(aws, "y/")) == 5
    assert [record.levelname for record in caplog.records if "pass through this process" in record.message] == ["INFO"]


async def test_one_blob_that_a_service_will_not_copy_does_not_keep_the_others_from_it(aws: Rig) -> None:
    await fill(aws, *(f"x/{number}" for number in range(5)))

    async def guard(call: Call) -> None:
        if call == Call("copy", "y/3"):
            raise BadRequest("not this one")

    there, store = remote(aws, "y", guard)
    await copy(remote(aws, "x")[0], there)
    assert len(store.starts("copied")) == 4
    assert [call.key for call in store.calls if call.verb == "write"] == ["y/3"]
    assert len(await contents(aws, "y/")) == 5


async def test_a_service_that_is_down_does_not_make_blobs_pass_through_here(aws: Rig) -> None:
    await fill(aws, "x/1")
    there, store = remote(aws, "y", failing("copy", Unavailable("down")))
    with pytest.raises(TransferError):
        await copy(remote(aws, "x")[0], there)
    assert not store.starts("write")


async def test_a_token_or_right_that_is_missing_at_the_destination_is_told_as_such(aws: Rig, other: Rig) -> None:
    await fill(aws, "x/1", "x/2")
    with pytest.raises(PermissionDenied, match="may not write"):
        await copy(remote(aws, "x")[0], remote(other, "y", failing("write", PermissionDenied("may not write")))[0])


class OtherBytes(WatchedStore):
    """A store whose service makes other copies than it says, as often as told."""

    def __init__(self, rig: Rig, *, times: int, content: bytes) -> None:
        super().__init__(rig.store)
        self._left = times
        self._content = content

    async def copy_from(
        self, key: str, source: CopySource, *, slot: Slot = nullcontext, copied: Told = nobody
    ) -> BlobMeta:
        made = await super().copy_from(key, source, slot=slot, copied=copied)
        if self._left:
            self._left -= 1
            return await self._inner.write(key, self._content)
        return made


@pytest.mark.parametrize("content", [b"CONTENT", b"longer content"], ids=["other bytes", "another size"])
async def test_a_copy_that_is_not_its_source_is_made_once_more_and_then_told(aws: Rig, content: bytes) -> None:
    await aws.put("a", b"content")
    await copy_one(remote(aws, "a")[0], Remote(Listing(aws.bucket, OtherBytes(aws, times=1, content=content)), "b"))
    assert await aws.get("b") == b"content"
    broken = OtherBytes(aws, times=2, content=content)
    with pytest.raises(IntegrityError) as caught:
        await copy_one(remote(aws, "a")[0], Remote(Listing(aws.bucket, broken), "b"))
    assert aws.store.address("a") in str(caught.value)
    assert aws.store.address("b") in str(caught.value)


async def test_a_blob_that_is_replaced_before_it_is_copied_arrives_as_it_is_now(seaweedfs: Rig) -> None:
    await fill(seaweedfs, "x/a")
    replaced: list[str] = []

    async def replace_it(call: Call) -> None:
        if call.verb == "copy" and not replaced:
            replaced.append(call.key)
            await seaweedfs.put("x/a", b"new version")

    await copy(remote(seaweedfs, "x")[0], remote(seaweedfs, "y", replace_it)[0])
    assert await seaweedfs.get("y/a") == b"new version"


async def test_a_blob_that_is_deleted_before_it_is_copied_fails_alone(seaweedfs: Rig) -> None:
    await fill(seaweedfs, "x/a", "x/b", "x/c")

    async def delete_it(call: Call) -> None:
        if call == Call("copy", "y/b"):
            await seaweedfs.store.delete(["x/b"])

    with pytest.raises(TransferError) as caught:
        await copy(remote(seaweedfs, "x")[0], remote(seaweedfs, "y", delete_it)[0])
    assert {name: type(error) for name, error in caught.value.failures.items()} == {
        seaweedfs.store.address("x/b"): ResourceNotFound
    }
    assert sorted(await contents(seaweedfs, "y/")) == ["a", "c"]


# Only what is not there


class Aged(WatchedStore):
    """A store whose blobs are older than they are; one listing shows it."""

    def __init__(self, rig: Rig, age: timedelta) -> None:
        super().__init__(rig.store)
        self._age = age

    async def pages(self, prefix: str, *, delimiter: str = "", page_size: int | None = None) -> AsyncIterator[Page]:
        async for page in super().pages(prefix, delimiter=delimiter, page_size=page_size):
            yield Page(blobs=[self._older(meta) for meta in page.blobs], prefixes=page.prefixes)

    def _older(self, meta: BlobMeta) -> BlobMeta:
        modified = meta.modified_at - self._age if meta.modified_at else None
        return replace(meta, modified_at=modified, md5=None, etag="of-parts")


async def test_an_update_copies_what_is_missing_of_another_size_or_of_other_content(aws: Rig, other: Rig) -> None:
    await fill(aws, "x/same", "x/size", "x/content", "x/missing")
    await aws.put("x/empty", b"")
    await copy(remote(aws, "x")[0], remote(other, "y")[0])
    await other.put("y/size", b"another")
    await other.put("y/content", b"X/content")
    await other.store.delete(["y/missing"])
    there, store = remote(other, "y")
    report = await copy(remote(aws, "x")[0], there, existing=Existing.UPDATE)
    assert (report.files, report.unchanged) == (3, 2)
    assert await contents(other, "y/") == await contents(aws, "x/")
    assert [call.key for call in store.calls if call.verb == "pages"] == ["y/"]
    # But for a blob that seems to have changed: whether its MD5 is one, only the blob itself tells.
    assert [call.key for call in store.calls if call.verb == "head"] == ["y/content"]
    again = await copy(remote(aws, "x")[0], there, existing=Existing.UPDATE)
    assert (again.files, again.unchanged) == (0, 5)


@pytest.mark.parametrize(("hours", "copied"), [(1, 0), (-1, 1), (0, 1)], ids=["newer copy", "older copy", "same time"])
async def test_where_content_cannot_be_compared_the_times_decide(aws: Rig, other: Rig, hours: int, copied: int) -> None:
    await fill(aws, "x/a")
    await copy(remote(aws, "x")[0], remote(other, "y")[0])
    src = Remote(Listing(aws.bucket, Aged(aws, timedelta(hours=hours))), "x")
    report = await copy(src, remote(other, "y")[0], existing=Existing.UPDATE)
    assert (report.files, report.unchanged) == (copied, 1 - copied)


async def test_a_blob_that_is_there_is_left_alone(aws: Rig, other: Rig) -> None:
    await fill(aws, "a")
    for expected in ((1, 0), (0, 1)):
        report = await copy_one(remote(aws, "a")[0], remote(other, "b")[0], existing=Existing.UPDATE)
        assert (report.files, report.unchanged) == expected
    assert (await copy_one(remote(aws, "a")[0], remote(other, "b")[0])).files == 1


# What one hears of it


async def test_progress_tells_of_every_folder_and_blob_and_of_the_whole(aws: Rig, other: Rig) -> None:
    await fill(aws, "x/a", "x/d/b", "x/d//c", "x/d/dot.")
    recorder = Recorder()
    with pytest.raises(TransferError):
        await copy(remote(aws, "x")[0], remote(other, "y")[0], progress=recorder)
    said = recorder.brief(root=str(aws.bucket.uri) + "/x")
    told = ["enter", "enter d", "enter d", "start a", "start d/b", "start d//c", "start d/dot.", "complete a"]
    told += ["complete d/b", "complete d//c", "fail d/dot.", "leave d", "leave d", "leave"]
    assert sorted(said) == sorted(told)
    assert (said[0], said[-1]) == ("enter", "leave")
    assert recorder.finds()[-1].complete
    assert (recorder.finds()[-1].files, recorder.finds()[-1].size) == (4, 3 + 5 + 6 + 8)
    starts = [event for event in recorder.events if str(event.src).endswith("/d/b")]
    assert {str(event.dst) for event in starts} == {f"{other.bucket.uri}/y/d/b"}


@pytest.mark.parametrize("is_inside", [True, False])
async def test_the_steps_of_a_large_blob_end_at_its_size(aws: Rig, other: Rig, is_inside: bool) -> None:  # noqa: FBT001 - a case
    await aws.put("a", LARGE)
    recorder = Recorder()
    await copy_one(remote(aws, "a")[0], remote(aws if is_inside else other, "b")[0], progress=recorder)
    assert recorder.steps()[-1] == len(LARGE)
    assert recorder.steps() == sorted(recorder.steps())
    assert [type(event).__name__ for event in recorder.events if "Step" not in type(event).__name__] == [
        "StorageProgressStart",
        "StorageProgressComplete",
    ]


# Stopped


@pytest.mark.parametrize("is_inside", [True, False])
async def test_a_copy_cancelled_at_any_moment_keeps_the_old_blob_and_leaves_no_parts_f87(
    seaweedfs: Rig,
    aws: Rig,
    is_inside: bool,  # noqa: FBT001 - a case
) -> None:
    src = seaweedfs if is_inside else aws
    await src.put("a", LARGE)
    await seaweedfs.put("b", b"old")
    seaweedfs.store.copy_part = 5 * 1024**2

    async def transfer(guard: Guard) -> None:
        await copy_one(remote(src, "a", guard)[0], remote(seaweedfs, "b", guard)[0])

    async def check() -> None:
        assert await seaweedfs.unfinished() == []
        assert await seaweedfs.get("b") in (b"old", LARGE)

    assert await at_every_moment(transfer, check, step=1 if is_inside else 7) >= 4
    assert await seaweedfs.get("b") == LARGE


async def test_a_folder_copy_cancelled_at_any_moment_leaves_whole_blobs_only_f87(aws: Rig, other: Rig) -> None:
    await fill(aws, *(f"x/{number}" for number in range(4)))

    async def transfer(guard: Guard) -> None:
        await other.store.delete([f"y/{number}" for number in range(4)])
        await copy(remote(aws, "x", guard)[0], remote(other, "y", guard)[0])

    async def check() -> None:
        assert all(content == f"x/{key}".encode() for key, content in (await contents(other, "y/")).items())

    assert await at_every_moment(transfer, check, step=2) >= 10


async def test_no_more_requests_to_copy_are_open_than_the_window_lets(aws: Rig) -> None:
    await fill(aws, *(f"x/{number:02}" for number in range(40)))
    open_now = most_open = 0

    async def guard(call: Call) -> None:
        nonlocal open_now, most_open
        open_now += (call.verb == "copy") - (call.verb == "copied")
        most_open = max(most_open, open_now)
        await asyncio.sleep(0)

    await copy(remote(aws, "x")[0], remote(aws, "y", guard)[0], through=window(max_concurrency=3))
    assert 1 < most_open <= 3
