"""Sensors on a real platform: the same XCom and the same errors in every mode."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import (
    AirflowException,
    AirflowFailException,
    AirflowSensorTimeout,
    AirflowSkipException,
    TaskDeferred,
)
from airflow.sdk import serde
from airflow.sdk._shared.module_loading import import_string
from airflow.sdk.exceptions import AirflowRescheduleException

from airflow_provider_neuro_buckets.buckets.errors import ResourceNotFound, Unavailable
from airflow_provider_neuro_buckets.sensors.blobs import BucketBlobSensor, BucketGlobSensor, BucketsSensor
from airflow_provider_neuro_buckets.triggers.base import BucketsTrigger
from platform_rig import Platform, closed_port

pytestmark = pytest.mark.usefixtures("nothing_left")

MODES: dict[str, dict[str, Any]] = {
    "poke": {"mode": "poke"},
    "reschedule": {"mode": "reschedule"},
    "deferrable": {"deferrable": True},
}
EVERY_MODE = pytest.mark.parametrize("mode", MODES)
OFTEN = 0.02


class TaskInstance:
    """Of Airflow's task instance, what a sensor that reschedules itself asks for."""

    def __init__(self) -> None:
        self.begun: datetime | None = None

    def get_first_reschedule_date(self, _: object) -> datetime | None:
        return self.begun


def run(sensor: BucketsSensor, not_yet: Callable[[], None] = lambda: None) -> Any:
    """Run a sensor to its end as Airflow does in each mode; `not_yet` is called whenever it lets go of its worker."""
    ti = TaskInstance()
    context: Any = {"ti": ti}
    while True:
        try:
            return sensor.execute(context)
        except AirflowRescheduleException as again:
            ti.begun = ti.begun or again.reschedule_date
            not_yet()
        except TaskDeferred as deferral:
            not_yet()
            return sensor.resume_execution(deferral.method_name, asyncio.run(wait(deferral)), context)


async def wait(deferral: TaskDeferred) -> dict[str, Any]:
    """Return what the triggerer makes of a deferral, which went through the database both ways."""
    path, arguments = deferral.trigger.serialize()
    quick = {"poke_interval": OFTEN}  # a deferred sensor leaves the scheduler seconds to take note of it
    trigger: BucketsTrigger = import_string(path)(**through_the_database(arguments) | quick)
    event = await anext(trigger.run())
    return {**(deferral.kwargs or {}), "event": through_the_database(event.payload)}


def through_the_database(value: Any) -> Any:
    return serde.deserialize(json.loads(json.dumps(serde.serialize(value))))


def blob(mode: str, uri: Any, **options: Any) -> BucketBlobSensor:
    return BucketBlobSensor(
        task_id="wait", uri=uri, **{"poke_interval": OFTEN, "timeout": 60, **MODES[mode], **options}
    )


def glob(mode: str, uri: str, **options: Any) -> BucketGlobSensor:
    return BucketGlobSensor(
        task_id="wait", uri=uri, **{"poke_interval": OFTEN, "timeout": 60, **MODES[mode], **options}
    )


# The same answer on every path


@EVERY_MODE
def test_a_blob_that_is_there_is_the_xcom(platform: Platform, bucket: str, mode: str) -> None:
    platform.put(bucket, **{"a b": b"123"})
    known = platform.ask(lambda buckets: buckets.head_blob(bucket, "a b"))
    found = run(blob(mode, f"blob:{bucket}/a%20b"))
    assert known.modified_at
    assert found == {
        "uri": str(known.uri),
        "key": "a b",
        "size": 3,
        "etag": known.etag,
        "modified_at": known.modified_at.isoformat(),
    }
    assert json.loads(json.dumps(found)) == found


@pytest.mark.parametrize("mode", ["reschedule", "deferrable"])
def test_a_blob_that_comes_later_is_the_same_xcom(platform: Platform, bucket: str, mode: str) -> None:
    late = run(blob(mode, f"blob:{bucket}/late"), not_yet=lambda: platform.put(bucket, late=b"1"))
    assert late == run(blob("poke", f"blob:{bucket}/late"))


@EVERY_MODE
def test_of_several_blobs_the_xcom_is_a_list_also_when_there_is_one(platform: Platform, bucket: str, mode: str) -> None:
    platform.put(bucket, a=b"1", b=b"22")
    uris = [f"blob:{bucket}/b", f"blob:{bucket}/a"]
    assert [item["key"] for item in run(blob(mode, uris))] == ["b", "a"]
    assert [item["key"] for item in run(blob(mode, uris[:1]))] == ["b"]


@EVERY_MODE
def test_matches_are_the_xcom(platform: Platform, bucket: str, mode: str) -> None:
    platform.put(bucket, **{"in/a.csv": b"1", "in/b.csv": b"1", "in/c.txt": b"1"})
    found = run(glob(mode, f"blob:{bucket}/in/*.csv", min_count=2))
    assert (found["count"], [uri.rpartition("/")[2] for uri in found["uris"]]) == (2, ["a.csv", "b.csv"])


