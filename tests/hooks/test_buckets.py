"""The hook against a real platform: the whole client, blocking and in coroutines, on an Airflow connection."""

from __future__ import annotations

import asyncio
import base64
import io
import json
import logging
import multiprocessing
import multiprocessing.connection
import os
import pickle
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import AirflowTaskTimeout, redact

from airflow_here import BaseHook
from airflow_provider_neuro_buckets.buckets import Buckets
from airflow_provider_neuro_buckets.buckets.errors import (
    AuthenticationError,
    PermissionDenied,
    ResourceNotFound,
)
from airflow_provider_neuro_buckets.hooks import buckets as module
from airflow_provider_neuro_buckets.hooks.blocking import Cancelled
from airflow_provider_neuro_buckets.hooks.buckets import NeuroBucketsHook
from platform_rig import Platform, WatchedPlatform, closed_port
from signalling import signal_from_here
from storage_front import where_transfers_stall

pytestmark = pytest.mark.usefixtures("nothing_left")

MIB = 1024 * 1024


# All that it does, on a real platform


def test_each_call_stands_alone(bucket: str, tmp_path: Path) -> None:
    hook = NeuroBucketsHook()
    (tmp_path / "up").mkdir()
    (tmp_path / "up" / "a b.txt").write_bytes(b"1")
    hook.put_blob(bucket, "plain", b"plain bytes")
    hook.put_blob(bucket, "pieces", [b"pi", b"eces"])
    hook.put_blob(bucket, "file", io.BytesIO(b"f" * 100))
    report = hook.upload_dir(tmp_path / "up", f"blob:{bucket}/dir", filter=lambda path: path.endswith(".txt"))
    assert (report.files, report.bytes) == (1, 1)
    assert b"".join(hook.fetch_blob(bucket, "pieces")) == b"pieces"
    assert hook.head_blob(bucket, "file").size == 100
    assert sorted(entry.key for entry in hook.list_blobs(f"blob:{bucket}", recursive=True)) == (
        ["dir/a b.txt", "file", "pieces", "plain"]
    )
    assert [entry.key for entry in hook.glob_blobs(f"blob:{bucket}/**/*.txt")] == ["dir/a b.txt"]
    assert [item.name for item in hook.list() if item.name == bucket] == [bucket]
    assert list(hook.get_disk_usage(bucket))[-1].object_count == 4
    hook.download_dir(f"blob:{bucket}/dir", tmp_path / "down")
    assert (tmp_path / "down" / "a b.txt").read_bytes() == b"1"
    hook.blob_rm(f"blob:{bucket}", recursive=True)
    hook.rm(bucket)
    with pytest.raises(ResourceNotFound):
        hook.get(bucket)


def test_a_with_block_asks_where_the_platform_is_only_once(bucket: str) -> None:
    with NeuroBucketsHook() as hook:
        client = hook.call(_itself)
        hook.put_blob(bucket, "a", b"1")
        assert hook.call(_itself) is client


async def _itself(buckets: Buckets) -> Buckets:
    return buckets


async def test_coroutines_get_the_client_itself(bucket: str) -> None:
    async with NeuroBucketsHook().connect() as buckets:
        assert isinstance(buckets, Buckets)
        await asyncio.gather(*(buckets.put_blob(bucket, key, key.encode()) for key in "abc"))
        assert [entry.key async for entry in buckets.list_blobs(f"blob:{bucket}")] == ["a", "b", "c"]


async def test_the_blocking_face_works_in_a_thread_whose_loop_is_running(bucket: str) -> None:
    hook = NeuroBucketsHook()
    hook.put_blob(bucket, "a", b"1")
    assert b"".join(hook.fetch_blob(bucket, "a")) == b"1"


def test_a_listing_that_is_left_early_closes_what_it_opened(platform: Platform, bucket: str) -> None:
    platform.put(bucket, **{f"k{number}": b"1" for number in range(10)})
    with closing(NeuroBucketsHook().list_blobs(f"blob:{bucket}", recursive=True)) as entries:
        assert [entry.key for entry in islice(entries, 2)] == ["k0", "k1"]


