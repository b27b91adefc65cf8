"""Commands as a person runs them: in a process of its own, from a shell."""

from __future__ import annotations

import json
import os
import pty
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from cli.running import AIRFLOW, run_airflow
from platform_rig import Platform, WatchedPlatform
from storage_front import where_transfers_stall

PACKAGE = "airflow_provider_neuro_buckets"

START = """
import sys
from airflow.cli.cli_parser import get_parser
get_parser().parse_args(["neuro-buckets", "ls", "blob:b"])
print(*sys.modules)
"""


KEEP = """
import sys
from airflow.models.connection import Connection
from airflow.utils import db
from airflow.utils.session import create_session
db.initdb()
with create_session() as session:
    session.add(Connection.from_json(sys.argv[1], conn_id="stored"))
"""


def test_the_start_of_airflow_loads_names_and_arguments_and_no_library_because_of_us(shell: dict[str, str]) -> None:
    loaded = subprocess.check_output([sys.executable, "-c", START], env=shell, text=True).split()
    ours = {name.removeprefix(PACKAGE) for name in loaded if name.startswith(PACKAGE)}
    assert ours == {"", ".get_provider_info", ".cli", ".cli.definition"}
    heavy = {"aiobotocore", "aiohttp", "azure", "boto3", "botocore", "multidict", "yarl"}
    assert not heavy & {name.split(".")[0] for name in loaded}


def test_what_a_program_reads_is_json_and_nothing_else(shell: dict[str, str], bucket: str) -> None:
    ran = run_airflow(["buckets", "get", bucket, "-o", "json"], shell)
    assert (ran.status, ran.err) == (0, "")
    assert json.loads(ran.out)[0]["name"] == bucket


def test_log_lines_show_when_asked_for(shell: dict[str, str], bucket: str) -> None:
    ran = run_airflow(["buckets", "get", bucket, "-o", "json", "--verbose"], shell)
    assert ran.status == 0
    assert ran.err != ""
    assert json.loads(ran.out)[0]["name"] == bucket


def test_a_connection_in_the_metadata_database_is_found(shell: dict[str, str], platform: Platform, bucket: str) -> None:
    del shell["AIRFLOW_CONN_NEURO_BUCKETS_DEFAULT"]
    subprocess.run([sys.executable, "-c", KEEP, platform.running.connection], env=shell, check=True)
    ran = run_airflow(["buckets", "get", bucket, "--conn-id", "stored", "-o", "json"], shell)
    assert (ran.status, ran.err) == (0, "")
    assert json.loads(ran.out)[0]["name"] == bucket


def test_without_a_connection_one_sentence_says_what_to_do(shell: dict[str, str]) -> None:
    del shell["AIRFLOW_CONN_NEURO_BUCKETS_DEFAULT"]
    ran = run_airflow(["buckets", "list"], shell)
    assert (ran.status, ran.out, ran.err.count("\n")) == (1, "", 1)
    assert "'neuro_buckets_default'" in ran.err
    assert "--conn-id" in ran.err


@pytest.fixture
def silent_server() -> socket.socket:
    """A server that takes a connection, and never answers."""
    server = socket.create_server(("127.0.0.1", 0))
    server.settimeout(120)  # for a command that ends before it asks
    return server


def test_ctrl_c_stops_a_command_that_waits_with_no_traceback(
    shell: dict[str, str], silent_server: socket.socket
) -> None:
    with silent_server:
        host = f"http://127.0.0.1:{silent_server.getsockname()[1]}/api/v1"
        shell["AIRFLOW_CONN_SILENT"] = json.dumps({"conn_type": "neuro_buckets", "host": host, "password": "token"})
        process = subprocess.Popen(
            [AIRFLOW, "neuro-buckets", "buckets", "list", "--conn-id", "silent"],
            env=shell,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        with silent_server.accept()[0]:
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=60)
    assert (process.returncode, out, err) == (130, "", "Stopped.\n")


