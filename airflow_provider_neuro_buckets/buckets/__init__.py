"""The complete Buckets implementation, usable with no Airflow installed.

The public names load on first use: whoever needs an error class only does not pay for an HTTP client.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airflow_provider_neuro_buckets.buckets.client import Buckets as Buckets
    from airflow_provider_neuro_buckets.buckets.config import BucketsConfig as BucketsConfig

_HOMES = {
    "client": ["Buckets"],
    "config": ["BucketsConfig"],
    "errors": [
        "AlreadyExists",
        "AuthenticationError",
        "BadRequest",
        "BucketNotEmpty",
        "BucketsError",
        "ConfigurationError",
        "Conflict",
        "IntegrityError",
        "InvalidAddress",
        "InvalidAnswer",
        "IsADirectory",
        "NotADirectory",
        "NotConnected",
        "PermissionDenied",
        "ResourceNotFound",
        "SourceChanged",
        "Throttled",
        "TransferError",
        "TransientError",
        "Unavailable",
        "UnsupportedProvider",
    ],
    "models": [
        "BlobCommonPrefix",
        "BlobObject",
        "Bucket",
        "BucketCredentials",
        "BucketEntry",
        "BucketUsage",
        "PersistentBucketCredentials",
        "TransferReport",
    ],
    "progress": [
        "AbstractDeleteProgress",
        "AbstractFileProgress",
        "AbstractRecursiveFileProgress",
        "StorageProgressComplete",
        "StorageProgressDelete",
        "StorageProgressEnterDir",
        "StorageProgressFail",
        "StorageProgressFound",
        "StorageProgressLeaveDir",
        "StorageProgressStart",
        "StorageProgressStep",
    ],
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = sorted(_HOME_OF)  # noqa: PLE0605 - one list, sorted once


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOME_OF[name]}"), name)


def __dir__() -> list[str]:
    return list(__all__)
