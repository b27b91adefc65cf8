"""The wheel, installed beside the providers of Amazon, Azure and Google: it loads, Airflow knows it, and it works."""

from __future__ import annotations

import importlib
import json
import os
import pkgutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import distribution, entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import airflow_provider_neuro_buckets

if TYPE_CHECKING:
    from airflow_provider_neuro_buckets.local.child import RunningPlatform

NAME = airflow_provider_neuro_buckets.__name__
BESIDE = ("amazon", "microsoft-azure", "google")
BIN = Path(sys.executable).parent


def airflow(*arguments: str) -> Any:
    """Return what an `airflow` command prints as JSON, as whoever installs the wheel would run it."""
    done = subprocess.run([BIN / "airflow", *arguments, "-o", "json"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout[done.stdout.index("[") :])


@contextmanager
def connection(platform: RunningPlatform) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AIRFLOW_CONN_NEURO_BUCKETS_DEFAULT", platform.connection)
        yield


def test_it_is_the_wheel_and_no_checkout(checkout: Path) -> None:
    assert Path(airflow_provider_neuro_buckets.__file__).is_relative_to(sys.prefix)
    assert not Path(airflow_provider_neuro_buckets.__file__).is_relative_to(checkout / NAME)
    assert airflow_provider_neuro_buckets.__version__ == distribution("airflow-provider-neuro-buckets").version


def test_the_others_are_there() -> None:
    for name in BESIDE:
        assert distribution(f"apache-airflow-providers-{name}").version


@pytest.mark.parametrize(
    "module",
    [found.name for found in pkgutil.walk_packages(airflow_provider_neuro_buckets.__path__, f"{NAME}.")],
)
def test_each_module_loads(module: str) -> None:
    importlib.import_module(module)


def test_airflow_lists_the_provider_beside_the_others() -> None:
    listed = {row["package_name"] for row in airflow("providers", "list")}
    assert {"airflow-provider-neuro-buckets", *(f"apache-airflow-providers-{name}" for name in BESIDE)} <= listed


def test_airflow_knows_the_connection_type_beside_the_others() -> None:
    types = {row["connection_type"] for row in airflow("providers", "hooks")}
    assert {"neuro_buckets", "aws", "wasb", "google_cloud_platform"} <= types


def test_airflow_has_the_command() -> None:
    done = subprocess.run([BIN / "airflow", "neuro-buckets", "--help"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "credentials" in done.stdout


@pytest.mark.parametrize(
    ("group", "name", "value"),
    [
        ("apache_airflow_provider", "provider_info", f"{NAME}.get_provider_info:get_provider_info"),
        ("fsspec.specs", "blob", f"{NAME}.fs.blob:BlobFileSystem"),
        ("universal_pathlib.implementations", "blob", f"{NAME}.fs.path:BlobPath"),
        ("pytest11", "neuro_buckets_local", f"{NAME}.local.pytest_plugin"),
        ("console_scripts", "neuro-buckets-local", f"{NAME}.local.cli:main"),
    ],
)
def test_each_entry_point_leads_to_what_it_names(group: str, name: str, value: str) -> None:
    (entry,) = [entry for entry in entry_points(group=group, name=name) if entry.value == value]
    assert entry.load()


def test_fsspec_and_airflow_find_the_filesystem() -> None:
    import fsspec  # noqa: PLC0415 - only here
    from airflow.sdk import ObjectStoragePath  # noqa: PLC0415 - as above

    assert fsspec.get_filesystem_class("blob").__module__ == f"{NAME}.fs.blob"
    assert str(ObjectStoragePath("blob://lake/key")) == "blob://lake/key"


def test_the_examples_are_dags(checkout: Path) -> None:
    from airflow.dag_processing.dagbag import DagBag  # noqa: PLC0415 - loads Airflow's database models

    bag = DagBag(checkout / "example_dags", bundle_name="any")
    assert not bag.import_errors
    assert len(bag.dags) >= len(list((checkout / "example_dags").glob("neuro_buckets_*.py")))


def test_a_folder_goes_up_and_comes_back(neuro_buckets_local: RunningPlatform, tmp_path: Path) -> None:
    from airflow_provider_neuro_buckets.hooks.buckets import NeuroBucketsHook  # noqa: PLC0415 - only here

    (tmp_path / "up" / "below").mkdir(parents=True)
    content = {"a": os.urandom(20 * 2**20), "below/b": b"small", "below/empty": b""}
    for name, data in content.items():
        (tmp_path / "up" / name).write_bytes(data)
    with connection(neuro_buckets_local), NeuroBucketsHook() as hook:
        assert hook.test_connection()[0]
        hook.create("release")
        report = hook.upload_dir(tmp_path / "up", "blob:release/folder/")
        hook.download_dir("blob:release/folder/", tmp_path / "down")
    assert report.verified == report.files == len(content)
    assert {name: (tmp_path / "down" / name).read_bytes() for name in content} == content
