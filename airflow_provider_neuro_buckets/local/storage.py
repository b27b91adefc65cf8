"""The real S3 server behind the local platform: its buckets, its identities and its signed URLs."""

from __future__ import annotations

import base64
import contextlib
import hmac
import json
import math
import os
import time
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from airflow_provider_neuro_buckets.local.weed import StorageError, Weed

REGION = "us-east-1"
LIFE_SECONDS = range(1, 129_601)
"""How long temporary credentials may be good."""
_SHORTEST_LIFE_SECONDS = 900
_TRIES = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """Rights on one bucket of the storage."""

    bucket: str
    read_only: bool


def policy(grants: Iterable[Grant]) -> str:
    """Return the IAM policy that allows exactly these grants, in the actions that the platform names."""
    statements: list[dict[str, Any]] = []
    for grant in grants:
        actions = ["s3:GetObject"] if grant.read_only else ["s3:GetObject", "s3:PutObject", "s3:DeleteObject"]
        statements += [
            {"Effect": "Allow", "Action": ["s3:ListBucket"], "Resource": [f"arn:aws:s3:::{grant.bucket}"]},
            {"Effect": "Allow", "Action": actions, "Resource": [f"arn:aws:s3:::{grant.bucket}/*"]},
        ]
    return json.dumps({"Version": "2012-10-17", "Statement": statements})


class Storage:
    """A running SeaweedFS. Made by :meth:`open`, which stops it again."""

    def __init__(self, *, weed: Weed, clients: Mapping[str, Any], signing_key: str) -> None:
        self._weed = weed
        self._s3, self._iam, self._sts = clients["s3"], clients["iam"], clients["sts"]
        self._signing_key = signing_key

    @property
    def endpoint(self) -> str:
        """Address of the S3 service."""
        return self._weed.endpoint

    @classmethod
    @asynccontextmanager
    async def open(cls, program: str, data: Path, runtime: Path, secrets: Mapping[str, str]) -> AsyncIterator[Storage]:
        """Start the server on `data` and wait until it answers; stop it on exit.

        :param program: path of ``weed``.
        :param runtime: a folder for what need not survive.
        :param secrets: ``admin_access_key``, ``admin_secret_key`` and ``signing_key``.
        :raises StorageError: the program cannot be run, or does not answer.
        """
        last_words = ""
        for _ in range(_TRIES):  # somebody may be quicker to take a port
            async with AsyncExitStack() as stack:
                weed = await stack.enter_async_context(Weed.start(program, data, runtime, secrets))
                clients = {
                    name: await stack.enter_async_context(_own_client(name, weed.endpoint, secrets))
                    for name in ("s3", "iam", "sts")
                }
                if await weed.answers() and await _is_ours(clients["s3"]):
                    yield cls(weed=weed, clients=clients, signing_key=secrets["signing_key"])
                    return
                last_words = weed.last_words()
        raise StorageError(f"The storage server does not start. It said: {last_words}")

    async def ended(self) -> StorageError:
        """Wait until the server ends by itself, which it should not; return what to say then."""
        return await self._weed.ended()

    async def create_bucket(self, name: str) -> None:
        """Make a bucket."""
        await self._s3.create_bucket(Bucket=name)

    async def delete_bucket(self, name: str) -> None:
        """Delete a bucket; the server refuses one that is not empty with `ClientError` ``BucketNotEmpty``."""
        await self._s3.delete_bucket(Bucket=name)

    async def set_public(self, name: str, *, public: bool) -> None:
        """Let anybody list and read a bucket, or nobody."""
        await set_public(self._s3, name, public=public)

    async def temporary(self, user: str, grant: Grant, seconds: int) -> dict[str, str]:
        """Return credentials of the storage that end after `seconds`, in the platform's words."""
        answer = await self._sts.get_federation_token(
            Name=user[:32], Policy=policy([grant]), DurationSeconds=max(seconds, _SHORTEST_LIFE_SECONDS)
        )
        keys = answer["Credentials"]
        token, expiration = keys["SessionToken"], keys["Expiration"]
        if seconds < _SHORTEST_LIFE_SECONDS:
            expiration = datetime.fromtimestamp(math.ceil(time.time()) + seconds, UTC)
            token = _ending(token, expiration, self._signing_key)
        return {
            **self.lasting(grant.bucket, keys["AccessKeyId"], keys["SecretAccessKey"]),
            "session_token": token,
            "expiration": expiration.isoformat(),
        }

    def lasting(self, bucket: str, access_key_id: str, secret_access_key: str) -> dict[str, str]:
        """Return the keys of a user for one of its buckets, in the platform's words."""
        return {
            "bucket_name": bucket,
            "region_name": REGION,
            "endpoint_url": self.endpoint,
            "access_key_id": access_key_id,
            "secret_access_key": secret_access_key,
        }

    async def create_user(self, user: str, grants: Iterable[Grant]) -> tuple[str, str]:
        """Make a user with exactly these rights; return its access key and its secret."""
        await self._iam.create_user(UserName=user)
        await self.set_grants(user, grants)
        key = (await self._iam.create_access_key(UserName=user))["AccessKey"]
        return key["AccessKeyId"], key["SecretAccessKey"]

    async def set_grants(self, user: str, grants: Iterable[Grant]) -> None:
        """Replace the rights of a user."""
        await self._iam.put_user_policy(UserName=user, PolicyName="buckets", PolicyDocument=policy(grants))

    async def delete_user(self, user: str, access_key_id: str) -> None:
        """Delete a user: from then on its keys are unknown. What is gone already is no error."""
        for call, arguments in (
            (self._iam.delete_access_key, {"AccessKeyId": access_key_id}),
            (self._iam.delete_user_policy, {"PolicyName": "buckets"}),
            (self._iam.delete_user, {}),
        ):
            with contextlib.suppress(self._iam.exceptions.NoSuchEntityException):
                await call(UserName=user, **arguments)

    async def sign(self, bucket: str, key: str, seconds: int) -> str:
        """Return a URL with which anybody can GET a blob."""
        return await sign(self._s3, bucket, key, seconds)