def test_nobody_reads_the_output_and_nobody_is_told(shell: dict[str, str], bucket: str) -> None:
    process = subprocess.Popen(
        [AIRFLOW, "neuro-buckets", "buckets", "get", bucket],
        env=shell,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    process.stdout.close()
    assert process.stderr is not None
    assert process.stderr.read() == ""
    process.stderr.close()
    assert process.wait(60) == 141


def on_terminal(
    arguments: list[str], environment: dict[str, str], *, stop_at: bytes | None = None
) -> tuple[int, str, str]:
    """Run a command whose stderr is a terminal; return its status, its stdout, and what the terminal was sent.

    :param stop_at: press Ctrl-C when the terminal shows this.
    """
    ours, its = pty.openpty()
    process = subprocess.Popen(
        [AIRFLOW, "neuro-buckets", *arguments],
        env=environment | {"TERM": "xterm-256color", "COLUMNS": "160"},
        stdout=subprocess.PIPE,
        stderr=its,
        text=True,
    )
    os.close(its)
    seen = b""
    try:
        while chunk := os.read(ours, 65536):
            seen += chunk
            if stop_at is not None and stop_at in seen:
                process.send_signal(signal.SIGINT)
                stop_at = None
    except OSError:  # how Linux says that the other end of a terminal is closed
        pass
    finally:
        os.close(ours)
    out, _ = process.communicate(timeout=60)
    return process.returncode, out, seen.decode()


def test_on_a_terminal_a_bar_shows_files_and_bytes_and_leaves_one_line(
    shell: dict[str, str], bucket: str, tmp_path: Path
) -> None:
    source = tmp_path / "source"
    source.mkdir()
    for number in range(3):
        (source / f"file {number}").write_bytes(b"x" * 1_000_000)
    for arguments, verb in (
        (["-r", str(source), f"blob:{bucket}/data"], "Uploading"),
        (["-r", f"blob:{bucket}/data", str(tmp_path / "back")], "Downloading"),
    ):
        status, out, seen = on_terminal(["cp", *arguments], shell)
        assert status == 0
        assert verb in seen
        assert "3 of 3 files" in seen
        assert "3.0/3.0 MB" in seen
        assert seen.endswith("\x1b[2K")  # the bar is wiped out
        assert out.startswith("3 files to ")
        assert out.count("\n") == 1
    status, _, seen = on_terminal(["cp", str(source / "file 0"), f"blob:{bucket}/one"], shell)
    assert status == 0
    assert "1 of 1 files" in seen


def test_ctrl_c_in_the_middle_of_an_upload_leaves_no_part_of_the_blob(
    shell: dict[str, str], watched: WatchedPlatform, tmp_path: Path
) -> None:
    with (tmp_path / "large").open("wb") as file:
        file.truncate(512 * 1024 * 1024)
    with watched.fresh_bucket() as bucket, where_transfers_stall(watched, bucket) as connection:
        shell["AIRFLOW_CONN_NEURO_BUCKETS_DEFAULT"] = connection
        # The bar counts files as soon as the first part has arrived.
        arguments = ["cp", str(tmp_path / "large"), f"blob:{bucket}"]
        status, out, seen = on_terminal(arguments, shell, stop_at=b"0 of 1 files")
        assert (status, out) == (130, "")
        assert seen.endswith("Stopped.\r\n")
        assert "Traceback" not in seen
        assert watched.keys(bucket) == []
        assert watched.unfinished(bucket) == []


def test_the_help_of_every_command_tells_its_arguments(shell: dict[str, str]) -> None:
    helps = subprocess.run(
        [sys.executable, "-c", HELP], env=shell, check=True, capture_output=True, text=True
    ).stdout.split("\0")
    assert len(helps) == len(COMMANDS)
    for command, text in zip(COMMANDS, helps, strict=True):
        assert f"airflow neuro-buckets {command} [-h]" in " ".join(text.split())
        assert "--conn-id" in text
        assert "--output" in text


COMMANDS = [
    *(f"buckets {verb}" for verb in ("list", "create", "get", "rm")),
    *("ls", "glob", "cp", "rm", "sign", "du"),
    *(f"credentials {verb}" for verb in ("list", "create", "get", "rm")),
]

HELP = f"""
from contextlib import suppress
from airflow.cli.cli_parser import get_parser
parser = get_parser()
for number, command in enumerate({COMMANDS!r}):
    if number:
        print(end="\\0")
    with suppress(SystemExit):
        parser.parse_args(["neuro-buckets", *command.split(), "--help"])
"""
