"""Part A of the catalogue: a network that refuses, breaks, stalls, crawls or flaps costs time, never a byte."""

from __future__ import annotations

import asyncio
import logging
import random
import re
import socket
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_neuro_buckets.buckets import (
    NotConnected,
    PermissionDenied,
    Timeout,
    Unavailable,
    opening,
)
from airflow_provider_neuro_buckets.buckets.retry import DATA, RetryPolicy
from airflow_provider_neuro_buckets.buckets.transfer.plan import MIB, PART
from airflow_provider_neuro_buckets.local.child import RunningPlatform
from buckets.transfer.trees import plant, snapshot
from conformance.rigs.base import Rig
from faults.proxy import ALWAYS, Rule, Seen, fault_proxy
from faults.scene import at, behind_proxy, client_at, endpoint_of, platform_behind_proxy
from faults.toxics import Fault, Held, Late, ResetAnswer, ResetRequest, Slow, Stall, StallRequest, azure_error, s3_error
from promises.scene import content_of, on

SMALL = random.Random(1).randbytes(700)
HEAD = 3000
"""More than the heads of answers have, less than any content that is larger than `SMALL`."""

BLOB = r"/key(\?|$)"

SILENCE = 3.0
"""Seconds: longer than a healthy server is silent on a busy machine, so that only who is held back is given up."""

s3_and_azure = on("azure", "seaweedfs")


pytestmark = pytest.mark.usefixtures("impatient")


@pytest.fixture
def retries(caplog: pytest.LogCaptureFixture) -> Callable[[], list[str]]:
    """Tells what was logged of attempts that were made again."""
    caplog.set_level(logging.WARNING)
    return lambda: [text for record in caplog.records if "; attempt " in (text := record.getMessage())]


async def stored(rig: Rig, **files: bytes) -> None:
    """Put blobs, around the store."""
    await asyncio.gather(*(rig.put(key, sent) for key, sent in files.items()))


# 1: nobody listens


@s3_and_azure
async def test_a_port_where_nobody_listens_is_tried_again_and_then_named_f01(
    rig: Rig, tmp_path: Path, retries: Callable[[], list[str]]
) -> None:
    plant(tmp_path, {"f": b"old"})
    async with behind_proxy(rig) as (buckets, proxy):
        await proxy.refuse()
        with pytest.raises(NotConnected, match=r"no connection \(refused\)\. Check the address"):
            await buckets.download_file(at(rig, "key"), tmp_path / "f")
    assert [re.search(r"attempt \d", line)[0] for line in retries()] == [f"attempt {n}" for n in range(2, 6)]  # type: ignore[index]  # else None fails it
    assert snapshot(tmp_path) == {"f": b"old"}


async def test_a_port_that_opens_in_time_is_no_failure_f01(seaweedfs: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opening, "DATA", RetryPolicy(attempts=100_000, first_wait=0.01, longest_wait=0.01))
    await seaweedfs.put("key", SMALL)
    async with behind_proxy(seaweedfs) as (buckets, proxy):
        await proxy.refuse()
        reading = asyncio.ensure_future(content_of(buckets, seaweedfs.bucket.id, "key"))
        await asyncio.sleep(0.05)
        assert not reading.done()
        await proxy.listen()
        assert await reading == SMALL


async def test_a_platform_where_nobody_listens_is_tried_again_and_then_named_f01(
    neuro_buckets_local: RunningPlatform, retries: Callable[[], list[str]]
) -> None:
    async with platform_behind_proxy(neuro_buckets_local.config) as (buckets, proxy):
        await proxy.refuse()
        with pytest.raises(NotConnected, match="no connection"):
            await buckets.get("any")
        assert len(retries()) == 3


# 2: no such host