@pytest.mark.parametrize("mode", ["reschedule", "deferrable"])
def test_matches_that_come_later_are_the_same_xcom(platform: Platform, bucket: str, mode: str) -> None:
    platform.put(bucket, **{"in/a.csv": b"1"})
    late = run(
        glob(mode, f"blob:{bucket}/in/*.csv", min_count="2"),
        not_yet=lambda: platform.put(bucket, **{"in/b.csv": b"1"}),
    )
    assert late == run(glob("poke", f"blob:{bucket}/in/*.csv", min_count=2))


def test_a_sensor_pokes_until_the_blob_is_there(platform: Platform, bucket: str) -> None:
    """The second poke finds what was put between two pokes."""

    class Counting(BucketBlobSensor):
        pokes = 0

        def poke(self, context: Any) -> Any:
            answer = super().poke(context)
            self.pokes += 1
            if self.pokes == 1:
                assert not answer
                platform.put(bucket, late=b"1")
            return answer

    sensor = Counting(task_id="wait", uri=f"blob:{bucket}/late", poke_interval=OFTEN, timeout=60)
    assert run(sensor)["key"] == "late"
    assert sensor.pokes == 2


def test_a_deferrable_sensor_does_not_defer_for_what_is_there(platform: Platform, bucket: str) -> None:
    platform.put(bucket, a=b"1")
    assert blob("deferrable", f"blob:{bucket}/a").execute({})["key"] == "a"


def test_a_deferrable_sensor_hands_over_its_interval_its_timeout_and_no_secret(platform: Platform, bucket: str) -> None:
    sensor = blob("deferrable", f"blob:{bucket}/never", poke_interval=timedelta(seconds=30), timeout=120)
    with pytest.raises(TaskDeferred) as deferral:
        sensor.execute({})
    assert deferral.value.timeout == timedelta(seconds=120)
    path, arguments = deferral.value.trigger.serialize()
    assert arguments == {
        "uris": [f"blob:{bucket}/never"],
        "enough": 1,
        "min_size": 0,
        "newer_than": None,
        "stable_for": 0.0,
        "neuro_buckets_conn_id": "neuro_buckets_default",
        "poke_interval": 30.0,
        "exponential_backoff": False,
        "max_wait": None,
    }
    assert platform.running.token not in f"{path} {arguments} {deferral.value!r} {sensor!r} {vars(sensor)}"


# Errors, the same in every mode


def connect(monkeypatch: pytest.MonkeyPatch, **fields: Any) -> None:
    connection = {"conn_type": "neuro_buckets", **fields}
    monkeypatch.setenv("AIRFLOW_CONN_NEURO_BUCKETS_DEFAULT", json.dumps(connection))


@EVERY_MODE
@pytest.mark.parametrize("options", [{}, {"soft_fail": True}])
def test_a_wrong_token_fails_the_task_at_once_also_if_it_may_fail_softly(
    platform: Platform, bucket: str, monkeypatch: pytest.MonkeyPatch, mode: str, options: dict[str, bool]
) -> None:
    connect(monkeypatch, host=platform.running.api_url, password="wrong-token-of-nobody")
    with pytest.raises(AirflowFailException, match="token") as error:
        run(blob(mode, f"blob:{bucket}/a", **options))
    assert "neuro_buckets_default" in str(error.value)
    assert "wrong-token-of-nobody" not in str(error.value)


@EVERY_MODE
def test_no_such_connection_fails_the_task_at_once(mode: str) -> None:
    with pytest.raises(AirflowFailException, match="no Airflow connection 'nobody_made_it'"):
        run(blob(mode, "blob:bucket/a", neuro_buckets_conn_id="nobody_made_it"))


@EVERY_MODE
@pytest.mark.parametrize("make", [lambda mode: blob(mode, "s3://b/a"), lambda mode: glob(mode, "blob:b*/a")])
@pytest.mark.usefixtures("platform")
def test_an_address_that_can_mean_nothing_fails_the_task_at_once(
    mode: str, make: Callable[[str], BucketsSensor]
) -> None:
    with pytest.raises(AirflowFailException, match="neuro_buckets_default"):
        run(make(mode))


@EVERY_MODE
@pytest.mark.usefixtures("platform")
def test_a_number_that_is_none_fails_the_task_at_once(mode: str) -> None:
    with pytest.raises(AirflowFailException, match="min_count='many' is not a whole number"):
        run(glob(mode, "blob:bucket/*", min_count="many"))


@EVERY_MODE
@pytest.mark.parametrize(
    "make", [lambda mode: blob(mode, "blob:not-there/a"), lambda mode: glob(mode, "blob:not-there/*")]
)
@pytest.mark.usefixtures("platform")
def test_a_bucket_that_does_not_exist_is_told_with_connection_and_remedy(
    mode: str, make: Callable[[str], BucketsSensor]
) -> None:
    with pytest.raises(ResourceNotFound, match="not-there") as error:
        run(make(mode))
    assert "neuro_buckets_default" in str(error.value)
    assert error.value.remedy


