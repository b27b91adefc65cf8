"""From persistent credentials to an Airflow connection that uses them."""

from __future__ import annotations

import json
from collections.abc import Iterable

from airflow_provider_neuro_buckets.buckets.models import Bucket, PersistentBucketCredentials
from airflow_provider_neuro_buckets.buckets.persistent import persistent_secret


def persistent_connection(credentials: PersistentBucketCredentials, buckets: Iterable[Bucket]) -> str:
    """Return a connection as JSON, as ``AIRFLOW_CONN_…`` and secrets backends take it; a secret as a whole.

    With it, blobs of the buckets need neither a token nor the platform, until the credentials are deleted.

    :param buckets: those that the credentials are for; others are ignored.
    """
    # A text, not an object: the connection form edits it as one, and Airflow masks the field as a whole.
    secret = json.dumps(persistent_secret(credentials, buckets))
    return json.dumps({"conn_type": "neuro_buckets", "extra": {"persistent_credentials_secret": secret}})
