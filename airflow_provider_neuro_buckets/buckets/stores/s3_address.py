"""Where the credentials of an S3 bucket lead. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import quote

from yarl import URL

from airflow_provider_neuro_buckets.buckets.credentials import needed
from airflow_provider_neuro_buckets.buckets.http.connecting import is_loopback


def region(keys: Mapping[str, str]) -> str:
    """Return the region to sign for; the clones of S3 take any."""
    return keys.get("region_name") or "us-east-1"


def endpoint(keys: Mapping[str, str]) -> str:
    """Return the address of the service; AWS's own when the credentials name none: in China it has a domain there."""
    domain = "amazonaws.com.cn" if region(keys).startswith("cn-") else "amazonaws.com"
    return (keys.get("endpoint_url") or f"https://s3.{region(keys)}.{domain}").rstrip("/")


def is_aws(keys: Mapping[str, str]) -> bool:
    """Whether the endpoint is Amazon's."""
    return endpoint(keys).partition("://")[2].partition("/")[0].endswith(".amazonaws.com")


def bucket_url(keys: Mapping[str, str]) -> str:
    """Return the base of all URLs of the bucket, with a ``/`` at its end.

    On AWS the bucket is part of the host name unless it has a dot, which its certificate would not cover.
    """
    base, bucket = endpoint(keys), needed(keys, "bucket_name")
    if is_aws(keys) and "." not in bucket:
        scheme, _, host = base.partition("://")
        return f"{scheme}://{bucket}.{host}/"
    return f"{base}/{quote(bucket, safe='-_.~')}/"


def is_tamper_proof(keys: Mapping[str, str]) -> bool:
    """Whether nobody between here and the service can change what is sent: a CRC32 notices accidents only."""
    url = URL(endpoint(keys))
    return url.scheme == "https" or is_loopback(url.host or "")
