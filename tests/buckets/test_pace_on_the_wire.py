"""What a server sees of a pace: in its own log of arrivals, on a clock that jumps, so no machine is too slow for it."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web

from airflow_provider_neuro_buckets.buckets import Buckets, BucketsConfig, Timeout
from airflow_provider_neuro_buckets.buckets.pace import Pace
from airflow_provider_neuro_buckets.buckets.retry import RetryPolicy
from airflow_provider_neuro_buckets.buckets.steps import LATE_SECONDS
from buckets.stores.s3_scripts import BUCKET, blob, keys_of, refusal, store_at, stored
from faults.crafted import Answer, Asked, Choice, CraftedServer, by_method, crafted, in_turn, reply
from jumping import now, run
from metered import Meter, metered
from promises.scene import secret_of

KIB = 1024
MIB = 1024 * KIB
LATENCY = 0.02
CONTENT = random.Random(3).randbytes(MIB)
PATIENT = RetryPolicy(attempts=1000, throttled_attempts=1000, deadline=1e6)


def at(key: str) -> str:
    return f"{BUCKET.uri}/{key}"


@asynccontextmanager
async def client_at(server: CraftedServer, address: str = "", **config: Any) -> AsyncIterator[Buckets]:
    """Open a client whose one bucket lies on a crafted server, or at an address in front of it."""
    credentials = {**keys_of(server).credentials, "endpoint_url": address or server.url}
    secret = secret_of(BUCKET, **credentials)
    async with Buckets.open(BucketsConfig(persistent_credentials=secret, **config)) as buckets:
        yield buckets


def logged(log: list[float], choose: Choice) -> Choice:
    """Note when each request arrived."""

    def choose_and_note(asked: Asked) -> Answer:
        log.append(now())
        return choose(asked)

    return choose_and_note


def most_within(times: list[float], seconds: float) -> int:
    return max(sum(begun <= time <= begun + seconds for time in times) for begun in times)


# Requests per second


def test_requests_of_many_tasks_at_once_arrive_evenly_and_no_faster_than_the_limit() -> None:
    async def main() -> None:
        log: list[float] = []
        async with (
            crafted(logged(log, by_method(HEAD=in_turn(blob(b"x"))))) as server,
            client_at(server, max_requests_per_second=200, shared_by=4) as buckets,
            asyncio.TaskGroup() as group,
        ):
            for number in range(300):
                group.create_task(buckets.stat_blob(at(f"key-{number}")))
        assert len(log) == 300
        for seconds in (0.1, 1.0, 4.0):
            assert most_within(log, seconds) <= 50 * (seconds + LATE_SECONDS) + 2
        assert log[-1] == pytest.approx(299 / 50, abs=0.3)

    run(main())


def test_each_attempt_counts_towards_the_limit() -> None:
    async def main() -> None:
        log: list[float] = []
        choose = by_method(HEAD=in_turn(*[reply(500), blob(b"x")] * 60))
        async with (
            crafted(logged(log, choose)) as server,
            client_at(server, max_requests_per_second=10) as buckets,
        ):
            for number in range(60):
                await buckets.stat_blob(at(f"key-{number}"))
        assert len(log) == 120
        assert most_within(log, 5.0) <= 10 * (5 + LATE_SECONDS) + 1

    run(main())


# Bytes per second


def flows(meter: Meter, log: list[tuple[float, int]]) -> None:
    """Note how many bytes have passed when."""
    meter.passed = lambda: log.append((now(), meter.sent))


@pytest.mark.parametrize("size", [200 * KIB, 3 * MIB])
def test_a_body_is_sent_evenly_and_no_faster_than_the_limit(size: int) -> None:
    async def main() -> None:
        log: list[tuple[float, int]] = []
        rate = 256 * KIB
        async with (
            crafted(by_method(PUT=stored())) as server,
            metered(server.url) as meter,
            client_at(server, meter.url, max_bytes_per_second=rate * 4, shared_by=4) as buckets,
        ):
            flows(meter, log)
            await buckets.put_blob(str(BUCKET.uri), "key", bytes(size))
            (asked,) = server.asked
            assert len(asked.body) == size
        slack = rate * LATE_SECONDS + 2 * rate // 16 + 4 * KIB  # catching up, a slice, one still on its way; headers
        for time, sent in log:
            assert sent <= rate * (time - log[0][0]) + slack
        assert size / rate - 0.2 <= now() <= size / rate + 0.5

    run(main())


def test_content_is_read_no_faster_than_the_limit() -> None:
    async def main() -> None:
        rate = 256 * KIB
        content = CONTENT * 4
        async with (
            crafted(by_method(HEAD=in_turn(blob(content)), GET=in_turn(blob(content)))) as server,
            client_at(server, max_bytes_per_second=rate) as buckets,
        ):
            received = bytearray()
            async with buckets.fetch_blob(str(BUCKET.uri), "key") as chunks:
                async for chunk in chunks:
                    received += chunk
                    assert len(received) <= rate * (now() + LATE_SECONDS) + rate // 16  # and one slice
            assert received == content
        assert now() == pytest.approx(len(content) / rate, rel=0.2)

    run(main())


def test_both_ways_and_small_blobs_share_one_limit_of_bytes() -> None:
    async def main() -> None:
        rate, size = 128 * KIB, 16 * KIB
        content = CONTENT[:size]
        choose = by_method(HEAD=in_turn(blob(content)), GET=in_turn(blob(content)), PUT=stored())
        async with (
            crafted(choose) as server,
            client_at(server, max_bytes_per_second=rate) as buckets,
            asyncio.TaskGroup() as group,
        ):
            for number in range(32):
                group.create_task(buckets.put_blob(str(BUCKET.uri), f"up-{number}", content))
                group.create_task(buckets.read_blob(at(f"down-{number}")))
        assert now() == pytest.approx(64 * size / rate, rel=0.2)

    run(main())


# Our own pauses are no silence


def test_an_upload_that_waits_for_its_turn_for_longer_than_a_silence_may_last_is_no_silent_one() -> None:
    async def main() -> None:
        sent = bytes(600 * KIB)  # so large that it is watched while it is sent
        async with (
            crafted(by_method(PUT=stored())) as server,
            client_at(server, max_bytes_per_second=256 * KIB, timeout_seconds=1) as buckets,
            asyncio.TaskGroup() as group,
        ):
            for number in range(24):  # each has its turn every one and a half seconds
                group.create_task(buckets.put_blob(str(BUCKET.uri), f"key-{number}", sent))
        assert len(server.asked) == 24
        assert now() > 40

    run(main())


def test_a_download_that_pauses_for_longer_than_a_silence_may_last_is_no_silent_one() -> None:
    async def main() -> None:
        async with (
            crafted(by_method(HEAD=in_turn(blob(CONTENT)), GET=in_turn(blob(CONTENT)))) as server,
            client_at(server, max_bytes_per_second=256 * KIB, timeout_seconds=1) as buckets,
            asyncio.TaskGroup() as group,
        ):
            reading = [group.create_task(buckets.read_blob(at(f"key-{number}"))) for number in range(12)]
        assert all(task.result() == CONTENT for task in reading)
        assert len(server.asked_by("GET")) == 12
        assert now() > 40

    run(main())


def test_a_server_that_takes_no_more_of_a_body_with_a_pace_is_given_up_all_the_same() -> None:
    async def main() -> None:
        closing = asyncio.Event()

        async def deaf(_: web.Request) -> web.StreamResponse:
            await closing.wait()
            return web.Response()

        application = web.Application(client_max_size=64 * MIB)
        application.router.add_route("*", "/{path:.*}", deaf)
        runner = web.AppRunner(application, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        server = CraftedServer(in_turn(reply()), url=f"http://127.0.0.1:{runner.addresses[0][1]}")
        once = RetryPolicy(attempts=1)
        try:
            async with store_at(server, silence=5, retry=once, pace=Pace(bytes_per_second=8 * MIB)) as store:
                with pytest.raises(Timeout):
                    await store.write("key", bytes(32 * MIB))
            assert now() < 60
        finally:
            closing.set()
            await runner.cleanup()

    run(main())


# A storage that asks to slow down


class Busy:
    """A storage that bears so many requests per second, and a tenth of a second's worth at once; its log is its own.

    :ivar arrivals: when each request came, and whether it was refused.
    """

    def __init__(self, capacity: float) -> None:
        self.capacity = capacity
        self.arrivals: list[tuple[float, bool]] = []
        self._left = 0.0
        self._time = 0.0

    def __call__(self, asked: Asked) -> Answer:
        self._left = min(self._left + (now() - self._time) * self.capacity, max(1.0, self.capacity / 10))
        self._time = now()
        is_borne = self._left >= 1
        self._left -= is_borne
        self.arrivals.append((now(), not is_borne))
        answer = stored()(asked) if is_borne else refusal(503, "SlowDown")

        async def late(request: web.Request) -> web.StreamResponse:
            await asyncio.sleep(LATENCY)
            return await answer(request)

        return late

    @property
    def refused(self) -> int:
        return sum(refused for _, refused in self.arrivals)


class Deaf(Pace):
    """Hears of no refusal."""

    def refused(self, what: str) -> None:
        pass


async def work(busy: Busy, pace: Pace, *, blobs: int, workers: int = 32) -> None:
    """Write so many blobs, several side by side."""
    left = iter(range(blobs))

    async def write() -> None:
        for number in left:
            await store.write(f"key-{number}", b"x")

    async with (
        crafted(busy) as server,
        store_at(server, retry=PATIENT, pace=pace) as store,
        asyncio.TaskGroup() as group,
    ):
        for _ in range(workers):
            group.create_task(write())


def told_by(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Return the levels of what the pace has told."""
    return [record.levelname for record in caplog.records if record.name.endswith(".pace")]


