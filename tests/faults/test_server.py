"""Part B of the catalogue: a server that is busy, errs once, or means something else than it says."""

from __future__ import annotations

import random
import time
from dataclasses import replace
from pathlib import Path

import pytest

from airflow_provider_neuro_buckets.buckets import (
    IntegrityError,
    Throttled,
)
from airflow_provider_neuro_buckets.buckets.listing import Listing
from airflow_provider_neuro_buckets.buckets.stores.base import Capability, CopySource
from airflow_provider_neuro_buckets.buckets.stores.registry import ClosableStore
from airflow_provider_neuro_buckets.buckets.transfer.engine import Remote
from buckets.stores.s3_scripts import BUCKET, blob, etag_of, listing, refusal, store_at
from buckets.transfer.asking import download_one, upload_one
from buckets.transfer.trees import plant, snapshot
from conformance.asking import blobs_under, content_of
from conformance.rigs.base import IMPATIENT, Rig, opened
from faults.crafted import Answer, Choice, CraftedServer, by_method, crafted, in_turn, reply
from faults.proxy import Rule, Seen, fault_proxy
from faults.scene import at, behind_proxy, endpoint_of
from faults.toxics import Fault, Truncate, azure_error, s3_error
from faults.toxics import Told as Length
from promises.scene import on

CONTENT = random.Random(17).randbytes(10_000)
LISTING = r"list-type=2|comp=list|/o\?"

everywhere = on("aws", "azure", "gcp")


# A server that is busy, or errs for a moment


@pytest.mark.parametrize(
    ("rig", "busy"),
    [("aws", s3_error(503, "SlowDown", retry_after=1)), ("azure", azure_error(503, "ServerBusy", retry_after=1))],
    indirect=["rig"],
)
async def test_a_server_that_asks_to_slow_down_is_left_alone_for_as_long_as_it_asks_f17(rig: Rig, busy: Fault) -> None:
    async with behind_proxy(rig, Rule(fault=busy, method="PUT")) as (buckets, proxy):
        begun = time.monotonic()
        await buckets.put_blob(str(rig.bucket.uri), "key", CONTENT)
        assert time.monotonic() - begun >= 1
        assert len(proxy.asked("PUT")) == 2
    assert await rig.get("key") == CONTENT


@pytest.mark.parametrize("verb", ["download", "upload"])
async def test_a_transfer_at_a_server_that_stays_busy_asks_as_often_as_one_request_may_f18(
    tmp_path: Path, verb: str
) -> None:
    busy = in_turn(refusal(503, "SlowDown"))
    looks = {"HEAD": in_turn(blob(CONTENT))} if verb == "download" else {"GET": in_turn(listing())}
    async with crafted(by_method(**{"GET": busy, "PUT": busy, **looks})) as server, store_at(server) as store:
        plant(tmp_path, {"f": b"old"})
        there = Remote(Listing(BUCKET, store), "key")
        with pytest.raises(Throttled):
            await (download_one(there, tmp_path / "f") if verb == "download" else upload_one(tmp_path / "f", there))
        assert len(server.asked_by("GET" if verb == "download" else "PUT")) == 4
    assert snapshot(tmp_path) == {"f": b"old"}


class OnceEach:
    """The plan of a proxy that answers 500 to the first request of each kind: a method with what its query names.

    :ivar met: the kinds so far.
    """

    def __init__(self) -> None:
        self.met: set[str] = set()

    def __call__(self, seen: Seen) -> Fault | None:
        path, _, query = seen.target.partition("?")
        values = [part for part in query.split("&") if part.startswith(("comp=", "restype=", "uploadType="))]
        names = {part.partition("=")[0] for part in query.split("&") if part}
        copies = [name for name in seen.headers if "copy-source" in name.lower() and "if" not in name.lower()]
        is_key = path.count("/") > 1
        kind = " ".join([seen.method, "key" if is_key else "bucket", *sorted(names), *values, *copies])
        if kind in self.met:
            return None
        self.met.add(kind)
        return s3_error(500, "InternalError")


