"""The extra link of each task: to its bucket or blob in the platform's web console."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import BaseOperatorLink

from airflow_provider_neuro_buckets.buckets.errors import ConfigurationError

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import TaskInstanceKey


class BucketLink(BaseOperatorLink):
    """Leads to what `link_field` of the operator names, by the pattern `console_url` of its connection.

    Airflow asks for the link on the worker when a try has ended. Nothing is requested for it: a connection without a
    pattern, a pattern with a place that nothing says, and a task that has no connection give no link.
    """

    name = "Bucket"

    def get_link(self, operator: Any, *, ti_key: TaskInstanceKey) -> str:  # noqa: ARG002 - Airflow's signature
        """Return the URL; empty for none."""
        return page_of(operator)


def page_of(operator: Any) -> str:
    """Return the URL of what a task is about in the web console; empty for none."""
    # Loaded here: the DAG processor imports this with every operator.
    from airflow_provider_neuro_buckets.hooks.console import console_link  # noqa: PLC0415 - as said

    try:
        return console_link(operator.hook.config_in_use(), getattr(operator, operator.link_field, None))
    except ConfigurationError:
        return ""  # the task fails for it, and says so
