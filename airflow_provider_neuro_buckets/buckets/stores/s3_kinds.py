"""What the relatives of S3 differ in."""

from __future__ import annotations

from airflow_provider_neuro_buckets.buckets.models import BucketProvider
from airflow_provider_neuro_buckets.buckets.stores.base import Capability

EVERYWHERE = frozenset({Capability.CONTENT_MD5, Capability.COPY, Capability.RESUME, Capability.SIGN})
_EVERY_KEY = frozenset({Capability.EMPTY_SEGMENTS, Capability.DOT_SEGMENTS, Capability.BACKSLASH})
CAPABILITIES = {
    BucketProvider.AWS: EVERYWHERE | _EVERY_KEY,
    # It refuses dot segments and folds empty ones at the start of a key.
    BucketProvider.MINIO: EVERYWHERE | {Capability.BACKSLASH},
    # It folds empty segments, refuses dot segments and turns a backslash into a slash.
    BucketProvider.SEAWEEDFS: EVERYWHERE,
    BucketProvider.OPEN_STACK: EVERYWHERE | _EVERY_KEY,
    BucketProvider.EMC_ECS: EVERYWHERE | _EVERY_KEY,
}
MARKERS_ARE_EMPTY = frozenset({BucketProvider.SEAWEEDFS})
"""Their keys that end with ``/`` are folders; what is written to one is dropped, with a success."""
