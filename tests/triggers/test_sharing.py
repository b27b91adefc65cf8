"""Triggers in one process: one client for a connection, one request for all who ask the same."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator
from typing import Any

import pytest

from airflow_provider_neuro_buckets.buckets import Buckets
from airflow_provider_neuro_buckets.buckets.errors import (
    AuthenticationError,
    ConfigurationError,
    Unavailable,
)
from airflow_provider_neuro_buckets.local.child import local_platform
from airflow_provider_neuro_buckets.triggers.base import BucketsTrigger
from airflow_provider_neuro_buckets.triggers.blobs import BlobTrigger, GlobTrigger, PrefixUnchangedTrigger
from airflow_provider_neuro_buckets.triggers.sharing import lease
from faulty_front import FaultyFront
from platform_rig import Platform
from storage_front import StorageFront, storage_front

pytestmark = pytest.mark.usefixtures("nothing_left")

CONN = "neuro_buckets_default"
OFTEN = 0.02
LONG = 3600.0


async def event_of(trigger: BucketsTrigger) -> Any:
    (event,) = [event.payload async for event in trigger.run()]
    return event


def glob(uri: str, *, every: float = OFTEN, min_count: int = 1) -> GlobTrigger:
    return GlobTrigger(uri=uri, min_count=min_count, neuro_buckets_conn_id=CONN, poke_interval=every)


@pytest.fixture
async def through(buckets: Buckets, bucket: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[StorageFront]:
    """The default connection leads through a front before the storage of the bucket."""
    async with storage_front(buckets, bucket) as front:
        monkeypatch.setenv("AIRFLOW_CONN_NEURO_BUCKETS_DEFAULT", front.connection)
        yield front


# One client


@pytest.mark.usefixtures("platform")
async def test_all_leases_of_a_connection_hold_one_client_until_the_last_is_given_back() -> None:
    async with lease(CONN) as outer:
        client = await outer.buckets()
        async with lease(CONN) as inner:
            assert await inner.buckets() is client
        await client.check()
    async with lease(CONN) as later:
        assert await later.buckets() is not client
    with pytest.raises(RuntimeError, match="closed"):
        await client.check()


@pytest.mark.usefixtures("platform")
async def test_whoever_opened_the_client_may_leave_or_be_cancelled_before_the_others() -> None:
    async def hold() -> None:
        async with lease(CONN):
            await asyncio.Event().wait()

    opener = asyncio.ensure_future(hold())
    await asyncio.sleep(0)
    async with lease(CONN) as held:
        opener.cancel()
        await asyncio.gather(opener, return_exceptions=True)
        assert await (await held.buckets()).check()


@pytest.mark.usefixtures("platform")
async def test_connections_do_not_share(platform: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_ANOTHER", platform.running.connection)
    async with lease(CONN) as one, lease("another") as other:
        assert await one.buckets() is not await other.buckets()


async def test_a_connection_that_cannot_be_used_is_told_to_all_and_tried_again_by_whoever_comes_later(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def hold() -> None:
        async with lease("mended_later"):
            pass

    found = await asyncio.gather(*(hold() for _ in range(3)), return_exceptions=True)
    assert [type(error) for error in found] == [ConfigurationError] * 3
    monkeypatch.setenv("AIRFLOW_CONN_MENDED_LATER", platform.running.connection)
    await hold()


# One request


class Counted:
    """A question that counts how often it is asked, and answers when it is let."""

    def __init__(self, *outcomes: Any) -> None:
        self.asked = 0
        self.was_asked = asyncio.Event()
        self.may_answer = asyncio.Event()
        self._outcomes = list(outcomes)

    async def __call__(self, _: Buckets) -> Any:
        self.asked += 1
        self.was_asked.set()
        await self.may_answer.wait()
        outcome = self._outcomes.pop(0)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome


@pytest.mark.usefixtures("platform")
async def test_a_question_that_is_on_its_way_is_not_asked_again() -> None:
    question = Counted("answer", "another")
    async with lease(CONN) as held:
        waiting = [asyncio.ensure_future(held.ask("key", question, within=0)) for _ in range(100)]
        await question.was_asked.wait()
        waiting.pop().cancel()
        question.may_answer.set()
        assert {answer.value for answer in await asyncio.gather(*waiting)} == {"answer"}
        assert question.asked == 1
        assert (await held.ask("key", question, within=0)).value == "another"


@pytest.mark.usefixtures("platform")
async def test_an_answer_is_good_for_all_who_ask_within_the_time_and_says_how_old_it_is() -> None:
    question = Counted("answer")
    question.may_answer.set()
    async with lease(CONN) as held, lease(CONN) as another:
        first = await held.ask("key", question, within=LONG)
        second = await another.ask("key", question, within=LONG)
        assert (first.value, second.value) == ("answer", "answer")
        assert first.age <= second.age
    assert question.asked == 1


@pytest.mark.usefixtures("platform")
async def test_other_questions_are_asked_for_themselves() -> None:
    async with lease(CONN) as held:
        for number in range(10):
            question = Counted(number)
            question.may_answer.set()
            assert (await held.ask(("key", number), question, within=LONG)).value == number


@pytest.mark.usefixtures("platform")
async def test_all_who_asked_get_the_error() -> None:
    question = Counted(Unavailable("down"))
    async with lease(CONN) as held:
        waiting = [asyncio.ensure_future(held.ask("key", question, within=0)) for _ in range(3)]
        await question.was_asked.wait()
        question.may_answer.set()
        found = await asyncio.gather(*waiting, return_exceptions=True)
    assert [type(error) for error in found] == [Unavailable] * 3
    assert question.asked == 1


async def answer_of(trigger: BucketsTrigger) -> Any:
    """Let a trigger wait, from its first question on."""
    async with lease(CONN) as held:
        return await trigger._wait(held)


async def test_a_thousand_triggers_that_wait_for_the_same_list_it_once_f100(
    through: StorageFront, buckets: Buckets, bucket: str
) -> None:
    await buckets.put_blob(bucket, "in/a", b"1")
    alike = [glob(f"{through.bucket}/in/*", every=LONG) for _ in range(1000)]
    answers = await asyncio.gather(*map(answer_of, alike))
    assert {answer["count"] for answer in answers} == {1}
    assert len(through.listings()) == 1


async def test_a_listing_is_made_once_an_interval_for_all_who_wait_for_the_same(
    through: StorageFront, buckets: Buckets, bucket: str
) -> None:
    """Also for those who came in between: they fall into step."""
    every = 0.3
    clock = asyncio.get_running_loop().time
    begun = clock()
    alike = []
    for _ in range(50):
        alike.append(asyncio.ensure_future(answer_of(glob(f"{through.bucket}/in/*", every=every))))
        await asyncio.sleep(every / 50)
    while len(through.listings()) < 3:  # noqa: ASYNC110 - the front counts, and tells nobody
        await asyncio.sleep(0.02)
    await buckets.put_blob(bucket, "in/late", b"1")
    assert len(await asyncio.gather(*alike)) == 50
    assert len(through.listings()) <= (clock() - begun) / every + 2  # not 50 an interval


async def test_triggers_that_wait_for_a_quiet_prefix_look_together_whatever_they_wait_for(
    through: StorageFront, buckets: Buckets, bucket: str
) -> None:
    await buckets.put_blob(bucket, "in/a", b"1")
    seen = {"digest": "another", "since": "2026-01-31T12:00:00+00:00"}
    waiting = [
        PrefixUnchangedTrigger(
            uri=f"{through.bucket}/in/",
            unchanged_for=0.0,
            min_count=number % 2,
            seen=seen if number % 3 else None,
            neuro_buckets_conn_id=CONN,
            poke_interval=LONG,
        )
        for number in range(200)
    ]
    answers = await asyncio.gather(*map(answer_of, waiting))
    assert {answer["count"] for answer in answers} == {1}
    assert len(through.listings()) == 1


async def test_storage_that_fails_for_a_while_is_ridden_out_by_all(
    through: StorageFront, buckets: Buckets, bucket: str
) -> None:
    await buckets.put_blob(bucket, "in/a", b"1")
    through.failures = 3
    events = await asyncio.gather(*(event_of(glob(f"{through.bucket}/in/*", every=0.3)) for _ in range(20)))
    assert {event["status"] for event in events} == {"success"}
    assert through.failures == 0


# Long waits


async def test_a_token_that_is_not_accepted_any_more_is_read_from_the_connection_again(
    front: FaultyFront, buckets: Buckets, bucket: str
) -> None:
    await buckets.put_blob(bucket, "key", b"1")
    front.fail(1, "401")
    triggers = [
        BlobTrigger(uris=[f"blob:{bucket}/key"], enough=1, neuro_buckets_conn_id=CONN, poke_interval=OFTEN)
        for _ in range(5)
    ]
    events = await asyncio.gather(*map(event_of, triggers))
    assert {event["status"] for event in events} == {"success"}


async def test_after_a_new_token_nobody_gets_a_client_with_the_old_one(
    platform: Platform, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Although a trigger that still holds it waits on."""
    good = platform.running.connection
    bad = json.dumps(json.loads(good) | {"password": "wrong-token-of-nobody"})
    monkeypatch.setenv("AIRFLOW_CONN_NEURO_BUCKETS_DEFAULT", bad)
    async with lease(CONN) as waiting:
        with pytest.raises(AuthenticationError):
            await (await waiting.buckets()).check()
        monkeypatch.setenv("AIRFLOW_CONN_NEURO_BUCKETS_DEFAULT", good)
        event = await event_of(
            PrefixUnchangedTrigger(
                uri=f"blob:{bucket}",
                unchanged_for=0.0,
                min_count=0,
                seen=None,
                neuro_buckets_conn_id=CONN,
                poke_interval=OFTEN,
            )
        )
        assert event["status"] == "success"