@pytest.mark.parametrize("failures", [2, 1000])
async def test_a_host_is_looked_up_again_at_each_attempt_f02(
    seaweedfs: Rig, monkeypatch: pytest.MonkeyPatch, failures: int
) -> None:
    await seaweedfs.put("key", SMALL)
    asked: list[str] = []
    real = socket.getaddrinfo

    def look_up(host: str, *args: Any, **kwargs: Any) -> Any:
        if host != "storage.test":
            return real(host, *args, **kwargs)
        asked.append(host)
        if len(asked) <= failures:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return real("127.0.0.1", *args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    async with fault_proxy(endpoint_of(seaweedfs)[1]) as proxy:
        there = proxy.url.replace("127.0.0.1", "storage.test")
        async with client_at(seaweedfs, there) as buckets:
            if failures == 2:
                assert await content_of(buckets, seaweedfs.bucket.id, "key") == SMALL
                assert len(asked) == 3
            else:
                with pytest.raises(NotConnected, match="Name or service not known"):
                    await buckets.head_blob(seaweedfs.bucket.id, "key")
                assert len(asked) == DATA.attempts


# 3: accepted, never answered


@s3_and_azure
async def test_a_server_that_never_answers_is_asked_again_f03(rig: Rig) -> None:
    await rig.put("key", SMALL)
    async with behind_proxy(rig, Rule(fault=StallRequest()), timeout_seconds=SILENCE) as (buckets, proxy):
        assert await content_of(buckets, rig.bucket.id, "key") == SMALL
        assert len(proxy.struck) == 1


@s3_and_azure
async def test_a_server_that_never_answers_at_all_is_left_after_five_attempts_f03(rig: Rig, tmp_path: Path) -> None:
    plant(tmp_path, {"f": b"old"})
    rule = Rule(fault=StallRequest(), times=ALWAYS)
    async with behind_proxy(rig, rule, timeout_seconds=1) as (buckets, proxy):
        with pytest.raises(Timeout, match="no answer in time"):
            await buckets.download_file(at(rig, "key"), tmp_path / "f")
        assert len(proxy.seen) == DATA.attempts
    assert snapshot(tmp_path) == {"f": b"old"}


async def test_a_platform_that_never_answers_is_asked_again_f03(neuro_buckets_local: RunningPlatform) -> None:
    stalled = Rule(fault=StallRequest())
    async with platform_behind_proxy(neuro_buckets_local.config, stalled, timeout_seconds=SILENCE) as (buckets, proxy):
        assert [bucket async for bucket in buckets.list() if bucket.name == "nobody's"] == []
        assert len(proxy.seen) == 2


# 4: reset after so many bytes of the answer


@s3_and_azure
async def test_a_download_reset_at_any_byte_of_its_answer_is_right_f04(rig: Rig, tmp_path: Path) -> None:
    cuts = range(0, 601, 4 if rig.provider == "seaweedfs" else 40)
    contents = {f"at-{cut:04}": b"%d " % cut + SMALL for cut in cuts}
    await stored(rig, **contents)
    struck: set[str] = set()

    def once_each(seen: Seen) -> Fault | None:
        found = re.search(r"at-(\d+)", seen.target)
        if found is None or seen.method != "GET" or found[0] in struck:
            return None
        struck.add(found[0])
        return ResetAnswer(int(found[1]))

    async with behind_proxy(rig) as (buckets, proxy):
        proxy.plan = once_each
        await buckets.download_dir(at(rig), tmp_path)
    assert struck == set(contents)
    assert snapshot(tmp_path) == contents


@s3_and_azure
async def test_a_download_reset_at_every_64_kib_goes_on_from_there_f04(rig: Rig, tmp_path: Path) -> None:
    step = 64 * 1024
    sent = random.Random(4).randbytes(MIB - 77)
    await rig.put("key", sent)
    async with behind_proxy(rig, Rule(fault=ResetAnswer(step + HEAD), method="GET", times=ALWAYS)) as (buckets, proxy):
        await buckets.download_file(at(rig, "key"), tmp_path / "f")
        gets = proxy.asked("GET")
    assert (tmp_path / "f").read_bytes() == sent
    starts = [int(start[1]) for get in gets if (start := re.match(r"bytes=(\d+)-", range_of(get)))]
    assert len(starts) >= len(sent) // (step + HEAD)
    assert starts == sorted(set(starts))
    assert all(get.headers.get("If-Match") for get in gets)


def range_of(seen: Seen) -> str:
    return next((value for name, value in seen.headers.items() if name.lower() in {"range", "x-ms-range"}), "")


async def test_each_range_of_a_large_download_goes_on_by_itself_f04(seaweedfs: Rig, tmp_path: Path) -> None:
    sent = random.Random(5).randbytes(3 * PART)
    await seaweedfs.put("key", sent)
    struck: set[str] = set()

    def once_each(seen: Seen) -> Fault | None:
        if seen.method != "GET" or range_of(seen) in struck or len(struck) == 3:
            return None
        struck.add(range_of(seen))
        return ResetAnswer(HEAD + 5 * MIB if len(struck) == 1 else 2 * MIB + len(struck))

    async with behind_proxy(seaweedfs) as (buckets, proxy):
        proxy.plan = once_each
        await buckets.download_file(at(seaweedfs, "key"), tmp_path / "f")
        assert len(proxy.asked("GET")) == 6
    assert (tmp_path / "f").read_bytes() == sent


# 5: reset after so many bytes of the request


@s3_and_azure
async def test_each_part_of_an_upload_that_breaks_is_sent_again_by_itself_f05(rig: Rig, tmp_path: Path) -> None:
    cuts = [0, 1, 65536]
    sent = random.Random(6).randbytes(3 * PART + 2 * max(cuts))  # the last part can be cut off anywhere as well
    (tmp_path / "f").write_bytes(sent)
    part = r"partNumber=\d|comp=block&"
    rules = [Rule(fault=ResetRequest(cut), method="PUT", target=part, skip=skip) for skip, cut in enumerate(cuts)]
    async with behind_proxy(rig, *rules) as (buckets, proxy):
        await buckets.upload_file(tmp_path / "f", at(rig, "key"))
        assert len(proxy.struck) == 3
        assert len(proxy.asked("PUT", part)) == 4 + 3
    assert await rig.get("key") == sent


async def test_a_part_that_always_breaks_is_sent_five_times_and_the_upload_aborted_f05(
    seaweedfs: Rig, tmp_path: Path
) -> None:
    (tmp_path / "f").write_bytes(bytes(PART + 5))
    await seaweedfs.put("key", b"old")
    async with behind_proxy(seaweedfs, Rule(fault=ResetRequest(10), target="partNumber=1", times=ALWAYS)) as (
        buckets,
        proxy,
    ):
        with pytest.raises(Unavailable, match="the connection broke"):
            await buckets.upload_file(tmp_path / "f", at(seaweedfs, "key"))
        assert len(proxy.asked("PUT", "partNumber=1")) == DATA.attempts
    assert await seaweedfs.get("key") == b"old"
    assert await seaweedfs.unfinished() == []


# 6: silence in the middle of a body


@s3_and_azure
async def test_a_download_that_falls_silent_goes_on_where_it_stood_f06(rig: Rig, tmp_path: Path) -> None:
    sent = random.Random(7).randbytes(200_000)
    await rig.put("key", sent)
    rule = Rule(fault=Stall(100_000), method="GET")
    async with behind_proxy(rig, rule, timeout_seconds=SILENCE) as (buckets, proxy):
        await buckets.download_file(at(rig, "key"), tmp_path / "f")
        first, second = proxy.asked("GET")
    assert (tmp_path / "f").read_bytes() == sent
    begin = int(range_of(second).removeprefix("bytes=").partition("-")[0])
    assert 100_000 - HEAD < begin < 100_000
    assert first.headers["If-Match"] == second.headers["If-Match"]


# 7: slow, but alive


@s3_and_azure
@pytest.mark.parametrize("way", ["up", "down"])
async def test_a_transfer_that_takes_longer_than_any_silence_is_not_cut_f07(rig: Rig, tmp_path: Path, way: str) -> None:
    sent = random.Random(8).randbytes(4 * MIB if way == "up" else MIB)  # the system takes some before it is sent
    (tmp_path / "up").write_bytes(sent)
    slow = Slow(len(sent) / (1.5 * SILENCE), step=len(sent) // 64)
    rule = Rule(fault=slow, method="GET|PUT", target=BLOB, times=ALWAYS)
    async with behind_proxy(rig, rule, timeout_seconds=SILENCE) as (buckets, proxy):
        if way == "down":
            await rig.put("key", sent)
            await buckets.download_file(at(rig, "key"), tmp_path / "down")
            assert (tmp_path / "down").read_bytes() == sent
        else:
            await buckets.upload_file(tmp_path / "up", at(rig, "key"))
            assert await rig.get("key") == sent
        assert len(proxy.asked("PUT" if way == "up" else "GET", BLOB)) == 1


# 9: it flaps


@s3_and_azure
async def test_a_network_where_every_other_request_breaks_ends_well_and_each_attempt_is_told_f09(
    rig: Rig, tmp_path: Path, retries: Callable[[], list[str]]
) -> None:
    files = {f"folder/f{number}": SMALL * number for number in range(12)}
    src = plant(tmp_path / "src", files)
    rule = Rule(fault=ResetAnswer(), every=2, times=ALWAYS)
    async with behind_proxy(rig, rule, max_concurrency=1) as (buckets, proxy):
        await buckets.upload_dir(src, at(rig))
        await buckets.download_dir(at(rig), tmp_path / "dst")
        assert len(proxy.struck) >= 24
        assert len(retries()) == len(proxy.struck)
    assert snapshot(tmp_path / "dst") == snapshot(src)


async def test_a_platform_where_every_other_answer_is_lost_makes_and_removes_one_bucket_f09(
    neuro_buckets_local: RunningPlatform,
) -> None:
    rule = Rule(fault=ResetAnswer(), every=2, times=ALWAYS)
    async with platform_behind_proxy(neuro_buckets_local.config, rule) as (buckets, _):
        made = await buckets.create("flapping")
        assert [bucket.id async for bucket in buckets.list() if bucket.name == "flapping"] == [made.id]
        await buckets.rm(made.id)
        assert [bucket.id async for bucket in buckets.list() if bucket.name == "flapping"] == []


# 11: latency


async def test_latency_is_hidden_by_requests_side_by_side_and_none_waits_itself_to_death_f11(
    seaweedfs: Rig, tmp_path: Path, retries: Callable[[], list[str]]
) -> None:
    files = {f"f{number:03}": b"%d" % number for number in range(100)}
    src = plant(tmp_path / "src", files)
    side_by_side = 40
    asked: Counter[str] = Counter()
    are_met = {method: asyncio.Event() for method in ("PUT", "GET")}

    def late(seen: Seen) -> Fault:
        """Hold the first requests for files back until so many are there; let all other answers come late."""
        if re.search(r"/f\d{3}(\?|$)", seen.target):
            asked[seen.method] += 1
            if asked[seen.method] == side_by_side:
                are_met[seen.method].set()
            if asked[seen.method] <= side_by_side:
                return Held(until=are_met[seen.method])
        return Late(0.1, spread=0.1)

    async with behind_proxy(seaweedfs, max_concurrency=50) as (buckets, proxy):
        proxy.plan = late
        await buckets.upload_dir(src, at(seaweedfs))
        await buckets.download_dir(at(seaweedfs), tmp_path / "dst")
        assert set(asked.values()) == {len(files)}
    assert snapshot(tmp_path / "dst") == files
    assert retries() == []


# 12: refused in the middle of an upload


@s3_and_azure
async def test_a_refusal_in_the_middle_of_an_upload_is_read_and_told_f12(rig: Rig, tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(bytes(PART))
    refusal = (
        azure_error(403, "AuthorizationPermissionMismatch")
        if rig.provider == "azure"
        else s3_error(403, "AccessDenied")
    )
    early = Rule(fault=refusal.early(), method="PUT", times=ALWAYS)
    async with behind_proxy(rig, early) as (buckets, proxy):
        with pytest.raises(PermissionDenied, match="on purpose"):
            await buckets.upload_file(tmp_path / "f", at(rig, "key"))
        assert len(proxy.asked("PUT")) == 1
