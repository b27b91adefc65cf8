from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from platform_rig import Platform

Contents = Callable[[str], dict[str, bytes]]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A local folder with one file."""
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "file").write_bytes(b"content")
    return folder


@pytest.fixture
def contents(platform: Platform) -> Contents:
    """Reads a whole bucket: what a task must not have changed."""

    def contents(bucket: str) -> dict[str, bytes]:
        async def read(buckets: Any) -> dict[str, bytes]:
            return {
                entry.key: b"".join([chunk async for chunk in buckets.fetch_blob(bucket, entry.key)])
                async for entry in buckets.list_blobs(f"blob:{bucket}", recursive=True, limit=None)
            }

        return platform.ask(read)

    return contents


@pytest.fixture
def foreign(platform: Platform) -> Iterator[Mapping[str, str]]:
    """A bucket of a provider: its real name and lasting keys."""
    with platform.foreign_bucket() as keys:
        yield keys


@pytest.fixture
def said(caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]) -> Callable[[], str]:
    """All that was logged or printed so far, wherever the logger of a task writes here."""
    caplog.set_level("INFO")
    before: list[str] = []

    def said() -> str:
        before.extend(capfd.readouterr())
        return caplog.text + "".join(before)

    return said
