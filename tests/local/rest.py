"""Plain requests to a platform and to its storage, with nothing of the client that is tested elsewhere."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

from airflow_provider_neuro_buckets.local.child import RunningPlatform

DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a server said; `body` is JSON where it says so, else text."""

    status: int
    headers: Mapping[str, str]
    body: Any


def send(method: str, url: str, *, headers: Mapping[str, str] | None = None, content: bytes | None = None) -> Answer:
    """Send one request; an error status is an answer like any other."""
    request = urllib.request.Request(url, method=method, headers=dict(headers or {}), data=content)
    try:
        with DIRECT.open(request, timeout=30) as response:
            status, received, text = response.status, dict(response.headers), response.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            status, received, text = error.code, dict(error.headers), error.read().decode()
    is_json = received.get("Content-Type", "").startswith("application/json")
    return Answer(status=status, headers=received, body=json.loads(text) if is_json else text)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rest:
    """A caller of the buckets service."""

    buckets_url: str
    token: str = field(repr=False)

    @classmethod
    def user(cls, platform: RunningPlatform) -> Rest:
        """Return who may do everything in the project."""
        return cls(buckets_url=platform.buckets_url, token=platform.token)

    @classmethod
    def reader(cls, platform: RunningPlatform) -> Rest:
        """Return who may only read."""
        return cls(buckets_url=platform.buckets_url, token=platform.readonly_token)

    def call(self, method: str, path: str, body: Any = None) -> Answer:
        """Send a request with this caller's token."""
        headers = {"Authorization": f"Bearer {self.token}"}
        content = None if body is None else json.dumps(body).encode()
        return send(method, f"{self.buckets_url}/{path}", headers=headers, content=content)

    def bucket(self, name: str | None = None) -> Any:
        """Create a bucket."""
        body = {"name": name or new_name(), "org_name": "neuro", "project_name": "demo"}
        return self.done("POST", "buckets", body)

    def imported(self, provider: str, real_name: str, **credentials: str) -> Any:
        """Import a bucket."""
        body = {
            "name": new_name(),
            "org_name": "neuro",
            "project_name": "demo",
            "provider": provider,
            "provider_bucket_name": real_name,
            "credentials": credentials,
        }
        return self.done("POST", "buckets/import/external", body)

    def temporary(self, bucket: Mapping[str, Any]) -> Any:
        """Return temporary credentials, the provider's own part."""
        return self.done("POST", f"buckets/{bucket['id']}/make_tmp_credentials")["credentials"]

    def lasting(self, *buckets: Mapping[str, Any], read_only: bool = False) -> Any:
        """Create persistent credentials; return the whole answer."""
        body = {"name": new_name(), "bucket_ids": [bucket["id"] for bucket in buckets], "read_only": read_only}
        return self.done("POST", "persistent_credentials", body)

    def signed(self, bucket: Mapping[str, Any], key: str, seconds: int = 600) -> str:
        """Return a signed URL."""
        body = {"key": key, "expires_in_sec": seconds}
        return str(self.done("POST", f"buckets/{bucket['id']}/sign_blob_url", body)["url"])

    def done(self, method: str, path: str, body: Any = None) -> Any:
        """Send a request that must succeed; return its body."""
        answer = self.call(method, path, body)
        assert answer.status < 300, answer
        return answer.body


def new_name() -> str:
    """Return a name that no other test uses."""
    return f"b{uuid4().hex[:12]}"


@contextmanager
def s3(credentials: Mapping[str, str]) -> Iterator[Any]:
    """Give a plain boto3 client that tries once, with credentials as the platform hands them out."""
    client = boto3.client(
        "s3",
        endpoint_url=credentials["endpoint_url"],
        region_name=credentials["region_name"],
        aws_access_key_id=credentials["access_key_id"],
        aws_secret_access_key=credentials["secret_access_key"],
        aws_session_token=credentials.get("session_token"),
        config=Config(
            retries={"total_max_attempts": 1},
            s3={"addressing_style": "path"},
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
        ),
    )
    try:
        yield client
    finally:
        client.close()


def allowed(credentials: Mapping[str, str], *, key: str = "key", bucket: str | None = None) -> set[str]:
    """Return what the storage lets these credentials do with a bucket: of put, get, list and delete.

    A blob must be there already for whoever may get but not put.
    """
    name = bucket or credentials["bucket_name"]
    with s3(credentials) as client:
        calls: dict[str, tuple[Callable[..., Any], dict[str, Any]]] = {
            "put": (client.put_object, {"Key": key, "Body": b"content"}),
            "get": (client.get_object, {"Key": key}),
            "list": (client.list_objects_v2, {}),
            "delete": (client.delete_object, {"Key": f"{key}-of-nothing"}),
        }
        return {verb for verb, (call, arguments) in calls.items() if _passes(call, Bucket=name, **arguments)}


def _passes(call: Callable[..., Any], **arguments: Any) -> bool:
    try:
        call(**arguments)
    except ClientError as error:
        if error.response["ResponseMetadata"]["HTTPStatusCode"] == 403:
            return False
        raise
    return True
