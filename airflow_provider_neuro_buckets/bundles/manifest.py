"""What a version of a DAG bundle is made of. Pure: no I/O.

A version is called by the digest of its manifest, so the same files are the same version whoever looks, and whenever.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Self

from airflow_provider_neuro_buckets.buckets.errors import ConfigurationError, InvalidAddress
from airflow_provider_neuro_buckets.buckets.models import BlobObject
from airflow_provider_neuro_buckets.buckets.transfer.placing import local_names

_VERSION = re.compile(r"[0-9a-f]{40}")
_CONTENT = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Manifest:
    """The files of a version: of each relative path the name of its content."""

    contents: Mapping[str, str]

    @classmethod
    def of(cls, blobs: Iterable[BlobObject], prefix: str) -> tuple[Self, dict[str, BlobObject]]:
        """Return the manifest of what a listing shows below `prefix`, and the blob of each content.

        Markers of folders are no files.

        :raises InvalidAddress: a key cannot be a local path.
        """
        contents: dict[str, str] = {}
        sources: dict[str, BlobObject] = {}
        for blob in blobs:
            relative = blob.key[len(prefix) :]
            if relative.endswith("/") or not relative:
                continue
            if isinstance(problem := local_names(relative), str):
                raise InvalidAddress(f"{blob.uri} cannot be a file of a DAG bundle: {problem}", remedy="Rename it")
            name = _content_name(relative, blob)
            contents[relative] = name
            sources[name] = blob
        return cls(contents), sources

    @property
    def version(self) -> str:
        """What the version is called."""
        return hashlib.sha256(self.dump()).hexdigest()[:40]

    def dump(self) -> bytes:
        """Return it as JSON, always the same for the same files."""
        return json.dumps({"files": dict(sorted(self.contents.items()))}, indent=0, ensure_ascii=True).encode()

    @classmethod
    def load(cls, text: bytes, where: str) -> Self:
        """Read it back.

        :param where: its address, for errors.
        :raises ConfigurationError: it is no manifest, or one that leads out of the bundle.
        """
        try:
            files = json.loads(text)["files"]
            contents = {str(path): str(name) for path, name in files.items()}
        except (ValueError, KeyError, TypeError, AttributeError):
            contents = {"": ""}
        if any(
            isinstance(local_names(path), str) or path.endswith("/") or not _CONTENT.fullmatch(name)
            for path, name in contents.items()
        ):
            raise ConfigurationError(f"{where} is not the manifest of a DAG bundle", remedy="Delete it")
        return cls(contents)


def check_version(version: str) -> str:
    """Return the name of a version.

    :raises ConfigurationError: no version is called so.
    """
    if not _VERSION.fullmatch(version):
        raise ConfigurationError(f"no version of a DAG bundle is called {version!r}")
    return version


def _content_name(relative: str, blob: BlobObject) -> str:
    # The path belongs to it: the ETags of some providers tell versions of one blob apart, and no others.
    identity = [relative, blob.size, blob.etag or str(blob.modified_at)]
    return hashlib.sha256(json.dumps(identity).encode()).hexdigest()
