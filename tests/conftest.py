from __future__ import annotations

import faulthandler
import gc
import os
import shutil
import signal
import sys
import tempfile
import threading
from collections.abc import Generator, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

from platform_rig import Platform, WatchedPlatform

if TYPE_CHECKING:
    from airflow_provider_neuro_buckets.local.child import RunningPlatform
    from conformance.rigs.registry import Servers
    from conformance.rigs.seaweedfs import LocalServer

AIRFLOW_HOME = tempfile.mkdtemp(prefix="neuro-buckets-airflow-")

# Airflow reads its environment when it is first imported, which is after this file and before any test.
os.environ |= {
    "AIRFLOW_HOME": AIRFLOW_HOME,
    "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
    "AIRFLOW__CORE__DAGS_FOLDER": str(Path(__file__).parents[1] / "example_dags"),
    "AIRFLOW__CORE__UNIT_TEST_MODE": "True",  # operators may be executed outside of a task
}


# A shell may start what runs in the background with Ctrl-C ignored; what tests start would inherit that.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN and threading.current_thread() is threading.main_thread():
    signal.signal(signal.SIGINT, signal.default_int_handler)

CLEANING_UP = (
    "hooks.loop.CLEAN_UP_SECONDS",
    "fs.running.CLEAN_UP_SECONDS",
    "buckets.stores.aborting.ABORT_SECONDS",
    "local.child._STOP_SECONDS",
)
# How long a property takes depends on the machine.
settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")

LONGEST_TEST_SECONDS = 600.0
#: They start processes, many of them Airflow's: whatever is begun late would be waited for in the end.
SLOW = ("dags/test_in_airflow.py", "test_demo.py", "local/test_cli.py", "cli/test_process.py", "test_object_storage.py")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """Give each core two workers, for tests wait half of their time; up to eight, since each has servers of its own."""
    return min(2 * (os.cpu_count() or 1), 8)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let the files that take longest begin first."""
    ranks = {path: rank for rank, end in enumerate(SLOW) for path in {i.path for i in items} if str(path).endswith(end)}
    items.sort(key=lambda item: ranks.get(item.path, len(SLOW)))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol() -> Generator[None, object, object]:
    """End the worker of a test that hangs: pytest tells which it was, and goes on with another."""
    if "PYTEST_XDIST_WORKER" in os.environ:
        faulthandler.dump_traceback_later(LONGEST_TEST_SECONDS, exit=True)
    try:
        return (yield)
    finally:
        faulthandler.cancel_dump_traceback_later()


def pytest_unconfigure() -> None:
    shutil.rmtree(AIRFLOW_HOME, ignore_errors=True)


@pytest.fixture(scope="session", autouse=True)
def patience() -> Iterator[None]:
    """Whatever is stopped may clean up after itself for as long as it takes: a busy machine proves nothing."""
    with pytest.MonkeyPatch.context() as patch:
        for name in CLEANING_UP:
            patch.setattr(f"airflow_provider_neuro_buckets.{name}", 60.0)
        yield


@pytest.fixture(autouse=True)
def forget_secrets() -> Iterator[None]:
    """Let Airflow's masker forget the secrets of a test: it compiles all it knows anew for each one more."""
    yield
    if masker := sys.modules.get("airflow.sdk._shared.secrets_masker"):
        masker.reset_secrets_masker()


@pytest.fixture(scope="session")
def servers() -> Iterator[Servers]:
    """The servers of this process, one of a kind for all tests in it; each starts when the first test asks for it."""
    from conformance.rigs.registry import Servers  # noqa: PLC0415 - loads the client: not for every test

    with ExitStack() as stack:
        yield Servers(stack)


@pytest.fixture(scope="session")
def local_server(servers: Servers) -> LocalServer:
    """The local platform, and the secrets of its storage."""
    from conformance.rigs.seaweedfs import LocalServer  # noqa: PLC0415 - as above

    server = servers.running("seaweedfs")
    assert isinstance(server, LocalServer)
    return server


@pytest.fixture(scope="session")
def neuro_buckets_local(local_server: LocalServer) -> RunningPlatform:
    """What the plugin of the package gives to others, without starting one more."""
    return local_server.platform


@pytest.fixture
def platform(neuro_buckets_local: RunningPlatform, monkeypatch: pytest.MonkeyPatch) -> Platform:
    """A local platform, and the default Airflow connection to it."""
    monkeypatch.setenv("AIRFLOW_CONN_NEURO_BUCKETS_DEFAULT", neuro_buckets_local.connection)
    return Platform(neuro_buckets_local)


@pytest.fixture
def bucket(platform: Platform) -> Iterator[str]:
    """The name of a fresh bucket."""
    with platform.fresh_bucket() as name:
        yield name


@pytest.fixture
def watched(local_server: LocalServer, platform: Platform) -> WatchedPlatform:
    """The same platform, into whose storage a test can look as its administrator."""
    return WatchedPlatform(platform.running, local_server.owner)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """As many requests to a platform that errs as ever, with hardly any waiting between them."""
    from airflow_provider_neuro_buckets.buckets import wire  # noqa: PLC0415 - loads the client: not for every test
    from airflow_provider_neuro_buckets.buckets.retry import CONTROL_PLANE  # noqa: PLC0415 - as above

    monkeypatch.setattr(wire, "CONTROL_PLANE", replace(CONTROL_PLANE, first_wait=0.001))


@pytest.fixture
def nothing_left() -> Iterator[None]:
    """Fails a test that leaves a loop of the hook running, or something open for the garbage collector to close."""
    gc.freeze()  # what is there already need not be looked at again
    unclosed: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        # A warning about something unclosed is an error, raised where nobody can catch it.
        patch.setattr(sys, "unraisablehook", lambda found: unclosed.append(repr(found.exc_value)))
        yield
        gc.collect()
    gc.unfreeze()
    assert not unclosed
    left = [thread.name for thread in threading.enumerate() if thread.name.startswith("neuro-buckets")]
    assert not left
