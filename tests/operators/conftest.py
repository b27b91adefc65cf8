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
    """A bucket of a storage that the platform has not heard of: its real name and lasting keys, as a provider has them.

    It lies in the platform's own storage, where another bucket stands for it.
    """

    async def make(buckets: Any) -> tuple[str, str, Mapping[str, str]]:
        bucket = await buckets.create()
        made = await buckets.persistent_credentials_create([bucket.id])
        return bucket.id, made.id, made.credentials[0].credentials

    async def remove(buckets: Any) -> None:
        await buckets.persistent_credentials_rm(credentials)
        await buckets.rm(bucket, force=True)

    bucket, credentials, keys = platform.ask(make)
    yield keys
    platform.ask(remove)


@pytest.fixture
def said(caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]) -> Callable[[], str]:
    """All that was logged or printed so far, wherever the logger of a task writes here."""
    caplog.set_level("INFO")
    before: list[str] = []

    def said() -> str:
        before.extend(capfd.readouterr())
        return caplog.text + "".join(before)

    return said
