"""``blob://`` assets: how an address becomes the identity of an asset, and that a dataset of OpenLineage.

An asset is called as the address is written: ``blob:bucket/folder/`` is the asset ``blob://bucket/folder``, with or
without a connection's id in it, and ``blob://cluster/org/project/bucket/folder`` is one of its own, since no asset
knows what a connection makes of a short address. Who wants one identity everywhere writes one form everywhere.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import SplitResult, unquote, urlsplit

from airflow.providers.common.compat.sdk import Asset

from airflow_provider_neuro_buckets.buckets.uri import SCHEME, local_path, quote_key

if TYPE_CHECKING:
    from airflow.providers.common.compat.openlineage.facet import Dataset


def sanitize_uri(uri: SplitResult) -> SplitResult:
    """Return the identity of an asset: the conn id dropped, escapes in one form, case kept. Airflow calls it.

    Airflow itself has taken the slash off the end: a folder is called as the blob of its name would be.

    :param uri: an address in any of its forms, ``blob:bucket/key`` included.
    :raises ValueError: there is no bucket in it, or a query, which would be the rest of a key.
    """
    if uri.query:
        raise ValueError(f"{uri.geturl()!r} has a query; write '?' as %3F in a key")
    bucket, _, path = (uri.netloc.rpartition("@")[2] + uri.path).partition("/")
    if not bucket:
        raise ValueError(f"{uri.geturl()!r} names no bucket; write blob://bucket/key")
    key = quote_key(unquote(path.rstrip("/")))
    return SplitResult(uri.scheme, bucket, f"/{key}" if key else "", "", "")


def create_asset(*, uri: str, extra: dict[str, Any] | None = None) -> Asset:
    """Return the asset of an address, which is also its name. Hook lineage calls it.

    :param uri: such as ``blob:bucket/key``.
    :raises ValueError: the address says no bucket, or has a query.
    """
    identity = Asset(name=SCHEME, uri=uri).uri  # Airflow 3.0 refuses a URI as a name that is not sanitized yet
    return Asset(name=identity, uri=identity, extra=extra)


def convert_asset_to_openlineage(asset: Asset, lineage_context: object) -> Dataset:  # noqa: ARG001 - Airflow's signature
    """Return the dataset of an asset, named as OpenLineage names those of object stores: bucket, and key in it."""
    return dataset_of(asset.uri)


def dataset_of(uri: str) -> Dataset:
    """Return the dataset of an address or an asset's URI: namespace ``blob://bucket``, name the key; ``/`` for all.

    An address that leaves its cluster out, ``blob:/project/bucket/key``, is no asset; here its namespace is ``blob``.
    """
    from airflow.providers.common.compat.openlineage.facet import Dataset  # noqa: PLC0415 - needs OpenLineage's client

    parts = urlsplit(uri)
    if not parts.netloc and parts.path.startswith("/"):
        return Dataset(namespace=SCHEME, name=unquote(parts.path.rstrip("/")))
    parts = sanitize_uri(parts)
    return Dataset(namespace=f"{SCHEME}://{parts.netloc}", name=unquote(parts.path.removeprefix("/")) or "/")


def dataset_of_file(path: str) -> Dataset:
    """Return the dataset of a path of this machine, or of a ``file:`` URL."""
    from airflow.providers.common.compat.openlineage.facet import Dataset  # noqa: PLC0415 - as above

    return Dataset(namespace="file", name=str(local_path(path).absolute()))
