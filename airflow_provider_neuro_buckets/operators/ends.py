"""The ends of a transfer in shards: from what a DAG says of them to what the shards need."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from functools import partial
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from airflow.providers.common.compat.openlineage.facet import Dataset
    from airflow.providers.common.compat.sdk import ObjectStoragePath

    from airflow_provider_neuro_buckets.buckets import Buckets
    from airflow_provider_neuro_buckets.buckets.sharding import End

    Given = str | ObjectStoragePath
    Opening = Callable[[Buckets], AbstractAsyncContextManager[End]]


def is_in_bucket(given: object) -> bool:
    """Whether an end is in a bucket of ours."""
    from airflow_provider_neuro_buckets.buckets.uri import is_blob_uri  # noqa: PLC0415 - loads yarl: as the hook

    return isinstance(given, str) and is_blob_uri(given)


def opening(given: Given, *, conn_id: str | None, home_conn_id: str) -> Opening:
    """Return what opens an end in an event loop, next to a client that is open there; connections are read here.

    :param given: a ``blob:`` address, a path or ``file:`` URL of a folder that all workers see, or the URL of another
        provider's storage that Airflow knows, such as ``s3://conn_id@bucket/key``.
    :param conn_id: the connection of this end; `None`: that of the client, or what is in the URL, or none.
    :param home_conn_id: the connection of the client.
    :raises ConfigurationError: there is no such connection, or Airflow knows no storage of this kind.
    """
    if not is_in_bucket(given):
        end = _elsewhere(given, conn_id)
        return lambda _: nullcontext(end)
    if conn_id in {None, home_conn_id}:
        return partial(_in_bucket, str(given), None)
    from airflow_provider_neuro_buckets.hooks.buckets import NeuroBucketsHook  # noqa: PLC0415 - loads when a task runs

    return partial(_in_bucket, str(given), NeuroBucketsHook(str(conn_id)).open_client())


@asynccontextmanager
async def _in_bucket(uri: str, other: AbstractAsyncContextManager[Buckets] | None, home: Buckets) -> AsyncIterator[End]:
    from airflow_provider_neuro_buckets.buckets.sharding import BucketEnd  # noqa: PLC0415 - as the hook

    async with other or nullcontext(home) as buckets:
        yield BucketEnd(buckets, uri)


def _elsewhere(given: Given, conn_id: str | None) -> End:
    from airflow_provider_neuro_buckets.buckets.errors import ConfigurationError  # noqa: PLC0415 - as the hook
    from airflow_provider_neuro_buckets.buckets.sharding import FilesystemEnd, FolderEnd  # noqa: PLC0415 - as the hook
    from airflow_provider_neuro_buckets.buckets.uri import local_path  # noqa: PLC0415 - as the hook

    if isinstance(given, str) and ("://" not in given or given.startswith("file:")):
        return FolderEnd(local_path(given))
    from airflow.providers.common.compat.sdk import ObjectStoragePath  # noqa: PLC0415 - loads filesystems: if asked to

    try:
        path = ObjectStoragePath(given, conn_id=conn_id) if conn_id else ObjectStoragePath(given)
        return FilesystemEnd(path.fs, path.path)
    except (ImportError, ValueError) as error:
        raise ConfigurationError(
            f"Airflow has no storage for {given} ({error})", remedy="Install the provider of its kind, or check it"
        ) from error


def dataset_of_end(given: object) -> Dataset | None:
    """Return the dataset of an end: of a bucket, of another provider's storage, or of a folder; of `None` none."""
    from airflow.providers.common.compat.openlineage.facet import Dataset  # noqa: PLC0415 - installed where it calls

    from airflow_provider_neuro_buckets.assets.blob import dataset_of, dataset_of_file  # noqa: PLC0415 - as above

    if given is None:
        return None
    if is_in_bucket(given):
        return dataset_of(str(given))
    parts = urlsplit(str(given))
    if parts.scheme in {"", "file"}:
        return dataset_of_file(str(given))
    bucket = parts.netloc.rpartition("@")[2]
    return Dataset(namespace=f"{parts.scheme}://{bucket}", name=parts.path.strip("/") or "/")
