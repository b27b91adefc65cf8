"""The routes of the buckets service, in the strict era of the wire protocol (section 3)."""

from __future__ import annotations

import asyncio
import json
import re
import secrets
import uuid
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

from aiohttp import web
from botocore.exceptions import ClientError

from airflow_provider_neuro_buckets.local import imported
from airflow_provider_neuro_buckets.local.answers import (
    Refusal,
    bad_request,
    not_found,
    read_bool,
    read_name,
    read_object,
    read_query,
    read_text,
    schema_error,
    unexpected,
)
from airflow_provider_neuro_buckets.local.records import BucketRecord, CredentialsRecord, Records
from airflow_provider_neuro_buckets.local.rights import Action, User, Users
from airflow_provider_neuro_buckets.local.storage import Grant, Storage

PROVIDER = "seaweedfs"
PROVIDERS = frozenset({"aws", "minio", "azure", "gcp", "emc_ecs", "open_stack", "seaweedfs"})
LONGEST_SIGNED_SECONDS = 604_800
_IGNORED = frozenset({"owner", "public", "imported", "provider", "created_at"})
_SELECTORS = frozenset({"owner", "org_name", "project_name"})

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Routes:
    """Answers the requests of the buckets service.

    :param life_seconds: how long temporary credentials are good.
    """

    def __init__(self, *, records: Records, storage: Storage, users: Users, life_seconds: int) -> None:
        self._records = records
        self._storage = storage
        self._users = users
        self._life_seconds = life_seconds
        self._changes = asyncio.Lock()

    def table(self, base: str) -> list[web.RouteDef]:
        """Return the routes below `base`."""
        buckets, credentials = f"{base}/buckets", f"{base}/persistent_credentials"
        return [
            web.post(buckets, self._alone(self.create)),
            web.post(f"{buckets}/import/external", self._alone(self.import_external)),
            web.get(buckets, self.list_buckets),
            web.get(f"{buckets}/find/by_path", self.by_path),
            web.get(f"{buckets}/{{bucket}}", self.get),
            web.patch(f"{buckets}/{{bucket}}", self._alone(self.patch)),
            web.delete(f"{buckets}/{{bucket}}", self._alone(self.delete)),
            web.post(f"{buckets}/{{bucket}}/make_tmp_credentials", self.make_tmp_credentials),
            web.post(f"{buckets}/{{bucket}}/sign_blob_url", self.sign),
            web.post(credentials, self._alone(self.create_credentials)),
            web.get(credentials, self.list_credentials),
            web.get(f"{credentials}/{{credentials}}", self.get_credentials),
            web.delete(f"{credentials}/{{credentials}}", self._alone(self.delete_credentials)),
        ]

    def _alone(self, handler: Handler) -> Handler:
        """Let one change finish before the next begins, so that a name that was free is free still."""

        async def answer(request: web.Request) -> web.StreamResponse:
            await request.read()
            async with self._changes:
                return await handler(request)

        return answer

    # Buckets

    async def create(self, request: web.Request) -> web.Response:
        """POST buckets."""
        user = self._users.caller(request)
        body = await read_object(request, known={"name", "org_name", "project_name", *_IGNORED})
        home = self._home(user, body)
        storage_name = _storage_name(home)
        await self._storage.create_bucket(storage_name)
        bucket = BucketRecord.new(owner=user.name, provider=PROVIDER, storage_name=storage_name, **home)
        self._records.put_bucket(bucket)
        return web.json_response(bucket.to_json(), status=201)

    async def import_external(self, request: web.Request) -> web.Response:
        """POST buckets/import/external; the credentials are stored as they are."""
        user = self._users.caller(request)
        known = {"name", "org_name", "project_name", "provider_bucket_name", "credentials", *_IGNORED}
        body = await read_object(request, known=known)
        provider = read_text(body, "provider")
        if provider not in PROVIDERS:
            raise bad_request(f"{provider!r} is not a valid BucketsProviderType")
        credentials = body.get("credentials")
        if not isinstance(credentials, dict):
            raise schema_error("credentials", "Not a valid mapping type.")
        name = read_text(body, "provider_bucket_name")
        bucket = BucketRecord.new(
            owner=user.name,
            provider=provider,
            storage_name=name,
            imported=True,
            credentials=credentials,
            **self._home(user, body),
        )
        self._records.put_bucket(bucket)
        return web.json_response(bucket.to_json(), status=201)

    def _home(self, user: User, body: Mapping[str, Any]) -> dict[str, Any]:
        """Return name, org and project of a new bucket; the name must be free there."""
        name = read_name(body)
        org, project = read_text(body, "org_name"), read_text(body, "project_name", user.name)
        user.require_project(Action.WRITE, org=org, project=project)
        if name is not None and self._records.find_bucket(name, org=org, project=project):
            raise Refusal(409, {"code": "unique", "description": "Bucket with given name exists"})
        return {"name": name, "org_name": org, "project_name": project}

    async def list_buckets(self, request: web.Request) -> web.StreamResponse:
        """GET buckets of one org and project; what the caller may not read is left out."""
        user = self._users.caller(request)
        query = read_query(request, known=_SELECTORS)
        org, project = _selected(user, query)
        shown = [item.to_json() for item in self._records.in_project(org, project) if user.may_read(item)]
        return _many(request, shown)

    async def by_path(self, request: web.Request) -> web.Response:
        """GET buckets/find/by_path: org/project/name, and whatever stands behind it."""
        user = self._users.caller(request)
        path = request.query.get("path")
        if path is None:
            raise schema_error("path", "Missing data for required field.")
        parts = path.split("/", 3)
        found = self._records.find_bucket(parts[2], org=parts[0], project=parts[1]) if len(parts) > 2 else None  # noqa: PLR2004 - org, project, name
        if found is None:
            raise unexpected(f"Bucket for path {path} not found")
        user.require(Action.READ, found)
        return web.json_response(found.to_json())

    async def get(self, request: web.Request) -> web.Response:
        """GET a bucket."""
        return web.json_response(self._bucket(request, Action.READ)[1].to_json())

    async def patch(self, request: web.Request) -> web.Response:
        """PATCH the public flag."""
        _, bucket = self._bucket(request, Action.WRITE)
        body = await read_object(request, known={"public"})
        if "public" in body and body["public"] != bucket.public:
            public = read_bool(body, "public")
            if bucket.imported:
                await imported.set_public(bucket, public=bool(public))
            else:
                await self._storage.set_public(bucket.storage_name, public=bool(public))
            bucket = replace(bucket, public=public)
            self._records.put_bucket(bucket)
        return web.json_response(bucket.to_json())

    async def delete(self, request: web.Request) -> web.Response:
        """DELETE a bucket. As on the platform, its persistent credentials go first, also when it is not empty."""
        _, bucket = self._bucket(request, Action.WRITE)
        await self._drop_from_credentials(bucket)
        if not bucket.imported:
            try:
                await self._storage.delete_bucket(bucket.storage_name)
            except ClientError as error:
                code = error.response.get("Error", {}).get("Code", "")
                if code != "NoSuchBucket":
                    raise unexpected(f"An error occurred ({code}) when calling the DeleteBucket operation") from None
        self._records.drop_bucket(bucket)
        return web.Response(status=204)

    async def make_tmp_credentials(self, request: web.Request) -> web.Response:
        """POST for temporary credentials; read-only ones for whoever may only read."""
        user, bucket = self._bucket(request, Action.READ)
        read_only = user.may < Action.WRITE
        if bucket.imported:
            credentials = {"bucket_name": bucket.storage_name, **bucket.credentials}
        else:
            grant = Grant(bucket=bucket.storage_name, read_only=read_only)
            credentials = await self._storage.temporary(user.name, grant, self._life_seconds)
        return web.json_response(_credentials_json(bucket, credentials, read_only=read_only))

    async def sign(self, request: web.Request) -> web.Response:
        """POST for a signed URL; whether the blob exists is not checked."""
        _, bucket = self._bucket(request, Action.READ)
        body = await read_object(request, known={"key", "expires_in_sec"})
        key, seconds = read_text(body, "key"), body.get("expires_in_sec", 3600)
        if not isinstance(seconds, int) or isinstance(seconds, bool) or seconds < 1:
            raise schema_error("expires_in_sec", "Must be greater than or equal to 1.")
        if seconds > LONGEST_SIGNED_SECONDS and bucket.provider != "azure":
            raise bad_request(f"expires_in_sec must be at most {LONGEST_SIGNED_SECONDS}")
        if bucket.imported:
            url = await imported.sign(bucket, key, seconds)
        else:
            url = await self._storage.sign(bucket.storage_name, key, seconds)
        return web.json_response({"url": url})

    def _bucket(self, request: web.Request, action: Action) -> tuple[User, BucketRecord]:
        """Return the caller and the bucket of a request: by id first, then by name in an org and project."""
        user = self._users.caller(request)
        query = read_query(request, known=_SELECTORS)
        wanted = request.match_info["bucket"]
        bucket = self._records.buckets.get(wanted)
        if bucket is None:
            org, project = _selected(user, query)
            bucket = self._records.find_bucket(wanted, org=org, project=project)
        if bucket is None:
            raise not_found(f"Bucket {wanted}")
        user.require(action, bucket)
        return user, bucket

    # Persistent credentials

    async def create_credentials(self, request: web.Request) -> web.Response:
        """POST persistent credentials: a user of the storage with exactly these rights."""
        user = self._users.caller(request)
        body = await read_object(request, known={"name", "bucket_ids", "read_only"})
        name, read_only = read_name(body), read_bool(body, "read_only", default=False)
        buckets = self._for_credentials(user, body.get("bucket_ids"), read_only=bool(read_only))
        if name is not None and self._records.find_credentials(name, owner=user.name):
            raise unexpected(f"PersistentCredentials for {user.name} with name {name} already exists")
        storage_user = f"credentials-{uuid.uuid4().hex[:16]}"
        access_key_id, secret = await self._storage.create_user(storage_user, _grants(buckets, read_only=read_only))
        credentials = CredentialsRecord(
            id=f"bucket-credentials-{uuid.uuid4()}",
            name=name,
            owner=user.name,
            read_only=read_only,
            bucket_ids=tuple(bucket.id for bucket in buckets),
            user=storage_user,
            access_key_id=access_key_id,
            secret_access_key=secret,
        )
        self._records.put_credentials(credentials)
        return web.json_response(self._persistent_json(credentials), status=201)

    def _for_credentials(self, user: User, bucket_ids: Any, *, read_only: bool) -> list[BucketRecord]:
        if not isinstance(bucket_ids, list) or not bucket_ids:
            raise schema_error("bucket_ids", "Shorter than minimum length 1.")
        buckets = []
        for bucket_id in bucket_ids:
            bucket = self._records.buckets.get(bucket_id)
            if bucket is None:
                raise unexpected(f"UserBucket with id {bucket_id} doesn't exist")
            user.require(Action.READ if read_only else Action.WRITE, bucket)
            if bucket.imported:
                raise bad_request(f"Cannot create credential for imported bucket {bucket_id}")
            buckets.append(bucket)
        return buckets

    async def list_credentials(self, request: web.Request) -> web.StreamResponse:
        """GET the caller's own persistent credentials, secrets included."""
        user = self._users.caller(request)
        own = [item for item in self._records.credentials.values() if item.owner == user.name]
        return _many(request, [self._persistent_json(item) for item in own])

    async def get_credentials(self, request: web.Request) -> web.Response:
        """GET persistent credentials, secrets included."""
        return web.json_response(self._persistent_json(self._own_credentials(request)))

    async def delete_credentials(self, request: web.Request) -> web.Response:
        """DELETE persistent credentials, and with them their user in the storage."""
        credentials = self._own_credentials(request)
        await self._storage.delete_user(credentials.user, credentials.access_key_id)
        self._records.drop_credentials(credentials)
        return web.Response(status=204)

    def _own_credentials(self, request: web.Request) -> CredentialsRecord:
        user = self._users.caller(request)
        wanted = request.match_info["credentials"]
        credentials = self._records.find_credentials(wanted, owner=user.name)
        if credentials is None:
            raise not_found(f"PersistentCredentials {wanted}")
        return credentials

    def _persistent_json(self, credentials: CredentialsRecord) -> dict[str, Any]:
        items = []
        for bucket_id in credentials.bucket_ids:
            bucket = self._records.buckets[bucket_id]
            keys = self._storage.lasting(bucket.storage_name, credentials.access_key_id, credentials.secret_access_key)
            items.append(_credentials_json(bucket, keys, read_only=credentials.read_only))
        shown = {"id", "name", "owner", "read_only"}
        return {**{field: getattr(credentials, field) for field in sorted(shown)}, "credentials": items}

    async def _drop_from_credentials(self, bucket: BucketRecord) -> None:
        """Take a bucket out of everybody's credentials; those that are left with none are deleted."""
        for credentials in [item for item in self._records.credentials.values() if bucket.id in item.bucket_ids]:
            left = [self._records.buckets[item] for item in credentials.bucket_ids if item != bucket.id]
            if left:
                await self._storage.set_grants(credentials.user, _grants(left, read_only=credentials.read_only))
                ids = tuple(item.id for item in left)
                self._records.put_credentials(replace(credentials, bucket_ids=ids))
            else:
                await self._storage.delete_user(credentials.user, credentials.access_key_id)
                self._records.drop_credentials(credentials)


