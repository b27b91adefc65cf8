"""What the key of a service account is good for: tokens from a token server made for the purpose, and signed URLs."""

from __future__ import annotations

import asyncio
import base64
import json
import pickle
import sys
import traceback
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, quote

import pytest
from aiohttp import web
from google.auth import jwt
from google.cloud.storage._signing import generate_signed_url_v4
from google.oauth2.service_account import Credentials

from airflow_provider_neuro_buckets.buckets.config import BucketsConfig
from airflow_provider_neuro_buckets.buckets.credentials import CredentialSource
from airflow_provider_neuro_buckets.buckets.errors import (
    AuthenticationError,
    BucketsError,
    ConfigurationError,
    InvalidAnswer,
    Throttled,
    Unavailable,
)
from airflow_provider_neuro_buckets.buckets.http.pool import open_connections
from airflow_provider_neuro_buckets.buckets.models import BucketCredentials
from airflow_provider_neuro_buckets.buckets.stores.gcs_keys import TokenSource, service_account, signed_url
from conformance.rigs.base import describe_bucket, describe_keys
from conformance.rigs.gcp import EMAIL, Account
from conformance.rigs.gcp_front import SCOPE

BUCKET = describe_bucket(id_="bucket-1", name="models", provider="gcp")
Answer = Callable[[int], web.Response]


@pytest.fixture(scope="module")
def account() -> Account:
    return Account.made()


