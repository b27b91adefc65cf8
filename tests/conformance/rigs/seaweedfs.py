"""S3 as the platform's own clusters run it, rights included: SeaweedFS, made and granted by the local platform."""

from __future__ import annotations

import json
import tempfile
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import aiohttp
import jwt

from airflow_provider_neuro_buckets.buckets.models import Bucket, BucketCredentials
from airflow_provider_neuro_buckets.local.child import RunningPlatform, local_platform
from conformance.rigs.base import describe_bucket, describe_keys, opened
from conformance.rigs.s3 import S3Rig, owner_client


class LocalServer:
    """A running local platform.

    :ivar owner: the secrets of its storage, for what goes around the store.
    """

    def __init__(self, platform: RunningPlatform, owner: Mapping[str, str]) -> None:
        self.platform = platform
        self.owner = owner

    @asynccontextmanager
    async def rig(self) -> AsyncIterator[SeaweedRig]:
        name = f"bucket-{uuid4().hex[:12]}"
        record = await self._post(
            "buckets",
            {"name": name, "org_name": self.platform.org_name, "project_name": self.platform.project_name},
        )
        bucket = describe_bucket(id_=record["id"], name=name, provider=record["provider"])
        granted = await self._post(f"buckets/{record['id']}/make_tmp_credentials")
        keys = describe_keys(bucket, **granted["credentials"])
        endpoint = keys.credentials["endpoint_url"]
        async with (
            owner_client(endpoint, self.owner["admin_access_key"], self.owner["admin_secret_key"]) as client,
            opened(bucket, keys) as store,
        ):
            yield SeaweedRig(bucket=bucket, keys=keys, store=store, client=client)

    async def read_only_keys(self, bucket: Bucket) -> BucketCredentials:
        """Return credentials of somebody who may only read."""
        granted = await self._post(f"buckets/{bucket.id}/make_tmp_credentials", token=self.platform.readonly_token)
        return describe_keys(bucket, **granted["credentials"])

    def ended_keys(self, rig: SeaweedRig) -> BucketCredentials:
        """Return the credentials of a rig as they will be once they have ended: their token is signed with that end."""
        keys = rig.keys.credentials
        signing_key = self.owner["signing_key"]
        claims = jwt.decode(keys["session_token"], signing_key, algorithms=["HS256"], options={"verify_aud": False})
        ended = jwt.encode({**claims, "exp": claims["exp"] - 100_000}, signing_key, algorithm="HS256")
        named = {name: text for name, text in keys.items() if name != "expiration"}
        return describe_keys(rig.bucket, **{**named, "session_token": ended})

    async def _post(
        self, path: str, body: Mapping[str, str] | None = None, *, token: str | None = None
    ) -> dict[str, Any]:
        headers = {"Authorization": f"Bearer {token or self.platform.token}"}
        params = {"org_name": self.platform.org_name, "project_name": self.platform.project_name}
        async with (
            aiohttp.ClientSession(headers=headers, raise_for_status=True) as http,
            http.post(f"{self.platform.buckets_url}/{path}", json=body, params=None if body else params) as answer,
        ):
            found: dict[str, Any] = await answer.json()
            return found


class SeaweedRig(S3Rig):
    """A bucket of SeaweedFS, which keeps keys as paths of a file system."""

    def refuses(self, key: str) -> str | None:
        *folders, _ = segments = key.split("/")
        reasons = {
            "the server turns a backslash into a slash": "\\" in key,
            "the server drops empty segments": "" in folders,
            "the server refuses dot segments": bool({".", ".."} & set(segments)),
            "the server drops the content of a folder marker": key.endswith("/"),
            "the server refuses NUL": "\0" in key,
            "the server keeps names of at most 255 bytes": any(len(segment.encode()) > 255 for segment in segments),
        }
        return next((reason for reason, holds in reasons.items() if holds), None)


@contextmanager
def serve() -> Iterator[LocalServer]:
    """Run a local platform in a process of its own."""
    with (
        tempfile.TemporaryDirectory(prefix="conformance-") as folder,
        local_platform(["--data-dir", folder]) as platform,
    ):
        records = json.loads((Path(folder) / "platform.json").read_text())
        yield LocalServer(platform, records["secrets"])
