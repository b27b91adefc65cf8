"""What all operators share: a connection, a hook that can be cancelled, and errors that fail a task at once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import AirflowException, AirflowFailException, BaseOperator

from airflow_provider_neuro_buckets.buckets.errors import (
    AuthenticationError,
    BucketsError,
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
    _killed = False

    def __init__(self, *, neuro_buckets_conn_id: str = "neuro_buckets_default", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.neuro_buckets_conn_id = neuro_buckets_conn_id

    @cached_property
    def hook(self) -> NeuroBucketsHook:
        """The hook, made when the task runs: the scheduler's parser does not pay for it."""
        from airflow_provider_neuro_buckets.hooks.buckets import NeuroBucketsHook  # noqa: PLC0415 - as said

        return NeuroBucketsHook(self.neuro_buckets_conn_id)

    def on_kill(self) -> None:
        """Cancel the call that runs, or the first to come: its uploads are aborted and its temporary files removed."""
        self._killed = True
        if "hook" in self.__dict__:  # a signal handler makes no hook
            self.hook.cancel()

    @contextmanager
    def buckets(self) -> Iterator[NeuroBucketsHook]:
        """Give the hook with one client open; turn its errors into what Airflow should do about them.

        :raises AirflowFailException: a retry cannot mend it: the connection, the token, the rights, the provider.
        :raises AirflowException: the task was killed.
        :raises BucketsError: anything else, by its own type for a `retry_policy`; its text names the connection.
        """
        from airflow_provider_neuro_buckets.hooks.blocking import Cancelled  # noqa: PLC0415 - as the hook

        try:
            with self.hook as hook:
                if self._killed:
                    hook.cancel()
                yield hook
        except HOPELESS as error:
            self._name_connection(error)
            raise AirflowFailException(str(error)) from error
        except BucketsError as error:
            self._name_connection(error)
            raise
        except Cancelled as error:
            raise AirflowException(f"{self.task_id} was stopped; it has cleaned up after itself") from error

    def _name_connection(self, error: BucketsError) -> None:
        """Let an error, which knows nothing of Airflow, say which connection it is about."""
        if self.neuro_buckets_conn_id not in str(error):
            error.problem = f"connection {self.neuro_buckets_conn_id!r}: {error.problem}"


def one_of(known: Sequence[str], **given: str) -> None:
    """Refuse a misspelt choice when the DAG is parsed, not when the task runs.

    :param given: the argument, such as ``if_exists="use"``.
    :raises ValueError: names the argument and what it may be.
    """
    for name, value in given.items():
        if value not in known:
            raise ValueError(f"{name}={value!r} is none of {', '.join(map(repr, known))}")


def whole_number(value: int | str, what: str) -> int:
    """Read a number, of which a template makes a text.

    :raises ConfigurationError: it is none; says `what`.
    """
    try:
        return int(value)
    except (TypeError, ValueError):
        raise ConfigurationError(f"{what}={value!r} is not a whole number", remedy="Mend the task") from None
