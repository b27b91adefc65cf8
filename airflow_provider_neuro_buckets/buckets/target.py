"""What a method was asked to act on, before anybody is asked where that is."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace

from airflow_provider_neuro_buckets.buckets.errors import InvalidAddress
from airflow_provider_neuro_buckets.buckets.uri import BlobAddress, is_bucket_id

_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]*")
"""Wider than the platform's own rule, and still nothing that means something in the path of a URL."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Selector:
    """Whose bucket a name means. `None` means: the place's own."""

    org: str | None = None
    project: str | None = None
    owner: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """What a method was asked to act on: a bucket by name or id, and whose it is.

    :ivar bucket: empty when a home of buckets is meant.
    """

    bucket: str = ""
    cluster: str | None = None
    selector: Selector = field(default_factory=Selector)

    @classmethod
    def at(cls, address: BlobAddress) -> Target:
        """Return the bucket of an address."""
        check_identifier(address.bucket, what="bucket")
        return cls(
            bucket=address.bucket,
            cluster=address.cluster,
            selector=Selector(org=address.org, project=address.project, owner=address.owner),
        )

    @classmethod
    def home(
        cls,
        *,
        cluster_name: str | None = None,
        bucket_owner: str | None = None,
        org_name: str | None = None,
        project_name: str | None = None,
    ) -> Target:
        """Read the reference's parameters: where buckets are, or what is said beside a name or an address.

        :raises InvalidAddress: both an owner and a project.
        """
        if bucket_owner and project_name:
            raise InvalidAddress(
                f"owner {bucket_owner!r} and project {project_name!r} cannot both be meant",
                remedy="Pass bucket_owner or project_name",
            )
        return cls(
            cluster=cluster_name, selector=Selector(org=org_name, project=project_name, owner=bucket_owner or None)
        )

    def named(self, bucket: str) -> Target:
        """Return a bucket of this home. An owner only tells apart buckets of one name: with an id it is ignored.

        :raises InvalidAddress: not a name and not an id.
        """
        check_identifier(bucket, what="bucket")
        whose = replace(self.selector, owner=None) if is_bucket_id(bucket) else self.selector
        return replace(self, bucket=bucket, selector=whose)

    def filled(self, other: Target) -> Target:
        """Return this target, with what it leaves open taken from another.

        :raises InvalidAddress: they contradict each other.
        """
        mine, its = self.selector, other.selector
        home = its.owner or its.project
        agrees = (
            self.cluster in {None, other.cluster or self.cluster}
            and mine.org in {None, its.org or mine.org}
            and (mine.owner or mine.project) in {None, home or mine.owner or mine.project}
        )
        if not agrees:
            raise InvalidAddress(
                f"the address of bucket {self.bucket!r} is in another place than the parameters beside it",
                remedy="Leave cluster_name, org_name, project_name and bucket_owner out",
            )
        whose = mine if mine.owner or mine.project else its
        return Target(
            bucket=self.bucket,
            cluster=self.cluster or other.cluster,
            selector=Selector(org=mine.org or its.org, project=whose.project, owner=whose.owner),
        )


def check_identifier(text: object, *, what: str) -> str:
    """Return `text` if it is one, and can be a name or an id on the platform.

    :raises InvalidAddress: it cannot.
    """
    if not isinstance(text, str) or not _NAME.fullmatch(text):
        raise InvalidAddress(f"{text!r} is not the name or id of a {what}", remedy="Pass its name, its id or its URI")
    return text
