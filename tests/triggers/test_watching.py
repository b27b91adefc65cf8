"""NewBlobsTrigger on a real platform: one event for each version of a blob, whatever happens meanwhile."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import aclosing
from datetime import UTC, datetime
from typing import Any, TypeVar

import pytest
from airflow.models.trigger import Trigger
from airflow.sdk import Asset, AssetWatcher
from airflow.triggers.base import BaseEventTrigger

from airflow_here import import_string, serde
from airflow_provider_neuro_buckets.buckets import Buckets
from airflow_provider_neuro_buckets.buckets.errors import ConfigurationError
from airflow_provider_neuro_buckets.triggers import watching
from airflow_provider_neuro_buckets.triggers.blobs import NewBlobsTrigger
from airflow_provider_neuro_buckets.triggers.watching import listed
from faulty_front import FaultyFront
from storage_front import StorageFront, storage_front

pytestmark = pytest.mark.usefixtures("nothing_left")

CONN = "neuro_buckets_default"
OFTEN = 0.05
T = TypeVar("T")


@pytest.fixture(autouse=True)
def sent_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """No triggerer has to hand an event over before the cursor is saved."""
    monkeypatch.setattr(watching, "SECONDS_UNTIL_SENT", 0.0)


@pytest.fixture
async def through(buckets: Buckets, bucket: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[StorageFront]:
    """The default connection leads through a front before the storage of the bucket."""
    async with storage_front(buckets, bucket) as front:
        monkeypatch.setenv("AIRFLOW_CONN_NEURO_BUCKETS_DEFAULT", front.connection)
        yield front


class Store:
    """Keeps state as Airflow's asset state store does from 3.3.2 on: JSON, never `None`, and not too much."""

    def __init__(self) -> None:
        self.kept: dict[str, str] = {}
        self.saved = asyncio.Event()
        self.faults = 0

    async def aget(self, key: str, default: Any = None) -> Any:
        self._fail()
        return json.loads(self.kept[key]) if key in self.kept else default

    async def aset(self, key: str, value: Any) -> None:
        self._fail()
        assert value is not None
        self.kept[key] = json.dumps(value)
        assert len(self.kept[key]) < 64 * 1024
        self.saved.set()

    def _fail(self) -> None:
        self.faults -= 1
        if self.faults >= 0:
            raise RuntimeError("the API server is restarting")


class BlockingStore:
    """The same, of Airflow 3.3.0."""

    def __init__(self) -> None:
        self.inner = Store()

    def get(self, key: str, default: Any = None) -> Any:
        return asyncio.run(self.inner.aget(key, default))  # fails in a thread whose loop runs

    def set(self, key: str, value: Any) -> None:
        asyncio.run(self.inner.aset(key, value))


class Watcher:
    """A watcher that runs, as the triggerer runs it; its events so far are `told`."""

    def __init__(self, trigger: NewBlobsTrigger, store: Any) -> None:
        trigger.asset_state_store = store
        self.told: asyncio.Queue[Any] = asyncio.Queue()
        self._task = asyncio.ensure_future(self._run(trigger))

    async def _run(self, trigger: NewBlobsTrigger) -> None:
        async with aclosing(trigger.run()) as events:  # type: ignore[type-var]  # Airflow's signature says iterator
            async for event in events:
                self.told.put_nowait(event.payload)

    async def tells(self) -> Any:
        """Return what the next event says."""
        return await self.until(self.told.get())

    async def next(self, count: int = 1) -> list[str]:
        """Return the keys of the next events."""
        return [(await self.tells())["key"] for _ in range(count)]

    async def until(self, coming: Coroutine[Any, Any, T]) -> T:
        """Await what can only come while it runs; raise what it ends with, if it does."""
        return await while_running([self._task], coming)

    async def poll(self) -> None:
        """Let it work for a while; raise what it ends with, if it does."""
        await self.until(asyncio.sleep(OFTEN))

    async def stop(self) -> None:
        """Stop it as a triggerer that ends does. It told of nothing else, and is still well."""
        assert not self._task.done(), self._task
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        assert self.told.empty()


async def while_running(tasks: Sequence[asyncio.Future[Any]], coming: Coroutine[Any, Any, T]) -> T:
    """Await what can only come while all these tasks run; raise what one of them ends with, if it does."""
    waiting = asyncio.ensure_future(coming)
    await asyncio.wait([waiting, *tasks], return_when=asyncio.FIRST_COMPLETED)
    if not waiting.done():
        waiting.cancel()
        pytest.fail(f"a watcher ended: {[task.result() for task in tasks if task.done()]}")
    return waiting.result()


