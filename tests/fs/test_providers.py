"""The filesystem on a bucket of each provider, with the bucket's own credentials and no platform."""

from __future__ import annotations

import os

import pytest

from airflow_provider_neuro_buckets.fs.reading import BLOCK
from conformance.rigs.registry import RIGS, Servers
from fs.conftest import connection_to, opened


@pytest.mark.parametrize("provider", sorted(RIGS))
def test_a_blob_is_written_found_read_copied_moved_and_removed(
    servers: Servers, provider: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = os.urandom(BLOCK + 5)
    with connection_to(servers, provider) as (connection, bucket), opened("lake") as fs:
        monkeypatch.setenv("AIRFLOW_CONN_LAKE", connection)
        with fs.open(f"{bucket}/d/a b#1.bin", "wb") as file:
            file.write(content)
        with fs.open(f"{bucket}/d/a b#1.bin") as file:
            file.seek(-7, os.SEEK_END)
            assert file.read() == content[-7:]
        fs.copy(f"{bucket}/d", f"{bucket}/copy", recursive=True)
        fs.mv(f"{bucket}/copy/a b#1.bin", f"{bucket}/moved")
        assert fs.find(bucket) == [f"{bucket}/d/a b#1.bin", f"{bucket}/moved"]
        assert fs.cat(f"{bucket}/moved") == content
        assert fs.cat_file(f"{bucket}/moved", start=3, end=9) == content[3:9]
        assert fs.ukey(f"{bucket}/moved")
        fs.rm(f"{bucket}/d", recursive=True)
        fs.rm(f"{bucket}/moved")
        assert fs.find(bucket) == []
