"""`NeuroBucketsDagBundle`: DAGs from a folder of a bucket, in versions that stay what they were.

A task runs the version of the files that its DAG run began with, also on a worker that starts later, and also after the
files were replaced: the DAG processor keeps each version that it sees in the bucket, beside the folder.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from airflow.dag_processing.bundles import base
from airflow.providers.common.compat.sdk import AirflowException

from airflow_provider_neuro_buckets.buckets.errors import ConfigurationError, Conflict, ResourceNotFound
from airflow_provider_neuro_buckets.buckets.models import BlobObject
from airflow_provider_neuro_buckets.buckets.transfer.crew import share
from airflow_provider_neuro_buckets.bundles.manifest import Manifest, check_version

if TYPE_CHECKING:
    from airflow_provider_neuro_buckets.buckets.client import Buckets

T = TypeVar("T")

_AT_ONCE = 16
_LOOKS = 5
"""How often a folder is listed anew that changes while it is read."""


class NeuroBucketsDagBundle(base.BaseDagBundle):
    """DAG files below an address, for Airflow's ``[dag_processor] dag_bundle_config_list``.

    Whatever puts files there may do so in its own way. A refresh takes all files as one listing shows them, and what
    Airflow sees switches from one version to the next at once. Versions are kept under `versions_uri` until somebody
    deletes them there: unchanged files are kept once.

    The DAG processor must be allowed to write there; workers need to read only that.

    :param uri: address of the folder, such as ``blob:dags/production``.
    :param versions_uri: address of the folder of versions, outside of `uri`; ``…-versions`` beside it by default.
    :param neuro_buckets_conn_id: a connection of type ``neuro_buckets``.
    """

    supports_versioning = True

    def __init__(
        self,
        *,
        uri: str,
        versions_uri: str | None = None,
        neuro_buckets_conn_id: str = "neuro_buckets_default",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.uri = uri.rstrip("/")
        self.versions_uri = (versions_uri or f"{self.uri}-versions").rstrip("/")
        self.neuro_buckets_conn_id = neuro_buckets_conn_id

    @property
    def path(self) -> Path:
        """The folder of the version; of a bundle without one, a link to that which was seen last."""
        return self.versions_dir / self.version if self.version else self.base_dir / "current"

    def initialize(self) -> None:
        """Fetch the version, or the newest.

        :raises ResourceNotFound: there is no such version.
        """
        if self.version is None:
            self.refresh()
        else:
            version = check_version(self.version)
            with self.lock():
                if not self.path.exists():
                    self._run(partial(self._restore, version=version))
        super().initialize()

    def get_current_version(self) -> Any:
        """Return the version, as a `BundleVersion` with the address of its manifest where Airflow has that."""
        version = self.version or (self.path.readlink().name if self.path.is_symlink() else None)
        if version is None or not hasattr(base, "BundleVersion"):
            return version
        return base.BundleVersion(version=version, data={"manifest": self._manifest_uri(version)})

    def refresh(self) -> None:
        """Look at the folder, keep what it holds as a version, and switch to it.

        :raises AirflowException: the bundle is of one version.
        :raises BucketsError: the bucket cannot be read or written; everything is as it was.
        """
        if self.version is not None:
            raise AirflowException(f"{self.name} is of the version {self.version}, which never changes")
        with self.lock():
            self._switch(self._run(self._take))

    def _switch(self, version: str) -> None:
        link = self.base_dir / f".current.{os.getpid()}"
        link.unlink(missing_ok=True)
        link.symlink_to(self.versions_dir / version)
        link.replace(self.path)

    # In the bucket

    def _run(self, work: Callable[[Buckets], Awaitable[T]]) -> T:
        # Loaded here: Airflow makes bundles in many processes, most of which only ask for their names.
        from airflow_provider_neuro_buckets.hooks.buckets import NeuroBucketsHook  # noqa: PLC0415 - as said

        answer: T = NeuroBucketsHook(self.neuro_buckets_conn_id).call(work)
        return answer

    def _manifest_uri(self, version: str) -> str:
        return f"{self.versions_uri}/{version}.json"

    def _content_uri(self, name: str) -> str:
        return f"{self.versions_uri}/content/{name}"

    async def _take(self, buckets: Buckets) -> str:
        """Keep what is in the folder as a version, here and in the bucket; return what it is called."""
        bucket, key = await buckets.locate(self.uri)
        kept_bucket, kept_key = await buckets.locate(self.versions_uri)
        prefix = key + "/" if key else ""
        if kept_bucket == bucket and f"{kept_key}/".startswith(prefix):
            raise ConfigurationError(
                f"bundle {self.name!r} keeps its versions in its own folder {self.uri}",
                remedy="Set versions_uri to a folder outside of it",
            )
        for look in range(_LOOKS):
            manifest, sources = Manifest.of(await self._listed(buckets, self.uri), prefix)
            try:
                await self._keep(buckets, manifest, sources)
            except (Conflict, ResourceNotFound):  # replaced or deleted since: another version by now
                if look == _LOOKS - 1:
                    raise
            else:
                break
        if not (self.versions_dir / manifest.version).exists():
            await self._materialise(buckets, manifest)
        return manifest.version

    async def _listed(self, buckets: Buckets, uri: str) -> list[BlobObject]:
        async with aclosing(buckets.list_blobs(f"{uri}/", recursive=True, limit=None)) as entries:
            return [entry async for entry in entries if isinstance(entry, BlobObject)]

    async def _keep(self, buckets: Buckets, manifest: Manifest, sources: dict[str, BlobObject]) -> None:
        """Put a version into the bucket: the contents that are not there yet, and then its manifest."""
        there = {blob.name for blob in await self._listed(buckets, self.versions_uri)}
        if f"{manifest.version}.json" in there:
            return

        async def keep(name: str) -> None:
            content = await buckets.read_blob(sources[name].uri, version=sources[name])
            await _put(buckets, self._content_uri(name), content)
            await asyncio.to_thread(self._cache, name, content)

        await share((name for name in sources if name not in there), keep, workers=_AT_ONCE)
        await _put(buckets, self._manifest_uri(manifest.version), manifest.dump())

    async def _restore(self, buckets: Buckets, version: str) -> None:
        uri = self._manifest_uri(version)
        try:
            text = await buckets.read_blob(uri)
        except ResourceNotFound:
            raise ResourceNotFound(
                f"bundle {self.name!r} has no version {version}: there is no {uri}", remedy="Start the DAG run anew"
            ) from None
        await self._materialise(buckets, Manifest.load(text, uri))

    # On the disk

    @property
    def _cached(self) -> Path:
        return self.base_dir / "content"

    def _cache(self, name: str, content: bytes) -> None:
        self._cached.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=self._cached, delete=False) as file:
            file.write(content)
        Path(file.name).chmod(0o444)  # versions share it
        Path(file.name).replace(self._cached / name)

    async def _materialise(self, buckets: Buckets, manifest: Manifest) -> None:
        """Make the local folder of a version: it appears with all its files, or not at all."""

        async def fetch(name: str) -> None:
            content = await buckets.read_blob(self._content_uri(name))
            await asyncio.to_thread(self._cache, name, content)

        names = set(manifest.contents.values())
        missing = [name for name in names if not (self._cached / name).exists()]
        await share(missing, fetch, workers=_AT_ONCE)
        await asyncio.to_thread(self._assemble, manifest)

    def _assemble(self, manifest: Manifest) -> None:
        for folder in (self.versions_dir, self._cached):
            folder.mkdir(parents=True, exist_ok=True)
        making = Path(tempfile.mkdtemp(dir=self.versions_dir, prefix=".making-"))
        try:
            for relative, name in manifest.contents.items():
                path = making / relative
                path.parent.mkdir(parents=True, exist_ok=True)
                os.link(self._cached / name, path)
            making.chmod(0o755)
            making.rename(self.versions_dir / manifest.version)
        except BaseException:
            shutil.rmtree(making)
            raise
        for content in self._cached.iterdir():
            if content.stat().st_nlink == 1:  # of versions that Airflow has removed
                content.unlink()


async def _put(buckets: Buckets, uri: str, content: bytes) -> None:
    bucket, key = await buckets.locate(uri)
    await buckets.put_blob(str(bucket.uri), key, content)
