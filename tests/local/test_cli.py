"""``neuro-buckets-local`` as a process: what it prints, how it refuses, and that nothing is left however it ends."""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from airflow_provider_neuro_buckets.local.child import RunningPlatform
from airflow_provider_neuro_buckets.local.weed import reserved_ports
from local.processes import PROGRAM, Desk, family, listening, ready, sockets_in_tmp, until
from local.rest import Rest, send

KEYS = {
    "connection",
    "buckets_url",
    "token",
    "readonly_token",
    "cluster_name",
    "org_name",
    "project_name",
    "pid",
}
LOOPBACK = "0100007F"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_one_line_of_json_is_printed_and_a_signal_stops_everything_in_order(desk: Desk, number: signal.Signals) -> None:
    with desk.start([*PROGRAM, "--json"]) as process:
        said = ready(process)
        ports = {port for _, port in listening(desk.alive("weed"))}
        process.send_signal(number)
        rest, errors = process.communicate(timeout=60)

    assert said.keys() == KEYS
    assert said["pid"] == process.pid
    assert said["connection"] == {
        "conn_type": "neuro_buckets",
        "host": said["buckets_url"].removesuffix("/buckets"),
        "password": said["token"],
        "extra": {"cluster_name": "local", "org_name": "neuro", "project_name": "demo"},
    }
    assert (rest, errors, process.returncode) == ("", "", 0)
    assert desk.alive() == []
    assert desk.files() == []
    assert ports
    assert sockets_in_tmp(ports) == []


def test_without_json_the_connection_for_airflow_is_printed(desk: Desk) -> None:
    with desk.start(PROGRAM) as process:
        assert process.stdout is not None
        line = next(line for line in process.stdout if "AIRFLOW_CONN_" in line)
        process.terminate()
        assert process.wait(60) == 0

    name, _, value = line.strip().partition("=")
    assert name == "export AIRFLOW_CONN_NEURO_BUCKETS_DEFAULT"
    assert json.loads(value.strip("'"))["conn_type"] == "neuro_buckets"


def test_sigkill_takes_the_storage_with_it(desk: Desk) -> None:
    with desk.start([*PROGRAM, "--json"]) as process:
        ready(process)
        assert len(desk.alive("weed")) == 1
        process.kill()
        process.wait()
        desk.wait_until_nobody_is_left()


def _at_once(_: Desk) -> bool:
    return True


def _when_it_has_a_folder(desk: Desk) -> bool:
    return bool(desk.files())


def _when_its_storage_starts(desk: Desk) -> bool:
    return bool(desk.alive("weed"))


STAGES = [_at_once, _when_it_has_a_folder, _when_its_storage_starts]


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_while_it_starts_leaves_nothing(
    desk: Desk, stage: Callable[[Desk], bool], number: signal.Signals
) -> None:
    with desk.start([*PROGRAM, "--json"]) as process:
        until(lambda: stage(desk))
        process.send_signal(number)
        said, _ = process.communicate(timeout=60)

    assert said == ""
    assert desk.alive() == []
    assert desk.files() == []


def test_further_signals_do_not_disturb_its_stop(desk: Desk) -> None:
    with desk.start([*PROGRAM, "--json", "--data-dir", str(desk.folder / "data")]) as process:
        ready(process)
        process.terminate()
        process.send_signal(signal.SIGINT)
        process.terminate()
        assert process.wait(60) == 0

    assert desk.alive() == []
    assert desk.files() == ["data"]


def test_everything_listens_on_loopback_alone(neuro_buckets_local: RunningPlatform) -> None:
    found = listening(family(neuro_buckets_local.pid))

    assert len(found) > 5
    assert {address for address, _ in found} == {LOOPBACK}


def test_it_ends_with_one_sentence_when_its_storage_dies(desk: Desk) -> None:
    with desk.start([*PROGRAM, "--json"]) as process:
        ready(process)
        (storage,) = desk.alive("weed")
        os.kill(storage, signal.SIGKILL)
        _, errors = process.communicate(timeout=60)

    assert process.returncode == 1
    assert errors.startswith("The storage server ended with status -9. It said: ")
    assert errors.count("\n") == 1
    assert desk.files() == []


def test_a_port_in_use_is_one_sentence_and_status_1(desk: Desk) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = desk.run(*PROGRAM, "--json", "--port", str(port))

    assert done.stderr == f"Port {port} cannot be used (Address already in use). Choose another --port.\n"
    assert (done.stdout, done.returncode) == ("", 1)
    assert desk.files() == []


