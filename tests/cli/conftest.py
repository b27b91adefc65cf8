from __future__ import annotations

import os
from pathlib import Path

import pytest
from airflow.cli.cli_parser import get_parser

from airflow_here import before
from cli.running import Cli, Ran
from platform_rig import Platform


@pytest.fixture
def commands() -> None:
    """Skips a test where Airflow has not the commands of this provider."""
    if before(3, 2):
        pytest.skip("Airflow before 3.2 takes no commands of providers")


@pytest.fixture
def cli(
    commands: None,  # noqa: ARG001 - it skips
    platform: Platform,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> Cli:
    """``airflow neuro-buckets …`` in this process: what Airflow does once it has started. No token is ever printed."""
    # Commands set it; afterwards it is as it was.
    monkeypatch.setenv("_AIRFLOW_PROCESS_CONTEXT", "")

    def run(*arguments: str) -> Ran:
        capsys.readouterr()
        status = 0
        try:
            options = get_parser().parse_args(["neuro-buckets", *arguments])
            options.func(options)
        except SystemExit as end:
            status = int(end.code or 0)
        out, err = capsys.readouterr()
        for token in (platform.running.token, platform.running.readonly_token):
            assert token not in out + err
        return Ran(status=status, out=out, err=err)

    return run


@pytest.fixture
def shell(commands: None, platform: Platform, tmp_path: Path) -> dict[str, str]:  # noqa: ARG001 - it sets the connection
    """The environment of a person's shell that has the connection, and a place for an Airflow home."""
    ours = {"AIRFLOW_HOME": str(tmp_path / "airflow"), "AIRFLOW__CORE__LOAD_EXAMPLES": "False"}
    hidden = ("AIRFLOW__CORE__UNIT_TEST_MODE", "_AIRFLOW_PROCESS_CONTEXT")
    return {name: value for name, value in os.environ.items() if name not in hidden} | ours