def test_a_download_that_is_left_early_closes_what_it_opened(platform: Platform, bucket: str) -> None:
    platform.put(bucket, big=b"x" * (4 * MIB))
    with closing(NeuroBucketsHook().fetch_blob(bucket, "big")) as chunks:
        assert next(chunks)


def test_the_hook_may_mean_another_place_than_its_connection(platform: Platform, bucket: str) -> None:
    assert NeuroBucketsHook(project_name=platform.running.project_name).get(bucket).name == bucket
    with pytest.raises((ResourceNotFound, PermissionDenied)):
        NeuroBucketsHook(project_name="another").get(bucket)


@pytest.mark.usefixtures("platform")
def test_airflow_makes_the_hook_from_a_connection() -> None:
    hook = BaseHook.get_hook("neuro_buckets_default")
    assert isinstance(hook, NeuroBucketsHook)
    assert hook.test_connection()[0] is True


# In other processes


def _ask_in_child(hook: NeuroBucketsHook, bucket: str, answers: multiprocessing.connection.Connection) -> None:
    try:
        sizes = [hook.head_blob(bucket, "blob").size]
        with hook:
            sizes.append(hook.head_blob(bucket, "blob").size)
        hook.cancel()
        hook.__exit__(None, None, None)  # what the end of the block does in which this process was forked
        answers.send(sizes)
    except BaseException as error:  # noqa: BLE001 - told to the parent
        answers.send(repr(error))


def test_a_process_that_is_forked_in_a_with_block_opens_its_own_client(platform: Platform, bucket: str) -> None:
    platform.put(bucket, blob=b"content")
    with NeuroBucketsHook() as hook:
        mine, its = multiprocessing.Pipe()
        child = multiprocessing.get_context("fork").Process(target=_ask_in_child, args=(hook, bucket, its))
        child.start()
        try:
            assert mine.poll(60), "the forked process waits for a thread that it does not have"
            assert mine.recv() == [7, 7]
        finally:
            child.kill()
            child.join()
            mine.close()
            its.close()
        assert hook.head_blob(bucket, "blob").size == 7


def test_a_pickle_holds_no_client_and_nothing_of_the_connection(platform: Platform, bucket: str) -> None:
    platform.put(bucket, blob=b"content")
    with NeuroBucketsHook(project_name=platform.running.project_name) as hook:
        pickled = pickle.dumps(hook)
    assert platform.running.token.encode() not in pickled
    assert pickle.loads(pickled).head_blob(bucket, "blob").size == 7


# The connection test


def connect(monkeypatch: pytest.MonkeyPatch, **fields: Any) -> NeuroBucketsHook:
    monkeypatch.setenv("AIRFLOW_CONN_SPECIAL", json.dumps({"conn_type": "neuro_buckets", **fields}))
    return NeuroBucketsHook("special")


def test_a_good_connection_says_for_which_place_it_is(platform: Platform) -> None:
    ok, message = NeuroBucketsHook().test_connection()
    assert ok
    for name in (platform.running.cluster_name, platform.running.org_name, platform.running.project_name):
        assert name in message


