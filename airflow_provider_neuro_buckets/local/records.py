"""What the local platform remembers: buckets and persistent credentials, in one JSON file, replaced atomically."""

from __future__ import annotations

import json
import os
import secrets
import uuid
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class BucketRecord:
    """A bucket. `storage_name` is its name in the storage, `credentials` those of an imported one."""

    id: str
    name: str | None
    owner: str
    org_name: str
    project_name: str
    provider: str
    created_at: str
    storage_name: str
    imported: bool = False
    public: bool | None = False
    credentials: dict[str, Any] = field(default_factory=dict, repr=False)

    @classmethod
    def new(cls, **fields: Any) -> BucketRecord:
        """Make a record with a new id, dated now."""
        return cls(id=f"bucket-{uuid.uuid4()}", created_at=datetime.now(UTC).isoformat(), **fields)

    @property
    def real_name(self) -> str:
        """Name of the bucket at its provider; imported credentials may bring another."""
        return str(self.credentials.get("bucket_name", self.storage_name))

    def to_json(self) -> dict[str, Any]:
        """Return what the platform tells of the bucket."""
        hidden = {"storage_name", "credentials"}
        return {name: value for name, value in asdict(self).items() if name not in hidden}


@dataclass(frozen=True, slots=True, kw_only=True)
class CredentialsRecord:
    """Persistent credentials: a user of the storage and the buckets it may open."""

    id: str
    name: str | None
    owner: str
    read_only: bool | None
    bucket_ids: tuple[str, ...]
    user: str
    access_key_id: str
    secret_access_key: str = field(repr=False)


@dataclass
class Records:
    """All records and the secrets of the platform itself. Every change is on disk before it is answered.

    :param path: the JSON file, readable by its owner alone.
    """

    path: Path
    buckets: dict[str, BucketRecord] = field(default_factory=dict)
    credentials: dict[str, CredentialsRecord] = field(default_factory=dict)
    secrets: dict[str, str] = field(default_factory=dict, repr=False)

    @classmethod
    def load(cls, path: Path) -> Records:
        """Read the records, or begin new ones with new tokens and keys.

        :raises ValueError: the file is not one of ours.
        """
        if not path.exists():
            records = cls(path, secrets=_new_secrets())
            records._save(records.buckets, records.credentials)
            return records
        stored = json.loads(path.read_text())
        try:
            return cls(
                path,
                buckets={item["id"]: BucketRecord(**item) for item in stored["buckets"]},
                credentials={
                    item["id"]: CredentialsRecord(**{**item, "bucket_ids": tuple(item["bucket_ids"])})
                    for item in stored["credentials"]
                },
                secrets={name: stored["secrets"][name] for name in _new_secrets()},
            )
        except (KeyError, TypeError) as error:
            raise ValueError(f"unexpected content: {error}") from None

    def put_bucket(self, bucket: BucketRecord) -> None:
        """Add or replace a bucket."""
        self._save({**self.buckets, bucket.id: bucket}, self.credentials)

    def drop_bucket(self, bucket: BucketRecord) -> None:
        """Forget a bucket."""
        self._save(_without(self.buckets, bucket.id), self.credentials)

    def put_credentials(self, credentials: CredentialsRecord) -> None:
        """Add or replace credentials."""
        self._save(self.buckets, {**self.credentials, credentials.id: credentials})

    def drop_credentials(self, credentials: CredentialsRecord) -> None:
        """Forget credentials."""
        self._save(self.buckets, _without(self.credentials, credentials.id))

    def _save(self, buckets: dict[str, BucketRecord], credentials: dict[str, CredentialsRecord]) -> None:
        """Replace the file, then what is remembered: a full disk changes neither."""
        stored = {
            "buckets": [asdict(bucket) for bucket in buckets.values()],
            "credentials": [asdict(item) for item in credentials.values()],
            "secrets": self.secrets,
        }
        beside = self.path.with_suffix(".new")
        with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            json.dump(stored, file)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(self.path)
        self.buckets, self.credentials = buckets, credentials

    def find_bucket(self, name: str, *, org: str, project: str) -> BucketRecord | None:
        """Return the bucket of that name in a project."""
        return next((bucket for bucket in self.in_project(org, project) if bucket.name == name), None)

    def in_project(self, org: str, project: str) -> Iterator[BucketRecord]:
        """Yield the buckets of a project."""
        return (item for item in list(self.buckets.values()) if (item.org_name, item.project_name) == (org, project))

    def find_credentials(self, id_or_name: str, *, owner: str) -> CredentialsRecord | None:
        """Return the owner's credentials of that id or name; those of others do not exist for them."""
        own = [item for item in self.credentials.values() if item.owner == owner]
        return next((item for item in own if id_or_name in {item.id, item.name}), None)


def _without(items: dict[str, T], key: str) -> dict[str, T]:
    return {other: item for other, item in items.items() if other != key}


def _new_secrets() -> dict[str, str]:
    return {
        "token": secrets.token_urlsafe(32),
        "readonly_token": secrets.token_urlsafe(32),
        "admin_access_key": secrets.token_hex(10).upper(),
        "admin_secret_key": secrets.token_urlsafe(32),
        "signing_key": secrets.token_hex(32),
    }
