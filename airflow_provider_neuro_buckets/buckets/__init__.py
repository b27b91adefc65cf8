"""The complete Buckets implementation, usable with no Airflow installed.

The public names load on first use: whoever needs an error class only does not pay for an HTTP client.
"""

# ruff: noqa: I001 - a re-export is an import "as" itself, and one import for each name is no list to read
from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airflow_provider_neuro_buckets.buckets.client import (
        BlobURI as BlobURI,
        Buckets as Buckets,
        LocalPath as LocalPath,
    )
    from airflow_provider_neuro_buckets.buckets.config import (
        BucketsConfig as BucketsConfig,
    )
    from airflow_provider_neuro_buckets.buckets.errors import (
        AlreadyExists as AlreadyExists,
        AuthenticationError as AuthenticationError,
        BadRequest as BadRequest,
        BucketNotEmpty as BucketNotEmpty,
        BucketsError as BucketsError,
        ConfigurationError as ConfigurationError,
        Conflict as Conflict,
        IntegrityError as IntegrityError,
        InvalidAddress as InvalidAddress,
        InvalidAnswer as InvalidAnswer,
        IsADirectory as IsADirectory,
        NotADirectory as NotADirectory,
        NotConnected as NotConnected,
        PermissionDenied as PermissionDenied,
        QuotaExceeded as QuotaExceeded,
        ResourceNotFound as ResourceNotFound,
        SourceChanged as SourceChanged,
        Throttled as Throttled,
        Timeout as Timeout,
        TransferError as TransferError,
        TransientError as TransientError,
        Unavailable as Unavailable,
        UnsupportedProvider as UnsupportedProvider,
    )
    from airflow_provider_neuro_buckets.buckets.models import (
        BlobCommonPrefix as BlobCommonPrefix,
        BlobObject as BlobObject,
        Bucket as Bucket,
        BucketCredentials as BucketCredentials,
        BucketEntry as BucketEntry,
        BucketProvider as BucketProvider,
        BucketUsage as BucketUsage,
        PersistentBucketCredentials as PersistentBucketCredentials,
        TransferReport as TransferReport,
    )
    from airflow_provider_neuro_buckets.buckets.persistent import (
        persistent_secret as persistent_secret,
    )
    from airflow_provider_neuro_buckets.buckets.progress import (
        AbstractDeleteProgress as AbstractDeleteProgress,
        AbstractFileProgress as AbstractFileProgress,
        AbstractRecursiveFileProgress as AbstractRecursiveFileProgress,
        StorageProgressComplete as StorageProgressComplete,
        StorageProgressDelete as StorageProgressDelete,
        StorageProgressEnterDir as StorageProgressEnterDir,
        StorageProgressFail as StorageProgressFail,
        StorageProgressFound as StorageProgressFound,
        StorageProgressLeaveDir as StorageProgressLeaveDir,
        StorageProgressStart as StorageProgressStart,
        StorageProgressStep as StorageProgressStep,
    )
    from airflow_provider_neuro_buckets.buckets.stream import (
        Stream as Stream,
    )
    from airflow_provider_neuro_buckets.buckets.transfer.tries import (
        Tries as Tries,
    )

_HOMES = {
    "client": [
        "BlobURI",
        "Buckets",
        "LocalPath",
    ],
    "config": [
        "BucketsConfig",
    ],
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
        "QuotaExceeded",
        "ResourceNotFound",
        "SourceChanged",
        "Throttled",
        "Timeout",
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
        "BucketProvider",
        "BucketUsage",
        "PersistentBucketCredentials",
        "TransferReport",
    ],
    "persistent": [
        "persistent_secret",
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
    "stream": [
        "Stream",
    ],
    "transfer.tries": [
        "Tries",
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
