"""DAGs from a bucket: versions that stay what they were, on a real platform and through Airflow's own manager."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from airflow.dag_processing.bundles import base
from airflow.dag_processing.bundles.manager import DagBundlesManager
from airflow.providers.common.compat.sdk import AirflowException

from airflow_here import needs
from airflow_provider_neuro_buckets.buckets.errors import (
    ConfigurationError,
    InvalidAddress,
    PermissionDenied,
    ResourceNotFound,
)
from airflow_provider_neuro_buckets.buckets.models import BlobObject
from airflow_provider_neuro_buckets.bundles.blob import NeuroBucketsDagBundle
from airflow_provider_neuro_buckets.bundles.manifest import Manifest
from airflow_provider_neuro_buckets.hooks.buckets import NeuroBucketsHook
from platform_rig import Platform

pytestmark = pytest.mark.usefixtures("nothing_left")


class Folder:
    """The folder of DAGs in the bucket, as whoever deploys sees it."""

    def __init__(self, bucket: str) -> None:
        self.bucket = bucket
        self.hook = NeuroBucketsHook()

    def put(self, **files: str) -> None:
        for name, text in files.items():
            self.hook.put_blob(self.bucket, f"prod/{name.replace('__', '/')}.py", text.encode())

    def drop(self, name: str) -> None:
        self.hook.delete_blob(self.bucket, f"prod/{name}.py")

    def kept(self) -> set[str]:
        found = self.hook.list_blobs(f"blob:{self.bucket}/prod-versions/", recursive=True)
        return {entry.key.removeprefix("prod-versions/") for entry in found}


@pytest.fixture
def storage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where Airflow keeps bundles on this machine."""
    on_another_machine(monkeypatch, tmp_path / "here")
    return tmp_path


