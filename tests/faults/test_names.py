"""Hostile names: down to a disk, from bucket to bucket, up from a disk. Each stays inside; none is lost in silence."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from urllib.parse import quote

import pytest

from airflow_provider_neuro_buckets.buckets.errors import InvalidAddress, InvalidAnswer, TransferError
from airflow_provider_neuro_buckets.buckets.listing import Listing
from airflow_provider_neuro_buckets.buckets.removal import remove_path
from airflow_provider_neuro_buckets.buckets.transfer.engine import Remote
from buckets.stores.s3_scripts import BUCKET, blob, store_at
from buckets.transfer.asking import copy, download, upload
from buckets.transfer.trees import plant, snapshot
from buckets.transfer.watched import remote
from conformance.rigs.base import Rig
from conformance.rigs.registry import Servers
from faults.crafted import Answer, Asked, crafted, reply

CONTENT = b"hostile"
pytestmark = pytest.mark.filterwarnings("error")
on_aws = pytest.mark.parametrize("rig", ["aws"], indirect=True)

CLIMBING = ["../x", "a/../../x", "/../x", "//x/../../y", "..", ".", "a/./b", "a/..", "../dst-2/x", "/../../../../tmp/x"]
"""Refused by name: each has a segment that leads elsewhere, or an empty one."""
ABSOLUTE = ["/abs", "//abs", "/etc/passwd", "//srv/share/x"]
"""Refused by name: nothing may come before the first slash."""
DRIVES = ["C:\\x", "C:x", "\\\\srv\\share\\x", "..\\x", "a\\..\\..\\x", "\\..\\..\\x"]
"""Names like any other here, with nothing in them that separates folders."""
CONTROL = ["new\nline", "carriage\rreturn", "esc\x1b[31mred", "\u202egnp.exe", "del\x7f", "c1\x9b31m", "line\u2028end"]
RESERVED = ["CON", "PRN", "AUX", "NUL.txt", "COM1", "dot.", "space ", "a:stream", '<>|?*"', "~", "-rf", "$HOME", "`id`"]


@pytest.fixture
async def other(servers: Servers) -> AsyncIterator[Rig]:
    """A second bucket of a server that takes every key as it is."""
    async with servers.running("aws").rig() as rig:
        yield rig


async def fill(rig: Rig, keys: Sequence[str]) -> None:
    for key in keys:
        await rig.put(f"d/{key}", CONTENT)
    await rig.put("d/good", b"good")


async def down(rig: Rig, tmp_path: Path) -> tuple[dict[str, Exception], dict[str, bytes | str | None]]:
    """Download a folder beside others; return what failed by its key, and what has come of the folder."""
    before = plant(tmp_path, {"x": b"mine", "y": b"mine", "dst-2/x": b"mine", "outer/dst/mine": b"mine"})
    failed: dict[str, Exception] = {}
    try:
        await download(remote(rig, "d")[0], tmp_path / "outer" / "dst")
    except TransferError as error:
        failed = dict(error.failures)
    after = snapshot(before)
    inside = {path.removeprefix("outer/dst/"): after.pop(path) for path in list(after) if path.startswith("outer/dst/")}
    assert after == {"x": b"mine", "y": b"mine", "dst-2/": None, "dst-2/x": b"mine", "outer/": None}
    assert inside.pop("", None) is None
    assert inside.pop("mine") == b"mine"
    prefix = rig.store.address("d/")
    return {address.removeprefix(prefix): error for address, error in failed.items()}, inside


def addressed(rig: Rig, keys: Sequence[str]) -> list[str]:
    prefix = rig.store.address("d/")
    return sorted(rig.store.address(f"d/{key}").removeprefix(prefix) for key in keys)


# Down to a disk


@on_aws
@pytest.mark.parametrize("keys", [CLIMBING, ABSOLUTE], ids=["climbing_f79", "absolute_f80"])
async def test_keys_that_lead_out_of_the_destination_are_refused_each_by_name_f79_f80(
    rig: Rig, tmp_path: Path, keys: list[str]
) -> None:
    await fill(rig, keys)
    failed, made = await down(rig, tmp_path)
    assert sorted(failed) == addressed(rig, keys)
    assert all(isinstance(error, InvalidAddress) and "was not downloaded" in str(error) for error in failed.values())
    assert made == {"good": b"good"}


@on_aws
@pytest.mark.parametrize("keys", [DRIVES, CONTROL, RESERVED], ids=["drives", "control", "reserved"])
async def test_names_that_mean_something_elsewhere_arrive_as_what_they_are_here_f80_f81_f82(
    rig: Rig, tmp_path: Path, keys: list[str]
) -> None:
    keys = [key for key in keys if rig.refuses(key) is None]
    await fill(rig, keys)
    failed, made = await down(rig, tmp_path)
    assert failed == {}
    assert made == {**dict.fromkeys(keys, CONTENT), "good": b"good"}


def listed(*items: bytes) -> Answer:
    """Answer with a page of a listing, its keys as they stand on the wire."""
    blobs = b"".join(b"<Contents><Key>%b</Key><Size>7</Size></Contents>" % item for item in items)
    head = b'<?xml version="1.0" encoding="UTF-8"?><ListBucketResult><EncodingType>url</EncodingType>'
    return reply(200, head + blobs + b"</ListBucketResult>")


async def refusals(tmp_path: Path, *items: bytes) -> dict[str, Exception]:
    """Download a folder whose listing has these keys; return what failed."""

    def choose(asked: Asked) -> Answer:
        return listed(*items) if "list-type" in asked.query else blob(CONTENT)

    async with crafted(choose) as server, store_at(server) as store:
        with pytest.raises(TransferError) as caught:
            await download(Remote(Listing(BUCKET, store), "d"), tmp_path / "dst")
    str(caught.value).encode()
    return dict(caught.value.failures)


async def test_control_characters_and_a_newline_in_a_listing_are_names_like_any_other_f81(tmp_path: Path) -> None:
    def choose(asked: Asked) -> Answer:
        return (
            listed(*(b"d/" + quote(key).encode() for key in CONTROL)) if "list-type" in asked.query else blob(CONTENT)
        )

    async with crafted(choose) as server, store_at(server) as store:
        report = await download(Remote(Listing(BUCKET, store), "d"), tmp_path / "dst")
    assert (report.files, report.failed) == (len(CONTROL), {})
    assert sorted(snapshot(tmp_path / "dst")) == sorted(CONTROL)


async def test_a_key_with_nul_is_refused_by_name_f81(tmp_path: Path) -> None:
    failed = await refusals(tmp_path, b"d/nul%00x", b"d/good")
    assert [address.rpartition("/d/")[2] for address in failed] == ["nul%00x"]
    assert snapshot(tmp_path) == {"dst/": None, "dst/good": CONTENT}


@pytest.mark.parametrize(("key", "shown"), [(b"bad%FF", "bad%FF"), (b"%ED%A0%80", "%ED%A0%80"), (b"%C3", "%C3")])
async def test_a_key_whose_bytes_are_no_text_is_refused_by_name_and_never_taken_for_another_f81(
    tmp_path: Path, key: bytes, shown: str
) -> None:
    failed = await refusals(tmp_path, b"d/" + key, b"d/good")
    assert [address.rpartition("/d/")[2] for address in failed] == [shown]
    assert snapshot(tmp_path) == {"dst/": None, "dst/good": CONTENT}


async def test_a_key_whose_bytes_are_no_text_is_listed_and_its_deletion_fails_by_name_f81() -> None:
    def choose(asked: Asked) -> Answer:
        if "list-type" in asked.query:
            return listed(b"d/bad%FF", b"d/good")
        return reply(204) if asked.method == "DELETE" else reply(404)

    async with crafted(choose) as server, store_at(server) as store:
        listing = Listing(BUCKET, store)
        uris = [str(entry.uri) async for entry in listing.entries("d/")]
        with pytest.raises(TransferError) as caught:
            await remove_path(listing, "d", recursive=True)
        assert [request.target for request in server.asked if request.method == "DELETE"] == ["/real/d/good"]
    assert [uri.rpartition("/d/")[2] for uri in uris] == ["bad%FF", "good"]
    assert [address.rpartition("/d/")[2] for address in caught.value.failures] == ["bad%FF"]


@pytest.mark.parametrize("key", [b"d/bad\xff", b"d/&#xD800;", b"d/\x01"])
async def test_a_listing_with_a_key_that_is_no_text_is_an_error_and_no_other_blob_is_taken_for_it_f81(
    tmp_path: Path, key: bytes
) -> None:
    def choose(asked: Asked) -> Answer:
        return listed(key, b"d/good") if "list-type" in asked.query else blob(CONTENT)

    async with crafted(choose) as server, store_at(server) as store:
        with pytest.raises((InvalidAnswer, TransferError)) as caught:
            await download(Remote(Listing(BUCKET, store), "d"), tmp_path / "dst")
        asked = [request.target for request in server.asked if request.target.startswith("/real/d/")]
    str(caught.value).encode()
    assert set(asked) <= {"/real/d/good"}
    assert set(snapshot(tmp_path)) <= {"dst/", "dst/good"}


@on_aws
async def test_control_characters_of_names_are_escaped_in_errors_reports_and_logs_f81(
    rig: Rig, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, logger="airflow_provider_neuro_buckets")
    evil = [f"{name}/." for name in CONTROL if rig.refuses(name) is None]
    await fill(rig, evil)
    with pytest.raises(TransferError) as caught:
        await download(remote(rig, "d")[0], tmp_path / "dst")
    src = plant(tmp_path / "src", {})
    for name in CONTROL:
        (src / f"{name} link").symlink_to("/")
    with pytest.raises(TransferError) as refused:
        await upload(src, remote(rig, "up")[0])
    assert (len(caught.value.failures), len(refused.value.failures)) == (len(evil), len(CONTROL))
    lines = [str(caught.value), str(refused.value), *map(str, caught.value.failures.values())]
    lines += [*map(str, refused.value.failures.values()), *(record.getMessage() for record in caplog.records)]
    shown = "".join(line.replace("\n  ", "") for line in lines)
    assert all(character.isprintable() for character in shown)


@on_aws
async def test_keys_in_composed_and_decomposed_letters_are_two_files_here_and_two_blobs_again_f84(
    rig: Rig, other: Rig, tmp_path: Path
) -> None:
    names = ["caf\u00e9", "cafe\u0301", "X.txt", "x.txt"]
    await fill(rig, names)
    failed, made = await down(rig, tmp_path)
    assert (failed, sorted(made)) == ({}, sorted([*names, "good"]))
    await upload(tmp_path / "outer" / "dst", remote(other, "up")[0])
    assert sorted(await other.names()) == sorted(f"up/{name}" for name in [*names, "good", "mine"])


# From bucket to bucket


@on_aws
async def test_a_copy_keeps_every_key_exactly_and_reaches_nothing_beside_its_destination_f79_f80_f81_f82_f83_f84(
    rig: Rig, other: Rig
) -> None:
    keys = [*CLIMBING, *ABSOLUTE, *DRIVES, *CONTROL, *RESERVED, "a", "a/b", "X.txt", "x.txt", "nul\0"]
    keys = [key for key in keys if rig.refuses(f"d/{key}") is None]
    await fill(rig, keys)
    for key in ("x", "abs", "to/x", "dst-2/x"):
        await other.put(key, b"mine")
    await copy(remote(rig, "d")[0], remote(other, "to/inner")[0])
    assert sorted(await other.names()) == sorted(
        ["x", "abs", "to/x", "dst-2/x", *(f"to/inner/{key}" for key in [*keys, "good"])]
    )
    assert {await other.get(key) for key in ("x", "abs", "to/x", "dst-2/x")} == {b"mine"}


async def test_keys_that_the_destination_of_a_copy_would_rewrite_are_refused_each_by_name_f79_f80_f85(
    other: Rig, seaweedfs: Rig
) -> None:
    keys = [key for key in [*CLIMBING, *ABSOLUTE, *DRIVES] if seaweedfs.refuses(f"to/{key}")]
    assert len(keys) == len([*CLIMBING, *ABSOLUTE]) + len([key for key in DRIVES if "\\" in key])
    await fill(other, keys)
    for key in ("x", "abs", "to/x", "to/abs"):
        await seaweedfs.put(key, b"mine")
    with pytest.raises(TransferError) as caught:
        await copy(remote(other, "d")[0], remote(seaweedfs, "to")[0])
    assert sorted(caught.value.failures) == sorted(other.store.address(f"d/{key}") for key in keys)
    assert sorted(await seaweedfs.names()) == ["abs", "to/abs", "to/good", "to/x", "x"]
    assert {await seaweedfs.get(key) for key in ("x", "abs", "to/x", "to/abs")} == {b"mine"}


# Up from a disk


@on_aws
async def test_hostile_names_of_files_become_exactly_such_keys_f80_f81_f82_f84(rig: Rig, tmp_path: Path) -> None:
    names = [*DRIVES, *CONTROL, *RESERVED, "X.txt", "x.txt", "...", "..x", "%2e%2e%2fx", "a%2Fb", "#?&="]
    names = [name for name in names if rig.refuses(name) is None]
    plant(tmp_path, dict.fromkeys(names, CONTENT))
    report = await upload(tmp_path, remote(rig, "up")[0])
    assert (report.files, report.skipped) == (len(names), {})
    assert sorted(await rig.names()) == sorted(f"up/{name}" for name in names)


async def test_names_of_files_that_the_server_would_rewrite_are_refused_each_by_name_f80_f85(
    seaweedfs: Rig, tmp_path: Path
) -> None:
    names = [name for name in DRIVES if "\\" in name]
    plant(tmp_path, {**dict.fromkeys(names, CONTENT), "good": b"good"})
    await seaweedfs.put("x", b"mine")
    with pytest.raises(TransferError) as caught:
        await upload(tmp_path, remote(seaweedfs, "up")[0])
    assert sorted(caught.value.failures) == sorted(f"{tmp_path}/{name}" for name in names)
    for name in names:
        assert seaweedfs.store.address(f"up/{name}") in str(caught.value.failures[f"{tmp_path}/{name}"])
    assert sorted(await seaweedfs.names()) == ["up/good", "x"]
    assert await seaweedfs.get("x") == b"mine"
