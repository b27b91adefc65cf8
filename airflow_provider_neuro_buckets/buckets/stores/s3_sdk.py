"""The verbs of S3 that aiobotocore speaks: one client for the current credentials, made when first needed."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from functools import cache
from typing import Any

from aiobotocore.config import AioConfig
from aiobotocore.session import AioSession, get_session
from botocore.exceptions import BotoCoreError, ClientError

from airflow_provider_neuro_buckets.buckets.credentials import CredentialSource, needed
from airflow_provider_neuro_buckets.buckets.errors import BucketsError, Unavailable, error_for
from airflow_provider_neuro_buckets.buckets.models import BucketCredentials
from airflow_provider_neuro_buckets.buckets.stores.s3_wire import S3Signer, endpoint, is_aws, region


class S3Sdk:
    """Calls operations of an S3 client; the caller retries."""

    def __init__(self, credentials: CredentialSource) -> None:
        self._credentials = credentials
        self._lock = asyncio.Lock()
        self._stack = AsyncExitStack()
        self._client: Any = None
        self._made_for: BucketCredentials | None = None

    async def aclose(self) -> None:
        """Close the clients made so far."""
        await self._stack.aclose()

    async def call(self, operation: str, what: str, **parameters: Any) -> Any:
        """Call an operation on the bucket; once more with renewed credentials when they have ended.

        :param operation: its name in botocore, such as ``create_multipart_upload``.
        :param what: the attempt and its address, for errors.
        """
        credentials = await self._credentials.current()
        try:
            return await self._once(credentials, operation, what, parameters)
        except _Expired:
            renewed = await self._credentials.renew(credentials)
        try:
            return await self._once(renewed, operation, what, parameters)
        except _Expired as expired:
            raise expired.error from None

    async def _once(self, credentials: BucketCredentials, operation: str, what: str, parameters: dict[str, Any]) -> Any:
        client = await self._client_for(credentials)
        try:
            return await getattr(client, operation)(Bucket=needed(credentials.credentials, "bucket_name"), **parameters)
        except ClientError as error:
            raise _translated(error, what) from None
        except (BotoCoreError, OSError) as error:
            raise Unavailable(f"{what}: no answer ({type(error).__name__})", remedy="Try again later") from None

    async def _client_for(self, credentials: BucketCredentials) -> Any:
        async with self._lock:
            if self._made_for is not credentials:
                # The models are megabytes of JSON: read in a thread, they do not stall the event loop.
                session = await asyncio.to_thread(_session)
                self._client = await self._stack.enter_async_context(_client(session, credentials))
                self._made_for = credentials
            return self._client


class _Expired(Exception):
    """The credentials have ended; `error` is what to raise if renewing them does not help."""

    def __init__(self, error: BucketsError) -> None:
        super().__init__(str(error))
        self.error = error


def _translated(error: ClientError, what: str) -> Exception:
    details = error.response.get("Error", {})
    status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 500))
    code = str(details.get("Code", ""))
    ours = error_for(status, what=what, code=code, detail=str(details.get("Message", ""))[:200])
    return _Expired(ours) if S3Signer().is_expired(status, code, "POST") else ours


@cache
def _session() -> AioSession:
    """Return the session of this process: it keeps the models it has read, and nothing of any bucket."""
    session = get_session()
    loader = session.get_component("data_loader")
    loader.load_service_model("s3", "service-2")
    loader.load_service_model("s3", "endpoint-rule-set-1")
    return session


def _client(session: AioSession, credentials: BucketCredentials) -> Any:
    keys = credentials.credentials
    return session.create_client(
        "s3",
        region_name=region(keys),
        endpoint_url=endpoint(keys),
        aws_access_key_id=keys.get("access_key_id"),
        aws_secret_access_key=keys.get("secret_access_key"),
        aws_session_token=keys.get("session_token"),
        config=AioConfig(
            retries={"mode": "standard", "total_max_attempts": 1},
            # The clones of S3 do not know the checksums that newer botocore sends unasked.
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
            s3={"addressing_style": "auto" if is_aws(keys) else "path"},
        ),
    )
