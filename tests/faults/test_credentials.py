"""Credentials that end, are refused, revoked or of another bucket, and clocks that are wrong."""

from __future__ import annotations

import logging
import os
from collections import Counter, defaultdict
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from uuid import uuid4

import pytest

from airflow_provider_neuro_buckets.buckets import Bucket, Buckets, BucketsConfig, persistent_secret
from airflow_provider_neuro_buckets.buckets.errors import AuthenticationError, PermissionDenied
from airflow_provider_neuro_buckets.local.child import RunningPlatform, local_platform
from buckets.eras.service import STRICT, TOKEN, Service, Trouble
from buckets.stores.s3_scripts import SECRET, blob, refusal, store_at
from buckets.transfer.trees import plant, snapshot
from conformance.asking import content_of
from faults.crafted import Answer as Answering
from faults.crafted import Asked, crafted, in_turn, reply
from faults.proxy import FaultProxy, Rule, Seen, fault_proxy, script
from faults.toxics import EXPIRED_TOKEN, Answer, Late

SECONDS = float(os.environ.get("NEURO_BUCKETS_TRANSFER_SECONDS", "4"))
"""How long a transfer takes at least whose credentials end again and again; each lives a twentieth of that."""
LATE, AT_ONCE = 0.1, 2
MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Scene:
    """A bucket of a platform, and a client of it with a proxy on each of its two ways.

    :ivar renewals: gives how often the client has got credentials.
    """

    bucket: Bucket
    buckets: Buckets
    storage: FaultProxy
    control: FaultProxy

    @property
    def renewals(self) -> int:
        return len(self.control.asked("POST", "make_tmp_credentials"))

    def at(self, path: str) -> str:
        return f"blob:{self.bucket.name}/{path}"


@asynccontextmanager
async def scene(platform: RunningPlatform, *, token: str | None = None, concurrency: int = 8) -> AsyncIterator[Scene]:
    async with AsyncExitStack() as stack:
        owner = await stack.enter_async_context(Buckets.open(platform.config))
        bucket = await owner.create(f"credentials-{uuid4().hex[:12]}")
        stack.push_async_callback(owner.rm, bucket.id, force=True)
        endpoint = (await owner.request_tmp_credentials(bucket.id)).credentials["endpoint_url"]
        storage = await stack.enter_async_context(fault_proxy(endpoint))
        control = await stack.enter_async_context(fault_proxy(platform.buckets_url))
        control.renamed[endpoint] = storage.url
        config = replace(
            platform.config,
            buckets_url=control.url,
            token=token or platform.token,
            max_concurrency=concurrency,
        )
        buckets = await stack.enter_async_context(Buckets.open(config))
        yield Scene(bucket, buckets, storage, control)


@pytest.fixture
async def here(neuro_buckets_local: RunningPlatform) -> AsyncIterator[Scene]:
    async with scene(neuro_buckets_local) as found:
        yield found


# Credentials that end


