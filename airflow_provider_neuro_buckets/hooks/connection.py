"""From an Airflow connection to a `BucketsConfig`: a pure reading, every mistake told by its field, no value shown."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from airflow_provider_neuro_buckets.buckets.config import BucketsConfig, PassedConfig, read_token
from airflow_provider_neuro_buckets.buckets.errors import ConfigurationError


class ConnectionFields(Protocol):
    """What is read of an Airflow connection, besides its extra."""

    conn_id: str
    host: str | None
    password: str | None
    extra: str | None


def read_config(connection: ConnectionFields, extra: Any, *, overrides: Mapping[str, str | None]) -> BucketsConfig:
    """Read a connection of type ``neuro_buckets``.

    :param extra: its extra, decoded by Airflow, which makes an empty one of what is no JSON.
    :param overrides: cluster, org and project that the hook was given instead of the connection's.
    :raises ConfigurationError: names the connection and the field, never a value of it.
    """
    name = f"connection {connection.conn_id!r}"
    if not isinstance(extra, Mapping) or (not extra and not _is_json(connection.extra or "{}")):
        raise ConfigurationError(f"the extra of {name} is not a JSON object", remedy="Mend it in the connection form")
    given = {field: value for field, value in extra.items() if value not in (None, "")}
    unknown = sorted(set(given) - set(_FIELDS))
    if unknown:
        raise ConfigurationError(
            f"the extra of {name} has the unknown field {unknown[0]!r}", remedy=f"Known are {', '.join(_FIELDS)}"
        )
    fields: dict[str, Any] = {
        field: _FIELDS[field](value, f"{field!r} in the extra of {name}") for field, value in given.items()
    }
    passed = _token(connection, name)
    fields |= {
        place: overrides.get(place) or fields.pop(place, None) or getattr(passed, place)
        for place in ("cluster_name", "org_name", "project_name")
    }
    if "persistent_credentials_secret" in fields:
        fields["persistent_credentials"] = fields.pop("persistent_credentials_secret")
    if passed.token is None and "persistent_credentials" not in fields:
        raise ConfigurationError(f"{name} has no token", remedy="Put the platform's token into its password")
    host = (connection.host or "").strip().rstrip("/") or passed.api_url
    return BucketsConfig(name=name, api_url=host, token=passed.token, **fields)


class _NoToken:
    """Stands for a connection without a token."""

    token = api_url = cluster_name = org_name = project_name = None


def _token(connection: ConnectionFields, name: str) -> PassedConfig | _NoToken:
    if connection.password is None:
        return _NoToken()
    if not connection.password.strip():
        raise ConfigurationError(f"the password of {name} is blank", remedy="Put the platform's token there")
    return read_token(connection.password, origin=f"the password of {name}")


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


def _text(value: Any, what: str) -> str:
    if not isinstance(value, str):
        raise ConfigurationError(f"{what} is not a text", remedy="Mend it in the connection form")
    return value.strip()


def _positive(value: Any, what: str) -> int:
    try:
        number = 0 if isinstance(value, float) and not value.is_integer() else int(value)
    except (TypeError, ValueError):
        number = 0
    if isinstance(value, bool) or number <= 0:
        raise ConfigurationError(f"{what} is not a positive whole number", remedy="Mend it in the connection form")
    return number


def _rate(value: Any, what: str) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        number = 0.0
    if isinstance(value, bool) or not 0 < number < math.inf:
        raise ConfigurationError(f"{what} is not a positive number", remedy="Mend it in the connection form")
    return number


def _verify(value: Any, what: str) -> bool | str:
    """Read `verify`: true, or the path of a CA bundle; certificates are never unchecked."""
    if value is True or (isinstance(value, str) and value.strip().lower() == "true"):
        return True
    if not isinstance(value, str) or value.strip().lower() == "false":
        raise ConfigurationError(f"{what} would switch certificate checks off", remedy="Set it to a CA bundle instead")
    return value.strip()


def _json_object(value: Any, what: str) -> Mapping[str, Any]:
    try:
        value = json.loads(value) if isinstance(value, str) else value
    except ValueError:
        value = None
    if not isinstance(value, Mapping):
        raise ConfigurationError(f"{what} is not a JSON object", remedy="Paste the platform's answer for them")
    return value


def _console(value: Any, what: str) -> str:
    """Read the pattern of a link into the web console."""
    pattern = _text(value, what)
    unknown = [place for place in re.findall(r"\{(.*?)\}", pattern) if place not in _PLACES]
    if unknown or not re.match(r"https?://[^/{]", pattern):
        wrong = f"has the unknown place {{{unknown[0]}}}" if unknown else "is not an http(s) address"
        raise ConfigurationError(f"{what} {wrong}", remedy=f"It may have {', '.join(_PLACES.values())}")
    return pattern


_PLACES = {name: f"{{{name}}}" for name in ("cluster_name", "org_name", "project_name", "bucket", "key")}

_FIELDS: dict[str, Callable[[Any, str], Any]] = {
    "cluster_name": _text,
    "org_name": _text,
    "project_name": _text,
    "buckets_url": _text,
    "console_url": _console,
    "persistent_credentials_secret": _json_object,
    "verify": _verify,
    "max_concurrency": _positive,
    "max_buffer_bytes": _positive,
    "timeout_seconds": _positive,
    "max_requests_per_second": _rate,
    "max_bytes_per_second": _rate,
    "shared_by": _positive,
}
