"""The whole public API as somebody else's code would use it: checked by mypy, never run.

If a name, a parameter or a type of it changes, `make types` fails here first. `test_public_api` sees to it that nothing
is missing.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from pathlib import Path
from typing import Any, assert_type

from airflow.sdk import Asset, AssetWatcher, TaskGroup
from fsspec import AbstractFileSystem
from yarl import URL

import airflow_provider_neuro_buckets
from airflow_provider_neuro_buckets import buckets as api
from airflow_provider_neuro_buckets import get_provider_info
from airflow_provider_neuro_buckets.buckets import Buckets, BucketsConfig, Tries, sharding
from airflow_provider_neuro_buckets.fs.blob import BlobFileSystem, get_fs
from airflow_provider_neuro_buckets.fs.path import BlobPath
from airflow_provider_neuro_buckets.hooks.buckets import NeuroBucketsHook
from airflow_provider_neuro_buckets.local.child import RunningPlatform, local_platform
from airflow_provider_neuro_buckets.operators import blobs, credentials, shards, transfers
from airflow_provider_neuro_buckets.operators import buckets as operators
from airflow_provider_neuro_buckets.operators.groups import bucket_sync_group
from airflow_provider_neuro_buckets.sensors.blobs import (
    BucketBlobSensor,
    BucketGlobSensor,
    BucketPrefixUnchangedSensor,
)
from airflow_provider_neuro_buckets.triggers.blobs import (
    BlobTrigger,
    GlobTrigger,
    NewBlobsTrigger,
    PrefixUnchangedTrigger,
)

PLACE = {"cluster_name": "main", "org_name": "acme", "project_name": "ml"}


def what_airflow_reads() -> None:
    assert_type(airflow_provider_neuro_buckets.__version__, str)
    assert_type(get_provider_info(), dict[str, Any])


def a_configuration() -> BucketsConfig:
    async def masked(secret: str) -> None: ...

    return BucketsConfig(
        api_url="https://api.example.org/api/v1",
        buckets_url=None,
        token="token",
        cluster_name="main",
        org_name="acme",
        project_name="ml",
        persistent_credentials={},
        console_url=None,
        name="mine",
        verify="/etc/ca.pem",
        max_concurrency=8,
        max_buffer_bytes=2**20,
        timeout_seconds=5.0,
        max_requests_per_second=0.5,
        max_bytes_per_second=1e6,
        shared_by=8,
        on_secret=masked,
    )


async def buckets_of_the_platform(config: BucketsConfig, progress: api.AbstractDeleteProgress) -> None:
    async with Buckets.open(config) as client:
        assert_type(client.config, BucketsConfig)
        assert_type(await client.check(), str)
        assert_type(client.list("main", org_name="acme", project_name="ml"), api.Stream[api.Bucket])
        bucket = await client.create("name", cluster_name="main", org_name="acme", project_name="ml")
        assert_type(bucket, api.Bucket)
        assert_type(
            await client.import_external(
                api.BucketProvider.AWS,
                "theirs",
                {"access_key_id": "…"},
                name="ours",
                cluster_name="main",
                org_name="acme",
                project_name="ml",
            ),
            api.Bucket,
        )
        assert_type(await client.get("name", bucket_owner="me"), api.Bucket)
        await client.rm("name", force=True, progress=progress, dry_run=True, bucket_owner="me")
        assert_type(await client.request_tmp_credentials("name"), api.BucketCredentials)
        assert_type(await client.set_public_access("name", True), api.Bucket)  # noqa: FBT003 - the reference's signature
        assert_type(client.get_disk_usage("name"), api.Stream[api.BucketUsage])


async def blobs_of_a_bucket(
    client: Buckets, chunks: AsyncIterator[bytes], progress: api.AbstractDeleteProgress
) -> None:
    blob = await client.head_blob("name", "key")
    assert_type(blob, api.BlobObject)
    await client.put_blob("name", "key", b"content")
    await client.put_blob("name", "key", chunks)
    async with client.fetch_blob("name", "key", offset=1) as content:
        assert_type(content, AsyncIterator[bytes])
    await client.delete_blob("name", "key")
    listing = client.list_blobs("blob:name/", recursive=True, limit=None)
    assert_type(listing, api.Stream[api.BucketEntry])
    await listing.aclose()
    assert_type([entry async for entry in client.glob_blobs(URL("blob:name/*"))], list[api.BucketEntry])
    assert_type(await client.stat_blob("blob:name/key"), api.BlobObject)
    assert_type(await client.read_blob("blob:name/key", start=1, stop=2, version=blob), bytes)
    assert_type(await client.blob_is_dir("blob:name/"), bool)
    await client.blob_rm("blob:name/key", recursive=True, progress=progress, dry_run=True)
    assert_type(await client.make_signed_url("blob:name/key", expires_in_seconds=60), URL)
    assert_type(await client.locate("blob:name/key"), tuple[api.Bucket, str])
    assert_type(await client.storage_time("blob:name/key"), datetime)


async def transfers_of_a_client(
    client: Buckets,
    one: api.AbstractFileProgress,
    many: api.AbstractRecursiveFileProgress,
    local: api.LocalPath,
    remote: api.BlobURI,
) -> None:
    async def wanted(path: str) -> bool:
        return path.endswith("/")

    tries = Tries(has_earlier=True, began=None, has_later=False, notes={})
    report = await client.upload_file(local, remote, update=True, continue_=True, progress=one, tries=tries)
    assert_type(report, api.TransferReport)
    await client.download_file(remote, Path("file"), update=True, continue_=True, progress=one, dry_run=True)
    await client.upload_dir(
        local, remote, filter=wanted, ignore_file_names={".gitignore"}, symlinks="skip", progress=many, tries=tries
    )
    await client.download_dir(remote, local, filter=wanted, progress=many, tries=tries)
    await client.copy_blob(remote, remote, update=True, progress=one, dry_run=True)
    await client.copy_dir(remote, remote, update=True, filter=wanted, progress=many, tries=tries, dry_run=True)


async def transfers_in_shards(client: Buckets, fs: AbstractFileSystem, many: api.AbstractRecursiveFileProgress) -> None:
    here, work = sharding.BucketEnd(client, "blob:name/"), sharding.BucketEnd(client, "blob:name/.work")
    ends: list[sharding.End] = [here, sharding.FolderEnd(Path("data")), sharding.FilesystemEnd(fs, "bucket/data")]
    jobs: list[sharding.Job] = [
        *(sharding.CopyJob(end, here) for end in ends),
        sharding.SyncJob(ends[1], here, delete_extra=True),
        sharding.DeleteJob(here),
    ]
    plan = await sharding.plan_shards(jobs[0], work=work, shards=16, progress=many, removals=None, dry_run=False)
    assert_type(plan, sharding.Plan)
    for shard in plan.shards:
        assert_type(shard, sharding.Shard)
        assert_type(shard.action, sharding.Action)
        done = await sharding.run_shard(shard, jobs[0], work=client, progress=many)
        assert_type(done, sharding.ShardReport)
    assert_type(await sharding.conclude(plan, work=client), sharding.Report)


async def lasting_credentials(client: Buckets, bucket: api.Bucket) -> None:
    made = await client.persistent_credentials_create(["name"], name="mine", read_only=True, cluster_name="main")
    assert_type(made, api.PersistentBucketCredentials)
    assert_type(api.persistent_secret(made, [bucket]), dict[str, Any])
    assert_type(client.persistent_credentials_list("main"), api.Stream[api.PersistentBucketCredentials])
    assert_type(await client.persistent_credentials_get("mine"), api.PersistentBucketCredentials)
    await client.persistent_credentials_rm("mine", cluster_name="main")


def values(bucket: api.Bucket, entry: api.BucketEntry, report: api.TransferReport, usage: api.BucketUsage) -> None:
    assert_type(bucket.provider, api.BucketProvider | str)
    assert_type(bucket.uri, URL)
    assert_type(entry.uri, URL)
    assert_type(entry.is_dir(), bool)
    assert_type(entry.is_file(), bool)
    assert_type(entry.modified_at, datetime | None)
    assert_type((report.files, report.bytes, report.verified), tuple[int, int, int])
    assert_type((report.unchanged, report.kept), tuple[int, int])
    assert_type((report.skipped, report.failed), tuple[Mapping[str, str], Mapping[str, str]])
    assert_type((report.seconds, report.bytes_per_second), tuple[float, float])
    assert_type((usage.total_bytes, usage.object_count), tuple[int, int])
    if isinstance(entry, api.BlobObject):
        assert_type(entry.etag, str | None)
    else:
        assert_type(isinstance(entry, api.BlobCommonPrefix), bool)


class Progress(api.AbstractRecursiveFileProgress, api.AbstractDeleteProgress):
    """Hears of everything."""

    def start(self, data: api.StorageProgressStart) -> None:
        assert_type(data.size, int)

    def step(self, data: api.StorageProgressStep) -> None:
        assert_type((data.current, data.size), tuple[int, int])

    def complete(self, data: api.StorageProgressComplete) -> None:
        assert_type((data.src, data.dst), tuple[URL, URL])

    def enter(self, data: api.StorageProgressEnterDir) -> None:
        assert_type(data.src, URL)

    def leave(self, data: api.StorageProgressLeaveDir) -> None:
        assert_type(data.dst, URL)

    def fail(self, data: api.StorageProgressFail) -> None:
        assert_type(data.message, str)

    def found(self, data: api.StorageProgressFound) -> None:
        assert_type((data.files, data.size, data.complete), tuple[int, int, bool])

    def delete(self, data: api.StorageProgressDelete) -> None:
        assert_type((data.uri, data.is_dir), tuple[URL, bool])


def errors() -> list[type[api.BucketsError]]:
    """Each of them is also what a Python user would catch."""
    configuration: list[type[ValueError]] = [api.ConfigurationError, api.InvalidAddress, api.BadRequest]
    permission: list[type[PermissionError]] = [api.AuthenticationError, api.PermissionDenied]
    missing: type[FileNotFoundError] = api.ResourceNotFound
    taken: type[FileExistsError] = api.AlreadyExists
    folders: tuple[type[IsADirectoryError], type[NotADirectoryError]] = (api.IsADirectory, api.NotADirectory)
    temporary: list[type[ConnectionError]] = [api.TransientError, api.Unavailable, api.NotConnected, api.Throttled]
    late: type[TimeoutError] = api.Timeout
    del configuration, permission, missing, taken, folders, temporary, late
    return [
        api.BucketNotEmpty,
        api.Conflict,
        api.IntegrityError,
        api.InvalidAnswer,
        api.QuotaExceeded,
        api.SourceChanged,
        api.TransferError,
        api.UnsupportedProvider,
    ]


async def a_hook(saved: Callable[[str], None]) -> None:
    hook = NeuroBucketsHook("neuro_buckets_default", cluster_name="main", org_name="acme", project_name="ml")
    assert_type(hook.get_config(), BucketsConfig)
    assert_type(hook.config_in_use(), BucketsConfig)
    assert_type(hook.test_connection(), tuple[bool, str])
    assert_type(hook.open_client(), AbstractAsyncContextManager[Buckets])
    assert_type(hook.call(Buckets.check), str)
    assert_type(hook.iterate(Buckets.list), Iterator[Any])
    hook.cancel()
    with hook as kept:
        kept.upload_dir("data/", "blob:name/data/")
    async with hook.connect() as client:
        assert_type(client, Buckets)
    saved(NeuroBucketsHook.conn_type + NeuroBucketsHook.hook_name)
    saved(NeuroBucketsHook.conn_name_attr + NeuroBucketsHook.default_conn_name)


def operators_of_a_dag(saved: Callable[[str], None]) -> None:
    operators.BucketCreateOperator(task_id="a", name="name", if_exists="fail", **PLACE)
    operators.BucketImportOperator(
        task_id="b", provider="aws", provider_bucket_name="theirs", credentials={}, name="ours", check=False
    )
    operators.BucketRmOperator(
        task_id="c", bucket_id_or_name="name", force=True, allow_whole_bucket=True, if_missing="fail", dry_run=True
    )
    operators.BucketSetPublicAccessOperator(task_id="d", bucket_id_or_name="name", public_access=True)
    operators.BucketDiskUsageOperator(task_id="e", bucket_id_or_name="name")
    blobs.BucketPutBlobOperator(task_id="f", bucket_id_or_name="name", key="key", body=b"content", assets=True)
    blobs.BucketListBlobsOperator(task_id="g", uri="blob:name/", recursive=True, max_keys=10)
    blobs.BucketGlobBlobsOperator(task_id="h", uri="blob:name/*", max_keys=10)
    blobs.BucketBlobRmOperator(task_id="i", uri="blob:name/key", recursive=True, if_missing="fail", dry_run=True)
    blobs.BucketMakeSignedUrlOperator(task_id="j", uri="blob:name/key", expires_in_seconds=60)
    transfers.BucketUploadFileOperator(task_id="k", src="file", dst="blob:name/key", update=True, continue_=True)
    transfers.BucketDownloadFileOperator(task_id="l", src="blob:name/key", dst="file", update=True, continue_=True)
    transfers.BucketUploadDirOperator(
        task_id="m", src="data", dst="blob:name/", ignore_file_names=[".gitignore"], symlinks="skip", assets=True
    )
    transfers.BucketDownloadDirOperator(task_id="n", src="blob:name/", dst="data", update=True, dry_run="{{ x }}")
    transfers.BucketCopyDirOperator(task_id="o", src="blob:name/", dst="blob:other/", update=True)
    credentials.PersistentCredentialsCreateOperator(
        task_id="p", bucket_ids=["name"], name="mine", read_only=True, save_connection=saved, if_exists="fail"
    )
    credentials.PersistentCredentialsRmOperator(task_id="q", credential_id_or_name="mine", if_missing="ignore")


def shards_of_a_dag() -> None:
    ends: dict[str, Any] = {"src": "data", "dst": "blob:name/", "dst_conn_id": "neuro_buckets_default"}
    shards.BucketShardOperator(task_id="r", shards=16, mode="sync", delete_extra=True, work="blob:name/.work", **ends)
    shards.BucketTransferShardOperator(task_id="s", shard={}, **ends)
    shards.BucketConcludeShardsOperator(task_id="t", plan={}, **ends)
    assert_type(bucket_sync_group("u", src="data", dst="blob:name/", shards=16, mode="copy", pool="lake"), TaskGroup)


def sensors_of_a_dag() -> None:
    BucketBlobSensor(task_id="a", uri=["blob:name/key"], require="any", min_size=1, stable_for=60, deferrable=True)
    BucketGlobSensor(task_id="b", uri="blob:name/*", min_count=24, newer_than="2026-01-01T00:00:00Z")
    BucketPrefixUnchangedSensor(task_id="c", uri="blob:name/", unchanged_for=60, min_count=1)


def triggers_of_the_triggerer() -> None:
    waiting: dict[str, Any] = {"neuro_buckets_conn_id": "neuro_buckets_default", "poke_interval": 60.0}
    BlobTrigger(uris=["blob:name/key"], enough=1, min_size=1, **waiting)
    GlobTrigger(uri="blob:name/*", min_count=1, stable_for=1.0, **waiting)
    PrefixUnchangedTrigger(uri="blob:name/", unchanged_for=60.0, min_count=1, seen=None, **waiting)
    watcher = NewBlobsTrigger(
        uri="blob:name/",
        neuro_buckets_conn_id="neuro_buckets_default",
        poke_interval=60.0,
        max_events_per_poll=10,
        min_size=1,
        newer_than=None,
        stable_for=1.0,
    )
    Asset("blob:name/", watchers=[AssetWatcher(name="new", trigger=watcher)])


def a_filesystem() -> None:
    assert_type(get_fs("neuro_buckets_default"), BlobFileSystem)
    BlobFileSystem("neuro_buckets_default", asynchronous=True)
    assert_type(list(BlobPath("blob://neuro_buckets_default@name/").glob("*")), list[BlobPath])


def test_of_a_dag(neuro_buckets_local: RunningPlatform) -> Iterator[RunningPlatform]:
    assert_type(neuro_buckets_local.connection, str)
    assert_type(neuro_buckets_local.config, BucketsConfig)
    assert_type((neuro_buckets_local.api_url, neuro_buckets_local.buckets_url), tuple[str, str])
    assert_type((neuro_buckets_local.token, neuro_buckets_local.readonly_token), tuple[str, str])
    with local_platform(["--data-dir", "data"]) as platform:
        yield platform
