"""The platform's control plane: buckets, and the credentials to them, on servers of every era (wire protocol 3)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from datetime import datetime
from typing import Any

import aiohttp
from yarl import URL

from airflow_provider_neuro_buckets.buckets.answers import (
    expect,
    read_bucket,
    read_credentials,
    read_persistent,
    text_field,
)
from airflow_provider_neuro_buckets.buckets.config import BucketsConfig
from airflow_provider_neuro_buckets.buckets.discovery import Discovery
from airflow_provider_neuro_buckets.buckets.eras import (
    Era,
    Place,
    Wanted,
    bucket_query,
    id_query,
    is_in_home,
    is_wanted,
    knows_no_projects,
    list_query,
    new_bucket,
    shown,
    wants_org,
)
from airflow_provider_neuro_buckets.buckets.errors import (
    AlreadyExists,
    BadRequest,
    BucketsError,
    ConfigurationError,
    InvalidAnswer,
    ResourceNotFound,
)
from airflow_provider_neuro_buckets.buckets.models import Bucket, BucketCredentials, PersistentBucketCredentials
from airflow_provider_neuro_buckets.buckets.negotiation import Negotiation
from airflow_provider_neuro_buckets.buckets.target import Target, check_identifier
from airflow_provider_neuro_buckets.buckets.uri import is_bucket_id
from airflow_provider_neuro_buckets.buckets.wire import Wire


class Platform:
    """The platform as one caller sees it. Holds no connection of its own: `http` belongs to whoever opened it."""

    def __init__(self, http: aiohttp.ClientSession, config: BucketsConfig) -> None:
        self._config = config
        self._wire = Wire(http, config)
        self._discovery = Discovery(self._wire, config)
        self._negotiation = Negotiation(self._wire)

    async def place(self, cluster_name: str | None = None) -> Place:
        """Return the place of a cluster, the current one by default. See :meth:`Discovery.place`."""
        return await self._discovery.place(cluster_name)

    # Finding buckets

    async def buckets(self, target: Target) -> list[Bucket]:
        """Return every bucket that the caller may read in one org and project."""
        place = await self.place(target.cluster)
        wanted = Wanted.of(target, place)
        what = f"cannot list the buckets of {shown(place, wanted)} at {place.buckets_url}"

        async def ask(query: dict[str, str]) -> list[Bucket]:
            answer = await self._wire.request("GET", place.buckets_url / "buckets", query=query, what=what)
            found = [read_bucket(item, place.cluster) for item in expect(list, answer, "a list of buckets")]
            for bucket in found[:1]:
                self._negotiation.learn_from(place, bucket)
            return [bucket for bucket in found if is_in_home(bucket, wanted)]

        try:
            return await self._negotiation.ask(place, lambda era: list_query(era, wanted), ask)
        except ResourceNotFound as refusal:
            raise ResourceNotFound(
                refusal.problem, remedy="Check buckets_url, and the cluster, org and project of the connection"
            ) from None
        except BadRequest as refusal:
            raise self._explained(refusal, wanted) from None

    async def bucket(self, target: Target) -> Bucket:
        """Return a bucket by its id or by its name; what comes back has been compared with what was asked.

        :raises ResourceNotFound: no such bucket in the org and project.
        """
        place = await self.place(target.cluster)
        wanted = Wanted.of(target, place)
        url = place.buckets_url / "buckets" / wanted.bucket
        what = f"cannot find bucket {wanted.bucket!r} in {shown(place, wanted)}"

        async def ask(query: dict[str, str]) -> Bucket:
            answer = await self._wire.request("GET", url, query=query, what=what)
            return self._compared(place, answer, lambda bucket: is_wanted(bucket, wanted), what)

        try:
            return await self._negotiation.ask(place, lambda era: bucket_query(era, wanted), ask)
        except BadRequest as refusal:
            raise self._explained(refusal, wanted) from None

    async def is_strict(self, place: Place) -> bool:
        """Whether an address can only be ``org/project/bucket`` there."""
        return await self._negotiation.is_strict(place)

    async def bucket_by_path(self, place: Place, path: str, *, accepts: Callable[[Bucket], bool]) -> Bucket:
        """Return the bucket that a path of unknown segmentation leads to; strict servers find none.

        :param path: decoded, without a leading ``/``; may go on behind the bucket.
        """
        what = f"cannot find a bucket at blob://{place.cluster}/{path}"
        url = place.buckets_url.joinpath("buckets", "find", "by_path")
        return self._compared(
            place, await self._wire.request("GET", url, query={"path": path}, what=what), accepts, what
        )

    def _compared(self, place: Place, answer: Any, accepts: Callable[[Bucket], bool], what: str) -> Bucket:
        bucket = read_bucket(answer, place.cluster)
        self._negotiation.learn_from(place, bucket)
        if not accepts(bucket):
            raise ResourceNotFound(
                f"{self._config.name}: {what}: the platform offers {bucket.uri} instead",
                remedy="Check the name, the org and the project, or use that address",
            )
        return bucket

    def _explained(self, refusal: BadRequest, wanted: Wanted) -> BucketsError:
        """Return what it means that no org was named."""
        if not wants_org(refusal) or wanted.org is not None:
            return refusal
        if is_bucket_id(wanted.bucket):
            return ResourceNotFound(
                f"{self._config.name}: there is no bucket {wanted.bucket}", remedy="Check the id and the cluster"
            )
        return ConfigurationError(
            f"{self._config.name} names no org, and this platform wants one",
            remedy="Set org_name, in the connection or as a parameter",
        )

    # Making and changing buckets

    async def create_bucket(self, target: Target, name: str | None) -> Bucket:
        """Make a bucket; `None` makes one without a name.

        :raises AlreadyExists: the name is taken, and not by a request of ours whose answer was lost.
        """
        return await self._make(target, name, {}, f"cannot create bucket {name!r}")

    async def import_bucket(
        self,
        target: Target,
        name: str | None,
        *,
        provider: str,
        provider_bucket_name: str,
        credentials: Mapping[str, str],
    ) -> Bucket:
        """Make a bucket of one that exists at the provider. The platform does not try the credentials."""
        external = {
            "provider": provider,
            "provider_bucket_name": provider_bucket_name,
            "credentials": dict(credentials),
        }
        return await self._make(target, name, external, f"cannot import bucket {provider_bucket_name!r}")

    async def _make(self, target: Target, name: str | None, external: Mapping[str, Any], what: str) -> Bucket:
        place = await self.place(target.cluster)
        wanted = Wanted.of(target, place)

        async def make(era: Era) -> Bucket:
            return await self._wire.make(
                place.buckets_url.joinpath("buckets", *(("import", "external") if external else ())),
                body={"name": name, **new_bucket(era, wanted), **external},
                read=lambda answer: self._made(place, answer, wanted),
                find=self._finder(target, name, is_import=bool(external)) if name else None,
                what=f"{what} in {shown(place, wanted)}",
            )

        try:
            return await make(max(self._negotiation.possible(place)))
        except BadRequest as refusal:
            if not knows_no_projects(refusal):
                raise self._explained(refusal, wanted) from None
        self._negotiation.learn(place, frozenset({Era.OWNER}))
        return await make(Era.OWNER)

    def _made(self, place: Place, answer: Any, wanted: Wanted) -> Bucket:
        bucket = read_bucket(answer, place.cluster)
        self._negotiation.learn_from(place, bucket)
        if wanted.org not in {None, bucket.org_name} or wanted.home not in {None, bucket.project_name}:
            raise InvalidAnswer(
                f"{self._config.name}: the platform has made {bucket.uri}, which is not where it was told to",
                remedy="Remove that bucket, and check org_name and project_name",
            )
        return bucket

    def _finder(self, target: Target, name: str, *, is_import: bool) -> Callable[[datetime], Awaitable[Bucket | None]]:
        """Return what looks for a bucket whose making was not answered."""

        async def find(since: datetime) -> Bucket | None:
            wanted = Target(bucket=name, cluster=target.cluster, selector=target.selector)
            try:
                bucket = await self.bucket(wanted)
            except ResourceNotFound:
                return None
            if bucket.created_at < since or bucket.imported is not is_import:
                raise AlreadyExists(
                    f"{self._config.name}: there is a bucket {bucket.uri} since {bucket.created_at.isoformat()}",
                    remedy="Choose another name, or use the one that exists",
                )
            return bucket

        return find

    async def set_public(self, bucket: Bucket, *, public: bool) -> Bucket:
        """Open a bucket to anonymous readers, or close it."""
        answer = await self._wire.request(
            "PATCH",
            await self._url(bucket),
            query=id_query(bucket),
            body={"public": public},
            what=f"cannot change the public access of {bucket.uri}",
        )
        return read_bucket(answer, bucket.cluster_name)

    async def delete_bucket(self, bucket: Bucket) -> None:
        """Delete a bucket and, on the platform's side, everybody's persistent credentials for it."""
        await self._wire.delete(await self._url(bucket), query=id_query(bucket), what=f"cannot delete {bucket.uri}")

    # Access to blobs

    async def tmp_credentials(self, bucket: Bucket) -> BucketCredentials:
        """Return fresh temporary credentials for a bucket."""
        answer = await self._wire.request(
            "POST",
            await self._url(bucket, "make_tmp_credentials"),
            query=id_query(bucket),
            what=f"cannot get credentials for {bucket.uri}",
        )
        return read_credentials(answer)

    async def sign(self, bucket: Bucket, key: str, expires_in_seconds: int) -> URL:
        """Return a URL with which anybody can GET one blob; nobody checks that the blob exists."""
        answer = await self._wire.request(
            "POST",
            await self._url(bucket, "sign_blob_url"),
            query=id_query(bucket),
            body={"key": key, "expires_in_sec": expires_in_seconds},
            what=f"cannot sign a URL in {bucket.uri}",
        )
        return URL(text_field(expect(dict, answer, "a signed URL"), "url", "a signed URL"), encoded=True)

    async def _url(self, bucket: Bucket, *verb: str) -> URL:
        """Return the address of a bucket, by its id, in the cluster that it is in."""
        place = await self.place(bucket.cluster_name)
        return place.buckets_url.joinpath("buckets", bucket.id, *verb)

    # Persistent credentials

    async def persistent_list(self, place: Place) -> list[PersistentBucketCredentials]:
        """Return the caller's own persistent credentials, secrets included."""
        answer = await self._wire.request(
            "GET",
            place.buckets_url / "persistent_credentials",
            what=f"cannot list the persistent credentials on {place.cluster}",
        )
        return [read_persistent(item, place.cluster) for item in expect(list, answer, "a list of credentials")]

    async def persistent_create(
        self, place: Place, bucket_ids: Iterable[str], *, name: str | None, read_only: bool
    ) -> PersistentBucketCredentials:
        """Make persistent credentials for some buckets.

        :raises AlreadyExists: the name is taken by others than these.
        """
        ids = list(bucket_ids)

        async def find(_: datetime) -> PersistentBucketCredentials | None:
            try:
                found = await self.persistent_get(place, name or "")
            except ResourceNotFound:
                return None
            if found.read_only is not read_only or {item.bucket_id for item in found.credentials} != set(ids):
                raise AlreadyExists(
                    f"{self._config.name}: there are other persistent credentials {name!r}",
                    remedy="Choose another name",
                )
            return found

        return await self._wire.make(
            place.buckets_url / "persistent_credentials",
            body={"name": name, "bucket_ids": ids, "read_only": read_only},
            read=lambda answer: read_persistent(answer, place.cluster),
            find=find if name else None,
            what=f"cannot create persistent credentials {name!r} on {place.cluster}",
        )

    async def persistent_get(self, place: Place, id_or_name: str) -> PersistentBucketCredentials:
        """Return persistent credentials by id or name."""
        answer = await self._wire.request(
            "GET",
            place.buckets_url / "persistent_credentials" / check_identifier(id_or_name, what="persistent credential"),
            what=f"cannot find persistent credentials {id_or_name!r} on {place.cluster}",
        )
        return read_persistent(answer, place.cluster)

    async def persistent_delete(self, place: Place, id_or_name: str) -> None:
        """Delete persistent credentials: whoever uses them is locked out."""
        await self._wire.delete(
            place.buckets_url / "persistent_credentials" / check_identifier(id_or_name, what="persistent credential"),
            what=f"cannot delete persistent credentials {id_or_name!r} on {place.cluster}",
        )
