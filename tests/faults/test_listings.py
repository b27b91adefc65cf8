"""Part B of the catalogue, listings: what is none is an error, and nothing is deleted or overwritten because of it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from airflow_provider_neuro_buckets.buckets import Buckets, BucketsError, InvalidAnswer, opening
from airflow_provider_neuro_buckets.buckets.retry import RetryPolicy
from buckets.transfer.trees import plant, snapshot
from conformance.rigs.base import Rig
from faults.proxy import ALWAYS, Rule
from faults.scene import at, behind_proxy
from faults.toxics import Answer

LISTING = r"list-type=2|comp=list|/o\?"
"""How S3, Azure and Google are asked to list."""
BLOBS = {"d/a": b"one", "d/b": b"two", "e/c": b"three", "old": b"old"}
FILES = {"a": b"mine", "kept": b"mine alone"}

BODIES = {
    "html": b"<html><body>Sign in to the network of the hotel</body></html>",
    "empty": b"",
    "json": b'{"message": "not found", "items": null}',
    "other": b"<ListAllMyBucketsResult><Buckets/></ListAllMyBucketsResult>",
    "cut off": b'<?xml version="1.0"?><ListBucketResult><Contents><Key>d/a</Key><Size>3</Size></Contents>',
}

Ask = Callable[[Buckets, Rig, Path], Awaitable[object]]

#: Everything that lists, and what would delete or write because of it.
ASKS: dict[str, Ask] = {
    "blob_rm of a folder": lambda buckets, rig, _: buckets.blob_rm(at(rig, "d"), recursive=True),
    "blob_rm of the bucket": lambda buckets, rig, _: buckets.blob_rm(at(rig), recursive=True),
    "download_dir": lambda buckets, rig, local: buckets.download_dir(at(rig, "d"), local),
    "download_dir update": lambda buckets, rig, local: buckets.download_dir(at(rig, "d"), local, update=True),
    "download_dir continue": lambda buckets, rig, local: buckets.download_dir(at(rig, "d"), local, continue_=True),
    "upload_dir update": lambda buckets, rig, local: buckets.upload_dir(local, at(rig, "d"), update=True),
    "upload_file": lambda buckets, rig, local: buckets.upload_file(local / "a", at(rig, "old")),
    "copy_dir": lambda buckets, rig, _: buckets.copy_dir(at(rig, "d"), at(rig, "e")),
    "copy_dir update": lambda buckets, rig, _: buckets.copy_dir(at(rig, "d"), at(rig, "e"), update=True),
    "is_dir": lambda buckets, rig, _: buckets.blob_is_dir(at(rig, "d")),
    "list": lambda buckets, rig, _: _all_of(buckets, at(rig, "d/")),
}


async def _all_of(buckets: Buckets, address: str) -> list[object]:
    return [entry async for entry in buckets.list_blobs(address, recursive=True, limit=None)]


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opening, "DATA", RetryPolicy(attempts=2, first_wait=0.002))


@contextmanager
def raises_at(name: str) -> Iterator[None]:
    """Expect that what lists notices; say what did not."""
    try:
        yield
    except InvalidAnswer:
        return
    pytest.fail(f"{name} took it for a listing")


async def fill(rig: Rig, folder: Path) -> None:
    await asyncio.gather(*(rig.put(key, content) for key, content in BLOBS.items()))
    plant(folder, FILES)


async def check_nothing_happened(rig: Rig, folder: Path) -> None:
    assert {key: await rig.get(key) for key in await rig.names()} == BLOBS
    assert snapshot(folder) == FILES


@pytest.mark.parametrize("rig", ["aws", "azure", "gcp"], indirect=True)
@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
async def test_what_is_not_a_listing_is_an_error_of_all_that_list_and_changes_nothing_at_either_end_f39(
    rig: Rig, tmp_path: Path, body: bytes
) -> None:
    await fill(rig, tmp_path)
    not_a_listing = Rule(fault=Answer(200, body), method="GET", target=LISTING, times=ALWAYS)
    async with behind_proxy(rig, not_a_listing) as (buckets, proxy):
        for name, ask in ASKS.items():
            with raises_at(name):
                await ask(buckets, rig, tmp_path)
        assert {seen.method for seen in proxy.seen} <= {"GET", "HEAD"}
    await check_nothing_happened(rig, tmp_path)


@pytest.mark.parametrize("rig", ["aws", "azure", "gcp"], indirect=True)
@pytest.mark.parametrize("name", ["blob_rm of a folder", "download_dir update", "copy_dir update"])
async def test_a_second_listing_that_is_none_is_an_error_after_a_first_that_was_right_f39(
    rig: Rig, tmp_path: Path, name: str
) -> None:
    """Whether a folder is there is asked first: the page that counts is a later one."""
    await fill(rig, tmp_path)
    html = Rule(fault=Answer(200, BODIES["html"]), method="GET", target=LISTING, skip=1, times=ALWAYS)
    async with behind_proxy(rig, html) as (buckets, proxy):
        with pytest.raises(InvalidAnswer):
            await ASKS[name](buckets, rig, tmp_path)
        assert proxy.struck
        assert {seen.method for seen in proxy.seen} <= {"GET", "HEAD"}
    await check_nothing_happened(rig, tmp_path)


@pytest.mark.parametrize("rig", ["aws", "azure"], indirect=True)
@pytest.mark.parametrize("status", [500, 404])
async def test_a_listing_that_is_refused_deletes_nothing_f39(rig: Rig, tmp_path: Path, status: int) -> None:
    await fill(rig, tmp_path)
    refused = Rule(fault=Answer(status, BODIES["html"]), method="GET", target=LISTING, times=ALWAYS)
    async with behind_proxy(rig, refused) as (buckets, _):
        for ask in ASKS.values():
            with pytest.raises(BucketsError):
                await ask(buckets, rig, tmp_path)
    await check_nothing_happened(rig, tmp_path)


LOOPS = {
    "aws": b"<ListBucketResult><IsTruncated>true</IsTruncated><NextContinuationToken>again</NextContinuationToken>"
    b"<Contents><Key>d/%d</Key><Size>1</Size></Contents></ListBucketResult>",
    "azure": b"<?xml version='1.0'?><EnumerationResults><Blobs><Blob><Name>d/%d</Name><Properties><Content-Length>1"
    b"</Content-Length></Properties></Blob></Blobs><NextMarker>again</NextMarker></EnumerationResults>",
    "gcp": b'{"kind": "storage#objects", "nextPageToken": "again",'
    b' "items": [{"name": "d/%d", "size": "1", "generation": "1"}]}',
}


@pytest.mark.parametrize("rig", ["aws", "azure", "gcp"], indirect=True)
async def test_a_listing_whose_pages_lead_in_a_circle_is_left_and_what_it_did_not_show_stays_f40(
    rig: Rig, tmp_path: Path
) -> None:
    await fill(rig, tmp_path)
    loop = Rule(fault=Answer(200, LOOPS[rig.provider] % 0), method="GET", target=LISTING, times=ALWAYS)
    async with behind_proxy(rig, loop) as (buckets, proxy):
        for name in ("blob_rm of the bucket", "upload_dir update", "list"):
            with pytest.raises(BucketsError, match="repeats itself"):
                await ASKS[name](buckets, rig, tmp_path)
        assert len(proxy.seen) < 20
    await check_nothing_happened(rig, tmp_path)
