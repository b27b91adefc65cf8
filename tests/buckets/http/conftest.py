from __future__ import annotations

import gc
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from buckets.http.scripted import Trust
from buckets.test_session import certificate


@pytest.fixture(params=["plain", "tls"])
def tls(request: pytest.FixtureRequest, tmp_path: Path) -> Trust:
    """What a server speaks, and whom its client trusts."""
    return certificate(tmp_path, "127.0.0.1") if request.param == "tls" else (None, "")


class _Heard(logging.Handler):
    """Keeps what is logged."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.messages: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.messages.append(record.getMessage())


@pytest.fixture
def quiet(nothing_left: None) -> Iterator[None]:  # noqa: ARG001 - used for what it looks for
    """Fails a test of which asyncio complains: a task of which nobody knows how it ended, or too many writes."""
    log, heard = logging.getLogger("asyncio"), _Heard()
    log.addHandler(heard)
    yield
    gc.collect()
    log.removeHandler(heard)
    assert not heard.messages