def trigger(uri: str, **options: Any) -> NewBlobsTrigger:
    return NewBlobsTrigger(uri=uri, **{"poke_interval": OFTEN, **options})


@pytest.fixture
async def watch(bucket: str) -> AsyncIterator[Callable[..., Any]]:
    """Start a watcher, and wait until it has begun. It ends before its bucket does."""
    assert bucket
    running: list[Watcher] = []

    async def watch(uri: str, *, store: Any = None, **options: Any) -> Watcher:
        store = store or Store()
        watcher = Watcher(trigger(uri, **options), store)
        running.append(watcher)
        await watcher.until(store.saved.wait())
        return watcher

    yield watch
    for watcher in running:
        await watcher.stop()


# Events


async def test_a_new_blob_is_told_with_its_description(watch: Any, buckets: Buckets, bucket: str) -> None:
    await buckets.put_blob(bucket, "in/old", b"1")
    watcher = await watch(f"blob:{bucket}/in/")
    await buckets.put_blob(bucket, "elsewhere/new", b"1")
    await buckets.put_blob(bucket, "in/a b#1?.csv", b"123")
    known = await buckets.head_blob(bucket, "in/a b#1?.csv")
    assert known.modified_at
    payload = await watcher.tells()
    assert payload == {
        "uri": str(known.uri),
        "key": "in/a b#1?.csv",
        "size": 3,
        "etag": known.etag,
        "modified_at": known.modified_at.isoformat(),
    }
    assert json.loads(json.dumps(payload)) == payload


async def test_every_version_is_told_also_within_one_second_f105(watch: Any, buckets: Buckets, bucket: str) -> None:
    watcher = await watch(f"blob:{bucket}")
    for number in range(5):
        await buckets.put_blob(bucket, "again", b"%d" % number)
        assert await watcher.next() == ["again"]


async def test_a_blob_that_only_stays_is_told_no_more(
    watch: Any, through: StorageFront, buckets: Buckets, bucket: str
) -> None:
    watcher = await watch(through.bucket)
    await buckets.put_blob(bucket, "new", b"1")
    assert await watcher.next() == ["new"]
    before = len(through.listings())
    while len(through.listings()) < before + 3:
        await watcher.poll()
    assert watcher.told.empty()


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("*.csv", ["a.csv"]),
        ("**/*.csv", ["a.csv", "sub/b.csv", "sub/deep/c.csv"]),
        ("sub/*.csv", ["sub/b.csv"]),
        ("s*/**", ["sub/b.csv", "sub/d.txt", "sub/deep/c.csv"]),
        ("[ab].csv", ["a.csv"]),
        ("100%?.txt", ["100%#.txt"]),
        ("100%#[.]txt", ["100%#.txt"]),
    ],
)
async def test_of_a_pattern_only_what_matches_is_told(
    watch: Any, buckets: Buckets, bucket: str, pattern: str, expected: list[str]
) -> None:
    watcher = await watch(f"blob:{bucket}/{pattern}")
    for key in ("a.csv", "sub/b.csv", "sub/deep/c.csv", "sub/d.txt", "100%#.txt", "other"):
        await buckets.put_blob(bucket, key, b"1")
    assert sorted(await watcher.next(len(expected))) == expected


async def test_only_what_is_as_the_conditions_want_is_told(watch: Any, buckets: Buckets, bucket: str) -> None:
    watcher = await watch(f"blob:{bucket}", min_size=3)
    await buckets.put_blob(bucket, "small", b"12")
    await buckets.put_blob(bucket, "large", b"123")
    assert await watcher.next() == ["large"]
    await buckets.put_blob(bucket, "small", b"1234")
    assert await watcher.next() == ["small"]


async def test_a_blob_that_has_to_be_stable_is_told_once_it_is(watch: Any, buckets: Buckets, bucket: str) -> None:
    watcher = await watch(f"blob:{bucket}", stable_for=2)
    await buckets.put_blob(bucket, "growing", b"1")
    payload = await watcher.tells()
    age = await buckets.storage_time(f"blob:{bucket}") - datetime.fromisoformat(payload["modified_at"])
    assert age.total_seconds() >= 1  # by a clock of whole seconds


