"""The ends of a transfer in shards: from what a DAG says of them to what the shards need."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

from airflow_provider_neuro_buckets.buckets.errors import ConfigurationError
from airflow_provider_neuro_buckets.operators.lineage import LineageOperator, is_known

if TYPE_CHECKING:
    from airflow.providers.common.compat.openlineage.facet import Dataset
    from airflow.providers.common.compat.sdk import ObjectStoragePath

    from airflow_provider_neuro_buckets.buckets import Buckets
    from airflow_provider_neuro_buckets.buckets.sharding import End, Job
    from airflow_provider_neuro_buckets.hooks.buckets import NeuroBucketsHook

    Given = str | ObjectStoragePath
    Opening = Callable[[Buckets], AbstractAsyncContextManager[End]]

T = TypeVar("T")


class ShardsOperator(LineageOperator):
    """Base of the operators of one transfer in shards, which all are given the same two ends.

    The work, manifests and a report, lies in the bucket of `dst`, or of `src` if `dst` is in none; so does the link.
    """

    template_fields: Sequence[str] = (*LineageOperator.template_fields, "src", "dst", "src_conn_id", "dst_conn_id")
    link_field = "home"

    def __init__(
        self,
        *,
        src: str | ObjectStoragePath,
        dst: str | ObjectStoragePath | None = None,
        src_conn_id: str | None = None,
        dst_conn_id: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.src = src
        self.dst = dst
        self.src_conn_id = src_conn_id
        self.dst_conn_id = dst_conn_id
        self.name_assets()

    @property
    def home(self) -> str | ObjectStoragePath:
        """The address of the end in whose bucket the work lies."""
        return self.dst if self.dst is not None and is_in_bucket(self.dst) else self.src

    @property
    def home_conn_id(self) -> str:
        """The connection of that bucket."""
        return (self.dst_conn_id if self.home is self.dst else self.src_conn_id) or self.neuro_buckets_conn_id

    @cached_property
    def hook(self) -> NeuroBucketsHook:
        """The hook of the bucket with the work, made when the task runs."""
        from airflow_provider_neuro_buckets.hooks.buckets import NeuroBucketsHook  # noqa: PLC0415 - loads when it runs

        return NeuroBucketsHook(self.home_conn_id)

    def connections(self) -> Sequence[str]:
        """Return the connections to buckets that an error may be about."""
        ends = ((self.src, self.src_conn_id), (self.dst, self.dst_conn_id))
        return sorted({conn_id or self.neuro_buckets_conn_id for end, conn_id in ends if is_in_bucket(end)})

    def is_asset(self, argument: str) -> bool:
        """Whether an argument holds an address of a bucket, as far as anybody knows."""
        address = self.address_of(argument) if argument else None
        return address is not None and (not is_known(address) or is_in_bucket(address))

    def dataset(self, argument: str) -> Dataset | None:
        """Return the dataset of an end, for OpenLineage."""
        return dataset_of_end(self.address_of(argument))

    def ask(self, hook: NeuroBucketsHook, question: Callable[[Buckets, End, End | None], Awaitable[T]]) -> T:
        """Await `question(client, src, dst)` with both ends open; the client is that of the work."""
        src = self._opening(self.src, self.src_conn_id)
        dst = None if self.dst is None else self._opening(self.dst, self.dst_conn_id)

        async def ask(buckets: Buckets) -> T:
            async with src(buckets) as begin, dst(buckets) if dst else nullcontext() as end:
                return await question(buckets, begin, end)

        return hook.call(ask)

    def _opening(self, given: Given, conn_id: str | None) -> Opening:
        if conn_id is None and is_in_bucket(given):
            conn_id = self.neuro_buckets_conn_id
        return opening(given, conn_id=conn_id, home_conn_id=self.home_conn_id)


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
    from airflow_provider_neuro_buckets.buckets.sharding import FilesystemEnd, FolderEnd  # noqa: PLC0415 - as the hook
    from airflow_provider_neuro_buckets.buckets.uri import local_path  # noqa: PLC0415 - as the hook

    if isinstance(given, str) and ("://" not in given or given.startswith("file:")):
        return FolderEnd(local_path(given))
    from airflow.providers.common.compat.sdk import ObjectStoragePath  # noqa: PLC0415 - loads filesystems: if asked to

    try:
        path = ObjectStoragePath(given, conn_id=conn_id) if conn_id else ObjectStoragePath(given)
        return FilesystemEnd(path.fs, path.path)
    except (ImportError, ValueError, TypeError, AttributeError) as error:  # the last two for what is no path at all
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


def removal(end: End) -> Job:
    """Return the job that deletes an end.

    :raises ConfigurationError: it is in no bucket.
    """
    from airflow_provider_neuro_buckets.buckets.sharding import BucketEnd, DeleteJob  # noqa: PLC0415 - when it runs

    if not isinstance(end, BucketEnd):
        raise ConfigurationError(f"{end.address()} is in no bucket", remedy="Delete it by other means")
    return DeleteJob(end)
