"""What a filesystem holds while it lives: nothing before its first use, no secret in a pickle, a fresh token."""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import multiprocessing.connection
import os
import pickle
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import Context
from types import FrameType
from typing import TypeVarTuple

import fsspec
import pytest
from fsspec.asyn import get_loop

from airflow_here import get_fs as airflow_fs
from airflow_provider_neuro_buckets import get_provider_info
from airflow_provider_neuro_buckets.buckets.errors import AuthenticationError, ConfigurationError
from airflow_provider_neuro_buckets.fs import running
from airflow_provider_neuro_buckets.fs.blob import BlobFileSystem, get_fs, schemes
from airflow_provider_neuro_buckets.local.child import RunningPlatform
from fs.conftest import opened
from platform_rig import Platform, WatchedPlatform
from signalling import signal_from_here

Ts = TypeVarTuple("Ts")

MIB = 1024 * 1024


def in_fresh_process(script: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", script, *arguments],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **environment},
    )


def test_airflow_asks_for_it_by_its_scheme_and_gets_one_for_each_connection() -> None:
    assert schemes == ["blob"]
    assert get_fs("lake").conn_id == "lake"
    assert get_fs(None).conn_id is None
    assert get_fs("lake", {}) is get_fs("lake") is fsspec.filesystem("blob", conn_id="lake")
    assert get_fs("lake") is not get_fs("sea")
    assert get_fs("lake").fsid != get_fs("sea").fsid


def test_airflow_finds_it_in_the_provider_info_and_fsspec_in_the_distribution() -> None:
    module = "airflow_provider_neuro_buckets.fs.blob"
    assert module in get_provider_info()["filesystems"]
    assert airflow_fs("blob", "lake") is get_fs("lake")
    assert fsspec.get_filesystem_class("blob") is BlobFileSystem


def test_making_one_looks_up_no_connection_and_starts_no_thread() -> None:
    script = """
import sys, threading
from airflow_provider_neuro_buckets.fs.blob import get_fs
get_fs("no_such_connection")
heavy = {"aiohttp", "aiobotocore", "botocore", "azure", "google", "yarl", "airflow"} & set(sys.modules)
assert not heavy, heavy
assert threading.enumerate() == [threading.main_thread()]
"""
    done = in_fresh_process(script)
    assert done.returncode == 0, done.stderr


def test_a_connection_that_is_not_there_is_told_at_the_first_use() -> None:
    with pytest.raises(ConfigurationError, match="there is no Airflow connection 'no_such_connection'"):
        get_fs("no_such_connection").ls("bucket")


def test_a_pickle_holds_the_conn_id_and_nothing_of_the_connection_f113(
    fs: BlobFileSystem, bucket: str, neuro_buckets_local: RunningPlatform
) -> None:
    fs.pipe(f"{bucket}/blob", b"content")
    pickled = pickle.dumps(fs)
    assert neuro_buckets_local.token.encode() not in pickled
    assert neuro_buckets_local.token not in fs.to_json() + repr(fs)
    assert pickle.loads(pickled).cat(f"{bucket}/blob") == b"content"
    with fs.open(f"{bucket}/blob") as file:
        file.read(3)
        assert pickle.loads(pickle.dumps(file)).read() == b"tent"
    with fs.open(f"{bucket}/blob", "wb") as file, pytest.raises(RuntimeError):
        pickle.dumps(file)


def test_many_threads_share_one(fs: BlobFileSystem, bucket: str) -> None:
    paths = [f"{bucket}/{number}" for number in range(32)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda path: fs.pipe(path, path.encode()), paths))
        assert list(pool.map(fs.cat, paths)) == [path.encode() for path in paths]


@pytest.mark.usefixtures("platform")
def test_coroutines_use_it_on_their_own_loop(bucket: str) -> None:
    async def use() -> bytes:
        fs = BlobFileSystem(asynchronous=True, skip_instance_cache=True)
        try:
            await fs._pipe_file(f"{bucket}/blob", b"content")
            with pytest.raises(RuntimeError, match="await the _method instead"):
                fs.cat(f"{bucket}/blob")
            return await fs._cat_file(f"{bucket}/blob")
        finally:
            await fs.aclose()

    assert asyncio.run(use()) == asyncio.run(use()) == b"content"


def test_a_blocking_call_works_in_a_thread_whose_own_loop_is_running(fs: BlobFileSystem, bucket: str) -> None:
    async def use() -> list[str]:
        fs.pipe(f"{bucket}/blob", b"content")
        found: list[str] = fs.ls(bucket, detail=False)
        return found

    assert asyncio.run(use()) == [f"{bucket}/blob"]


def test_a_blocking_call_on_the_very_loop_that_has_to_answer_is_refused_and_does_not_hang(fs: BlobFileSystem) -> None:
    async def call() -> None:
        fs.ls("bucket")

    with pytest.raises(RuntimeError, match="await the _method instead"):
        asyncio.run_coroutine_threadsafe(call(), get_loop()).result()


# Forks


def _in_child(fs: BlobFileSystem, path: str, file: object, answers: multiprocessing.connection.Connection) -> None:
    try:
        fs.pipe(f"{path}-of-child", b"child")
        answers.send(fs.cat(path))
        del file
    except BaseException as error:  # noqa: BLE001 - told to the parent
        answers.send(repr(error))