async def test_of_too_many_new_blobs_the_others_are_told_with_the_next_listings(
    watch: Any, buckets: Buckets, bucket: str
) -> None:
    watcher = await watch(f"blob:{bucket}/in/", max_events_per_poll=3)
    await asyncio.gather(*(buckets.put_blob(bucket, f"in/{number}", b"1") for number in range(10)))
    assert sorted(await watcher.next(10)) == [f"in/{number}" for number in range(10)]


async def test_more_than_one_page_is_looked_through(watch: Any, buckets: Buckets, bucket: str) -> None:
    watcher = await watch(f"blob:{bucket}/many/", max_events_per_poll=2000)
    for start in range(0, 1200, 100):
        keys = [f"many/{number:04}" for number in range(start, start + 100)]
        await asyncio.gather(*(buckets.put_blob(bucket, key, b"") for key in keys))
    assert len(set(await watcher.next(1200))) == 1200


# State


async def test_what_came_while_no_triggerer_ran_is_told_f102(buckets: Buckets, bucket: str) -> None:
    store = Store()
    first = Watcher(trigger(f"blob:{bucket}"), store)
    await first.until(store.saved.wait())
    await first.stop()
    await buckets.put_blob(bucket, "meanwhile", b"1")
    again = Watcher(trigger(f"blob:{bucket}"), store)
    assert await again.next() == ["meanwhile"]
    await again.stop()


async def test_the_cursor_is_saved_only_after_whoever_listens_took_the_event(buckets: Buckets, bucket: str) -> None:
    """A triggerer that dies in between tells it again: at least once."""
    store = Store()
    source = trigger(f"blob:{bucket}")
    source.asset_state_store = store  # type: ignore[assignment]  # a stand-in for Airflow's
    async with aclosing(source.run()) as events:  # type: ignore[type-var]  # Airflow's signature says iterator
        coming = asyncio.ensure_future(anext(events))
        await while_running([coming], store.saved.wait())
        await buckets.put_blob(bucket, "new", b"1")
        assert (await coming).payload["key"] == "new"
    again = Watcher(trigger(f"blob:{bucket}"), store)
    assert await again.next() == ["new"]
    await again.stop()


async def test_without_a_store_it_begins_with_what_is_new_and_says_so_once(
    buckets: Buckets, bucket: str, caplog: pytest.LogCaptureFixture
) -> None:
    """On Airflow before 3.3."""
    await buckets.put_blob(bucket, "old", b"1")
    watcher = Watcher(trigger(f"blob:{bucket}"), None)
    number = 0
    while watcher.told.empty():
        await buckets.put_blob(bucket, f"new-{number:03}", b"1")
        await watcher.poll()
        number += 1
    assert (await watcher.next())[0].startswith("new-")
    await watcher.poll()
    while not watcher.told.empty():
        await watcher.next()
    await watcher.stop()
    assert sum("keeps no state" in record.message for record in caplog.records) == 1


async def test_the_blocking_store_of_airflow_3_3_0_does_not_block_the_loop(buckets: Buckets, bucket: str) -> None:
    store = BlockingStore()
    watcher = Watcher(trigger(f"blob:{bucket}"), store)
    while not store.inner.kept:
        await watcher.poll()
    await buckets.put_blob(bucket, "new", b"1")
    assert await watcher.next() == ["new"]
    await watcher.stop()


async def test_a_store_that_fails_for_a_while_costs_no_blob(buckets: Buckets, bucket: str) -> None:
    store = Store()
    first = Watcher(trigger(f"blob:{bucket}"), store)
    await first.until(store.saved.wait())
    await first.stop()
    await buckets.put_blob(bucket, "meanwhile", b"1")
    store.faults = 1  # it cannot load its cursor at first
    again = Watcher(trigger(f"blob:{bucket}"), store)
    assert await again.next() == ["meanwhile"]
    store.faults = 1  # and cannot save it once
    await buckets.put_blob(bucket, "later", b"1")
    assert await again.next() == ["later"]
    await again.stop()


async def test_a_cursor_that_nobody_can_read_is_told_and_begun_anew(
    watch: Any, buckets: Buckets, bucket: str, caplog: pytest.LogCaptureFixture
) -> None:
    await buckets.put_blob(bucket, "old", b"1")
    store = Store()
    first = Watcher(trigger(f"blob:{bucket}"), store)
    await first.until(store.saved.wait())
    await first.stop()
    store.kept = dict.fromkeys(store.kept, '"nonsense"')
    store.saved.clear()
    watcher = await watch(f"blob:{bucket}", store=store)
    await buckets.put_blob(bucket, "new", b"1")
    assert await watcher.next() == ["new"]
    assert any("cursor" in record.message and "new from now on" in record.message for record in caplog.records)


