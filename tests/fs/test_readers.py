"""What data people use reads and writes through the filesystem."""

from __future__ import annotations

import duckdb
import fsspec
import pandas as pd
import pyarrow as pa
import pyarrow.dataset
import pyarrow.parquet
import pytest
from airflow.sdk import ObjectStoragePath
from pandas.testing import assert_frame_equal

from airflow_provider_neuro_buckets.fs.blob import BlobFileSystem
from airflow_provider_neuro_buckets.local.child import RunningPlatform

ROWS = 50_000


@pytest.fixture
def frame() -> pd.DataFrame:
    return pd.DataFrame({"number": range(ROWS), "name": [f"name {number % 97}" for number in range(ROWS)]})


@pytest.fixture
def lake(neuro_buckets_local: RunningPlatform, bucket: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """The bucket on a connection called lake, as the beginning of a URL."""
    monkeypatch.setenv("AIRFLOW_CONN_LAKE", neuro_buckets_local.connection)
    return f"blob://lake@{bucket}"


def test_pandas_writes_and_reads_by_url(frame: pd.DataFrame, lake: str) -> None:
    frame.to_parquet(f"{lake}/frame.parquet")
    assert_frame_equal(pd.read_parquet(f"{lake}/frame.parquet"), frame)
    frame.to_csv(f"{lake}/frame.csv.gz", index=False)
    assert_frame_equal(pd.read_csv(f"{lake}/frame.csv.gz"), frame)
    columns = pd.read_parquet(f"{lake}/frame.parquet", columns=["number"])
    assert list(columns) == ["number"]


def test_pandas_takes_the_connection_as_an_option(frame: pd.DataFrame, lake: str, bucket: str) -> None:
    frame.to_parquet(f"{lake}/frame.parquet")
    read = pd.read_parquet(f"blob://{bucket}/frame.parquet", storage_options={"conn_id": "lake"})
    assert_frame_equal(read, frame)


def test_pandas_reads_an_open_path(frame: pd.DataFrame, lake: str) -> None:
    path = ObjectStoragePath(lake) / "frame.parquet"
    with path.open("wb") as file:
        frame.to_parquet(file)
    with path.open("rb") as file:
        assert_frame_equal(pd.read_parquet(file), frame)


def test_pyarrow_reads_a_dataset_of_many_files(frame: pd.DataFrame, fs: BlobFileSystem, bucket: str) -> None:
    table = pa.Table.from_pandas(frame)
    pa.parquet.write_to_dataset(table, f"{bucket}/dataset", partition_cols=["name"], filesystem=fs)
    assert len(fs.find(f"{bucket}/dataset")) == 97
    dataset = pa.dataset.dataset(f"{bucket}/dataset", filesystem=fs, partitioning="hive")
    assert dataset.count_rows() == ROWS
    some = dataset.to_table(filter=pa.dataset.field("name") == "name 5", columns=["number"])
    assert some.column("number").to_pylist() == list(range(5, ROWS, 97))


def test_duckdb_queries_files_by_url(frame: pd.DataFrame, lake: str, bucket: str) -> None:
    for number in range(2):
        frame.to_parquet(f"{lake}/part-{number}.parquet")
    with duckdb.connect() as connection:
        connection.register_filesystem(fsspec.filesystem("blob", conn_id="lake"))
        query = f"SELECT count(*), sum(number) FROM read_parquet('blob://{bucket}/part-*.parquet')"
        assert connection.execute(query).fetchone() == (2 * ROWS, 2 * sum(range(ROWS)))
        connection.execute(f"COPY (SELECT 42 AS answer) TO 'blob://{bucket}/answer.csv'")
    assert pd.read_csv(f"{lake}/answer.csv")["answer"].tolist() == [42]