def test_a_forked_process_and_its_parent_both_go_on(fs: BlobFileSystem, bucket: str) -> None:
    """Airflow keeps filesystems for the life of a process, and forks."""
    path = f"{bucket}/blob"
    fs.pipe(path, b"content")
    with fs.open(f"{bucket}/open", "wb") as file:
        file.write(b"x" * 12 * MIB)
        mine, its = multiprocessing.Pipe()
        child = multiprocessing.get_context("fork").Process(target=_in_child, args=(fs, path, file, its))
        child.start()
        assert mine.recv() == b"content"
        child.join()
        assert fs.cat(f"{path}-of-child") == b"child"
    assert fs.size(f"{bucket}/open") == 12 * MIB


# Ends


def test_a_process_that_ends_leaves_nothing_unclosed(platform: Platform, bucket: str) -> None:
    script = """
import sys
from airflow_provider_neuro_buckets.fs.blob import get_fs
fs = get_fs(None)
path = sys.argv[1] + "/blob"
with fs.open(path, "wb") as file:
    file.write(b"content")
print(fs.cat(path).decode())
"""
    connection = {"AIRFLOW_CONN_NEURO_BUCKETS_DEFAULT": platform.running.connection, "PYTHONWARNINGS": "default"}
    done = in_fresh_process(script, bucket, **connection)
    assert (done.returncode, done.stdout.splitlines()[-1]) == (0, "content"), done.stderr
    assert "nclosed" not in done.stdout + done.stderr
    assert "Traceback" not in done.stderr


class TimeIsUpError(BaseException):
    """What a task's time-out raises: nobody catches it by accident."""


@contextmanager
def interrupted_at(moment: threading.Event) -> Iterator[None]:
    """Raise in the main thread when the moment comes, as a time-out does."""

    def raise_it(number: int, frame: FrameType | None) -> None:
        raise TimeIsUpError(number, frame)

    def wait() -> None:
        moment.wait(60)
        signal_from_here(signal.SIGUSR1)

    before = signal.signal(signal.SIGUSR1, raise_it)
    thread = threading.Thread(target=wait)
    thread.start()
    try:
        yield
    finally:
        moment.set()
        thread.join()
        signal.signal(signal.SIGUSR1, before)


def test_an_upload_that_is_interrupted_is_aborted_before_the_call_returns(watched: WatchedPlatform) -> None:
    with watched.fresh_bucket() as bucket, opened() as fs:
        moment = threading.Event()

        def write() -> None:
            with fs.open(f"{bucket}/blob", "wb") as file:
                for number in range(4096):
                    file.write(b"x" * MIB)
                    if number == 40:
                        assert watched.unfinished(bucket) == ["blob"]
                        moment.set()

        with pytest.raises(TimeIsUpError), interrupted_at(moment):
            write()
        assert watched.unfinished(bucket) == []
        assert fs.ls(bucket) == []


class Hanging:
    """A call that hangs once it has begun, and takes a moment to clean up."""

    def __init__(self) -> None:
        self.begun = threading.Event()
        self.has_cleaned_up = False

    async def __call__(self) -> None:
        self.begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0.01)
            self.has_cleaned_up = True


def test_a_call_that_is_interrupted_is_cancelled_and_has_cleaned_up_when_it_returns() -> None:
    hanging = Hanging()
    with pytest.raises(TimeIsUpError), interrupted_at(hanging.begun):
        running.run(get_loop(), hanging)
    assert hanging.has_cleaned_up


class LoopThatInterrupts(asyncio.SelectorEventLoop):
    """Whoever submits the first call to it is interrupted in that very moment.

    It runs in a thread of its own, from the start, or only from the second call on.
    """

    def __init__(self, *, begun: threading.Event | None) -> None:
        super().__init__()
        self._begun = begun
        self._calls = 0
        self._thread = threading.Thread(target=self.run_forever)
        if begun is not None:
            self._thread.start()

    def call_soon_threadsafe(
        self, callback: Callable[[*Ts], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.Handle:
        handle = super().call_soon_threadsafe(callback, *args, context=context)
        self._calls += 1
        if self._calls == 1:
            assert self._begun is None or self._begun.wait(60)
            raise TimeIsUpError
        if self._calls == 2 and self._begun is None:
            self._thread.start()
        return handle

    def end(self) -> None:
        """Run what was submitted, then end."""
        asyncio.run_coroutine_threadsafe(asyncio.sleep(0), self).result()
        self.call_soon_threadsafe(self.stop)
        self._thread.join()
        self.close()


def test_a_call_that_is_interrupted_while_it_is_handed_over_has_cleaned_up_as_well() -> None:
    hanging = Hanging()
    loop = LoopThatInterrupts(begun=hanging.begun)
    with pytest.raises(TimeIsUpError):
        running.run(loop, hanging)
    assert hanging.has_cleaned_up
    loop.end()


def test_a_call_that_is_interrupted_before_it_begins_never_does() -> None:
    diary: list[str] = []

    async def write() -> None:
        diary.append("begun")

    loop = LoopThatInterrupts(begun=None)
    with pytest.raises(TimeIsUpError):
        running.run(loop, write)
    loop.end()
    assert diary == []


# Tokens


def test_a_token_that_was_replaced_in_the_connection_is_taken_up_without_a_new_filesystem(
    neuro_buckets_local: RunningPlatform, platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    good = json.loads(neuro_buckets_local.connection)
    monkeypatch.setenv("AIRFLOW_CONN_LAKE", json.dumps(good | {"password": "expired-token"}))
    with platform.fresh_bucket() as bucket, opened("lake") as fs:
        for _ in range(2):
            with pytest.raises(AuthenticationError):
                fs.ls(bucket)
        monkeypatch.setenv("AIRFLOW_CONN_LAKE", json.dumps(good))
        assert fs.ls(bucket) == []
        fs.pipe(f"{bucket}/blob", b"content")
        assert fs.cat(f"{bucket}/blob") == b"content"