def test_a_wrong_token_fails_the_connection_test_and_is_not_shown(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    hook = connect(monkeypatch, host=platform.running.api_url, password="wrong-token-nobody-gave")
    ok, message = hook.test_connection()
    assert not ok
    assert "connection 'special'" in message
    assert "token" in message
    assert "wrong-token-nobody-gave" not in message
    with pytest.raises(AuthenticationError, match="connection 'special'"):
        hook.get("bucket")


def test_a_platform_that_is_not_running_fails_the_connection_test(monkeypatch: pytest.MonkeyPatch) -> None:
    token = "token-inside-a-config-blob"
    blob = base64.b64encode(json.dumps({"token": token, "url": f"http://127.0.0.1:{closed_port()}"}).encode()).decode()
    ok, message = connect(monkeypatch, password=blob).test_connection()
    assert not ok
    assert "connection 'special'" in message
    assert "no connection" in message
    assert "running" in message
    assert token not in message
    assert token not in str(redact(f"a log line with {token} in it"))


@contextmanager
def silent_server() -> Iterator[int]:
    """A port that takes connections and never says a word."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        yield server.getsockname()[1]


def test_a_platform_that_never_answers_fails_the_connection_test(monkeypatch: pytest.MonkeyPatch) -> None:
    assert module.TEST_SECONDS < 10
    monkeypatch.setattr(module, "TEST_SECONDS", 0.2)
    with silent_server() as port:
        ok, message = connect(monkeypatch, host=f"http://127.0.0.1:{port}", password="token").test_connection()
    assert not ok
    assert "connection 'special'" in message
    assert "no answer within" in message


def test_a_host_that_is_no_platform_fails_the_connection_test(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage = platform.ask(_storage_of_a_bucket)
    hook = connect(monkeypatch, host=storage, password=platform.running.token)
    ok, message = hook.test_connection()
    assert not ok
    assert "connection 'special'" in message


async def _storage_of_a_bucket(buckets: Buckets) -> str:
    bucket = await buckets.create()
    try:
        credentials = await buckets.request_tmp_credentials(bucket.id)
        return credentials.credentials["endpoint_url"]
    finally:
        await buckets.rm(bucket.id)


# Stopping


@contextmanager
def big_file(folder: Path, mib: int = 512) -> Iterator[Path]:
    path = folder / "big.bin"
    with path.open("wb") as file:
        file.truncate(mib * MIB)
    yield path
    path.unlink()


class UploadBegun:
    """A progress that tells when the first bytes have gone."""

    def __init__(self) -> None:
        self.event = threading.Event()

    def then(self, act: Callable[[], None]) -> threading.Thread:
        """Start a thread that acts when the first bytes have gone."""

        def wait_and_act() -> None:
            if self.event.wait(60):
                act()

        thread = threading.Thread(target=wait_and_act)
        thread.start()
        return thread

    def start(self, _: object) -> None:
        """Nothing has gone yet."""

    def complete(self, _: object) -> None:
        """It was too quick to be stopped."""

    def step(self, _: object) -> None:
        self.event.set()


def test_cancel_in_another_thread_ends_an_upload_and_nothing_of_it_is_left(
    watched: WatchedPlatform, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hook, begun = NeuroBucketsHook(), UploadBegun()
    canceller = begun.then(hook.cancel)
    with watched.fresh_bucket() as bucket, where_transfers_stall(watched, bucket) as connection:
        monkeypatch.setenv("AIRFLOW_CONN_NEURO_BUCKETS_DEFAULT", connection)
        with big_file(tmp_path) as path, pytest.raises(Cancelled):
            hook.upload_file(path, f"blob:{bucket}/big", progress=begun)
        canceller.join()
        assert watched.keys(bucket) == []
        assert watched.unfinished(bucket) == []


@pytest.mark.parametrize("interruption", [KeyboardInterrupt, AirflowTaskTimeout])
def test_what_airflow_or_ctrl_c_raises_ends_an_upload_and_nothing_of_it_is_left_f89_f90(
    watched: WatchedPlatform, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, interruption: type[BaseException]
) -> None:
    def interrupt(*_: object) -> None:
        raise interruption

    before = signal.signal(signal.SIGUSR1, interrupt)
    begun = UploadBegun()
    poker = begun.then(lambda: signal_from_here(signal.SIGUSR1))
    with watched.fresh_bucket() as bucket, where_transfers_stall(watched, bucket) as connection:
        monkeypatch.setenv("AIRFLOW_CONN_NEURO_BUCKETS_DEFAULT", connection)
        try:
            with big_file(tmp_path) as path, pytest.raises(interruption):
                NeuroBucketsHook().upload_file(path, f"blob:{bucket}/big", progress=begun)
        finally:
            poker.join()
            signal.signal(signal.SIGUSR1, before)
        assert watched.keys(bucket) == []
        assert watched.unfinished(bucket) == []


def test_the_storage_would_show_an_upload_that_nobody_ended(watched: WatchedPlatform) -> None:
    """Otherwise the tests above would prove nothing."""
    seen: list[list[str]] = []

    def body() -> Iterator[bytes]:
        yield bytes(20 * MIB)
        seen.append(watched.unfinished(bucket))

    with watched.fresh_bucket() as bucket:
        NeuroBucketsHook().put_blob(bucket, "big", body())
    assert seen == [["big"]]


# Secrets


def test_no_secret_reaches_a_log_at_any_level_f112_f111(
    platform: Platform, bucket: str, tmp_path: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    """Our own records never hold one; those of the libraries are masked by Airflow, which knows every secret."""
    caplog.set_level(logging.DEBUG)
    (tmp_path / "large").write_bytes(os.urandom(20 * MIB))
    with NeuroBucketsHook() as hook:
        credentials = hook.request_tmp_credentials(bucket).credentials
        hook.upload_file(tmp_path / "large", f"blob:{bucket}/large")
        hook.download_file(f"blob:{bucket}/large", tmp_path / "again")
        persistent = hook.persistent_credentials_create([bucket])
        link = hook.make_signed_url(f"blob:{bucket}/large")
        with pytest.raises(ResourceNotFound):
            hook.head_blob(bucket, "missing")
        hook.blob_rm(f"blob:{bucket}", recursive=True)
        hook.persistent_credentials_rm(persistent.id)
    kept = persistent.credentials[0].credentials
    secrets = [
        platform.running.token,
        *(credentials[name] for name in ("access_key_id", "secret_access_key", "session_token")),
        *(kept[name] for name in ("access_key_id", "secret_access_key")),
    ]
    printed = "".join(capfd.readouterr())
    ours = [record for record in caplog.records if record.name.startswith(("airflow", "aiohttp", "asyncio"))]
    assert caplog.records
    for secret in secrets:
        assert not [record for record in ours if secret in record.getMessage() + (record.exc_text or "")]
        assert secret not in str(redact(caplog.text))
        assert secret not in str(redact(printed))
    assert str(link) not in caplog.text
    assert str(link) not in printed


def test_every_secret_is_known_to_airflows_masker_before_anything_can_print_it(bucket: str) -> None:
    hook = NeuroBucketsHook()
    config = hook.get_config()
    credentials = hook.request_tmp_credentials(bucket).credentials
    for secret in (config.token, credentials["secret_access_key"], credentials["session_token"]):
        assert secret
        assert secret not in str(redact(f"a log line with {secret} in it"))
    assert credentials["endpoint_url"] in str(redact(f"a log line with {credentials['endpoint_url']} in it"))


async def test_secrets_met_in_coroutines_are_masked_too(bucket: str) -> None:
    async with NeuroBucketsHook().connect() as buckets:
        secret = (await buckets.request_tmp_credentials(bucket)).credentials["secret_access_key"]
    assert secret not in str(redact(f"a log line with {secret} in it"))


def test_neither_the_hook_nor_its_client_shows_the_token_f114(platform: Platform) -> None:
    with NeuroBucketsHook() as hook:
        shown = f"{hook!r} {vars(hook)} {hook.get_config()!r} {hook.call(_config)!r}"
    assert platform.running.token not in shown


async def _config(buckets: Buckets) -> object:
    return buckets.config


# Persistent credentials instead of a platform


def test_persistent_credentials_alone_read_and_write_blobs(
    platform: Platform, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with NeuroBucketsHook() as hook:
        home = hook.get(bucket)
        kept = hook.persistent_credentials_create([bucket])
    secret = {
        "credentials": [
            {
                "bucket_id": item.bucket_id,
                "provider": str(item.provider),
                "uri": str(home.uri),
                "credentials": dict(item.credentials),
            }
            for item in kept.credentials
        ]
    }
    try:
        hook = connect(monkeypatch, extra={"persistent_credentials_secret": json.dumps(secret)})
        hook.put_blob(bucket, "a", b"1")
        assert [entry.key for entry in hook.list_blobs(str(home.uri))] == ["a"]
        for item in kept.credentials:
            value = item.credentials["secret_access_key"]
            assert value not in str(redact(f"a log line with {value} in it"))
    finally:
        platform.ask(lambda buckets: buckets.persistent_credentials_rm(kept.id))
