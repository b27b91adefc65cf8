from __future__ import annotations

import re
import time
from datetime import UTC, datetime
from unittest import mock
from urllib.parse import parse_qs, urlsplit

import botocore.auth
import pytest
from botocore.auth import S3SigV4Auth, S3SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import given
from hypothesis import strategies as st
from yarl import URL

from airflow_provider_neuro_buckets.buckets.stores.direct import Request
from airflow_provider_neuro_buckets.buckets.stores.s3_signature import Seal
from airflow_provider_neuro_buckets.buckets.stores.s3_wire import encode_key, encode_query

BASES = [
    "http://127.0.0.1:8333/bkt/",
    "https://s3.example.com:443/bkt/",
    "https://bkt.s3.eu-west-1.amazonaws.com/",
    "http://[::1]:9000/bkt/",
    "https://storage.example.com/path/bkt/",
]
VALUES = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=30)
HEADERS = st.dictionaries(
    st.sampled_from(["Content-MD5", "Content-Length", "Range", "If-Match", "x-amz-copy-source", "x-amz-meta-note"]),
    VALUES,
)
QUERIES = st.dictionaries(
    st.sampled_from(["list-type", "prefix", "prefix-more", "uploads", "uploadId", "partNumber", "delete", "a", "a-b"]),
    st.text(max_size=12),
)


@given(
    base=st.sampled_from(BASES),
    method=st.sampled_from(["GET", "PUT", "HEAD", "POST", "DELETE"]),
    key=st.text(st.characters(exclude_categories=["Cs"]), max_size=20),
    query=QUERIES,
    headers=HEADERS,
    token=st.sampled_from([None, "the-token"]),
)
def test_every_request_gets_the_signature_that_botocore_computes(
    base: str, method: str, key: str, query: dict[str, str], headers: dict[str, str], token: str | None
) -> None:
    secrets = Credentials("AKIDEXAMPLE", "the-secret", token)
    seal = Seal(secrets, region="eu-west-1", base=base)
    request = Request(what="w", method=method, path=encode_key(key), query=encode_query(query), headers=headers)
    sent = seal.headers(request)
    assert sent["Authorization"] == botocores(secrets, request.method, seal.url(request), sent)


@pytest.mark.skipif(not hasattr(botocore.auth, "get_current_datetime"), reason="the clock of this botocore runs on")
@given(
    base=st.sampled_from(BASES),
    key=st.text(st.characters(exclude_categories=["Cs"]), max_size=20),
    token=st.sampled_from([None, "the+token/="]),
    skew=st.floats(-1e6, 1e6),
)
def test_a_signed_url_is_the_one_that_botocore_makes_at_the_time_of_the_server(
    base: str, key: str, token: str | None, skew: float
) -> None:
    secrets = Credentials("AKIDEXAMPLE", "the-secret", token)
    before = time.time() - skew
    url = Seal(secrets, region="eu-west-1", base=base).signed_url(encode_key(key), seconds=600, skew=skew)
    fields = parse_qs(urlsplit(url).query)
    signed = datetime.strptime(fields["X-Amz-Date"][0], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    assert int(before) <= signed.timestamp() <= time.time() - skew
    with mock.patch("botocore.auth.get_current_datetime", return_value=signed):
        theirs = AWSRequest(method="GET", url=base + encode_key(key))
        S3SigV4QueryAuth(secrets, "s3", "eu-west-1", expires=600).add_auth(theirs)
    assert fields == parse_qs(urlsplit(str(theirs.url)).query)
    assert url.partition("?")[0] == str(theirs.url).partition("?")[0]


def test_the_host_is_signed_as_aiohttp_sends_it() -> None:
    secrets = Credentials("AKIDEXAMPLE", "the-secret", None)
    request = Request(what="w", method="GET", path="key")
    seal = Seal(secrets, region="eu-west-1", base="https://Storage.Example.COM/bkt/")
    url, sent = seal.url(request), seal.headers(request)
    host = URL(url, encoded=True).host_port_subcomponent
    assert host is not None
    assert sent["Authorization"] == botocores(secrets, "GET", url, {**sent, "Host": host})


def test_a_seal_that_lives_longer_than_a_day_signs_with_the_key_of_the_day() -> None:
    secrets = Credentials("AKIDEXAMPLE", "the-secret", None)
    request = Request(what="w", method="GET", path="key")
    seal = Seal(secrets, region="eu-west-1", base=BASES[0])
    seal._day, seal._key = "20200101", b"the key of another day"
    sent = seal.headers(request)
    assert sent["Authorization"] == botocores(secrets, "GET", seal.url(request), sent)


def botocores(secrets: Credentials, method: str, url: str, sent: dict[str, str]) -> str:
    """Return the header with which botocore signs a request of the same moment."""
    headers = {name: value for name, value in sent.items() if name != "Authorization"}
    again = AWSRequest(method=method, url=url, headers=headers)
    again.context["timestamp"] = headers["X-Amz-Date"]
    assert re.fullmatch(r"\d{8}T\d{6}Z", headers["X-Amz-Date"])
    auth = S3SigV4Auth(secrets, "s3", "eu-west-1")
    signature = auth.signature(auth.string_to_sign(again, auth.canonical_request(again)), again)
    names = auth.signed_headers(auth.headers_to_sign(again))
    return f"AWS4-HMAC-SHA256 Credential={auth.scope(again)}, SignedHeaders={names}, Signature={signature}"