async def set_public(s3: Any, bucket: str, *, public: bool) -> None:
    """Let anybody list and read a bucket, or nobody, through the client of who owns it."""
    if not public:
        try:
            await s3.delete_bucket_policy(Bucket=bucket)
        except ClientError as error:
            if error.response.get("Error", {}).get("Code") != "NoSuchBucketPolicy":
                raise
        return
    statement = {
        "Effect": "Allow",
        "Principal": "*",
        "Action": ["s3:GetObject", "s3:ListBucket"],
        "Resource": [f"arn:aws:s3:::{bucket}/*", f"arn:aws:s3:::{bucket}"],
    }
    await s3.put_bucket_policy(Bucket=bucket, Policy=json.dumps({"Version": "2012-10-17", "Statement": [statement]}))


async def sign(s3: Any, bucket: str, key: str, seconds: int) -> str:
    """Return a URL with which anybody can GET a blob, signed with the keys of the client `s3`."""
    url: str = await s3.generate_presigned_url("get_object", Params={"Bucket": bucket, "Key": key}, ExpiresIn=seconds)
    return url


def aws_client(
    service: Any,
    *,
    endpoint: str | None,
    region: str,
    access_key: str,
    secret_key: str,
    proxies: Mapping[str, str] | None = None,
) -> Any:
    """Return a client with these keys, as a context. Of the environment it reads nothing but proxies.

    :param proxies: by scheme; `None` leaves them to the environment.
    """
    # Slow to load; the first client is made while the server starts.
    from aiobotocore.config import AioConfig  # noqa: PLC0415 - as said
    from aiobotocore.session import AioSession  # noqa: PLC0415 - as said

    session = AioSession(
        session_vars={
            "profile": (None, None, None, None),
            "config_file": (None, None, os.devnull, None),
            "credentials_file": (None, None, os.devnull, None),
        }
    )
    return session.create_client(
        service,
        endpoint_url=endpoint,
        region_name=region,
        aws_access_key_id=access_key,
        aws_secret_access_key=secret_key,
        config=AioConfig(
            ignore_configured_endpoint_urls=True,
            proxies=proxies,
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
            s3={"addressing_style": "path" if endpoint else "auto"},
            signature_version="s3v4" if service == "s3" else "v4",
        ),
    )


def _own_client(service: str, endpoint: str, secrets: Mapping[str, str]) -> Any:
    return aws_client(
        service,
        endpoint=endpoint,
        region=REGION,
        access_key=secrets["admin_access_key"],
        secret_key=secrets["admin_secret_key"],
        proxies={},
    )


async def _is_ours(s3: Any) -> bool:
    """Whether the server that answers knows our keys: it could be another one, if that took the port first."""
    try:
        await s3.list_buckets()
    except (ClientError, BotoCoreError):
        return False
    return True


def _ending(token: str, end: datetime, signing_key: str) -> str:
    """Return the session token signed anew with an earlier end: the server itself grants no life under 15 minutes."""
    header, payload, _ = token.split(".")
    claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    claims["exp"] = int(end.timestamp())
    signed = f"{header}.{_base64(json.dumps(claims, separators=(',', ':')).encode())}"
    return f"{signed}.{_base64(hmac.digest(signing_key.encode(), signed.encode(), 'sha256'))}"


def _base64(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()