def _selected(user: User, query: Mapping[str, str]) -> tuple[str, str]:
    """Return org and project of a request, as strict servers read them (section 3.5)."""
    if "owner" in query and "project_name" in query:
        raise bad_request("owner cannot be specified with project_name")
    if "org_name" not in query:
        raise bad_request("org_name must be provided")
    return query["org_name"], query.get("project_name", query.get("owner", user.name))


def _storage_name(home: Mapping[str, Any]) -> str:
    words = "-".join(str(home[part] or "") for part in ("org_name", "project_name", "name"))
    stem = f"neuro-pl-{secrets.token_hex(5)}-{re.sub('[^a-z0-9-]', '', words)}"
    return f"{stem[:45].rstrip('-')}-{secrets.token_hex(6)}"


def _grants(buckets: Iterable[BucketRecord], *, read_only: bool | None) -> list[Grant]:
    return [Grant(bucket=bucket.storage_name, read_only=bool(read_only)) for bucket in buckets]


def _credentials_json(
    bucket: BucketRecord, credentials: Mapping[str, str], *, read_only: bool | None
) -> dict[str, Any]:
    return {
        "bucket_id": bucket.id,
        "provider": bucket.provider,
        "read_only": read_only,
        "credentials": dict(credentials),
    }


def _many(request: web.Request, items: list[dict[str, Any]]) -> web.Response:
    """Return a list in the form that was asked for: one array, or a line for each item."""
    if "application/x-ndjson" not in request.headers.get("Accept", ""):
        return web.json_response(items)
    lines = "".join(json.dumps(item) + "\n" for item in items)
    return web.Response(text=lines, content_type="application/x-ndjson")
