"""What a method was asked to act on, before anybody is asked where that is."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from airflow_provider_neuro_buckets.buckets.errors import InvalidAddress
from airflow_provider_neuro_buckets.buckets.uri import BlobAddress, parse_blob_uri


@dataclass(frozen=True, slots=True, kw_only=True)
class Selector:
    """Whose bucket a name means. `None` means: the place's own."""

    org: str | None = None
    project: str | None = None
    owner: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """What a method was asked to act on: a bucket by name, id or URI, and whose it is."""

    bucket: str
    cluster: str | None = None
    selector: Selector = field(default_factory=Selector)

    @classmethod
    def of(
        cls,
        bucket: str,
        *,
        cluster_name: str | None = None,
        bucket_owner: str | None = None,
        org_name: str | None = None,
        project_name: str | None = None,
    ) -> Target:
        """Read the reference's parameters; a ``blob:`` URI may stand for the name (decision 4).

        :raises InvalidAddress: the URI has a key.
        """
        if bucket.startswith("blob:"):
            address = parse_blob_uri(bucket)[0]
            if address.key:
                raise InvalidAddress(f"{bucket!r} is a blob, not a bucket", remedy="Leave the key out")
            return cls.at(address)
        if bucket_owner and project_name:
            raise InvalidAddress(
                f"bucket {bucket!r} is asked for by owner and by project", remedy="Pass bucket_owner or project_name"
            )
        if not bucket or "/" in bucket:
            raise InvalidAddress(f"{bucket!r} is not a bucket", remedy="Pass its name, its id or its blob: URI")
        return cls(
            bucket=bucket,
            cluster=cluster_name,
            selector=Selector(org=org_name, project=project_name, owner=bucket_owner),
        )

    @classmethod
    def at(cls, address: BlobAddress) -> Target:
        """Return the bucket of an address."""
        return cls(
            bucket=address.bucket,
            cluster=address.cluster,
            selector=Selector(org=address.org, project=address.project, owner=address.owner),
        )

    def narrowed(self, *, org: str | None, project: str | None) -> Target:
        """Return the same target in another org or project."""
        return replace(self, selector=Selector(org=org, project=project))
