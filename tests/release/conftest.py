"""Tests of what is released: the files that were built, and the wheel as it is installed beside other providers.

``make release-check`` runs them, in an environment into which the wheel was installed and which knows no checkout.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[2]

# Airflow reads its environment when it is first imported, which is after this file and before any test.
os.environ |= {
    "AIRFLOW_HOME": tempfile.mkdtemp(prefix="neuro-buckets-release-"),
    "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
    "AIRFLOW__CORE__TEST_CONNECTION": "Enabled",
}


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--dist", type=Path, required=True, help="the folder with the files to release")


@pytest.fixture(scope="session")
def checkout() -> Path:
    return CHECKOUT


@pytest.fixture(scope="session")
def wheel(request: pytest.FixtureRequest) -> Path:
    (found,) = Path(request.config.getoption("--dist")).glob("*.whl")
    return found


@pytest.fixture(scope="session")
def source(request: pytest.FixtureRequest) -> Path:
    (found,) = Path(request.config.getoption("--dist")).glob("*.tar.gz")
    return found
