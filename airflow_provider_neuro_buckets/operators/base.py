"""What all operators share: a connection, a hook that can be cancelled, and errors that fail a task at once."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
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
from airflow_provider_neuro_buckets.links import BucketLink, page_of

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import BaseOperatorLink, Context

    from airflow_provider_neuro_buckets.buckets.progress import AbstractRecursiveFileProgress
    from airflow_provider_neuro_buckets.hooks.buckets import NeuroBucketsHook
    from airflow_provider_neuro_buckets.hooks.progress import DeleteCount

HOPELESS = (ConfigurationError, AuthenticationError, PermissionDenied, UnsupportedProvider)
"""What a retry cannot mend: the task fails at once, whatever its `retries`."""


class BucketsOperator(BaseOperator):
    """Base of the operators: knows its connection, and stops its transfer when the task is killed.

    :param neuro_buckets_conn_id: a connection of type ``neuro_buckets``.
    """

    template_fields: Sequence[str] = ("neuro_buckets_conn_id",)
    operator_extra_links: Collection[BaseOperatorLink] = (BucketLink(),)
    link_field = "uri"
    """The attribute that says where the task's link leads: a bucket, an address, or several: then the first."""
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

    def pre_execute(self, context: Context) -> None:
        """Drop the link that would lead nowhere: Airflow keeps an empty XCom for each of those."""
        links = type(self).operator_extra_links
        leads = page_of(self)
        self.operator_extra_links = links if leads else [link for link in links if not isinstance(link, BucketLink)]

    def on_kill(self) -> None:
        """Cancel the call that runs, or the first to come: its uploads are aborted and its temporary files removed.

        A transfer of which another try may come leaves the large ones for it instead, as far as they came.
        """
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

    def connections(self) -> Sequence[str]:
        """Return the connections that an error may be about."""
        return [self.neuro_buckets_conn_id]

    def _name_connection(self, error: BucketsError) -> None:
        """Let an error, which knows nothing of Airflow, say which connection it is about, or which it may be."""
        names = [str(name) for name in self.connections()]  # a template may make `None` of one
        if names and not any(name in str(error) for name in names):
            error.problem = f"connection {' or '.join(map(repr, names))}: {error.problem}"


class ChangingOperator(BucketsOperator):
    """Base of the operators that delete or replace something: asked to, they only tell what they would do.

    :param dry_run: do everything but that: find out what would be deleted or replaced, write the first of it and how
        much it is to the task's log, and return the usual XCom with ``"dry_run": True`` in it. A template may say
        ``true`` or ``false``; in the `default_args` of a DAG it is good for all its tasks, which Airflow before 3.0.2
        refuses if one of them is mapped whose operator has no such argument.
    """

    template_fields: Sequence[str] = (*BucketsOperator.template_fields, "is_dry_run")

    def __init__(self, *, dry_run: bool | str = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.is_dry_run = dry_run  # every Airflow operator has a method `dry_run`, which renders the templates

    def rehearses(self) -> bool:
        """Whether this is a dry run.

        :raises ConfigurationError: a template made of it what is neither true nor false.
        """
        return yes_or_no(self.is_dry_run, "dry_run")

    def result(self, **done: Any) -> dict[str, Any]:
        """Return the XCom for what was done, or would be; a dry run also logs it."""
        if not self.rehearses():
            return done
        self.log.info("Dry run, so nothing was changed. Without it: %s", done)
        return {**done, "dry_run": True}

    def deleting(self) -> DeleteCount:
        """Return who counts the blobs that are gone, and in a dry run tells which would be."""
        from airflow_provider_neuro_buckets.hooks.progress import DeleteCount  # noqa: PLC0415 - as the hook
        from airflow_provider_neuro_buckets.hooks.rehearsal import DeletesTold  # noqa: PLC0415 - as the hook

        return DeletesTold(self.log) if self.rehearses() else DeleteCount()

    def moving(self, verb: str, address: str, *, is_file: bool = False) -> AbstractRecursiveFileProgress:
        """Return who tells the log how far a transfer is, or in a dry run what it would move.

        :param verb: such as ``Uploading to``.
        """
        from airflow_provider_neuro_buckets.hooks.progress import LogFileProgress, LogProgress  # noqa: PLC0415 - as hook
        from airflow_provider_neuro_buckets.hooks.rehearsal import MovesTold  # noqa: PLC0415 - as hook

        if self.rehearses():
            return MovesTold(self.log)
        return (LogFileProgress if is_file else LogProgress)(self.log, f"{verb} {address}")


class PlacedOperator(BucketsOperator):
    """Base of the operators on a bucket by its name, which may be elsewhere than the connection says.

    :param cluster_name: instead of the connection's; likewise `org_name` and `project_name`.
    """

    template_fields: Sequence[str] = (*BucketsOperator.template_fields, "cluster_name", "org_name", "project_name")

    def __init__(
        self,
        *,
        cluster_name: str | None = None,
        org_name: str | None = None,
        project_name: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.cluster_name = cluster_name
        self.org_name = org_name
        self.project_name = project_name

    def place(self) -> dict[str, str | None]:
        """Return where the bucket is, as far as the task says so."""
        return {"cluster_name": self.cluster_name, "org_name": self.org_name, "project_name": self.project_name}


def one_of(known: Sequence[str], **given: str) -> None:
    """Refuse a misspelt choice when the DAG is parsed, not when the task runs.

    :param given: the argument, such as ``if_exists="use"``.
    :raises ValueError: names the argument and what it may be.
    """
    for name, value in given.items():
        if value not in known:
            raise ValueError(f"{name}={value!r} is none of {', '.join(map(repr, known))}")


def whole_number(value: float | str, what: str) -> int:
    """Read a number, of which a template makes a text.

    :raises ConfigurationError: it is none; says `what`.
    """
    try:
        number = int(value)
    except (TypeError, ValueError, OverflowError):
        number = None
    if number is None or (isinstance(value, float) and number != value):
        raise ConfigurationError(f"{what}={value!r} is not a whole number", remedy="Mend the task")
    return number


def some_texts(value: str | Iterable[str], what: str) -> list[str]:
    """Read some texts, of which one may stand by itself; to Python, it would be a list of its letters.

    :raises ConfigurationError: it is neither; says `what`.
    """
    if isinstance(value, str):
        return [value]
    try:
        return list(value)
    except TypeError:
        raise ConfigurationError(f"{what}={value!r} is neither a text nor a list", remedy="Mend the task") from None


def yes_or_no(value: object, what: str) -> bool:
    """Read a choice, of which a template makes a text; to Python, the text ``"False"`` would be true.

    :raises ConfigurationError: it is none; says `what`.
    """
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.strip().lower() in {"true", "false"}:
        return value.strip().lower() == "true"
    raise ConfigurationError(f"{what}={value!r} is neither true nor false", remedy="Mend the task")