class TokenServer:
    """Answers each request for a token with `answer(its number)`, and remembers it."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self.forms: list[dict[str, list[str]]] = []
        self.token_uri = ""

    async def _token(self, request: web.Request) -> web.Response:
        self.forms.append(parse_qs(await request.text()))
        return self._answer(len(self.forms))

    @asynccontextmanager
    async def running(self) -> AsyncIterator[TokenServer]:
        app = web.Application()
        app.router.add_post("/token", self._token)
        runner = web.AppRunner(app)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            self.token_uri = f"http://127.0.0.1:{runner.addresses[0][1]}/token"
            yield self
        finally:
            await runner.cleanup()


@asynccontextmanager
async def tokens(key_data: str, *, passed: Sequence[timedelta] = ()) -> AsyncIterator[CredentialSource]:
    """Open what the store asks for credentials with a token in them.

    :param passed: how much time has passed, as far as it can tell: the last of these.
    """

    async def given() -> BucketCredentials:
        return describe_keys(BUCKET, bucket_name="real", project="p", key_data=key_data)

    async with open_connections(BucketsConfig(buckets_url="http://127.0.0.1/unused", timeout_seconds=60)) as http:
        source = TokenSource(CredentialSource(given), http)
        yield CredentialSource(source.fetch, now=lambda: datetime.now(UTC) + (passed[-1] if passed else timedelta()))


def granting(*, seconds: int) -> Answer:
    return lambda number: web.json_response({"access_token": f"ya29.{number}", "expires_in": seconds})


def fixed(status: int, **body: object) -> Answer:
    return lambda _: web.json_response(body, status=status)


async def test_the_account_vouches_for_itself_with_its_key(account: Account) -> None:
    begun = datetime.now(UTC).timestamp()
    async with TokenServer(granting(seconds=3600)).running() as server, tokens(account.key_data(server.token_uri)) as s:
        credentials = await s.current()
    (form,) = server.forms
    assert form["grant_type"] == ["urn:ietf:params:oauth:grant-type:jwt-bearer"]
    claims = jwt.decode(form["assertion"][0], certs=account.public_key, audience=server.token_uri)
    assert (claims["iss"], claims["scope"], claims["exp"] - claims["iat"]) == (EMAIL, SCOPE, 3600)
    assert jwt.decode_header(form["assertion"][0])["kid"] == "0123456789abcdef"
    keys = credentials.credentials
    assert (keys["access_token"], keys["bucket_name"]) == ("ya29.1", "real")
    ends = datetime.fromisoformat(keys["expire_time"]).timestamp()
    assert begun + 3599 <= ends <= datetime.now(UTC).timestamp() + 3600


async def test_fifty_who_ask_at_once_share_one_token(account: Account) -> None:
    async with TokenServer(granting(seconds=3600)).running() as server, tokens(account.key_data(server.token_uri)) as s:
        found = await asyncio.gather(*(s.current() for _ in range(50)))
    assert {credentials.credentials["access_token"] for credentials in found} == {"ya29.1"}
    assert len(server.forms) == 1


async def test_a_token_that_is_about_to_end_is_replaced_by_another(account: Account) -> None:
    passed, found = [timedelta()], list[str]()
    async with (
        TokenServer(granting(seconds=3600)).running() as server,
        tokens(account.key_data(server.token_uri), passed=passed) as source,
    ):
        for minutes in (0, 30, 56):
            passed.append(timedelta(minutes=minutes))
            found.append((await source.current()).credentials["access_token"])
    assert found == ["ya29.1", "ya29.1", "ya29.2"]


async def test_a_token_that_was_rejected_is_replaced_once_for_all(account: Account) -> None:
    async with TokenServer(granting(seconds=3600)).running() as server, tokens(account.key_data(server.token_uri)) as s:
        rejected = await s.current()
        found = await asyncio.gather(*(s.renew(rejected) for _ in range(20)))
    assert {credentials.credentials["access_token"] for credentials in found} == {"ya29.2"}


@pytest.mark.parametrize(
    ("answer", "error", "said"),
    [
        (fixed(400, error="invalid_grant", error_description="Invalid JWT Signature."), AuthenticationError, "Invalid"),
        (fixed(401, error="invalid_client"), AuthenticationError, "invalid_client"),
        (fixed(403), AuthenticationError, "403"),
        (fixed(404), BucketsError, "404"),
        (fixed(429), Throttled, "429"),
        (fixed(500, error="internal_failure"), Unavailable, "500"),
        (fixed(503), Unavailable, "503"),
        (fixed(200), AuthenticationError, "no token"),
        (fixed(200, access_token=None, expires_in=3600), AuthenticationError, "no token"),
        (fixed(200, access_token="ya29.x", expires_in="soon"), AuthenticationError, "no token"),
        (lambda _: web.Response(text="<html>Sign in</html>"), AuthenticationError, "no token"),
        (lambda _: web.Response(body=b" " * 65537), InvalidAnswer, "65536 bytes"),
    ],
)
async def test_a_refusal_of_the_token_server_is_told_by_what_to_do(
    account: Account, answer: Answer, error: type[BucketsError], said: str
) -> None:
    async with TokenServer(answer).running() as server, tokens(account.key_data(server.token_uri)) as source:
        with pytest.raises(error, match=said) as caught:
            await source.current()
    assert EMAIL in str(caught.value)
    assert len(server.forms) == 1, "the lane tries again, nobody else"


async def test_an_assertion_never_follows_a_redirect(account: Account) -> None:
    async with TokenServer(granting(seconds=3600)).running() as elsewhere:

        def redirect(_: int) -> web.Response:
            return web.Response(status=307, headers={"Location": elsewhere.token_uri})

        async with TokenServer(redirect).running() as server, tokens(account.key_data(server.token_uri)) as source:
            with pytest.raises(BucketsError, match="307"):
                await source.current()
    assert elsewhere.forms == []


@pytest.mark.parametrize("token_uri", ["http://token.example.org/token", "ftp://127.0.0.1/token", "token", ""])
async def test_no_assertion_goes_to_an_address_that_does_not_protect_it(account: Account, token_uri: str) -> None:
    async with tokens(account.key_data(token_uri)) as source:
        with pytest.raises(ConfigurationError, match="token_uri"):
            await source.current()


def broken_keys() -> dict[str, str]:
    key = Account.made().key_file("https://oauth2.googleapis.com/token")

    def packed(document: object) -> str:
        return base64.b64encode(json.dumps(document).encode()).decode()

    return {
        "plain JSON": json.dumps(key),
        "no JSON": base64.b64encode(b"private").decode(),
        "no object": packed(["private"]),
        "no key": packed({name: value for name, value in key.items() if name != "private_key"}),
        "no email": packed({name: value for name, value in key.items() if name != "client_email"}),
        "no token_uri": packed({name: value for name, value in key.items() if name != "token_uri"}),
        "half a key": packed(key | {"private_key": key["private_key"][:500]}),
        "not a key": packed(key | {"private_key": "private"}),
        "a number": packed(key | {"private_key": 7}),
    }


@pytest.mark.parametrize(("what", "key_data"), broken_keys().items(), ids=list(broken_keys()))
async def test_a_broken_key_is_refused_without_showing_any_of_it(what: str, key_data: str) -> None:
    async with tokens(key_data) as source:
        with pytest.raises(ConfigurationError, match="key_data") as caught:
            await source.current()
    shown = "".join(traceback.format_exception(caught.value)) + repr(pickle.loads(pickle.dumps(caught.value)))
    assert key_data[:40] not in shown, what
    assert "PRIVATE KEY" not in shown


async def test_no_error_and_no_repr_shows_a_key_an_assertion_or_a_token_f109_f114(account: Account) -> None:
    shown = []
    async with TokenServer(fixed(400, error="invalid_grant")).running() as server:
        key_data = account.key_data(server.token_uri)
        async with tokens(key_data) as source:
            with pytest.raises(AuthenticationError) as caught:
                await source.current()
            shown += traceback.format_exception(caught.value)
    shown += [repr(service_account(key_data)), str(service_account(key_data))]
    async with TokenServer(granting(seconds=3600)).running() as server, tokens(account.key_data(server.token_uri)) as s:
        shown.append(repr(await s.current()))
    assert EMAIL in "".join(shown)
    (form,) = server.forms
    for secret in (key_data[:40], account.private_key[30:70], form["assertion"][0], "ya29.1"):
        assert secret not in "".join(shown)


async def test_without_google_auth_a_key_tells_what_to_install(
    account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "google.auth.crypt", None)
    async with tokens(account.key_data("https://oauth2.googleapis.com/token")) as source:
        with pytest.raises(ConfigurationError, match=r"airflow-provider-neuro-buckets\[gcp\]"):
            await source.current()


@pytest.mark.parametrize("key", ["blob", "a b/c+d", "caf\u00e9/\U0001f600", "q?x#y&z=%20", "a//b/../c", "~tilde_-."])
@pytest.mark.parametrize("endpoint", ["https://storage.googleapis.com", "http://127.0.0.1:4443"])
def test_a_url_is_signed_exactly_as_googles_own_sdk_signs_it(account: Account, endpoint: str, key: str) -> None:
    token_uri = "https://oauth2.googleapis.com/token"
    ours = signed_url(
        service_account(account.key_data(token_uri)),
        endpoint=endpoint,
        bucket_name="real.bucket",
        key=key,
        expires_in_seconds=3600,
        now=datetime(2026, 11, 24, 13, 46, 22, tzinfo=UTC),
    )
    theirs = generate_signed_url_v4(
        Credentials.from_service_account_info(account.key_file(token_uri)),
        resource=f"/real.bucket/{quote(key, safe='/~')}",
        expiration=3600,
        api_access_endpoint=endpoint,
        _request_timestamp="20261124T134622Z",
    )
    assert ours == theirs
