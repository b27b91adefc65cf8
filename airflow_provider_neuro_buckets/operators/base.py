"""What all operators share: a connection, a hook that can be cancelled, and errors that fail a task at once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import AirflowException, AirflowFailException, BaseOperator

from airflow_provider_neuro_buckets.buckets.errors import (
    AuthenticationError,
    ConfigurationError,
    PermissionDenied,
    UnsupportedProvider,
)

if TYPE_CHECKING:
    from airflow_provider_neuro_buckets.hooks.buckets import NeuroBucketsHook

HOPELESS = (ConfigurationError, AuthenticationError, PermissionDenied, UnsupportedProvider)
"""What a retry cannot mend: the task fails at once, whatever its `retries`."""


class BucketsOperator(BaseOperator):
    """Base of the operators: knows its connection, and stops its transfer when the task is killed.

    :param neuro_buckets_conn_id: a connection of type ``neuro_buckets``.
    """

    template_fields: Sequence[str] = ("neuro_buckets_conn_id",)
    ui_color = "#e8f0fe"

    def __init__(self, *, neuro_buckets_conn_id: str = "neuro_buckets_default", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.neuro_buckets_conn_id = neuro_buckets_conn_id

    @cached_property
    def hook(self) -> NeuroBucketsHook:
        """The hook, made when the task runs: the scheduler's parser does not pay for it."""
        from airflow_provider_neuro_buckets.hooks.buckets import NeuroBucketsHook  # noqa: PLC0415 - as said

        return NeuroBucketsHook(self.neuro_buckets_conn_id)

    def on_kill(self) -> None:
        """Cancel the call that runs: its uploads are aborted and its temporary files removed."""
        self.hook.cancel()

    @contextmanager
    def buckets(self) -> Iterator[NeuroBucketsHook]:
        """Give the hook with one client open; turn its errors into what Airflow should do about them.

        :raises AirflowFailException: a retry cannot mend it: the connection, the token, the rights, the provider.
        :raises AirflowException: the task was killed.
        """
        from airflow_provider_neuro_buckets.hooks.blocking import Cancelled  # noqa: PLC0415 - as the hook

        try:
            with self.hook as hook:
                yield hook
        except HOPELESS as error:
            raise AirflowFailException(self._told(error)) from error
        except Cancelled as error:
            raise AirflowException(f"{self.task_id} was stopped; it has cleaned up after itself") from error

    def _told(self, error: Exception) -> str:
        """Return the text of an error, which always names the connection."""
        text = str(error)
        return text if self.neuro_buckets_conn_id in text else f"{text} (connection {self.neuro_buckets_conn_id!r})"
