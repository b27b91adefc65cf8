"""For the tests of DAG authors: the fixture `neuro_buckets_local`, a platform for the whole session.

It has `connection` (an Airflow connection as JSON), `config` (a `BucketsConfig`), the tokens and the addresses.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from airflow_provider_neuro_buckets.local.child import RunningPlatform


@pytest.fixture(scope="session")
def neuro_buckets_local() -> Iterator[RunningPlatform]:
    """Start a local platform in a process of its own; it stops after the last test, or when the test run dies."""
    from airflow_provider_neuro_buckets.local.child import local_platform  # noqa: PLC0415 - a plugin loads with every pytest

    with local_platform() as platform:
        yield platform