async def do_everything(rig: Rig, store: ClosableStore) -> None:
    """Ask every verb of a store, and check what comes of it."""
    part = bytes(max(store.limits.smallest, 1))
    await store.write("a", CONTENT)
    assert (await store.head("a")).size == len(CONTENT)
    assert await content_of(store, "a") == CONTENT
    async with store.multipart("parts") as upload:
        await upload.put_part(1, part)
        await upload.put_part(2, CONTENT)
        await upload.complete()
    assert await rig.get("parts") == part + CONTENT
    async with store.multipart("left") as upload:
        await upload.put_part(1, part)
    assert not await rig.unfinished()
    if Capability.COPY in store.capabilities:
        await store.copy_from("copy", await source(store, "a"))
        await store.copy_from("copy of parts", await source(store, "parts"))
        assert await rig.get("copy of parts") == part + CONTENT
    assert {meta.key for meta in await blobs_under(store)} >= {"a", "parts"}
    assert await store.delete(["a"]) == {}
    assert await store.delete([meta.key for meta in await blobs_under(store)]) == {}
    assert await rig.names() == []


async def source(store: ClosableStore, key: str) -> CopySource:
    return CopySource(site=await store.site(), meta=await store.head(key), address=store.address(key))


@everywhere
async def test_one_failure_of_every_kind_of_request_in_turn_is_not_noticed_f20(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    name, endpoint = endpoint_of(rig)
    async with fault_proxy(endpoint) as proxy:
        plan = OnceEach()
        proxy.plan = plan
        keys = replace(rig.keys, credentials={**rig.keys.credentials, name: proxy.url})
        async with opened(rig.bucket, keys, retry=IMPATIENT) as store:
            monkeypatch.setattr(type(store), "copy_part", 5 * 1024**2, raising=False)
            await do_everything(rig, store)
        assert len(plan.met) == len(proxy.struck) >= 8


@everywhere
async def test_an_answer_in_chunks_whose_end_never_comes_is_asked_for_again_f31(rig: Rig, tmp_path: Path) -> None:
    await rig.put("d/key", CONTENT)
    endless = Truncate(to=100, told=Length.NO_LENGTH)
    rules = [
        Rule(fault=endless, method="GET", target=LISTING),
        Rule(fault=endless, method="GET", target="key|alt=media"),
    ]
    async with behind_proxy(rig, *rules) as (buckets, proxy):
        await buckets.download_dir(at(rig, "d"), tmp_path)
        assert len(proxy.struck) == 2
    assert snapshot(tmp_path) == {"key": CONTENT}


# A server that stores other bytes than it got

OTHER = b"other bytes"


def storing(*puts: Answer, there: Answer, delete: Answer | None = None) -> Choice:
    return by_method(PUT=in_turn(*puts), HEAD=in_turn(there), DELETE=in_turn(delete or reply(204)))


async def write_in_vain(server: CraftedServer) -> None:
    async with store_at(server) as store:
        with pytest.raises(IntegrityError):
            await store.write("key", CONTENT)


wrong = reply(200, b"", {"ETag": etag_of(OTHER)})


@pytest.mark.parametrize("second", [wrong, refusal(400, "BadDigest")])
async def test_wrong_bytes_that_the_storage_made_of_a_blob_do_not_stay_there_f34(second: Answer) -> None:
    async with crafted(storing(wrong, second, there=blob(OTHER))) as server:
        await write_in_vain(server)
        assert [asked.headers["If-Match"] for asked in server.asked_by("DELETE")] == [etag_of(OTHER)]


@pytest.mark.parametrize(
    ("puts", "there"),
    [
        ([wrong], blob(CONTENT)),
        ([wrong], blob(b"of another writer")),
        ([wrong], reply(404)),
        ([wrong], reply(403)),
        ([refusal(400, "BadDigest")], blob(b"what was there before")),
    ],
    ids=["right after all", "another writer", "gone", "not to be seen", "nothing was stored"],
)
async def test_nothing_but_the_wrong_bytes_is_taken_away_f34(puts: list[Answer], there: Answer) -> None:
    async with crafted(storing(*puts, there=there)) as server:
        await write_in_vain(server)
        assert server.asked_by("DELETE") == []


async def test_wrong_bytes_that_may_not_be_deleted_are_told_of_f34(caplog: pytest.LogCaptureFixture) -> None:
    async with crafted(storing(wrong, there=blob(OTHER), delete=reply(403))) as server:
        await write_in_vain(server)
    assert "the wrong bytes may still be there" in caplog.text