async def test_a_wait_goes_on_across_the_end_of_its_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    """Temporary credentials of the storage live for two seconds here."""
    with local_platform(["--credentials-seconds", "2"]) as running:
        async with FaultyFront.open(running.api_url) as front, Buckets.open(running.config) as buckets:
            connection = json.loads(running.connection)
            monkeypatch.setenv("AIRFLOW_CONN_SHORT", json.dumps(connection | {"host": front.api_url}))
            bucket = await buckets.create()
            trigger = BlobTrigger(
                uris=[f"blob:{bucket.id}/late"], enough=1, neuro_buckets_conn_id="short", poke_interval=0.2
            )
            waiting = asyncio.ensure_future(event_of(trigger))
            fetched = 0
            while fetched < 3:
                fetched += (await front.requests.get()).endswith("/make_tmp_credentials")
            assert not waiting.done()
            await buckets.put_blob(bucket.id, "late", b"1")
            assert (await waiting)["status"] == "success"
            await buckets.rm(bucket.id, force=True)


async def test_opening_a_client_leaves_no_thread_behind(platform: Platform, bucket: str) -> None:
    assert platform.running.token
    before = {thread.name for thread in threading.enumerate() if not thread.name.startswith("asyncio")}
    await event_of(
        PrefixUnchangedTrigger(
            uri=f"blob:{bucket}",
            unchanged_for=0.0,
            min_count=0,
            seen=None,
            neuro_buckets_conn_id=CONN,
            poke_interval=OFTEN,
        )
    )
    assert {thread.name for thread in threading.enumerate() if not thread.name.startswith("asyncio")} <= before


@pytest.mark.usefixtures("platform")
async def test_a_lease_that_is_cancelled_while_it_opens_closes_what_it_opened() -> None:
    async def hold() -> None:
        async with lease(CONN):
            await asyncio.Event().wait()

    task = asyncio.ensure_future(hold())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not [task for task in asyncio.all_tasks() if "neuro-buckets client" in task.get_name()]
