from __future__ import annotations

from pathlib import Path

import pytest

from airflow_provider_neuro_buckets.local.child import RunningPlatform
from local.processes import Desk
from local.rest import Rest


@pytest.fixture
def user(neuro_buckets_local: RunningPlatform) -> Rest:
    """Who may do everything in the project of the shared platform."""
    return Rest.user(neuro_buckets_local)


@pytest.fixture
def reader(neuro_buckets_local: RunningPlatform) -> Rest:
    """Who may only read there."""
    return Rest.reader(neuro_buckets_local)


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    """Where a test starts platforms of its own."""
    folder = tmp_path / "tmp"
    folder.mkdir()
    return Desk(folder=folder)
