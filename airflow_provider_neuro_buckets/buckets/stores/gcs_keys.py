"""What a service account's key is good for: tokens to send with requests, and signed URLs.

google-auth holds the key and signs; the one request for a token is our own, so that it has the session's time-outs and
certificates, and nothing of it can be logged elsewhere. It is needed for such keys only: the extra ``gcp``.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from base64 import b64decode
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode, urlsplit

from airflow_provider_neuro_buckets.buckets.credentials import CredentialSource, needed
from airflow_provider_neuro_buckets.buckets.errors import AuthenticationError, ConfigurationError, error_for
from airflow_provider_neuro_buckets.buckets.http.faults import network_errors
from airflow_provider_neuro_buckets.buckets.http.pool import Connections
from airflow_provider_neuro_buckets.buckets.http.sending import Outgoing
from airflow_provider_neuro_buckets.buckets.models import BucketCredentials
from airflow_provider_neuro_buckets.buckets.stores.gcs_wire import guarded_address, quoted
from airflow_provider_neuro_buckets.buckets.stores.receiving import read_capped

if TYPE_CHECKING:
    from google.auth.crypt import RSASigner

SCOPE = "https://www.googleapis.com/auth/devstorage.read_write"
_GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
_ASSERTION_LIFE = timedelta(hours=1)
_ALGORITHM = "GOOG4-RSA-SHA256"
_LARGEST_ANSWER = 64 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceAccount:
    """A service account that signs. The private key never shows.

    :ivar token_uri: where its assertions are exchanged for tokens.
    """

    email: str
    token_uri: str
    signer: RSASigner = field(repr=False)


def service_account(key_data: str) -> ServiceAccount:
    """Read a key as the platform stores it: base64 of the JSON that Google hands out.

    :raises ConfigurationError: it is no such key, or google-auth is not installed. Nothing of the key is shown.
    """
    try:
        from google.auth.crypt import RSASigner  # noqa: PLC0415 - an extra, and only keys need it
    except ImportError:
        raise ConfigurationError(
            "a service account's key needs google-auth, which is not installed",
            remedy="Install airflow-provider-neuro-buckets[gcp]",
        ) from None
    try:
        key: dict[str, Any] = json.loads(b64decode(key_data, validate=True))
        email, token_uri = str(key["client_email"]), str(key["token_uri"])
        signer = RSASigner.from_service_account_info(key)
    except (ValueError, KeyError, TypeError):
        raise ConfigurationError(
            "key_data in the credentials of the bucket is not the key of a service account",
            remedy="Import the bucket with the base64 of the key file that Google Cloud gives for a service account",
        ) from None
    return ServiceAccount(
        email=email, token_uri=guarded_address(token_uri, "token_uri of the service account's key"), signer=signer
    )


class TokenSource:
    """Gets credentials with an access token in them, from credentials that have one or have a key.

    :param given: what the platform hands out.
    :param http: belongs to whoever opened it.
    :ivar can_sign: whether a key has been seen.
    """

    def __init__(self, given: CredentialSource, http: Connections) -> None:
        self._given = given
        self._http = http
        self._used: BucketCredentials | None = None
        self.can_sign = False
        self._account: tuple[BucketCredentials, ServiceAccount] | None = None

    async def account(self, given: BucketCredentials) -> ServiceAccount:
        """Return the service account whose key is in some credentials; it is read once."""
        if self._account is None or self._account[0] is not given:
            # Loading google-auth and checking a key take longer than the event loop should wait.
            self._account = given, await asyncio.to_thread(service_account, needed(given.credentials, "key_data"))
            self.can_sign = True
        return self._account[1]

    async def fetch(self) -> BucketCredentials:
        """Return other credentials than last time: it is asked when those are about to end, or were rejected.

        :raises AuthenticationError: Google takes the key no longer.
        """
        given = await self._given.current()
        if given is self._used and "key_data" not in given.credentials:
            given = await self._given.renew(given)
        self._used = given
        if given.credentials.get("access_token"):
            return given
        return await self._exchange(given)

    async def _exchange(self, given: BucketCredentials) -> BucketCredentials:
        account = await self.account(given)
        asked_at = datetime.now(UTC)
        answer = await self._request(account, _assertion(account, asked_at))
        token, seconds = answer.get("access_token"), answer.get("expires_in")
        if not isinstance(token, str) or not isinstance(seconds, int):
            raise AuthenticationError(
                f"{account.token_uri} gives no token to {account.email}", remedy="Check the token_uri in its key"
            )
        fresh = {"access_token": token, "expire_time": (asked_at + timedelta(seconds=seconds)).isoformat()}
        return BucketCredentials(
            bucket_id=given.bucket_id,
            provider=given.provider,
            credentials={**given.credentials, **fresh},
            read_only=given.read_only,
        )

    async def _request(self, account: ServiceAccount, assertion: str) -> Mapping[str, Any]:
        what = f"cannot get a token for {account.email} from {account.token_uri}"
        with network_errors(what):
            answer = await self._http.request(
                "POST",
                account.token_uri,
                headers={"Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json"},
                body=Outgoing.of(urlencode({"grant_type": _GRANT, "assertion": assertion}).encode()),
            )
        try:
            told = _object(await read_capped(answer, _LARGEST_ANSWER, what))
        finally:
            answer.end()
        if answer.status == HTTPStatus.OK:
            return told
        code, detail = str(told.get("error", "")), str(told.get("error_description", ""))[:200]
        error = error_for(answer.status, what=what, code=code, detail=detail)
        if answer.status in {HTTPStatus.BAD_REQUEST, HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
            remedy = "Check the key of the service account, which may be revoked, and the clock of this machine"
            raise AuthenticationError(error.problem, remedy=remedy)
        raise error


def _object(body: bytes) -> dict[str, Any]:
    try:
        answer = json.loads(body)
    except ValueError:
        return {}
    return answer if isinstance(answer, dict) else {}


def _assertion(account: ServiceAccount, now: datetime) -> str:
    """Return the signed word of a service account that it wants a token for its blobs."""
    from google.auth import jwt  # noqa: PLC0415 - as RSASigner

    claims = {
        "iss": account.email,
        "scope": SCOPE,
        "aud": account.token_uri,
        "iat": int(now.timestamp()),
        "exp": int((now + _ASSERTION_LIFE).timestamp()),
    }
    signed: bytes = jwt.encode(account.signer, claims)
    return signed.decode()


def signed_url(
    account: ServiceAccount, *, endpoint: str, bucket_name: str, key: str, expires_in_seconds: int, now: datetime
) -> str:
    """Return a URL, encoded, with which anybody can GET a blob for a while; no request is made."""
    moment = now.astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")
    scope = f"{moment[:8]}/auto/storage/goog4_request"
    address = urlsplit(endpoint)
    path = f"{address.path}/{quoted(bucket_name)}/" + "/".join(quoted(segment) for segment in key.split("/"))
    query = "&".join(
        (
            f"X-Goog-Algorithm={_ALGORITHM}",
            f"X-Goog-Credential={quoted(f'{account.email}/{scope}')}",
            f"X-Goog-Date={moment}",
            f"X-Goog-Expires={expires_in_seconds}",
            "X-Goog-SignedHeaders=host",
        )
    )
    canonical = f"GET\n{path}\n{query}\nhost:{address.netloc}\n\nhost\nUNSIGNED-PAYLOAD"
    digest = hashlib.sha256(canonical.encode("ascii")).hexdigest()
    to_sign = f"{_ALGORITHM}\n{moment}\n{scope}\n{digest}"
    signature: bytes = account.signer.sign(to_sign.encode("ascii"))
    return f"{address.scheme}://{address.netloc}{path}?{query}&X-Goog-Signature={signature.hex()}"
