"""What is handed from the plan to the shards and on to the conclusion: small, and JSON on the way."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from airflow_provider_neuro_buckets.buckets.errors import ConfigurationError


class Action(StrEnum):
    """What happens to the items of a shard."""

    TRANSFER = "transfer"
    DELETE = "delete"


@dataclass(frozen=True, slots=True, kw_only=True)
class Shard:
    """A part of a job for one worker.

    :ivar uri: address of its manifest.
    :ivar number: from 1; those that transfer come first.
    :ivar items: lines of the manifest.
    :ivar bytes: size of all of them.
    """

    uri: str
    number: int
    action: Action
    items: int
    bytes: int

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON values: for XCom, and to map a task over."""
        return asdict(self) | {"action": self.action.value}

    @classmethod
    def of(cls, value: Mapping[str, Any]) -> Shard:
        """Read what :meth:`as_json` has made.

        :raises ConfigurationError: it has not.
        """
        with _reading(f"{value!r} is no shard", remedy="Pass a shard as the plan returned it"):
            return cls(
                uri=str(value["uri"]),
                number=int(value["number"]),
                action=Action(value["action"]),
                items=int(value["items"]),
                bytes=int(value["bytes"]),
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is to be done.

    :ivar uri: address of the folder, in the work prefix, that this plan has for itself.
    :ivar shards: at most as many of each action as were asked for, none of them empty; none at all if nothing is to do.
    :ivar items: files to transfer, and `bytes` their size.
    :ivar unchanged: files that a synchronisation leaves alone.
    :ivar extra: files to delete: all of a deletion; of a synchronisation those that only the destination has.
    """

    uri: str
    shards: Sequence[Shard]
    items: int
    bytes: int
    unchanged: int = 0
    extra: int = 0

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return asdict(self) | {"shards": [shard.as_json() for shard in self.shards]}

    @classmethod
    def of(cls, value: Mapping[str, Any]) -> Plan:
        """Read what :meth:`as_json` has made.

        :raises ConfigurationError: it has not.
        """
        with _reading("this is no plan", remedy="Pass the plan as it was returned"):
            return cls(
                uri=str(value["uri"]),
                shards=[Shard.of(one) for one in value["shards"]],
                **{name: int(value[name]) for name in ("items", "bytes", "unchanged", "extra")},
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardReport:
    """What all tries of a shard so far have done.

    :ivar items: lines of the manifest that are done.
    :ivar bytes: their size.
    :ivar moved: bytes that had to be moved for them.
    :ivar verified: those of the files whose content was compared with a checksum of the storage.
    :ivar failed: lines that failed in the last try.
    """

    number: int
    action: Action
    items: int = 0
    bytes: int = 0
    moved: int = 0
    verified: int = 0
    failed: int = 0

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return asdict(self) | {"action": self.action.value}

    @classmethod
    def of(cls, value: Mapping[str, Any]) -> ShardReport:
        """Read what :meth:`as_json` has made.

        :raises ConfigurationError: it has not.
        """
        with _reading("this is no report of a shard", remedy="Run the shard again"):
            numbers = {name: int(value[name]) for name in ("number", "items", "bytes", "moved", "verified", "failed")}
            return cls(action=Action(value["action"]), **numbers)


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What a whole job has done. All of it, with each failure, is at `uri` as JSON.

    :ivar uri: address of the report.
    :ivar items: files transferred, and `bytes` their size.
    :ivar moved: bytes that had to be moved for them.
    :ivar verified: those of the files whose content was compared with a checksum of the storage.
    :ivar unchanged: files that were left alone.
    :ivar deleted: files deleted.
    :ivar failed: files that failed, and `unfinished` those that no try got to.
    """

    uri: str
    items: int
    bytes: int
    moved: int
    verified: int
    unchanged: int
    deleted: int
    failed: int = 0
    unfinished: int = 0

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return asdict(self)

    @classmethod
    def of(cls, value: Mapping[str, Any]) -> Report:
        """Read what :meth:`as_json` has made.

        :raises ConfigurationError: it has not.
        """
        with _reading("this is no report", remedy="Conclude again"):
            return cls(uri=str(value["uri"]), **{name: int(value[name]) for name in _REPORTED})


_REPORTED = ("items", "bytes", "moved", "verified", "unchanged", "deleted", "failed", "unfinished")


@contextmanager
def _reading(problem: str, *, remedy: str) -> Iterator[None]:
    """Say in one sentence that what is read in the block is not what it should be."""
    try:
        yield
    except (KeyError, TypeError, ValueError) as error:
        raise ConfigurationError(f"{problem} ({error!r})", remedy=remedy) from None
