"""A short soak; `make soak` runs the long one."""

from __future__ import annotations

from pathlib import Path

from conformance.rigs.registry import Servers
from conformance.rigs.seaweedfs import LocalServer
from faults.soak import soak

OPERATIONS = {
    "upload_file",
    "download_file",
    "put_blob",
    "blob_rm",
    "upload_dir",
    "download_dir",
    "write shared",
    "read shared",
}


async def test_where_a_twentieth_of_all_requests_fails_nothing_is_lost_or_mixed_and_nothing_is_left_behind(
    servers: Servers, tmp_path: Path
) -> None:
    server = servers.running("seaweedfs")
    assert isinstance(server, LocalServer)
    figures = await soak(server, tmp_path, seed=1, workers=8, seconds=60, at_least=100)
    assert figures.is_clean, figures
    assert figures.faults.total() > 10
    assert figures.operations.keys() >= OPERATIONS
    assert len(figures.failed) <= figures.operations.total() / 20, [str(one.error) for one in figures.failed]
