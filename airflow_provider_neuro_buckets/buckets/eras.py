"""The three eras of the platform's servers: what each wants to be asked, and how its answers give it away. Pure.

Up to v23.3 a bucket belongs to a user (`Era.OWNER`), from v23.4 to a project (`Era.PROJECT`), and since late 2025 every
request has to name the org (`Era.STRICT`); wire protocol 3.5 to 3.8. No server says which it is, and an older one
ignores selectors that it does not know. So what comes back is always compared with what was asked, and every answer
that only some eras give narrows down which it can be.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import IntEnum

from yarl import URL

from airflow_provider_neuro_buckets.buckets.errors import BadRequest, BucketsError, ConfigurationError, ResourceNotFound
from airflow_provider_neuro_buckets.buckets.models import Bucket
from airflow_provider_neuro_buckets.buckets.target import Selector, Target
from airflow_provider_neuro_buckets.buckets.uri import is_bucket_id


class Era(IntEnum):
    """A generation of servers, in order of time."""

    OWNER = 1
    PROJECT = 2
    STRICT = 3


ANY_ERA = frozenset(Era)
NOBODYS_ID = "bucket-00000000-0000-0000-0000-000000000000"
"""Asking for it without a selector has no effect, and only strict servers refuse the question."""

_UNKNOWN_PROJECT = re.compile(r"""['"]project_name['"]: ?\[['"]Unknown field""")


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A cluster, its buckets service, and the org and project that an address without them means there."""

    cluster: str
    buckets_url: URL
    org: str | None
    project: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A bucket, or the home of buckets, that a method asks for: what was given, filled up by the place.

    :ivar bucket: name or id; empty when only the home is meant.
    :ivar home: the project, which for servers without projects is the owner.
    :ivar given: what the caller has said, as opposed to the place.
    """

    bucket: str
    org: str | None
    home: str | None
    given: Selector

    @classmethod
    def of(cls, target: Target, place: Place) -> Wanted:
        """Fill up what the target leaves open."""
        given = target.selector
        return cls(
            bucket=target.bucket,
            org=given.org or place.org,
            home=given.owner or given.project or place.project,
            given=given,
        )

    @property
    def org_that_counts(self) -> str | None:
        """The org that a bucket of this name must have; a bucket owner has buckets in any org, unless one is given."""
        return self.given.org if self.given.owner else self.org


def eras_of_bucket(bucket: Bucket) -> frozenset[Era]:
    """Return the eras that describe a bucket in this way."""
    return frozenset({Era.OWNER}) if bucket.project_name is None else frozenset({Era.PROJECT, Era.STRICT})


def eras_of_probe(refusal: BucketsError) -> frozenset[Era]:
    """Return the eras that refuse the question for `NOBODYS_ID` in this way."""
    if wants_org(refusal):
        return frozenset({Era.STRICT})
    return frozenset({Era.OWNER, Era.PROJECT}) if isinstance(refusal, ResourceNotFound) else ANY_ERA


def wants_org(refusal: BucketsError) -> bool:
    """Whether the platform refuses because no org was named."""
    return isinstance(refusal, BadRequest) and "org_name" in refusal.problem


def knows_no_projects(refusal: BucketsError) -> bool:
    """Whether the platform refuses a new bucket because it has never heard of projects."""
    return isinstance(refusal, BadRequest) and _UNKNOWN_PROJECT.search(refusal.problem) is not None


def bucket_query(era: Era, wanted: Wanted) -> dict[str, str]:
    """Return the query of ``GET buckets/{id_or_name}``. An id is found whatever the query says."""
    org, home = wanted.org, wanted.home
    if is_bucket_id(wanted.bucket):
        return _named(org_name=org, project_name=home) if org and home else {}
    if era is Era.OWNER:
        return _named(owner=home)
    if era is Era.STRICT:
        # With "owner" rather than "project_name", servers without projects understand it as well.
        return _named(org_name=org, owner=home) if wanted.given.owner else _named(org_name=org, project_name=home)
    if home is None:
        return {}  # an org without a project is refused; without both, the caller's own project is meant
    if wanted.given.owner and org is None:
        return _named(owner=home)
    return _named(org_name=org, project_name=home)


def list_query(era: Era, wanted: Wanted) -> dict[str, str]:
    """Return the query of ``GET buckets``."""
    if era is Era.OWNER or (era is Era.PROJECT and wanted.home is None):
        return {}
    return _named(org_name=wanted.org, project_name=wanted.home)


def new_bucket(era: Era, wanted: Wanted) -> dict[str, str | None]:
    """Return what the body of a new bucket says about its home.

    :raises ConfigurationError: a project is wanted, and there are none.
    """
    if era is not Era.OWNER:
        return {**_named(org_name=wanted.org, project_name=wanted.home)}
    if wanted.home is not None:
        raise ConfigurationError(
            f"this platform has no projects, so it cannot make a bucket in {wanted.home!r}",
            remedy="Leave project_name out: a new bucket belongs to whoever makes it",
        )
    return {"org_name": wanted.org}


def id_query(bucket: Bucket) -> dict[str, str]:
    """Return the query of a request by id: strict servers answer 400 for a missing id without it."""
    if bucket.project_name is None:
        return {}
    return _named(org_name=bucket.org_name, project_name=bucket.project_name)


def is_wanted(bucket: Bucket, wanted: Wanted) -> bool:
    """Whether the platform's answer is the bucket that was asked for."""
    home = bucket.project_name or bucket.owner
    if bucket.id == wanted.bucket:
        given = wanted.given
        return given.org in {None, bucket.org_name} and (given.owner or given.project) in {None, home}
    return (
        bucket.name == wanted.bucket
        and wanted.home in {None, home}
        and wanted.org_that_counts in {None, bucket.org_name}
    )


def is_in_home(bucket: Bucket, wanted: Wanted) -> bool:
    """Whether a listing of the home shows the bucket. Without projects, it shows the whole cluster unless told."""
    if bucket.project_name is None:
        return wanted.given.org in {None, bucket.org_name} and wanted.given.project in {None, bucket.owner}
    return wanted.org in {None, bucket.org_name} and wanted.home in {None, bucket.project_name}


def path_nouns(bucket: Bucket) -> list[list[str]]:
    """Return what the path of a bucket's URI consists of: with its name, if it has one, and with its id."""
    home = [*filter(None, [bucket.org_name]), *(bucket.project_name or bucket.owner).split("/")]
    return [[*home, last] for last in (bucket.name, bucket.id) if last]


def shown(place: Place, wanted: Wanted) -> str:
    """Return whose buckets are meant, for people."""
    return "/".join(noun for noun in (place.cluster, wanted.org, wanted.home) if noun)


def _named(**selectors: str | None) -> dict[str, str]:
    return {name: value for name, value in selectors.items() if value}
