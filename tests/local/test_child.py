"""Platforms that a program starts for a while: they stop with it, however it ends."""

from __future__ import annotations

import json
import os
import signal
import sys
import textwrap
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from airflow_provider_neuro_buckets.buckets import BucketsConfig
from airflow_provider_neuro_buckets.local import child
from airflow_provider_neuro_buckets.local.child import RunningPlatform, local_platform
from local.processes import Desk, until
from local.rest import Rest, send

STARTS_ONE = textwrap.dedent("""
    import time
    from airflow_provider_neuro_buckets.local.child import local_platform
    with local_platform() as platform:
        print(platform.pid, flush=True)
        time.sleep(1000)
""")


def _fail_with(platform: RunningPlatform) -> None:
    assert send("GET", f"{platform.api_url}/ping").status == 200
    raise ZeroDivisionError


def test_it_is_gone_when_its_block_is_left(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(desk.folder))
    with pytest.raises(ZeroDivisionError), local_platform() as platform:
        _fail_with(platform)

    assert [pid for pid in desk.alive() if pid != os.getpid()] == []
    assert desk.files() == []


def test_one_that_does_not_stop_in_order_is_killed_and_takes_its_storage_along(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(desk.folder))
    monkeypatch.setattr(child, "_STOP_SECONDS", 0.1)
    with local_platform() as platform:
        os.kill(platform.pid, signal.SIGSTOP)  # it hears of nothing any more
    until(lambda: not [pid for pid in desk.alive() if pid != os.getpid()])


def test_it_stops_in_order_when_whoever_started_it_is_killed(desk: Desk) -> None:
    with desk.start([sys.executable, "-c", STARTS_ONE]) as owner:
        assert owner.stdout is not None
        assert int(owner.stdout.readline()) in desk.alive()
        assert desk.files() != []
        os.kill(owner.pid, signal.SIGKILL)
        owner.wait()
        desk.wait_until_nobody_is_left()

    assert desk.files() == []


def test_it_stops_when_whoever_started_it_is_killed_before_it_is_ready(desk: Desk) -> None:
    with desk.start([sys.executable, "-c", STARTS_ONE]) as owner:
        until(lambda: bool(desk.alive("weed")))
        os.kill(owner.pid, signal.SIGKILL)
        owner.wait()
        desk.wait_until_nobody_is_left()

    assert desk.files() == []


def test_it_outlives_the_thread_that_started_it() -> None:
    block = local_platform()
    with ThreadPoolExecutor(1) as pool:
        platform = pool.submit(block.__enter__).result()
    try:
        assert send("GET", f"{platform.api_url}/ping").body == "Pong"
    finally:
        block.__exit__(None, None, None)


def test_a_platform_that_does_not_start_raises_with_its_status(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    data = tmp_path / "file"
    data.touch()
    with (
        pytest.raises(RuntimeError, match=r"^the local platform did not start \(exit status 1\); see above$"),
        local_platform(["--data-dir", str(data)]),
    ):
        pytest.fail("it started")

    assert capfd.readouterr().err == f"{data} cannot keep the data (File exists). Choose another --data-dir.\n"


def test_two_platforms_run_beside_each_other(neuro_buckets_local: RunningPlatform) -> None:
    with local_platform() as other:
        assert send("GET", f"{neuro_buckets_local.api_url}/ping").status == 200
        foreign = Rest(buckets_url=other.buckets_url, token=neuro_buckets_local.token)
        assert foreign.call("GET", "buckets?org_name=neuro&project_name=demo").status == 401


class TestWhatItTells:
    def test_its_configuration_is_that_of_a_client_to_it(self, neuro_buckets_local: RunningPlatform) -> None:
        config = neuro_buckets_local.config

        assert isinstance(config, BucketsConfig)
        assert str(config.buckets_url) == neuro_buckets_local.buckets_url
        assert (config.cluster_name, config.org_name, config.project_name) == ("local", "neuro", "demo")

    def test_its_connection_is_json_for_airflow(self, neuro_buckets_local: RunningPlatform) -> None:
        connection = json.loads(neuro_buckets_local.connection)

        assert connection["conn_type"] == "neuro_buckets"
        assert connection["host"] == neuro_buckets_local.api_url
        assert connection["password"] == neuro_buckets_local.token

    def test_its_repr_shows_no_secret(self, neuro_buckets_local: RunningPlatform) -> None:
        shown = repr(neuro_buckets_local)

        assert neuro_buckets_local.token not in shown
        assert neuro_buckets_local.readonly_token not in shown


def test_asking_for_a_platform_loads_no_server(desk: Desk) -> None:
    code = "import sys, airflow_provider_neuro_buckets.local.child; print(sorted(sys.modules))"
    loaded = desk.run(sys.executable, "-c", code).stdout

    assert not [
        name for name in ("aiohttp", "botocore", "aiobotocore", "azure", "airflow.sdk") if f"'{name}'" in loaded
    ]