def test_the_port_that_is_asked_for_is_used(desk: Desk) -> None:
    with reserved_ports() as ports, desk.start([*PROGRAM, "--json", "--port", str(ports.s3)]) as process:
        assert ready(process)["buckets_url"] == f"http://127.0.0.1:{ports.s3}/api/v1/buckets"


def _without_weed(desk: Desk) -> tuple[list[str], dict[str, str]]:
    """Return the command with a Python that has no ``weed`` beside it, and a PATH that has none either."""
    folder = desk.folder.parent / "bin"
    folder.mkdir()
    python = folder / "python"
    python.symlink_to(Path(sys.executable).resolve())
    return [str(python), *PROGRAM[1:]], {"PATH": str(folder), "PYTHONPATH": os.pathsep.join(sys.path)}


def test_a_missing_storage_server_is_one_sentence_and_status_1(desk: Desk) -> None:
    command, environment = _without_weed(desk)
    done = desk.run(*command, "--json", **environment)

    assert done.stderr == (
        "The storage server of the local platform is not installed. "
        "Run: pip install 'airflow-provider-neuro-buckets[local]'.\n"
    )
    assert (done.stdout, done.returncode) == ("", 1)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("#!/bin/sh\necho it is broken\nexit 3\n", "The storage server does not start. It said: it is broken.\n"),
        ("#!/no/such/shell\n", "cannot be run (No such file or directory). Install it again.\n"),
    ],
)
def test_a_broken_storage_server_is_one_sentence_and_status_1(desk: Desk, content: str, says: str) -> None:
    command, environment = _without_weed(desk)
    program = Path(environment["PATH"]) / "weed"
    program.write_text(content)
    program.chmod(0o755)
    done = desk.run(*command, "--json", **environment)

    assert done.stderr.endswith(says)
    assert done.stderr.count("\n") == 1
    assert (done.stdout, done.returncode) == ("", 1)
    assert desk.files() == []


@pytest.mark.parametrize(
    "arguments",
    [
        ("--port", "65536"),
        ("--port", "-1"),
        ("--port", "http"),
        ("--credentials-seconds", "0"),
        ("--credentials-seconds", "129601"),
    ],
)
def test_a_number_out_of_range_is_refused(desk: Desk, arguments: tuple[str, str]) -> None:
    done = desk.run(*PROGRAM, *arguments)

    assert done.returncode == 2
    assert f"argument {arguments[0]}: '{arguments[1]}' is not a number from " in done.stderr


def test_the_environment_of_the_user_does_not_reach_it(desk: Desk) -> None:
    hostile = {
        "AWS_PROFILE": "nobody",
        "AWS_CONFIG_FILE": "/nowhere/config",
        "AWS_ENDPOINT_URL": "http://127.0.0.1:9",
        "AWS_ACCESS_KEY_ID": "not-ours",
        "AWS_SECRET_ACCESS_KEY": "not-ours",
        "HTTP_PROXY": "http://127.0.0.1:9",
        "http_proxy": "http://127.0.0.1:9",
        "all_proxy": "http://127.0.0.1:9",
        "WEED_S3_PORT": "1",
        "S3_BUCKET": "made-by-nobody",
    }
    with desk.start([*PROGRAM, "--json"], hostile) as process:
        said = ready(process)
        user = Rest(buckets_url=said["buckets_url"], token=said["token"])
        bucket = user.bucket()
        assert send("GET", user.signed(bucket, "missing")).status == 404


def test_the_command_is_installed(desk: Desk) -> None:
    command = Path(sys.executable).with_name("neuro-buckets-local")

    assert desk.run(str(command), "--help").stdout.startswith("usage: neuro-buckets-local ")


def test_it_says_nothing_secret_on_its_way(desk: Desk) -> None:
    with desk.start([*PROGRAM, "--json"]) as process:
        said = ready(process)
        user = Rest(buckets_url=said["buckets_url"], token=said["token"])
        user.imported("open_stack", "theirs", secret_access_key="an-imported-secret")
        (imported,) = user.done("GET", "buckets?org_name=neuro&project_name=demo")
        assert user.call("PATCH", f"buckets/{imported['id']}", {"public": True}).status == 500
        assert user.call("POST", "persistent_credentials", {"bucket_ids": [["unhashable"]]}).status == 500
        process.terminate()
        _, errors = process.communicate(timeout=60)

    assert "an-imported-secret" not in errors
    assert said["token"] not in errors
