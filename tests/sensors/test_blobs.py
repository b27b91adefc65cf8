"""Sensors on a real platform: the same XCom and the same errors in every mode."""

from __future__ import annotations

import asyncio
import copy
import json
import signal
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import (
    AirflowException,
    AirflowFailException,
    AirflowSensorTimeout,
    AirflowSkipException,
    TaskDeferred,
)

from airflow_here import AirflowRescheduleException, import_string, serde
from airflow_provider_neuro_buckets.buckets.errors import ResourceNotFound, Unavailable
from airflow_provider_neuro_buckets.sensors.blobs import (
    LONGEST_NAP_SECONDS,
    SHORTEST_DEFERRED_SECONDS,
    BucketBlobSensor,
    BucketGlobSensor,
    BucketPrefixUnchangedSensor,
    BucketsSensor,
)
from airflow_provider_neuro_buckets.triggers.base import BucketsTrigger
from platform_rig import Platform, closed_port

pytestmark = pytest.mark.usefixtures("nothing_left")

MODES: dict[str, dict[str, Any]] = {
    "poke": {"mode": "poke"},
    "reschedule": {"mode": "reschedule"},
    "deferrable": {"deferrable": True},
}
EVERY_MODE = pytest.mark.parametrize("mode", MODES)
LATER = pytest.mark.parametrize("mode", ["reschedule", "deferrable"])
OFTEN = 0.02


class TaskInstance:
    """Of Airflow's task instance, what a sensor that reschedules itself asks for."""

    def __init__(self) -> None:
        self.begun: datetime | None = None

    def get_first_reschedule_date(self, _: object) -> datetime | None:
        return self.begun


class State:
    """Keeps the state of a task as Airflow does from 3.3 on."""

    def __init__(self) -> None:
        self.kept: dict[str, str] = {}

    def get(self, key: str, default: Any = None) -> Any:
        return json.loads(self.kept[key]) if key in self.kept else default

    def set(self, key: str, value: Any) -> None:
        assert value is not None
        self.kept[key] = json.dumps(value)


def run(sensor: BucketsSensor, not_yet: Callable[[], None] = lambda: None) -> Any:
    """Run a sensor to its end as Airflow does in each mode; `not_yet` is called whenever it lets go of its worker."""
    ti = TaskInstance()
    context: Any = {"ti": ti, "task_state_store": State()}
    while True:
        try:
            return copy.copy(sensor).execute(context)  # each time in another process
        except AirflowRescheduleException as again:
            ti.begun = ti.begun or again.reschedule_date
            not_yet()
            time.sleep(OFTEN)
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


