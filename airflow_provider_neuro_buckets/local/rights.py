"""Who may do what on the local platform: two users of one project, one of whom may only read."""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum

from aiohttp import web

from airflow_provider_neuro_buckets.local.answers import Refusal, bad_request, forbidden
from airflow_provider_neuro_buckets.local.records import BucketRecord

CLUSTER = "local"
ORG = "neuro"
PROJECT = "demo"


class Action(IntEnum):
    """What a permission allows; each includes those before it."""

    READ = 1
    WRITE = 2


@dataclass(frozen=True, slots=True)
class User:
    """A caller: what it may do in the project, and nothing elsewhere."""

    name: str
    may: Action

    def require(self, action: Action, bucket: BucketRecord) -> None:
        """Refuse with a 403 that names what is missing, unless the user may."""
        if bucket.org_name != ORG or bucket.project_name != PROJECT or self.may < action:
            home = f"blob://{CLUSTER}/{bucket.org_name}/{bucket.project_name}"
            raise forbidden([f"{home}/{bucket.name}", f"{home}/{bucket.id}"], action.name.lower())

    def require_project(self, action: Action, *, org: str, project: str) -> None:
        """Refuse unless the user may act on a whole project."""
        if (org, project) != (ORG, PROJECT) or self.may < action:
            raise forbidden([f"blob://{CLUSTER}/{org}/{project}"], action.name.lower())

    def may_read(self, bucket: BucketRecord) -> bool:
        """Whether the bucket shows in listings."""
        return (bucket.org_name, bucket.project_name) == (ORG, PROJECT)


class Users:
    """The users, by their tokens."""

    def __init__(self, secrets: Mapping[str, str]) -> None:
        self._by_token = {
            secrets["token"]: User("user", Action.WRITE),
            secrets["readonly_token"]: User("reader", Action.READ),
        }

    def find(self, request: web.Request) -> User | None:
        """Return the caller of a request, if its token is known."""
        scheme, _, given = request.headers.get("Authorization", "").partition(" ")
        if scheme != "Bearer":
            return None
        wanted = given.encode(errors="surrogateescape")
        known = [user for token, user in self._by_token.items() if hmac.compare_digest(token.encode(), wanted)]
        return known[0] if known else None

    def caller(self, request: web.Request) -> User:
        """Return the caller, or refuse as the platform does."""
        header = request.headers.get("Authorization")
        if header is not None and not header.startswith("Bearer "):
            raise bad_request("Unexpected authorization scheme")
        user = self.find(request)
        if user is None:
            raise Refusal(401, "401: Unauthorized")
        return user
