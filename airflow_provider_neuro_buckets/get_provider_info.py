"""What Airflow reads at start-up: data, with no import."""

from __future__ import annotations

from typing import Any

_PACKAGE = "airflow_provider_neuro_buckets"
_INTEGRATION = "Neuro Buckets"


def get_provider_info() -> dict[str, Any]:
    """Return the provider's description, in the shape of Airflow's ``provider_info`` schema."""
    return {
        "package-name": "airflow-provider-neuro-buckets",
        "name": "Neuro Buckets",
        "description": "Neuro (Apolo) buckets: S3, MinIO, Azure Blob and others behind one platform.",
    }
