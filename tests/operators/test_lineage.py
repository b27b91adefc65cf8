"""What operators tell Airflow of assets, and OpenLineage of datasets: through OpenLineage's own classes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from airflow.providers.openlineage.extractors import OperatorLineage
from airflow.providers.openlineage.extractors.base import DefaultExtractor
from airflow.providers.openlineage.extractors.manager import ExtractorManager
from airflow.sdk import DAG, Asset, AssetAlias, BaseOperator, XComArg
from openlineage.client.serde import Serde

from airflow_provider_neuro_buckets.buckets.errors import ResourceNotFound
from airflow_provider_neuro_buckets.operators.blobs import BucketBlobRmOperator, BucketPutBlobOperator
from airflow_provider_neuro_buckets.operators.buckets import BucketRmOperator
from airflow_provider_neuro_buckets.operators.lineage import LineageOperator
from airflow_provider_neuro_buckets.operators.transfers import (
    BucketCopyDirOperator,
    BucketDownloadDirOperator,
    BucketDownloadFileOperator,
    BucketUploadDirOperator,
    BucketUploadFileOperator,
)
from platform_rig import Platform

Ends = tuple[list[tuple[str, str]], list[tuple[str, str]]]


def told(operator: Any) -> OperatorLineage[Any, Any]:
    """Return what OpenLineage finds out from an operator that ended well."""
    manager = ExtractorManager()  # type: ignore[no-untyped-call]  # OpenLineage's is not typed
    assert manager.get_extractor_class(operator) is DefaultExtractor
    found = DefaultExtractor(operator).extract_on_complete(None)
    assert found is not None
    return found


def ends(found: OperatorLineage[Any, Any]) -> Ends:
    inputs, outputs = ([(item.namespace, item.name) for item in side] for side in (found.inputs, found.outputs))
    return inputs, outputs


def numbers(found: OperatorLineage[Any, Any]) -> tuple[int, int]:
    """Return the bytes and files of what was written, as they go out."""
    (output,) = json.loads(Serde.to_json(found))["outputs"]
    statistics = output["outputFacets"]["outputStatistics"]
    return statistics["size"], statistics.get("fileCount", 0)


# OpenLineage


@pytest.mark.usefixtures("nothing_left")
def test_each_transfer_tells_openlineage_both_its_ends_and_how_much_it_moved(
    platform: Platform, bucket: str, tmp_path: Path
) -> None:
    platform.put(bucket, **{"in/a": b"1", "in/b #1": b"22"})
    (tmp_path / "file").write_bytes(b"333")
    blobs, both = f"blob://{bucket}", ("file", str(tmp_path / "both"))
    transfers: list[tuple[LineageOperator, Ends, tuple[int, int]]] = [
        (
            BucketDownloadDirOperator(task_id="t", src=f"blob:{bucket}/in/", dst=str(tmp_path / "both")),
            ([(blobs, "in")], [both]),
            (3, 2),
        ),
        (
            BucketUploadDirOperator(task_id="t", src=(tmp_path / "both").as_uri(), dst=f"blob:{bucket}/up"),
            ([both], [(blobs, "up")]),
            (3, 2),
        ),
        (
            BucketCopyDirOperator(task_id="t", src=f"blob:{bucket}/up", dst=f"blob:{bucket}/copy"),
            ([(blobs, "up")], [(blobs, "copy")]),
            (3, 2),
        ),
        (
            BucketUploadFileOperator(task_id="t", src=str(tmp_path / "file"), dst=f"blob:{bucket}/a%20b"),
            ([("file", str(tmp_path / "file"))], [(blobs, "a b")]),
            (3, 1),
        ),
        (
            BucketDownloadFileOperator(task_id="t", src=f"blob:{bucket}/a%20b", dst=str(tmp_path / "again")),
            ([(blobs, "a b")], [("file", str(tmp_path / "again"))]),
            (3, 1),
        ),
        (
            BucketPutBlobOperator(task_id="t", bucket_id_or_name=bucket, key="a b?", body="four"),
            ([], [(blobs, "a b?")]),
            (4, 1),
        ),
    ]
    for operator, expected, moved in transfers:
        operator.execute({})
        found = told(operator)
        assert ends(found) == expected, type(operator).__name__
        assert numbers(found) == moved, type(operator).__name__


def test_a_blob_put_by_place_is_told_by_its_whole_address(platform: Platform, bucket: str) -> None:
    operator = BucketPutBlobOperator(
        task_id="t", bucket_id_or_name=bucket, key="k", body="1", project_name=platform.running.config.project_name
    )
    operator.execute({})
    place = platform.running.config
    name = "/".join([str(place.org_name), str(place.project_name), bucket, "k"])
    assert ends(told(operator)) == ([], [(f"blob://{place.cluster_name}", name)])


def test_an_address_without_a_cluster_is_told_as_it_is_written(tmp_path: Path) -> None:
    operator = BucketUploadFileOperator(task_id="t", src=str(tmp_path), dst="blob:/project/bkt/a%20b")
    assert ends(told(operator))[1] == [("blob", "/project/bkt/a b")]


@pytest.mark.usefixtures("platform")
def test_a_transfer_that_failed_tells_its_ends_and_no_numbers(bucket: str) -> None:
    operator = BucketUploadFileOperator(task_id="t", src="/nowhere", dst=f"blob:{bucket}/k")
    with pytest.raises(ResourceNotFound):
        operator.execute({})
    found = DefaultExtractor(operator).extract_on_failure(None)
    assert found is not None
    assert ends(found) == ([("file", "/nowhere")], [(f"blob://{bucket}", "k")])
    assert not found.outputs[0].outputFacets


def test_a_dry_run_tells_nothing(bucket: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"1")
    operator = BucketUploadDirOperator(task_id="t", src=str(tmp_path), dst=f"blob:{bucket}/up", dry_run=True)
    operator.execute({})
    assert ends(told(operator)) == ([], [])


def test_a_removal_tells_that_the_dataset_is_gone_once_it_is(platform: Platform, bucket: str) -> None:
    platform.put(bucket, **{"dir/a": b"1"})
    blob = BucketBlobRmOperator(task_id="t", uri=f"blob:{bucket}/dir/", recursive=True, if_missing="fail")
    whole = BucketRmOperator(task_id="t", bucket_id_or_name=bucket)
    for operator, name in ((blob, "dir"), (whole, "/")):
        assert ends(told(operator)) == ([], [])
        operator.execute({})
        found = told(operator)
        assert ends(found) == ([], [(f"blob://{bucket}", name)])
        (output,) = json.loads(Serde.to_json(found))["outputs"]
        assert output["facets"]["lifecycleStateChange"]["lifecycleStateChange"] == "DROP"


def test_a_removal_that_failed_or_was_rehearsed_tells_nothing(platform: Platform, bucket: str) -> None:
    platform.put(bucket, key=b"1")
    failing = BucketBlobRmOperator(task_id="t", uri=f"blob:{bucket}/nothing", if_missing="fail")
    with pytest.raises(ResourceNotFound):
        failing.execute({})
    rehearsed = BucketBlobRmOperator(task_id="t", uri=f"blob:{bucket}/key", dry_run=True)
    rehearsed.execute({})
    for operator in (failing, rehearsed):
        found = DefaultExtractor(operator).extract_on_failure(None)
        assert found is not None
        assert ends(found) == ([], [])


# Assets

ADDRESS = "blob:bkt/dir/a%20b"
ASSET = "blob://bkt/dir/a%20b"

Make = Callable[..., LineageOperator]

WRITING: dict[str, Make] = {
    "upload_file": lambda dst, **more: BucketUploadFileOperator(task_id="t", src="x", dst=dst, **more),
    "upload_dir": lambda dst, **more: BucketUploadDirOperator(task_id="t", src="x", dst=dst, **more),
    "copy_dir": lambda dst, **more: BucketCopyDirOperator(task_id="t", src=ADDRESS, dst=dst, **more),
    "put_blob": lambda dst, **more: BucketPutBlobOperator(
        task_id="t",
        **(
            {"bucket_id_or_name": "bkt", "key": "dir/a b"} if dst == ADDRESS else {"bucket_id_or_name": "b", "key": dst}
        ),
        body="",
        **more,
    ),
}
READING: dict[str, Make] = {
    "download_file": lambda src, **more: BucketDownloadFileOperator(task_id="t", src=src, dst="{{ x }}", **more),
    "download_dir": lambda src, **more: BucketDownloadDirOperator(task_id="t", src=src, dst="{{ x }}", **more),
    "copy_dir": lambda src, **more: BucketCopyDirOperator(task_id="t", src=src, dst=ADDRESS, **more),
}

writing = pytest.mark.parametrize("make", WRITING.values(), ids=WRITING)
reading = pytest.mark.parametrize("make", READING.values(), ids=READING)


@writing
def test_what_a_task_writes_is_its_outlet_if_asked(make: Make) -> None:
    assert make(ADDRESS, assets=True).outlets == [Asset(ASSET)]
    assert make(ADDRESS).outlets == []


@reading
def test_what_a_task_reads_is_its_inlet_if_asked(make: Make) -> None:
    assert make(ADDRESS, assets=True).inlets == [Asset(ASSET)]
    assert make(ADDRESS).inlets == []


def test_files_of_the_worker_are_no_assets() -> None:
    assert WRITING["upload_dir"](ADDRESS, assets=True).inlets == []
    assert READING["download_dir"](ADDRESS, assets=True).outlets == []


def test_inlets_and_outlets_by_hand_stay_and_none_is_there_twice() -> None:
    other = Asset("blob://bkt/other")
    operator = WRITING["upload_dir"](ADDRESS, assets=True, outlets=[other, Asset(ASSET)])
    assert operator.outlets == [other, Asset(ASSET)]
    assert WRITING["upload_dir"](ADDRESS, assets=True, outlets=other).outlets == [other, Asset(ASSET)]


def later(kind: str) -> Any:
    """Return an address that is known when a task runs."""
    return "blob:bkt/{{ ds }}" if kind == "template" else XComArg(BaseOperator(task_id="before"))


@writing
@pytest.mark.parametrize("kind", ["template", "xcom"])
def test_an_outlet_that_only_a_run_knows_is_refused_with_what_to_do(make: Make, kind: str) -> None:
    with (
        DAG("dag", schedule=None),
        pytest.raises(ValueError, match=r"known only when the task runs.*outlets=\[AssetAl"),
    ):
        make(later(kind), assets=True)
    with DAG("dag", schedule=None):
        assert make(later(kind), assets=True, outlets=[AssetAlias("any")]).outlets == [AssetAlias("any")]
    with DAG("dag", schedule=None):
        assert make(later(kind)).outlets == []


@reading
@pytest.mark.parametrize("kind", ["template", "xcom"])
def test_an_inlet_that_only_a_run_knows_is_refused_with_what_to_do(make: Make, kind: str) -> None:
    says = r"known only when the task runs.*inlets=\[AssetAlias.*inlets=\[Asset\("
    with DAG("dag", schedule=None), pytest.raises(ValueError, match=says):
        make(later(kind), assets=True)
    with DAG("dag", schedule=None):
        assert make(later(kind), assets=True, inlets=[Asset(ASSET)]).inlets == [Asset(ASSET)]


def test_a_bucket_of_which_only_the_platform_knows_the_place_is_refused() -> None:
    with pytest.raises(ValueError, match=r"'project_name': 'other'.*known only when"):
        BucketPutBlobOperator(task_id="t", bucket_id_or_name="bkt", key="k", body="", project_name="other", assets=True)


def test_an_address_that_is_no_asset_is_refused_when_the_dag_is_parsed() -> None:
    with pytest.raises(ValueError, match="names no bucket"):
        WRITING["upload_dir"]("blob:/project/bkt/key", assets=True)


def test_a_mapped_task_needs_its_outlets_by_hand_for_the_scheduler_knows_no_other() -> None:
    with DAG("dag", schedule=None):
        bare = BucketUploadDirOperator.partial(task_id="bare", dst=ADDRESS, assets=True).expand(src=["a", "b"])
        named = BucketUploadDirOperator.partial(
            task_id="named", dst=ADDRESS, assets=True, outlets=[AssetAlias("any")]
        ).expand(src=["a", "b"])
    with pytest.raises(ValueError, match="known only when the task runs"):
        bare.unmap({"src": "a"})
    assert named.unmap({"src": "a"}).outlets == [AssetAlias("any")]
