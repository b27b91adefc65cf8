"""The few requests to the local platform that the benchmark makes itself."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode
from urllib.request import Request, urlopen

from airflow_provider_neuro_buckets.local.child import RunningPlatform
from benchmarks.places import Keys

SECONDS = 60.0


class Control:
    """Makes buckets on a platform, and asks for their credentials."""

    def __init__(self, platform: RunningPlatform) -> None:
        self._platform = platform
        self._home = {"org_name": platform.org_name, "project_name": platform.project_name}

    def create(self, name: str) -> None:
        """Make a bucket on the platform's own storage."""
        self._post("buckets", {"name": name, **self._home})

    def import_bucket(self, name: str, *, provider: str, real_name: str, credentials: Mapping[str, str]) -> None:
        """Make a bucket known that is elsewhere."""
        described = {"provider": provider, "provider_bucket_name": real_name, "credentials": dict(credentials)}
        self._post("buckets/import/external", {"name": name, **self._home, **described})

    def keys(self, bucket: str) -> Keys:
        """Return fresh credentials of a bucket."""
        answer = self._post(f"buckets/{bucket}/make_tmp_credentials?{urlencode(self._home)}", None)
        keys: dict[str, str] = answer["credentials"]
        return keys

    def _post(self, path: str, body: Mapping[str, Any] | None) -> dict[str, Any]:
        request = Request(  # noqa: S310 - the address is that of our own platform
            f"{self._platform.buckets_url}/{path}",
            method="POST",
            data=b"" if body is None else json.dumps(body).encode(),
            headers={"Authorization": f"Bearer {self._platform.token}", "Content-Type": "application/json"},
        )
        with urlopen(request, timeout=SECONDS) as answer:  # noqa: S310 - as above
            found: dict[str, Any] = json.load(answer)
            return found
