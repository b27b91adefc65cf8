"""What clients and those who start them agree on: names in the environment, and which method does a job.

The methods are the same for this package and for the official SDK.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

S3_CONNECTION = "bench_s3"
"""The Airflow connection of `S3Hook`."""
SDK_CONFIG, SDK_URL, SDK_TOKEN = "BENCH_SDK_CONFIG", "BENCH_SDK_URL", "BENCH_SDK_TOKEN"
"""Environment of the official SDK: the folder of its configuration; to log in, the platform's address and a token."""

Call = tuple[str, tuple[str, ...], Mapping[str, Any]]


def call_of(job: Mapping[str, str]) -> Call:
    """Return name, addresses and options of the method that does a job.

    :param job: ``verb``, ``local`` (a path) and ``uri``.
    """
    local, uri = job["local"], job["uri"]
    calls: Mapping[str, Call] = {
        "upload_dir": ("upload_dir", (local, uri), {}),
        "update_dir": ("upload_dir", (local, uri), {"update": True}),
        "upload_file": ("upload_file", (local, uri), {}),
        "download_dir": ("download_dir", (uri, local), {}),
        "download_file": ("download_file", (uri, local), {}),
        "list": ("list_blobs", (uri,), {"recursive": True, "limit": None}),
        "delete": ("blob_rm", (uri,), {"recursive": True}),
    }
    return calls[job["verb"]]
