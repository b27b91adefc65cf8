"""What a worker of the tests is called: they all run on one machine, and Airflow is to tell them apart."""

from __future__ import annotations

import os

VARIABLE = "NEURO_BUCKETS_WORKER"


def worker_name() -> str:
    """Return the name of the worker that this process belongs to; Airflow asks for its host."""
    return os.environ.get(VARIABLE, "no worker")
