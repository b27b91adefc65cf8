"""Triggers on a real platform, and behind a front that lets it fail."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from airflow.triggers.base import TriggerEvent

from airflow_here import import_string, serde
from airflow_provider_neuro_buckets.buckets import Buckets
from airflow_provider_neuro_buckets.buckets.errors import Throttled, Unavailable
from airflow_provider_neuro_buckets.triggers.base import LONGEST_PAUSE, MOST_FAULTS, BucketsTrigger, pause
from airflow_provider_neuro_buckets.triggers.blobs import BlobTrigger, GlobTrigger
from faulty_front import FaultyFront
from platform_rig import Platform

pytestmark = pytest.mark.usefixtures("nothing_left")

CONN = "neuro_buckets_default"
OFTEN = 0.02


def blob(*uris: str, every: float = OFTEN, conn: str = CONN) -> BlobTrigger:
    return BlobTrigger(uris=uris, enough=len(uris), neuro_buckets_conn_id=conn, poke_interval=every)


def glob(uri: str, min_count: int = 1) -> GlobTrigger:
    return GlobTrigger(uri=uri, min_count=min_count, neuro_buckets_conn_id=CONN, poke_interval=OFTEN)


async def events(trigger: BucketsTrigger) -> list[Any]:
    """Return what all events of a trigger say; it ends with its first."""
    found = [event async for event in trigger.run()]
    assert all(isinstance(event, TriggerEvent) for event in found)
    return [event.payload for event in found]


# What they tell


async def test_a_blob_that_is_there_is_told_with_its_description(buckets: Buckets, bucket: str) -> None:
    await buckets.put_blob(bucket, "a b", b"123")
    known = await buckets.head_blob(bucket, "a b")
    assert known.modified_at
    assert await events(blob(f"blob:{bucket}/a%20b")) == [
        {
            "status": "success",
            "value": [
                {
                    "uri": str(known.uri),
                    "key": "a b",
                    "size": 3,
                    "etag": known.etag,
                    "modified_at": known.modified_at.isoformat(),
                }
            ],
        }
    ]


async def test_a_blob_that_comes_later_is_waited_for(buckets: Buckets, bucket: str) -> None:
    waiting = asyncio.ensure_future(events(blob(f"blob:{bucket}/late")))
    await asyncio.sleep(0.3)
    assert not waiting.done()
    await buckets.put_blob(bucket, "late", b"1")
    (event,) = await waiting
    assert event["value"][0]["key"] == "late"


async def test_all_of_several_blobs_are_waited_for(buckets: Buckets, bucket: str) -> None:
    await buckets.put_blob(bucket, "first", b"1")
    waiting = asyncio.ensure_future(events(blob(f"blob:{bucket}/first", f"blob:{bucket}/second")))
    await asyncio.sleep(0.3)
    assert not waiting.done()
    await buckets.put_blob(bucket, "second", b"22")
    (event,) = await waiting
    assert [(item["key"], item["size"]) for item in event["value"]] == [("first", 1), ("second", 2)]


async def test_enough_matches_are_waited_for(buckets: Buckets, bucket: str) -> None:
    await buckets.put_blob(bucket, "in/a.csv", b"1")
    waiting = asyncio.ensure_future(events(glob(f"blob:{bucket}/in/*.csv", 2)))
    await asyncio.sleep(0.3)
    assert not waiting.done()
    await buckets.put_blob(bucket, "in/b.csv", b"1")
    (event,) = await waiting
    assert event["value"]["count"] == 2
    assert [uri.rpartition("/")[2] for uri in event["value"]["uris"]] == ["a.csv", "b.csv"]


async def test_an_event_stays_small_however_much_matches_f104(buckets: Buckets, bucket: str) -> None:
    await asyncio.gather(*(buckets.put_blob(bucket, f"{number:03}", b"") for number in range(130)))
    (event,) = await events(glob(f"blob:{bucket}/*"))
    assert (event["value"]["count"], len(event["value"]["uris"])) == (100, 100)
    (event,) = await events(glob(f"blob:{bucket}/*", 120))
    assert (event["value"]["count"], len(event["value"]["uris"])) == (120, 100)


async def test_a_bucket_that_does_not_exist_ends_the_wait(buckets: Buckets) -> None:
    """Nobody waits a week for a misspelt name."""
    assert buckets.config.token
    for trigger in (blob("blob:no-such-bucket/key"), glob("blob:no-such-bucket/*")):
        (event,) = await events(trigger)
        assert (event["status"], event["kind"]) == ("error", "ResourceNotFound")
        assert "no-such-bucket" in event["message"]


@pytest.mark.parametrize("trigger", [blob("s3://bucket/key"), glob("blob:buck*et/key")], ids=["blob", "glob"])
@pytest.mark.usefixtures("platform")
async def test_an_address_that_can_mean_nothing_ends_the_wait(trigger: BucketsTrigger) -> None:
    (event,) = await events(trigger)
    assert (event["status"], event["kind"]) == ("error", "InvalidAddress")


async def test_a_wrong_token_ends_the_wait(platform: Platform, bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    connection = json.loads(platform.running.connection) | {"password": "wrong-token-of-nobody"}
    monkeypatch.setenv("AIRFLOW_CONN_NEURO_BUCKETS_DEFAULT", json.dumps(connection))
    (event,) = await events(blob(f"blob:{bucket}/key"))
    assert (event["status"], event["kind"]) == ("error", "AuthenticationError")
    assert "wrong-token-of-nobody" not in str(event)


async def test_no_such_connection_ends_the_wait() -> None:
    (event,) = await events(blob("blob:bucket/key", conn="nobody_made_it"))
    assert (event["status"], event["kind"]) == ("error", "ConfigurationError")
    assert "no Airflow connection 'nobody_made_it'" in event["message"]


# When they ask


async def test_the_first_question_comes_a_whole_interval_after_the_start(front: FaultyFront, bucket: str) -> None:
    """The sensor has asked just before; and an event that comes too soon meets a task that is still being deferred."""
    waiting = asyncio.ensure_future(events(blob(f"blob:{bucket}/key", every=3600)))
    await asyncio.sleep(0.3)
    assert not waiting.done()
    assert front.requests.empty()
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting


@pytest.mark.parametrize("interval", [0.5, 60.0, 3600.0])
def test_a_pause_doubles_with_each_fault_up_to_five_minutes_and_is_never_shorter_than_the_interval(
    interval: float,
) -> None:
    pauses = [pause(interval, faults) for faults in range(MOST_FAULTS)]
    assert pauses[0] == interval
    assert pauses == sorted(pauses)
    assert max(pauses) == max(interval, min(LONGEST_PAUSE, interval * 2 ** (MOST_FAULTS - 1)))


# When the platform fails


@pytest.mark.parametrize("how", ["503", "drop", "nonsense-502"])
async def test_a_platform_that_is_down_for_a_while_is_ridden_out(
    front: FaultyFront, buckets: Buckets, bucket: str, how: str
) -> None:
    await buckets.put_blob(bucket, "key", b"1")
    front.fail(5, how)  # more often than one question is tried again
    (event,) = await events(blob(f"blob:{bucket}/key"))
    assert event["status"] == "success"
    assert front.failed == 5


class Faulty(BucketsTrigger):
    """Waits for something of its own; answers as the test says."""

    answers: list[Any]

    def question(self) -> dict[str, Any]:
        return {}

    async def ask(self, _: Buckets) -> Any:
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


def faulty(*answers: Any) -> Faulty:
    trigger = Faulty(neuro_buckets_conn_id=CONN, poke_interval=0.0)
    trigger.answers = list(answers)
    return trigger


@pytest.mark.usefixtures("platform")
async def test_faults_count_only_while_nothing_else_comes_between() -> None:
    down, slow = Unavailable("down"), Throttled("slow")
    few = [down, slow] * ((MOST_FAULTS - 1) // 2)
    assert await events(faulty(*few, None, *few, None, "there")) == [{"status": "success", "value": "there"}]


@pytest.mark.usefixtures("platform")
async def test_a_platform_that_stays_down_ends_the_wait_with_its_error() -> None:
    trigger = faulty(*[Unavailable("it is down", remedy="Try later")] * MOST_FAULTS, "never asked")
    assert await events(trigger) == [{"status": "error", "kind": "Unavailable", "message": "it is down. Try later."}]
    assert trigger.answers == ["never asked"]


async def test_a_cancelled_wait_closes_what_it_opened(front: FaultyFront, bucket: str) -> None:
    waiting = asyncio.ensure_future(events(blob(f"blob:{bucket}/never")))
    for _ in range(3):
        await front.requests.get()
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting


# What is stored of them


@pytest.mark.parametrize(
    "trigger", [blob("blob:bucket/a", "blob:bucket/b"), glob("blob:bucket/**/*.csv", 7)], ids=["blob", "glob"]
)
def test_a_trigger_survives_the_database_f101(trigger: BucketsTrigger) -> None:
    path, arguments = trigger.serialize()
    stored = json.loads(json.dumps(serde.serialize(arguments)))
    arguments_again: Any = serde.deserialize(stored)
    again = import_string(path)(**arguments_again)
    assert type(again) is type(trigger)
    assert again.serialize() == (path, arguments)


async def test_no_secret_is_stored_or_shown_f101(platform: Platform, buckets: Buckets, bucket: str) -> None:
    await buckets.put_blob(bucket, "key", b"1")
    trigger = blob(f"blob:{bucket}/key")
    told = await events(trigger)
    shown = f"{trigger.serialize()} {trigger!r} {trigger} {vars(trigger)} {told}"
    assert platform.running.token not in shown
    assert not set(trigger.serialize()[1]) & {"token", "password", "credentials"}
