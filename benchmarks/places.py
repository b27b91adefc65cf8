"""Where blobs are, seen from outside with each provider's own SDK: what is there, to judge what a peer has done."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from benchmarks.data import MIB, Digest

if TYPE_CHECKING:
    from azure.storage.blob import ContainerClient

Keys = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Blob:
    """One blob: its digest, and the moment of its last change as the provider writes it."""

    digest: Digest
    modified: str


class Place(Protocol):
    """A bucket of the local platform, and what is behind it.

    :ivar bucket: its name on the platform.
    :ivar provider: ``s3`` or ``azure``.
    """

    bucket: str
    provider: str

    def keys(self) -> Keys:
        """Return credentials that are good for a while, as the platform hands them out."""
        ...

    def blobs(self, prefix: str) -> dict[str, Blob]:
        """Return the blobs whose key begins with `prefix`, by the rest of the key."""
        ...

    def md5s(self, keys: Collection[str]) -> dict[str, str]:
        """Read blobs and return the MD5 of the bytes of each."""
        ...


class S3Place:
    """A bucket behind an S3 endpoint."""

    provider = "s3"

    def __init__(self, bucket: str, keys: Callable[[], Keys]) -> None:
        self.bucket = bucket
        self.keys = keys

    def blobs(self, prefix: str) -> dict[str, Blob]:
        """As :meth:`Place.blobs`; an ETag that is no MD5 counts as not told."""
        client, name = self._client()
        pages = client.get_paginator("list_objects_v2").paginate(Bucket=name, Prefix=prefix)
        return {
            found["Key"][len(prefix) :]: Blob(
                Digest(found["Size"], _md5_of_etag(found["ETag"])), found["LastModified"].isoformat()
            )
            for page in pages
            for found in page.get("Contents", ())
        }

    def md5s(self, keys: Collection[str]) -> dict[str, str]:
        """As :meth:`Place.md5s`."""
        if not keys:
            return {}
        client, name = self._client()
        return {key: _md5_of(client.get_object(Bucket=name, Key=key)["Body"].iter_chunks(MIB)) for key in keys}

    def _client(self) -> tuple[Any, str]:
        import botocore.session  # noqa: PLC0415 - the process that measures stays small as long as it can

        keys = self.keys()
        client = botocore.session.get_session().create_client(
            "s3",
            endpoint_url=keys["endpoint_url"],
            region_name=keys["region_name"],
            aws_access_key_id=keys["access_key_id"],
            aws_secret_access_key=keys["secret_access_key"],
            aws_session_token=keys.get("session_token"),
        )
        return client, keys["bucket_name"]


class AzurePlace:
    """A container of Azure, with a shared access signature."""

    provider = "azure"

    def __init__(self, bucket: str, keys: Callable[[], Keys]) -> None:
        self.bucket = bucket
        self.keys = keys

    def blobs(self, prefix: str) -> dict[str, Blob]:
        """As :meth:`Place.blobs`."""
        with self._container() as container:
            return {
                found.name[len(prefix) :]: Blob(
                    Digest(found.size, bytes(found.content_settings.content_md5 or b"").hex()),
                    found.last_modified.isoformat(),
                )
                for found in container.list_blobs(prefix)
            }

    def md5s(self, keys: Collection[str]) -> dict[str, str]:
        """As :meth:`Place.md5s`."""
        with self._container() as container:
            return {key: _md5_of(container.download_blob(key).chunks()) for key in keys}

    @contextmanager
    def _container(self) -> Iterator[ContainerClient]:
        from azure.storage.blob import ContainerClient  # noqa: PLC0415 - as botocore

        keys = self.keys()
        with ContainerClient(keys["storage_endpoint"], keys["bucket_name"], credential=keys["sas_token"]) as client:
            yield client


def _md5_of_etag(etag: str) -> str:
    bare = etag.strip('"')
    return "" if "-" in bare else bare


def _md5_of(chunks: Iterator[bytes]) -> str:
    digest = hashlib.md5(usedforsecurity=False)
    for chunk in chunks:
        digest.update(chunk)
    return digest.hexdigest()
