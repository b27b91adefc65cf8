"""fsspec's own suite for filesystems: what it promises to whoever copies, opens and writes."""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Iterator

import fsspec.tests.abstract as fsspec_suite
import pytest

from airflow_provider_neuro_buckets.fs.blob import BlobFileSystem
from airflow_provider_neuro_buckets.local.child import RunningPlatform
from conformance.rigs.registry import Servers
from fs.conftest import connection_to, opened
from platform_rig import Platform

LOOK_FOR_EMPTIED_FOLDERS = {
    "test_copy_directory_to_existing_directory",
    "test_copy_directory_to_new_directory",
    "test_copy_glob_to_existing_directory",
    "test_put_directory_to_existing_directory",
    "test_put_directory_to_new_directory",
    "test_put_glob_to_existing_directory",
}
"""They empty a folder and list the one above it. SeaweedFS shows emptied folders for a while: these run on moto."""


@pytest.fixture(scope="module")
def places(servers: Servers, neuro_buckets_local: RunningPlatform) -> Iterator[dict[str, tuple[str, str]]]:
    """Connections to a local platform and to moto, each with a bucket."""
    with Platform(neuro_buckets_local).fresh_bucket() as name, connection_to(servers, "aws") as moto:
        yield {"platform": (neuro_buckets_local.connection, name), "moto": moto}


class BlobFixtures(fsspec_suite.AbstractFixtures):
    """A folder of its own for each test; folders with nothing in them do not exist."""

    @pytest.fixture
    def bucket(
        self, places: dict[str, tuple[str, str]], request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
    ) -> str:
        where = "moto" if request.node.originalname in LOOK_FOR_EMPTIED_FOLDERS else "platform"
        connection, bucket = places[where]
        monkeypatch.setenv("AIRFLOW_CONN_NEURO_BUCKETS_DEFAULT", connection)
        return bucket

    @pytest.fixture
    def fs(self, bucket: str) -> Iterator[BlobFileSystem]:
        assert bucket
        with opened() as fs:
            yield fs

    @pytest.fixture
    def fs_path(self, bucket: str, request: pytest.FixtureRequest) -> str:
        return f"{bucket}/{abs(hash(request.node.name))}"

    @pytest.fixture
    def fs_join(self) -> Callable[..., str]:
        return posixpath.join

    @pytest.fixture
    def supports_empty_directories(self) -> bool:
        return False


class TestCopy(fsspec_suite.AbstractCopyTests, BlobFixtures):
    pass


class TestGet(fsspec_suite.AbstractGetTests, BlobFixtures):
    pass


class TestPut(fsspec_suite.AbstractPutTests, BlobFixtures):
    pass


class TestOpen(fsspec_suite.AbstractOpenTests, BlobFixtures):
    pass


class TestPipe(fsspec_suite.AbstractPipeTests, BlobFixtures):
    pass