def on_another_machine(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    monkeypatch.setenv("AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_STORAGE_PATH", str(folder))


@pytest.fixture
def dags(bucket: str, storage: Path) -> Folder:  # noqa: ARG001 - before any bundle is made
    return Folder(bucket)


def bundle(dags: Folder, version: str | None = None) -> NeuroBucketsDagBundle:
    made = NeuroBucketsDagBundle(name="prod", uri=f"blob:{dags.bucket}/prod/", version=version, refresh_interval=5)
    made.initialize()
    return made


def version_of(made: NeuroBucketsDagBundle) -> str:
    current = made.get_current_version()
    assert isinstance(current, getattr(base, "BundleVersion", str))  # before Airflow 3.3 the text alone
    return str(getattr(current, "version", current))


def files(made: NeuroBucketsDagBundle) -> dict[str, str]:
    return {str(path.relative_to(made.path)): path.read_text() for path in made.path.rglob("*") if path.is_file()}


def test_the_processor_sees_what_is_in_the_folder(dags: Folder) -> None:
    dags.put(a="print('a')", inner__b="print('b')")
    assert files(bundle(dags)) == {"a.py": "print('a')", "inner/b.py": "print('b')"}


def test_a_refresh_switches_to_the_new_files_and_an_old_version_stays_what_it_was(
    dags: Folder, storage: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dags.put(a="1", b="same")
    processor = bundle(dags)
    old = version_of(processor)
    dags.put(a="2", c="new")
    dags.drop("b")
    assert files(processor) == {"a.py": "1", "b.py": "same"}
    processor.refresh()
    new = version_of(processor)
    assert files(processor) == {"a.py": "2", "c.py": "new"}
    on_another_machine(monkeypatch, storage / "worker")
    assert files(bundle(dags, old)) == {"a.py": "1", "b.py": "same"}
    assert files(bundle(dags, new)) == {"a.py": "2", "c.py": "new"}
    assert files(bundle(dags, old)) == {"a.py": "1", "b.py": "same"}


def test_the_same_files_are_the_same_version_and_nothing_is_written_for_them(dags: Folder) -> None:
    dags.put(a="1")
    processor = bundle(dags)
    before, kept = version_of(processor), dags.kept()
    processor.refresh()
    assert version_of(processor) == before
    assert version_of(bundle(dags)) == before
    dags.put(b="2")
    processor.refresh()
    dags.drop("b")
    processor.refresh()
    assert version_of(processor) == before
    assert len([name for name in kept if name.startswith("content/")]) == 1
    assert len([name for name in dags.kept() if name.startswith("content/")]) == 2  # what is unchanged is kept once


@needs(3, 3, reason="keeps of a version its text alone")
def test_the_version_says_where_its_manifest_is(dags: Folder) -> None:
    dags.put(a="1")
    current = bundle(dags).get_current_version()
    uri = current.data["manifest"]
    text = b"".join(dags.hook.fetch_blob(dags.bucket, uri.partition("/")[2]))
    assert list(json.loads(text)["files"]) == ["a.py"]
    assert Manifest.load(text, uri).version == current.version


def test_a_version_that_is_gone_or_no_version_fails_clearly(dags: Folder) -> None:
    with pytest.raises(ResourceNotFound, match="bundle 'prod' has no version 0000"):
        bundle(dags, "0" * 40)
    with pytest.raises(ConfigurationError, match=r"no version of a DAG bundle is called '\.\./\.\./etc'"):
        bundle(dags, "../../etc")


def test_a_bundle_of_one_version_never_changes(dags: Folder) -> None:
    dags.put(a="1")
    pinned = bundle(dags, version_of(bundle(dags)))
    with pytest.raises(AirflowException, match="never changes"):
        pinned.refresh()


def test_an_empty_folder_is_a_version_too(dags: Folder) -> None:
    made = bundle(dags)
    assert made.path.is_dir()
    assert files(made) == {}


def test_a_key_that_cannot_be_a_file_stops_the_refresh_and_the_old_version_stays(dags: Folder) -> None:
    dags.put(a="1")
    processor = bundle(dags)
    dags.hook.put_blob(dags.bucket, "prod/.a.py.0123456789abcdef.neuro-partial", b"half")
    with pytest.raises(InvalidAddress, match="cannot be a file of a DAG bundle"):
        processor.refresh()
    assert files(processor) == {"a.py": "1"}


@pytest.mark.parametrize("key", ["../evil.py", "a/../../evil.py", "/etc/evil.py", "a//b.py", "a/\0.py"])
def test_a_key_that_would_leave_the_folder_is_no_file_of_a_version(bucket: str, key: str) -> None:
    home = NeuroBucketsHook().get(bucket)
    with pytest.raises(InvalidAddress, match="cannot be a file of a DAG bundle"):
        Manifest.of([BlobObject(key=f"prod/{key}", bucket=home, size=1, etag="1")], "prod/")


@pytest.mark.parametrize(
    "text", [b"no json", b"[]", b'{"files": {"../a.py": "0"}}', b'{"files": {"a.py": "../../secret"}}', b'{"files": 1}']
)
def test_a_manifest_that_is_none_is_refused(dags: Folder, text: bytes) -> None:
    dags.hook.put_blob(dags.bucket, f"prod-versions/{'1' * 40}.json", text)
    with pytest.raises(ConfigurationError, match="is not the manifest of a DAG bundle"):
        bundle(dags, "1" * 40)


def test_versions_within_the_folder_are_refused(dags: Folder) -> None:
    made = NeuroBucketsDagBundle(
        name="prod", uri=f"blob:{dags.bucket}/prod", versions_uri=f"blob:{dags.bucket}/prod/versions"
    )
    with pytest.raises(ConfigurationError, match="keeps its versions in its own folder"):
        made.initialize()


def test_a_worker_needs_only_the_right_to_read(
    dags: Folder, platform: Platform, storage: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dags.put(a="1")
    version = version_of(bundle(dags))
    connection = json.loads(platform.running.connection)
    reader = connection | {"password": platform.running.readonly_token}
    monkeypatch.setenv("AIRFLOW_CONN_NEURO_BUCKETS_DEFAULT", json.dumps(reader))
    on_another_machine(monkeypatch, storage / "worker")
    assert files(bundle(dags, version)) == {"a.py": "1"}
    dags_again = bundle(dags)  # what is known already needs no writing either
    assert files(dags_again) == {"a.py": "1"}
    monkeypatch.undo()
    on_another_machine(monkeypatch, storage / "here")
    monkeypatch.setenv("AIRFLOW_CONN_NEURO_BUCKETS_DEFAULT", platform.running.connection)
    dags.put(a="2")
    monkeypatch.setenv("AIRFLOW_CONN_NEURO_BUCKETS_DEFAULT", json.dumps(reader))
    with pytest.raises(PermissionDenied):
        bundle(dags)


def test_contents_of_versions_that_airflow_removed_go_from_the_disk(dags: Folder) -> None:
    dags.put(a="1")
    processor = bundle(dags)
    old = processor.path.resolve()
    dags.put(a="2")
    processor.refresh()
    shutil.rmtree(old)
    dags.put(a="3")
    processor.refresh()
    assert len(list((processor.base_dir / "content").iterdir())) == 2


def test_airflow_makes_it_as_it_is_configured(dags: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    dags.put(a="1")
    configured = [
        {
            "name": "prod",
            "classpath": "airflow_provider_neuro_buckets.bundles.blob.NeuroBucketsDagBundle",
            "kwargs": {"uri": f"blob:{dags.bucket}/prod"},
        }
    ]
    monkeypatch.setenv("AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST", json.dumps(configured))
    manager = DagBundlesManager()  # type: ignore[no-untyped-call]  # Airflow's is not typed
    made = manager.get_bundle("prod")
    assert isinstance(made, NeuroBucketsDagBundle)
    made.initialize()
    pinned = manager.get_bundle("prod", version_of(made))
    pinned.initialize()
    assert [path.name for path in pinned.path.iterdir()] == ["a.py"]