def unchanged(mode: str, uri: str, **options: Any) -> BucketPrefixUnchangedSensor:
    return BucketPrefixUnchangedSensor(
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


@LATER
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


@LATER
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
    assert sensor.execute({})["key"] == "late"
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


# Any of several, and conditions


@EVERY_MODE
def test_any_of_several_blobs_is_enough_and_the_xcom_is_a_list_of_those_that_are_there(
    platform: Platform, bucket: str, mode: str
) -> None:
    platform.put(bucket, b=b"1", d=b"22")
    uris = [f"blob:{bucket}/{key}" for key in "abcd"]
    assert [item["key"] for item in run(blob(mode, uris, require="any"))] == ["b", "d"]


@LATER
def test_any_of_several_that_comes_later_is_the_same_xcom(platform: Platform, bucket: str, mode: str) -> None:
    uris = [f"blob:{bucket}/{key}" for key in "ab"]
    late = run(blob(mode, uris, require="any"), not_yet=lambda: platform.put(bucket, b=b"1"))
    assert late == run(blob("poke", uris, require="any"))
    assert [item["key"] for item in late] == ["b"]


@EVERY_MODE
def test_a_list_of_nothing_fails_the_task_at_once(platform: Platform, mode: str) -> None:
    """Rather than to succeed for no blob, or to wait for ever."""
    assert platform.running.token
    with pytest.raises(AirflowFailException, match="empty list"):
        run(blob(mode, []))


@EVERY_MODE
def test_what_a_template_makes_of_an_xcom_that_is_not_there_fails_the_task_at_once(
    platform: Platform, mode: str
) -> None:
    """A DAG that renders its templates as what they are makes `None` of it."""
    assert platform.running.token
    with pytest.raises(AirflowFailException, match="uri=None is neither a text nor a list"):
        run(blob(mode, None))


def test_a_misspelt_choice_is_refused_when_the_dag_is_parsed() -> None:
    with pytest.raises(ValueError, match="require='some' is none of 'all', 'any'"):
        blob("poke", "blob:bucket/a", require="some")


@LATER
@pytest.mark.parametrize("make", [blob, glob])
def test_a_blob_counts_once_it_is_large_enough(
    platform: Platform, bucket: str, mode: str, make: Callable[..., BucketsSensor]
) -> None:
    platform.put(bucket, a=b"12")
    uri = f"blob:{bucket}/a"
    late = run(make(mode, uri, min_size="3"), not_yet=lambda: platform.put(bucket, a=b"123"))
    assert late == run(make("poke", uri, min_size=3))


@LATER
@pytest.mark.parametrize("make", [blob, glob])
def test_a_blob_counts_once_it_is_newer(
    platform: Platform, bucket: str, mode: str, make: Callable[..., BucketsSensor]
) -> None:
    """The storage tells whole seconds, so the new one has to be of a later one."""
    platform.put(bucket, a=b"1")
    uri = f"blob:{bucket}/a"
    before = platform.ask(lambda buckets: buckets.stat_blob(uri)).modified_at
    assert before

    def put() -> None:
        while platform.ask(lambda buckets: buckets.stat_blob(uri)).modified_at == before:
            platform.put(bucket, a=b"1")

    late = run(make(mode, uri, newer_than=before.isoformat()), not_yet=put)
    assert late == run(make("poke", uri, newer_than=before))


@EVERY_MODE
@pytest.mark.parametrize("make", [blob, glob])
def test_a_blob_counts_once_it_has_been_stable(
    platform: Platform, bucket: str, mode: str, make: Callable[..., BucketsSensor]
) -> None:
    platform.put(bucket, a=b"1")
    uri = f"blob:{bucket}/a"
    written = platform.ask(lambda buckets: buckets.stat_blob(uri)).modified_at
    assert written
    found = run(make(mode, uri, stable_for=timedelta(seconds=2)))
    assert datetime.now(UTC) - written >= timedelta(seconds=2)  # the storage is on this machine
    assert found == run(make("poke", uri))


@EVERY_MODE
def test_with_a_condition_folders_do_not_match(platform: Platform, bucket: str, mode: str) -> None:
    platform.put(bucket, **{"a/b": b"1", "c": b"1"})
    assert run(glob(mode, f"blob:{bucket}/*"))["count"] == 2
    assert run(glob(mode, f"blob:{bucket}/*", min_size=1))["count"] == 1


@EVERY_MODE
@pytest.mark.parametrize(
    "wrong", [{"min_size": "many"}, {"newer_than": "yesterday"}, {"stable_for": "a while"}], ids=str
)
@pytest.mark.usefixtures("platform")
def test_a_condition_that_cannot_be_used_fails_the_task_at_once(mode: str, wrong: dict[str, str]) -> None:
    with pytest.raises(AirflowFailException, match=next(iter(wrong))):
        run(blob(mode, "blob:bucket/a", **wrong))


# A quiet prefix


@EVERY_MODE
def test_a_prefix_that_has_long_been_quiet_is_not_waited_for(platform: Platform, bucket: str, mode: str) -> None:
    platform.put(bucket, **{"in/a": b"1", "in/b": b"22", "other": b"1"})
    newest = platform.ask(lambda buckets: buckets.head_blob(bucket, "in/b")).modified_at
    assert newest
    found = run(unchanged(mode, f"blob:{bucket}/in/", unchanged_for=0, min_count="2"))
    assert (found["count"], found["size"]) == (2, 3)
    assert found["modified_at"] <= newest.isoformat()
    assert json.loads(json.dumps(found)) == found


@EVERY_MODE
def test_a_prefix_counts_once_nothing_has_changed_for_so_long(platform: Platform, bucket: str, mode: str) -> None:
    platform.put(bucket, **{"in/a": b"1"})
    written = platform.ask(lambda buckets: buckets.head_blob(bucket, "in/a")).modified_at
    assert written
    found = run(unchanged(mode, f"blob:{bucket}/in/", unchanged_for=timedelta(seconds=2)))
    assert datetime.now(UTC) - written >= timedelta(seconds=2)  # the storage is on this machine
    assert found == run(unchanged("poke", f"blob:{bucket}/in/", unchanged_for=0))


@LATER
def test_enough_blobs_that_come_later_are_the_same_xcom(platform: Platform, bucket: str, mode: str) -> None:
    platform.put(bucket, **{"in/a": b"1"})
    late = run(
        unchanged(mode, f"blob:{bucket}/in/", unchanged_for=0, min_count=2),
        not_yet=lambda: platform.put(bucket, **{"in/b": b"1"}),
    )
    assert late == run(unchanged("poke", f"blob:{bucket}/in/", unchanged_for=0))


@LATER
def test_a_deletion_between_two_looks_begins_anew(platform: Platform, bucket: str, mode: str) -> None:
    """It changes no time of what is left."""
    deleted: list[datetime] = []

    def delete() -> None:
        if not deleted:
            platform.ask(lambda buckets: buckets.blob_rm(f"blob:{bucket}/in/b"))
            deleted.append(datetime.now(UTC))

    while not deleted:  # on a busy machine the first look may come so late that it is the last
        platform.put(bucket, **{"in/a": b"1", "in/b": b"1"})
        found = run(unchanged(mode, f"blob:{bucket}/in/", unchanged_for=3), not_yet=delete)
    assert found["count"] == 1
    assert datetime.now(UTC) - deleted[0] >= timedelta(seconds=2)  # by a clock of whole seconds


def test_what_is_kept_of_a_prefix_is_a_digest_and_no_key(platform: Platform, bucket: str) -> None:
    platform.put(bucket, **{f"in/{number}": b"1" for number in range(20)})
    with pytest.raises(TaskDeferred) as deferral:
        unchanged("deferrable", f"blob:{bucket}/in/", unchanged_for=3600).execute({})
    _, arguments = deferral.value.trigger.serialize()
    assert set(arguments["seen"]) == {"digest", "since"}
    assert len(json.dumps(arguments)) < 500
    state = State()
    context: Any = {"ti": TaskInstance(), "task_state_store": state}
    with pytest.raises(AirflowRescheduleException):
        unchanged("reschedule", f"blob:{bucket}/in/", unchanged_for=3600).execute(context)
    assert [json.loads(value) for value in state.kept.values()] == [arguments["seen"]]


def test_a_rescheduled_sensor_goes_by_the_times_of_the_storage_where_airflow_keeps_no_state(
    platform: Platform, bucket: str
) -> None:
    """Before Airflow 3.3."""
    platform.put(bucket, **{"in/a": b"1"})
    ti = TaskInstance()
    context: Any = {"ti": ti}
    for _ in range(10_000):
        try:
            found = unchanged("reschedule", f"blob:{bucket}/in/", unchanged_for=1, timeout=600).execute(context)
            break
        except AirflowRescheduleException as again:
            ti.begun = ti.begun or again.reschedule_date
            time.sleep(OFTEN)
    assert found["count"] == 1


@EVERY_MODE
@pytest.mark.usefixtures("platform")
def test_a_while_that_is_none_fails_the_task_at_once(mode: str) -> None:
    with pytest.raises(AirflowFailException, match="unchanged_for='long' is not a number"):
        run(unchanged(mode, "blob:bucket/in/", unchanged_for="long"))


# When it asks again


def test_a_deferred_sensor_leaves_the_scheduler_time_to_take_note(bucket: str) -> None:
    """An event within the same second makes some versions of Airflow fail the task."""
    with pytest.raises(TaskDeferred) as deferral:
        blob("deferrable", f"blob:{bucket}/never", poke_interval=0).execute({})
    assert deferral.value.trigger.serialize()[1]["poke_interval"] == SHORTEST_DEFERRED_SECONDS


def test_a_deferred_sensor_backs_off_as_it_was_told(bucket: str) -> None:
    with pytest.raises(TaskDeferred) as deferral:
        glob(
            "deferrable",
            f"blob:{bucket}/*",
            poke_interval=10,
            exponential_backoff=True,
            max_wait=timedelta(seconds=100),
        ).execute({})
    trigger = deferral.value.trigger
    path, arguments = trigger.serialize()
    again = import_string(path)(**through_the_database(arguments))
    assert [again.interval(asked) for asked in range(1, 6)] == [20, 40, 80, 100, 100]


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
    ("options", "ending"),
    [
        ({}, AirflowSensorTimeout),
        ({"soft_fail": True}, AirflowSkipException),
        ({"never_fail": True}, AirflowSkipException),
    ],
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


def test_a_sensor_that_is_killed_while_it_sleeps_ends_at_once(bucket: str) -> None:
    """Airflow's own would sleep on until its next poke, an hour later: the signal interrupts no sleep of Python."""
    killer = threading.Timer(LONGEST_NAP_SECONDS, signal.raise_signal, [signal.SIGTERM])

    class Poked(BucketBlobSensor):
        def poke(self, context: Any) -> Any:
            answer = super().poke(context)
            killer.start()
            return answer

    sensor = Poked(task_id="wait", uri=f"blob:{bucket}/never", poke_interval=3600, timeout=7200)
    before = signal.signal(signal.SIGTERM, lambda *_: sensor.on_kill())
    try:
        with pytest.raises(AirflowException, match="stopped"):
            sensor.execute({})
    finally:
        killer.join()
        signal.signal(signal.SIGTERM, before)


def test_a_sensor_that_sleeps_still_times_out_and_still_backs_off(bucket: str) -> None:
    sensor = blob("poke", f"blob:{bucket}/never", poke_interval=0.01, timeout=1, exponential_backoff=True)
    with pytest.raises(AirflowSensorTimeout):
        sensor.execute({})