# Faults


@pytest.mark.parametrize("how", ["503", "401", "drop", "404", "nonsense-502"])
async def test_faults_of_every_kind_are_waited_out(front: FaultyFront, buckets: Buckets, bucket: str, how: str) -> None:
    """Airflow would start a watcher that failed again at once, without end."""
    front.fail(6, how)
    store = Store()
    watcher = Watcher(trigger(f"blob:{bucket}", poke_interval=OFTEN / 10), store)  # each fault doubles it
    await watcher.until(store.saved.wait())
    await buckets.put_blob(bucket, "new", b"1")
    assert await watcher.next() == ["new"]
    await watcher.stop()
    assert front.failed == 6


async def test_a_connection_that_is_made_later_is_waited_for(
    buckets: Buckets, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store()
    watcher = Watcher(trigger(f"blob:{bucket}", neuro_buckets_conn_id="made_later"), store)
    await asyncio.sleep(3 * OFTEN)
    connection = {"conn_type": "neuro_buckets", "password": buckets.config.token}
    extra = {
        name: getattr(buckets.config, name) for name in ("buckets_url", "cluster_name", "org_name", "project_name")
    }
    monkeypatch.setenv("AIRFLOW_CONN_MADE_LATER", json.dumps(connection | {"extra": extra}))
    await watcher.until(store.saved.wait())
    await buckets.put_blob(bucket, "new", b"1")
    assert await watcher.next() == ["new"]
    await watcher.stop()


async def test_storage_that_fails_in_the_middle_of_a_listing_costs_no_blob(
    watch: Any, through: StorageFront, buckets: Buckets, bucket: str
) -> None:
    watcher = await watch(through.bucket)
    through.failures = 7
    await buckets.put_blob(bucket, "new", b"1")
    assert await watcher.next() == ["new"]
    assert through.failures <= 0


# One listing for many, as Airflow's triggerer shares it


async def test_watchers_of_one_prefix_share_one_listing(through: StorageFront, buckets: Buckets, bucket: str) -> None:
    shared_stream = pytest.importorskip("airflow.triggers.shared_stream", reason="Airflow before 3.3 shares no streams")
    manager = shared_stream.SharedStreamManager()
    uris = [f"{through.bucket}/in/{name}" for name in ("*.csv", "*.txt", "[a-z]*")]
    told: dict[str, list[str]] = {uri: [] for uri in uris}
    stores = {uri: Store() for uri in uris}
    done = asyncio.Event()

    async def run(number: int, uri: str) -> None:
        watcher = trigger(uri)
        watcher.asset_state_store = stores[uri]  # type: ignore[assignment]  # a stand-in for Airflow's
        key = watcher.shared_stream_key()
        stream = manager.subscribe(trigger_id=number, trigger=watcher, key=key)
        async for event in watcher.filter_shared_stream(stream):
            told[uri].append(event.payload["key"])
            if sum(map(len, told.values())) == 4:
                done.set()

    running = [asyncio.ensure_future(run(number, uri)) for number, uri in enumerate(uris)]
    for store in stores.values():
        await while_running(running, store.saved.wait())
    assert len({trigger(uri).shared_stream_key() for uri in uris}) == 1
    before = len(through.listings())
    await buckets.put_blob(bucket, "in/a.csv", b"1")
    await buckets.put_blob(bucket, "in/b.txt", b"1")
    await while_running(running, done.wait())
    told[uris[2]].sort()  # blobs of one second, the storage's clock, come in any order
    assert told == {uris[0]: ["in/a.csv"], uris[1]: ["in/b.txt"], uris[2]: ["in/a.csv", "in/b.txt"]}
    prefixes = {request.partition("prefix=")[2].partition("&")[0] for request in through.listings()}
    assert len(prefixes) == 1
    assert before >= 1
    for task in running:
        task.cancel()
    await asyncio.gather(*running, return_exceptions=True)
    await manager.stop_all()


@pytest.mark.parametrize(
    ("uri", "address", "recursive"),
    [
        ("blob:lake/in/", "blob:lake/in/", True),
        ("blob:lake/in/*.csv", "blob:lake/in/", False),
        ("blob:lake/in/2026-*", "blob:lake/in/2026-", False),
        ("blob:lake/in/**", "blob:lake/in/", True),
        ("blob:lake/in/*/a", "blob:lake/in/", True),
        ("blob:lake/100%/[a]", "blob:lake/100%25/", False),
        ("blob:lake/#1/?", "blob:lake/%231/", False),
        (r"blob:lake/a\*b/*", "blob:lake/a", True),
        ("blob://default/acme/ml/lake/in/*.csv", "blob://default/acme/ml/lake/in/", False),
    ],
)
def test_a_pattern_lists_no_more_than_it_has_to(uri: str, address: str, recursive: bool) -> None:  # noqa: FBT001 - a table
    assert listed(uri) == (address, recursive)


@pytest.mark.parametrize(
    "other",
    [
        {"poke_interval": 30.0},
        {"neuro_buckets_conn_id": "another"},
        {"uri": "blob:lake/out/"},
        {"uri": "blob:lake/in/*.csv"},
    ],
)
def test_watchers_that_list_differently_do_not_share(other: dict[str, Any]) -> None:
    mine: dict[str, Any] = {"uri": "blob:lake/in/", "poke_interval": 60.0}
    assert NewBlobsTrigger(**mine).shared_stream_key() != NewBlobsTrigger(**mine | other).shared_stream_key()
    assert (
        NewBlobsTrigger(**mine).shared_stream_key()
        == NewBlobsTrigger(**mine, min_size=5, max_events_per_poll=1).shared_stream_key()
    )


# What is stored of it


def test_what_is_stored_of_it_is_for_ever() -> None:
    """Airflow knows a watcher by this: were it another after an upgrade, the watcher would be a new one."""
    plain = NewBlobsTrigger(uri="blob:lake/in/")
    assert plain.serialize() == (
        "airflow_provider_neuro_buckets.triggers.blobs.NewBlobsTrigger",
        {
            "uri": "blob:lake/in/",
            "neuro_buckets_conn_id": "neuro_buckets_default",
            "poke_interval": 60.0,
            "max_events_per_poll": 100,
            "min_size": 0,
            "newer_than": None,
            "stable_for": 0.0,
        },
    )
    assert watching.memory_key("blob:lake/in/") == "neuro_buckets_new_blobs_09fc4937631cb74815ff1e9511284570"


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"poke_interval": 5, "max_events_per_poll": 7, "min_size": "3", "stable_for": 2},
        {"newer_than": datetime(2026, 1, 31, 12, tzinfo=UTC)},
        {"newer_than": "2026-01-31T14:00:00+02:00"},
    ],
)
def test_it_survives_the_database_and_stays_the_same_watcher_f101(options: dict[str, Any]) -> None:
    path, arguments = NewBlobsTrigger(uri="blob:lake/in/*.csv", **options).serialize()
    stored: Any = Trigger._decrypt_kwargs(Trigger.encrypt_kwargs(arguments))
    through_serde: Any = serde.deserialize(json.loads(json.dumps(serde.serialize(arguments))))
    for again in (import_string(path)(**stored), import_string(path)(**through_serde)):
        assert again.serialize() == (path, arguments)
        assert BaseEventTrigger.hash(path, arguments) == BaseEventTrigger.hash(*again.serialize())


def test_an_asset_takes_it_as_its_watcher() -> None:
    watcher = AssetWatcher(name="incoming", trigger=NewBlobsTrigger(uri="blob:lake/in/"))
    assert Asset("incoming", watchers=[watcher]).watchers == [watcher]


@pytest.mark.parametrize(
    "wrong",
    [
        {"uri": "s3://lake/in/"},
        {"uri": "blob:la*ke/in/"},
        {"uri": "blob:lake/*/"},
        {"uri": "blob:lake/" + "*" * 100},
        {"poke_interval": 0},
        {"poke_interval": float("nan")},
        {"max_events_per_poll": 0},
        {"min_size": "many"},
        {"newer_than": "yesterday"},
        {"stable_for": -1},
    ],
)
def test_what_can_never_work_is_refused_when_the_dag_is_parsed(wrong: dict[str, Any]) -> None:
    """A watcher has no task, and so no log in which its author would find it later."""
    with pytest.raises(ConfigurationError):
        NewBlobsTrigger(**{"uri": "blob:lake/in/", **wrong})
