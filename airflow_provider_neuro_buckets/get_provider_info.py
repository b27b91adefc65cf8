"""What Airflow reads at start-up: data, with no import."""

from __future__ import annotations

from typing import Any

_PACKAGE = "airflow_provider_neuro_buckets"
_INTEGRATION = "Neuro Buckets"


def get_provider_info() -> dict[str, Any]:
    """Return the provider's description, in the shape of Airflow's ``provider_info`` schema."""
    return {
        "package-name": "airflow-provider-neuro-buckets",
        "name": _INTEGRATION,
        "description": "Neuro (Apolo) buckets: S3, MinIO, Azure Blob and others behind one platform.",
        "integrations": [
            {"integration-name": _INTEGRATION, "external-doc-url": "https://docs.apolo.us", "tags": ["service"]}
        ],
        "connection-types": [_connection_type()],
        "hooks": [_modules("hooks.buckets")],
        "operators": [
            _modules(
                "operators.buckets",
                "operators.blobs",
                "operators.transfers",
                "operators.shards",
                "operators.credentials",
            )
        ],
        "sensors": [_modules("sensors.blobs")],
        "triggers": [_modules("triggers.blobs")],
        "filesystems": [f"{_PACKAGE}.fs.blob"],
        "extra-links": [f"{_PACKAGE}.links.BucketLink"],
        "asset-uris": [
            {
                "schemes": ["blob"],
                "handler": f"{_PACKAGE}.assets.blob.sanitize_uri",
                "factory": f"{_PACKAGE}.assets.blob.create_asset",
                "to_openlineage_converter": f"{_PACKAGE}.assets.blob.convert_asset_to_openlineage",
            }
        ],
        "bundles": [_modules("bundles.blob")],
        "remote-logging": [{"classpath": f"{_PACKAGE}.logs.remote.NeuroBucketsRemoteLogIO", "scheme": "blob"}],
        "cli": [f"{_PACKAGE}.cli.definition.get_commands"],
    }


def _modules(*names: str) -> dict[str, Any]:
    return {"integration-name": _INTEGRATION, "python-modules": [f"{_PACKAGE}.{name}" for name in names]}


def _connection_type() -> dict[str, Any]:
    return {
        "connection-type": "neuro_buckets",
        "hook-class-name": f"{_PACKAGE}.hooks.buckets.NeuroBucketsHook",
        "hook-name": _INTEGRATION,
        "ui-field-behaviour": {
            "hidden-fields": ["schema", "login", "port"],
            "relabeling": {"host": "Platform API URL", "password": "Token"},
            "placeholders": {
                "host": "https://api.example.org/api/v1",
                "password": "a token, or the config blob of a service account",
            },
        },
        "conn-fields": {
            "cluster_name": _text("Cluster", "What relative addresses mean. Default: the first cluster of the token."),
            "org_name": _text("Organisation", "Default: the first organisation of the cluster."),
            "project_name": _text("Project", "Default: the alphabetically first project there."),
            "buckets_url": _text(
                "Buckets service URL", "Skips asking the platform where its buckets service is; needs a cluster."
            ),
            "console_url": _text(
                "Web console",
                "URL of a bucket there, with {cluster_name}, {org_name}, {project_name}, {bucket} and {key} where they "
                "go. Each task then has a link to its bucket or blob.",
            ),
            "persistent_credentials_secret": _text(
                "Persistent credentials",
                "JSON of persistent credentials with the URI of each bucket: blobs then need no token and no platform.",
                format="password",
            ),
            "verify": _text("CA bundle", "Path of a PEM file with your own certificate authority."),
            "max_concurrency": _whole("Requests at once", "To the storage, for each client. Default: 64."),
            "max_buffer_bytes": _whole("Bytes in memory at once", "Of blobs on their way. Default: 134217728."),
            "timeout_seconds": _whole("Longest silence, seconds", "Until a connection counts as dead. Default: 60."),
            "max_requests_per_second": _rate(
                "Requests per second", "To the storage, retries included. Default: no limit."
            ),
            "max_bytes_per_second": _rate(
                "Bytes per second", "To and from the storage, both ways together. Default: no limit."
            ),
            "shared_by": _whole(
                "Tasks that share the limits",
                "Each takes an equal part of the two limits: the slots of the pool in which they run. Default: 1.",
            ),
        },
    }


def _text(label: str, description: str, **schema: str) -> dict[str, Any]:
    return {"label": label, "description": description, "schema": {"type": ["string", "null"], **schema}}


def _whole(label: str, description: str) -> dict[str, Any]:
    return {"label": label, "description": description, "schema": {"type": ["integer", "null"], "minimum": 1}}


def _rate(label: str, description: str) -> dict[str, Any]:
    return {"label": label, "description": description, "schema": {"type": ["number", "null"], "exclusiveMinimum": 0}}
