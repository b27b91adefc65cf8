"""What a blob must be like to count, beyond being there: one value for sensors, triggers and watchers."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from airflow_provider_neuro_buckets.buckets.errors import ConfigurationError


@dataclass(frozen=True, slots=True, kw_only=True)
class Conditions:
    """What a blob must be like.

    :ivar min_size: at least so many bytes.
    :ivar newer_than: written after this moment, by the storage's clock; `None`: whenever.
    :ivar stable_for: not written for so many seconds, by the storage's clock: whoever writes a blob again and again has
        then finished. Whatever changes its name, size or ETag also changes when it was last written.
    """

    min_size: int = 0
    newer_than: datetime | None = None
    stable_for: float = 0.0

    @classmethod
    def read(cls, *, min_size: Any, newer_than: Any, stable_for: Any) -> Conditions:
        """Read the arguments of a task or of a stored trigger; of numbers and times, a template makes texts.

        :raises ConfigurationError: says which of them cannot be used.
        """
        return cls(
            min_size=int(_number(min_size, "min_size")),
            newer_than=read_time(newer_than, "newer_than"),
            stable_for=read_seconds(stable_for, "stable_for"),
        )

    def stored(self) -> dict[str, Any]:
        """Return the arguments again, in JSON."""
        newer_than = self.newer_than.isoformat() if self.newer_than else None
        return {"min_size": self.min_size, "newer_than": newer_than, "stable_for": self.stable_for}

    def accept(self, *, size: int, modified_at: datetime | None, now: datetime) -> bool:
        """Whether a blob is like that.

        :param now: by the storage's clock.
        """
        if size < self.min_size:
            return False
        if modified_at is None:
            return not self.newer_than and not self.stable_for
        if self.newer_than and modified_at <= self.newer_than:
            return False
        return not self.stable_for or (now - modified_at).total_seconds() >= self.stable_for


ANY = Conditions()
"""No condition at all."""


def read_seconds(value: Any, what: str) -> float:
    """Read a number of seconds.

    :raises ConfigurationError: it is none; says `what`.
    """
    return value.total_seconds() if isinstance(value, timedelta) else _number(value, what)


def read_time(value: Any, what: str) -> datetime | None:
    """Read a moment; without a time zone it is taken as UTC, and an empty text as none.

    :raises ConfigurationError: it is neither a `datetime` nor an ISO text; says `what`.
    """
    if value is None or value == "":
        return None
    try:
        moment = value if isinstance(value, datetime) else datetime.fromisoformat(value)
    except (TypeError, ValueError):
        raise ConfigurationError(
            f"{what}={value!r} is not a time", remedy="Pass a datetime or an ISO text such as 2026-01-31T12:00:00Z"
        ) from None
    return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)


def _number(value: Any, what: str) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        number = -1.0
    if not 0 <= number < float("inf"):
        raise ConfigurationError(f"{what}={value!r} is not a number from 0 on", remedy="Mend the task")
    return number
