"""The logging configuration that lets Airflow keep task logs in a bucket.

Airflow's own stops every command when it meets a scheme of remote logs that it does not list by name. Name this one
instead, as ``[logging] logging_config_class = airflow_provider_neuro_buckets.logs.config.LOGGING_CONFIG``, beside
``remote_logging = True``, ``remote_base_log_folder = blob:bucket/logs`` and
``remote_log_conn_id``. The rest is as before.
"""

from __future__ import annotations

import os
from copy import deepcopy
from importlib import import_module
from typing import Any

from airflow.providers.common.compat.sdk import conf

from airflow_provider_neuro_buckets.logs.remote import DEFAULT_CONN_ID, NeuroBucketsRemoteLogIO

_SWITCH = "AIRFLOW__LOGGING__REMOTE_LOGGING"


def _airflows_own() -> dict[str, Any]:
    """Return the configuration that this Airflow has for logs on a disk: its formatters, filters and loggers."""
    before = os.environ.get(_SWITCH)
    os.environ[_SWITCH] = "False"  # with it, the module would look for the scheme in its list, and raise
    try:
        own = import_module("airflow.config_templates.airflow_local_settings")
    finally:
        if before is None:
            del os.environ[_SWITCH]
        else:
            os.environ[_SWITCH] = before
    return deepcopy(own.DEFAULT_LOGGING_CONFIG)


LOGGING_CONFIG = _airflows_own()
"""What `logging_config_class` names."""

REMOTE_TASK_LOG = (
    NeuroBucketsRemoteLogIO.from_config() if conf.getboolean("logging", "remote_logging", fallback=False) else None
)
"""What Airflow looks for beside it."""

DEFAULT_REMOTE_CONN_ID = DEFAULT_CONN_ID
"""As `REMOTE_TASK_LOG`: the connection, where ``remote_log_conn_id`` names none."""