async def test_credentials_that_end_again_and_again_during_a_transfer_are_renewed_and_nobody_notices_f58(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    life = max(1, round(SECONDS / 20))
    requests = int(SECONDS / LATE * AT_ONCE)
    files = {f"{number:04}": b"%d" % number for number in range(requests // 2)} | {"large": os.urandom(9 * MIB)}
    src = plant(tmp_path / "src", dict(files))
    with local_platform(["--credentials-seconds", str(life)]) as platform:
        async with scene(platform, concurrency=AT_ONCE) as there:
            there.storage.plan = lambda _: Late(LATE)
            up = await there.buckets.upload_dir(src, there.at("d"))
            down = await there.buckets.download_dir(there.at("d"), tmp_path / "dst")
            # The platform rounds the end of credentials up to a whole second.
            assert there.renewals > SECONDS / (life + 1)
    assert (up.files, up.failed, down.files, down.failed) == (len(files), {}, len(files), {})
    assert snapshot(tmp_path / "dst") == files
    ours = [record for record in caplog.records if record.name.startswith("airflow_provider")]
    assert [record.getMessage() for record in ours if record.levelno >= logging.WARNING] == []


async def test_an_upload_whose_credentials_end_before_each_of_its_requests_is_still_the_same_upload_f58(
    here: Scene, tmp_path: Path
) -> None:
    content = os.urandom(20 * MIB)
    plant(tmp_path, {"large": content})
    struck: set[str] = set()

    def once_each(seen: Seen) -> Answer | None:
        target = f"{seen.method} {seen.target}"
        if target in struck:
            return None
        struck.add(target)
        return EXPIRED_TOKEN

    here.storage.plan = once_each
    await here.buckets.upload_file(tmp_path / "large", here.at("large"))
    assert len(here.storage.asked("PUT", "partNumber=")) == 2 * 3
    ids = {seen.target.partition("uploadId=")[2] for seen in here.storage.seen if "uploadId=" in seen.target}
    assert len(ids) == 1
    assert here.storage.asked("DELETE") == []
    async with here.buckets.fetch_blob(here.bucket.id, "large") as chunks:
        assert b"".join([chunk async for chunk in chunks]) == content


async def test_a_folder_whose_credentials_are_always_refused_is_given_up_with_no_storm_f60(
    here: Scene, tmp_path: Path
) -> None:
    src = plant(tmp_path, {f"{number:03}": b"content" for number in range(200)})
    here.storage.plan = lambda _: EXPIRED_TOKEN
    with pytest.raises(AuthenticationError, match="ExpiredToken") as caught:
        await here.buckets.upload_dir(src, here.at("d"))
    assert str(here.bucket.uri) in str(caught.value)
    concurrency = 8
    assert len(here.storage.seen) <= 4 * concurrency
    assert here.renewals <= 3


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("status", [500, 503])
async def test_credentials_that_end_while_the_platform_is_away_for_a_moment_are_renewed_when_it_is_back_f61(
    here: Scene, tmp_path: Path, status: int
) -> None:
    src = plant(tmp_path, {f"{number:02}": b"content" for number in range(20)})
    await here.buckets.upload_dir(src, here.at("d"))
    away = Rule(fault=Answer(status), method="POST", target="make_tmp_credentials", times=3)
    here.control.plan, here.storage.plan = script(away), script(Rule(fault=EXPIRED_TOKEN))
    report = await here.buckets.upload_dir(src, here.at("d"))
    assert (report.files, report.failed, len(here.control.struck)) == (20, {}, 3)


# Credentials that are refused


async def test_a_missing_permission_is_told_at_once_by_what_and_where_and_nothing_is_asked_twice_f63(
    neuro_buckets_local: RunningPlatform, tmp_path: Path
) -> None:
    src = plant(tmp_path, {f"{number:03}": b"content" for number in range(100)})
    async with scene(neuro_buckets_local, token=neuro_buckets_local.readonly_token) as there:
        with pytest.raises(PermissionDenied) as caught:
            await there.buckets.upload_dir(src, there.at("d"))
        assert f"cannot write {there.bucket.uri}/d/" in str(caught.value)
        assert "AccessDenied" in str(caught.value)
        assert set(Counter(seen.target for seen in there.storage.asked("PUT")).values()) == {1}
        assert (len(there.storage.asked("PUT")) < 50, there.renewals) == (True, 1)


async def test_lasting_credentials_that_are_deleted_during_a_transfer_end_it_as_refused_f65(
    neuro_buckets_local: RunningPlatform, tmp_path: Path
) -> None:
    src = plant(tmp_path, {f"{number:03}": b"content" for number in range(200)})
    async with Buckets.open(neuro_buckets_local.config) as owner, scene(neuro_buckets_local) as there:
        lasting = await owner.persistent_credentials_create([there.bucket.id])
        keys = lasting.credentials[0]
        keys = replace(keys, credentials={**keys.credentials, "endpoint_url": there.storage.url})
        secret = persistent_secret(replace(lasting, credentials=[keys]), [there.bucket])

        async def revoke_halfway(path: str) -> bool:
            if path == "100":
                await owner.persistent_credentials_rm(lasting.id)
            return True

        async with Buckets.open(BucketsConfig(persistent_credentials=secret, max_concurrency=8)) as lone:
            with pytest.raises(AuthenticationError, match="InvalidAccessKeyId") as caught:
                await lone.upload_dir(src, there.at("d"), filter=revoke_halfway)
        assert "Check the token or credentials" in str(caught.value)
        assert set(Counter(seen.target for seen in there.storage.asked("PUT")).values()) == {1}
        assert len(there.storage.asked("PUT")) < 200


async def test_no_request_to_a_bucket_carries_the_credentials_of_another_f67(
    neuro_buckets_local: RunningPlatform, here: Scene, tmp_path: Path
) -> None:
    src = plant(tmp_path, {"a": b"a", "d/b": b"b"})
    async with Buckets.open(neuro_buckets_local.config) as owner:
        other = await owner.create(f"credentials-{uuid4().hex[:12]}")
        await here.buckets.upload_dir(src, here.at("d"))
        await here.buckets.upload_dir(src, f"blob:{other.name}/d")
        await here.buckets.copy_dir(here.at("d"), f"blob:{other.name}/copied")
        await here.buckets.download_dir(f"blob:{other.name}/copied", tmp_path / "dst")
        carried: dict[str, set[str]] = defaultdict(set)
        for seen in here.storage.seen:
            bucket = seen.target.partition("?")[0].split("/")[1]
            headers = {name.lower(): value for name, value in seen.headers.items()}
            carried[bucket].add(headers["x-amz-security-token"])
        assert len(carried) == 2
        one, two = carried.values()
        assert one
        assert two
        assert not one & two
        await owner.rm(other.id, force=True)


# What a refusal repeats


async def test_a_storage_that_repeats_the_secrets_of_a_request_does_not_make_its_error_show_them() -> None:
    said = f"wrong token first-token, made with {SECRET}"
    async with crafted(in_turn(refusal(403, "AccessDenied", said))) as server, store_at(server) as store:
        with pytest.raises(PermissionDenied, match=r"wrong token \*\*\*, made with \*\*\*"):
            await store.write("key", b"content")


async def test_a_platform_that_repeats_the_token_does_not_make_its_error_show_it() -> None:
    async with Service(STRICT).running() as service:
        body = {"error": f"who is Bearer {TOKEN}?"}
        service.troubles.append(Trouble("GET", "buckets", answer=(403, body)))
        config = BucketsConfig(buckets_url=service.url, token=TOKEN, cluster_name="main", org_name="acme")
        async with Buckets.open(config) as buckets:
            with pytest.raises(PermissionDenied, match=r"who is Bearer \*\*\*\?"):
                _ = [bucket async for bucket in buckets.list()]


# A wrong clock


class OtherClock:
    """An S3 server whose clock differs from the local one, and which refuses what is signed at another time.

    :ivar answer: what it answers to the others.
    """

    def __init__(self, ahead: timedelta, answer: Answering) -> None:
        self._ahead = ahead
        self._answer = answer

    def __call__(self, asked: Asked) -> Answering:
        now = datetime.now(UTC) + self._ahead
        signed = datetime.strptime(asked.headers["X-Amz-Date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
        if abs(now - signed) < timedelta(minutes=15):
            return self._answer
        text = b"<Error><Code>RequestTimeTooSkewed</Code><Message>The difference is too large.</Message></Error>"
        headers = {"Date": format_datetime(now, usegmt=True)}
        return reply(403, b"" if asked.method == "HEAD" else text, headers)


@pytest.mark.parametrize("hours", [-30, -1, 2])
async def test_a_local_clock_that_is_wrong_by_hours_is_put_right_by_the_servers_once(hours: int) -> None:
    content = b"content"
    async with crafted(OtherClock(timedelta(hours=hours), blob(content))) as server, store_at(server) as store:
        for _ in range(3):
            assert await content_of(store, "key") == content
        assert len(server.asked) == 1 + 3


async def test_a_refused_look_up_learns_of_a_wrong_clock_as_well() -> None:
    async with crafted(OtherClock(timedelta(hours=2), blob(b"content"))) as server, store_at(server) as store:
        assert (await store.head("key")).size == 7
        assert (await store.head("key")).size == 7


async def test_a_server_that_takes_no_clock_for_right_is_not_asked_for_ever() -> None:
    choose = in_turn(refusal(403, "RequestTimeTooSkewed"))
    async with crafted(choose) as server, store_at(server) as store:
        with pytest.raises(AuthenticationError, match="RequestTimeTooSkewed"):
            await content_of(store, "key")
        assert len(server.asked) == 2