@EVERY_MODE
def test_a_platform_that_is_not_running_is_told_with_connection_and_remedy(
    monkeypatch: pytest.MonkeyPatch, mode: str
) -> None:
    connect(monkeypatch, host=f"http://127.0.0.1:{closed_port()}/api/v1", password="token-of-nobody")
    with pytest.raises(Unavailable, match="running") as error:
        run(blob(mode, "blob:bucket/a"))
    assert "neuro_buckets_default" in str(error.value)


def test_what_the_triggerer_met_reaches_the_task(
    platform: Platform, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The token ends while the sensor waits."""

    def revoke() -> None:
        connect(monkeypatch, host=platform.running.api_url, password="wrong-token-of-nobody")

    for soft_fail in (False, True):
        monkeypatch.setenv("AIRFLOW_CONN_NEURO_BUCKETS_DEFAULT", platform.running.connection)
        with pytest.raises(AirflowFailException, match="token") as error:
            run(blob("deferrable", f"blob:{bucket}/a", soft_fail=soft_fail), not_yet=revoke)
        assert "neuro_buckets_default" in str(error.value)


@pytest.mark.parametrize("options", [{}, {"soft_fail": True}])
def test_what_the_triggerer_met_has_the_type_that_it_has_in_other_modes(options: dict[str, bool]) -> None:
    """So that a retry policy treats all modes alike."""
    sensor = blob("deferrable", "blob:bucket/a", **options)
    event = {"status": "error", "kind": "Unavailable", "message": "it is down. Try later."}
    with pytest.raises(Unavailable, match=r"neuro_buckets_default.*it is down\. Try later\."):
        sensor.resume_execution("execute_complete", {"event": event}, {})


def test_an_error_of_the_triggerer_can_be_skipped_like_every_other() -> None:
    sensor = blob("deferrable", "blob:bucket/a", never_fail=True)
    event = {"status": "error", "kind": "Unavailable", "message": "it is down. Try later."}
    with pytest.raises(AirflowSkipException, match="never_fail"):
        sensor.resume_execution("execute_complete", {"event": event}, {})


def test_a_trigger_that_ended_without_an_event_is_an_error() -> None:
    with pytest.raises(AirflowException, match="without an event"):
        blob("deferrable", "blob:bucket/a").resume_execution("execute_complete", {"event": None}, {})


# When the time is up, and what may be skipped


@pytest.mark.parametrize("mode", ["poke", "reschedule"])
@pytest.mark.parametrize(
    ("options", "ending"), [({}, AirflowSensorTimeout), ({"soft_fail": True}, AirflowSkipException)]
)
def test_a_sensor_whose_time_is_up_fails_or_softly_skips(
    bucket: str, mode: str, options: dict[str, bool], ending: type[Exception]
) -> None:
    with pytest.raises(ending):
        run(blob(mode, f"blob:{bucket}/never", timeout=0, **options))


@pytest.mark.parametrize(
    ("options", "ending"), [({}, AirflowSensorTimeout), ({"soft_fail": True}, AirflowSkipException)]
)
def test_a_deferred_sensor_whose_time_is_up_fails_or_softly_skips(
    options: dict[str, bool], ending: type[Exception]
) -> None:
    sensor = blob("deferrable", "blob:bucket/never", **options)
    with pytest.raises(ending):
        sensor.resume_execution("__fail__", {"error": "Trigger timeout"}, {})


@EVERY_MODE
def test_a_sensor_that_shall_never_fail_skips_whatever_happens(monkeypatch: pytest.MonkeyPatch, mode: str) -> None:
    connect(monkeypatch, password="a-connection-without-a-host")
    with pytest.raises(AirflowSkipException, match="never_fail"):
        run(blob(mode, "blob:bucket/a", never_fail=True))


def test_a_silent_sensor_that_defers_rides_out_what_its_first_poke_meets(
    platform: Platform, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    platform.put(bucket, a=b"1")
    connect(monkeypatch, host=f"http://127.0.0.1:{closed_port()}/api/v1", password="token-of-nobody")

    def mend() -> None:
        monkeypatch.setenv("AIRFLOW_CONN_NEURO_BUCKETS_DEFAULT", platform.running.connection)

    assert run(blob("deferrable", f"blob:{bucket}/a", silent_fail=True), not_yet=mend)["key"] == "a"


def test_a_silent_sensor_still_fails_for_what_nobody_can_ride_out() -> None:
    with pytest.raises(AirflowFailException):
        run(blob("deferrable", "blob:b/a", neuro_buckets_conn_id="nobody_made_it", silent_fail=True))


# Killed


def test_a_killed_sensor_asks_no_more(platform: Platform, bucket: str) -> None:
    platform.put(bucket, a=b"1")
    sensor = blob("poke", f"blob:{bucket}/a")
    sensor.on_kill()
    with pytest.raises(AirflowException, match="stopped"):
        sensor.execute({})