def test_a_storage_that_asks_to_slow_down_refuses_a_small_share_of_what_it_would_without_the_slow_down(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "airflow_provider_neuro_buckets.buckets.pace")
    stubborn, heeding = Busy(40), Busy(40)
    run(work(stubborn, Deaf(), blobs=800))
    assert stubborn.refused > 300
    assert told_by(caplog) == []
    run(work(heeding, Pace(), blobs=800))
    assert heeding.refused < stubborn.refused / 3
    assert heeding.arrivals[-1][0] < 1.5 * 800 / 40
    assert told_by(caplog) == ["WARNING"]


def test_when_the_storage_bears_more_the_client_finds_its_speed_again_and_says_so(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "airflow_provider_neuro_buckets.buckets.pace")
    pace = Pace()
    busy = Busy(30)

    async def main() -> None:
        async def relieve() -> None:
            await asyncio.sleep(20)
            busy.capacity = 1e6

        async with asyncio.TaskGroup() as group:
            group.create_task(relieve())
            group.create_task(work(busy, pace, blobs=3000, workers=16))
        assert not pace.is_watching
        assert not pace.limits_requests

    run(main())
    assert told_by(caplog) == ["WARNING", "INFO"]
    times = [time for time, _ in busy.arrivals]
    assert sum(time > times[-1] - 1 for time in times) > 200  # sixteen at once, each within 20 ms: up to 800 a second
