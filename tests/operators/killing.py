"""A task that runs, so that a test can kill it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from airflow_provider_neuro_buckets.operators.base import BucketsOperator
from platform_rig import WatchedPlatform
from storage_front import where_transfers_stall


class Task:
    """An operator that runs in a thread of its own, as a task runs beside the signal that ends it."""

    def __init__(self, operator: BucketsOperator) -> None:
        self.operator = operator
        self.raised: list[BaseException] = []
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        try:
            self.operator.execute({})
        except BaseException as error:  # noqa: BLE001 - looked at by the test
            self.raised.append(error)

    def ended(self) -> BaseException | None:
        """Wait for the end; return what was raised."""
        self._thread.join(60)
        assert not self._thread.is_alive()
        return self.raised[0] if self.raised else None


def wait_until(condition: Callable[[], object]) -> None:
    for _ in range(60 * 100):
        if condition():
            return
        threading.Event().wait(0.01)
    pytest.fail("it never came to that")


@contextmanager
def stalling(platform: WatchedPlatform, bucket: str) -> Iterator[None]:
    """Let the default connection lead where no large transfer ends, while the block runs."""
    with where_transfers_stall(platform, bucket) as connection, pytest.MonkeyPatch.context() as patch:
        patch.setenv("AIRFLOW_CONN_NEURO_BUCKETS_DEFAULT", connection)
        yield
