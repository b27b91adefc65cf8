"""Sensors that wait for blobs, in the modes poke, reschedule and deferrable."""

from __future__ import annotations

import time
from abc import abstractmethod
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal

from airflow.providers.common.compat.sdk import (
    AirflowException,
    AirflowFailException,
    AirflowSensorTimeout,
    AirflowSkipException,
    AirflowTaskTimeout,
    BaseSensorOperator,
    PokeReturnValue,
    conf,
)

from airflow_provider_neuro_buckets.buckets import errors
from airflow_provider_neuro_buckets.buckets.errors import BucketsError, ConfigurationError
from airflow_provider_neuro_buckets.operators.base import HOPELESS, BucketsOperator, one_of, some_texts, whole_number
from airflow_provider_neuro_buckets.triggers.conditions import Conditions, read_seconds
from airflow_provider_neuro_buckets.triggers.quiet import Calm, Look, unchanged

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

    from airflow_provider_neuro_buckets.triggers.base import BucketsTrigger

Question = Callable[[Any], Coroutine[Any, Any, Any]]

SHORTEST_DEFERRED_SECONDS = 5.0
"""An event that comes sooner after the deferral may find a scheduler that has not seen it yet, and fails the task."""
LONGEST_NAP_SECONDS = 0.2


class BucketsSensor(BucketsOperator, BaseSensorOperator):
    """Base of the sensors: asks a question until it has an answer, which is the XCom in every mode.

    A bucket that does not exist is an error, not something to wait for. `soft_fail` skips the task when the time is up,
    in every mode; it hides no error.

    :param deferrable: wait in the triggerer instead of in a worker's slot. The first question is asked by the worker.
    """

    def __init__(
        self,
        *,
        deferrable: bool = conf.getboolean("operators", "default_deferrable", fallback=False),
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.deferrable = deferrable

    @abstractmethod
    def question(self) -> Question:
        """Return what to ask of the client."""

    def judge(self, found: Any, context: Context) -> Any:
        """Return the answer in what was found, or `None` for: not yet."""
        return found

    @abstractmethod
    def trigger(self) -> BucketsTrigger:
        """Return the trigger that asks the same."""

    def waiting(self) -> dict[str, Any]:
        """Return the arguments that all triggers have in common."""
        max_wait = self.max_wait
        return {
            "neuro_buckets_conn_id": self.neuro_buckets_conn_id,
            "poke_interval": max(float(self.poke_interval), SHORTEST_DEFERRED_SECONDS),
            "exponential_backoff": self.exponential_backoff,
            "max_wait": max_wait.total_seconds() if max_wait else None,
        }

    def result(self, answer: Any) -> Any:
        """Return the XCom for an answer."""
        return answer

    def poke(self, context: Context) -> PokeReturnValue:
        """Ask once."""
        with self.buckets() as hook:
            answer = self.judge(hook.call(self.question()), context)
        return PokeReturnValue(is_done=answer is not None, xcom_value=None if answer is None else self.result(answer))

    def execute(self, context: Context) -> Any:
        """Wait for the answer, here or in the triggerer."""
        with self._soft_fail_in_time():
            if not self.deferrable:
                return super().execute(context)
            first = self._first_poke(context)
        if not first.is_done:
            self.defer(trigger=self.trigger(), method_name="execute_complete", timeout=timedelta(seconds=self.timeout))
        return first.xcom_value

    def _first_poke(self, context: Context) -> PokeReturnValue:
        """Ask once, with what `never_fail` and `silent_fail` mean in the other modes."""
        try:
            return self.poke(context)
        except Exception as error:
            if self.never_fail:
                raise AirflowSkipException("Skipping due to never_fail is set to True.") from error
            if not self.silent_fail or isinstance(error, AirflowFailException):
                raise
            self.log.exception("Sensor poke failed")
            return PokeReturnValue(is_done=False)

    def resume_execution(self, next_method: str, next_kwargs: dict[str, Any] | None, context: Context) -> Any:
        """Go on with what the triggerer says."""
        with self._soft_fail_in_time():
            try:
                return super().resume_execution(next_method, next_kwargs, context)
            except AirflowSkipException:
                raise
            except (BucketsError, AirflowException) as error:
                if self.never_fail:
                    raise AirflowSkipException("Skipping due to never_fail is set to True.") from error
                if self.soft_fail and isinstance(error, AirflowSensorTimeout):  # Airflow 3.0 lets it fail
                    raise AirflowSkipException(str(error)) from error
                raise

    def _get_next_poke_interval(self, *arguments: Any, **keywords: Any) -> float:
        """Sleep until the next poke, and let Airflow go on at once: it would sleep on when the task is killed.

        :raises AirflowException: the task was killed.
        """
        seconds = super()._get_next_poke_interval(*arguments, **keywords)
        if self.reschedule:
            return seconds
        end = time.monotonic() + seconds
        while not self._killed and (left := end - time.monotonic()) > 0:
            # No lock, no event: the signal comes into this very thread.
            time.sleep(min(left, LONGEST_NAP_SECONDS))
        if self._killed:
            raise AirflowException(f"{self.task_id} was stopped")
        return 0.0

    @contextmanager
    def _soft_fail_in_time(self) -> Iterator[None]:
        """Let `soft_fail` skip what took too long; Airflow's own, in some modes, hides every failure."""
        try:
            yield
        except AirflowSkipException as skip:
            error = skip.__cause__
            if self.soft_fail and error and not isinstance(error, AirflowSensorTimeout | AirflowTaskTimeout):
                raise error from error.__cause__
            raise

    def execute_complete(self, context: Context, event: dict[str, Any] | None = None) -> Any:
        """Take the answer from the triggerer.

        :raises AirflowFailException: a retry cannot mend what the trigger met.
        :raises BucketsError: anything else that it met, by its own type as in the other modes.
        """
        if event is None:
            raise AirflowException(f"the trigger of {self.task_id} ended without an event")
        if event["status"] == "success":
            return self.result(event["value"])
        error: BucketsError = getattr(errors, event["kind"], BucketsError)(event["message"])
        self._name_connection(error)
        if isinstance(error, HOPELESS):
            raise AirflowFailException(str(error))
        raise error


class ConditionsSensor(BucketsSensor):
    """Base of the sensors for blobs that have to be like something, beyond being there.

    A blob appears whole, so that what is there is complete, unless somebody writes it again and again: then
    `stable_for` waits for the end of that. All times are those of the storage's clock.

    :param min_size: only blobs of at least so many bytes count.
    :param newer_than: only blobs written after this moment count: a `datetime` or an ISO text, such as
        ``{{ data_interval_start }}``; without a time zone it is UTC.
    :param stable_for: only blobs count whose name, size and ETag have been the same for so many seconds.
    """

    template_fields: Sequence[str] = (*BucketsOperator.template_fields, "uri", "min_size", "newer_than", "stable_for")

    def __init__(
        self,
        *,
        min_size: int | str = 0,
        newer_than: datetime | str | None = None,
        stable_for: float | timedelta | str = 0.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.min_size = min_size
        self.newer_than = newer_than
        self.stable_for = stable_for

    def conditions(self) -> Conditions:
        """Return the conditions, once the templates are rendered.

        :raises ConfigurationError: says which of them cannot be used.
        """
        return Conditions.read(min_size=self.min_size, newer_than=self.newer_than, stable_for=self.stable_for)


class BucketBlobSensor(ConditionsSensor):
    """Wait until a blob exists, or all or any of several.

    XCom: ``{"uri", "key", "size", "etag", "modified_at"}`` of the blob; of several, a list of those that are there.

    :param uri: address of the blob, or a list of addresses.
    :param require: ``all`` of several, or ``any``.
    :raises ResourceNotFound: there is no such bucket: that is nothing to wait for.
    """

    def __init__(self, *, uri: str | Sequence[str], require: Literal["all", "any"] = "all", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        one_of(("all", "any"), require=require)
        self.uri = uri
        self.require = require

    def _uris(self) -> list[str]:
        """Return the addresses.

        :raises ConfigurationError: there are none.
        """
        uris = some_texts(self.uri, "uri")
        if not uris:
            raise ConfigurationError("uri is an empty list: there is nothing to wait for", remedy="Name a blob")
        return uris

    def _enough(self) -> int:
        return 1 if self.require == "any" else len(self._uris())

    def question(self) -> Question:
        """Ask whether the blobs exist."""
        from airflow_provider_neuro_buckets.triggers.questions import find_blobs  # noqa: PLC0415 - loads when it runs

        uris, enough, conditions = self._uris(), self._enough(), self.conditions()
        return lambda buckets: find_blobs(buckets, uris, enough=enough, conditions=conditions)

    def trigger(self) -> BucketsTrigger:
        """Return the trigger that waits for the blobs."""
        from airflow_provider_neuro_buckets.triggers.blobs import BlobTrigger  # noqa: PLC0415 - loads when it runs

        return BlobTrigger(uris=self._uris(), enough=self._enough(), **self.conditions().stored(), **self.waiting())

    def result(self, answer: Any) -> Any:
        """Return the description of the blob, or of the several."""
        return answer[0] if isinstance(self.uri, str) else answer


class BucketGlobSensor(ConditionsSensor):
    """Wait until enough blobs match a pattern.

    XCom: ``{"count", "uris"}``. Counting stops at `min_count` or 100, whichever is more; `uris` are the first 100.

    :param uri: the pattern, such as ``blob:bucket/incoming/**/*.csv``; taken raw, so that ``?`` and ``[a-z]`` work.
        Without a condition, folders match as well.
    :param min_count: how many are enough.
    :raises ResourceNotFound: there is no such bucket: that is nothing to wait for.
    """

    template_fields: Sequence[str] = (*ConditionsSensor.template_fields, "min_count")

    def __init__(self, *, uri: str, min_count: int | str = 1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.uri = uri
        self.min_count = min_count

    def question(self) -> Question:
        """Ask whether enough match."""
        from airflow_provider_neuro_buckets.triggers.questions import find_matches  # noqa: PLC0415 - loads when it runs

        min_count, conditions = whole_number(self.min_count, "min_count"), self.conditions()
        return lambda buckets: find_matches(buckets, self.uri, min_count, conditions=conditions)

    def trigger(self) -> BucketsTrigger:
        """Return the trigger that waits for the matches."""
        from airflow_provider_neuro_buckets.triggers.blobs import GlobTrigger  # noqa: PLC0415 - loads when it runs

        return GlobTrigger(
            uri=self.uri,
            min_count=whole_number(self.min_count, "min_count"),
            **self.conditions().stored(),
            **self.waiting(),
        )


class BucketPrefixUnchangedSensor(BucketsSensor):
    """Wait until nothing has changed under a prefix for a while: no name, no size, no ETag.

    When it first looks, the storage says when it was last written to, so that what has long been quiet is not waited
    for. From then on whatever changes between two looks lets the while begin anew, also what leaves no time behind,
    such as a deletion. A sensor that reschedules itself keeps between its looks a digest of what it saw, on Airflow 3.3
    or newer; before that it goes by the times of the storage alone, and a deletion changes none of them.

    XCom: ``{"count", "size", "modified_at"}``: how many blobs, how many bytes, and when the last of them was written.

    :param uri: address of the prefix, such as ``blob:bucket/incoming/``; all that starts with it counts.
    :param unchanged_for: the while: seconds or a `timedelta`.
    :param min_count: so many blobs must be there.
    :raises ResourceNotFound: there is no such bucket: that is nothing to wait for.
    """

    template_fields: Sequence[str] = (*BucketsOperator.template_fields, "uri", "unchanged_for", "min_count")
    STATE = "neuro_buckets_unchanged"
    _calm: Calm | None = None

    def __init__(
        self, *, uri: str, unchanged_for: float | timedelta | str, min_count: int | str = 1, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.uri = uri
        self.unchanged_for = unchanged_for
        self.min_count = min_count

    def _wanted(self) -> dict[str, Any]:
        return {
            "unchanged_for": read_seconds(self.unchanged_for, "unchanged_for"),
            "min_count": whole_number(self.min_count, "min_count"),
        }

    def question(self) -> Question:
        """Ask what is there."""
        from airflow_provider_neuro_buckets.triggers.questions import look_under  # noqa: PLC0415 - loads when it runs

        self._wanted()
        return lambda buckets: look_under(buckets, self.uri)

    def judge(self, found: Look, context: Context) -> dict[str, Any] | None:
        """Compare it with what was there before."""
        store: Any = self.reschedule and context.get("task_state_store")
        before = Calm.read(store.get(self.STATE)) if store and self._calm is None else self._calm
        self._calm = Calm.after(before, found)
        if store and self._calm != before:
            store.set(self.STATE, self._calm.stored())
        wanted = self._wanted()
        return unchanged(found, self._calm, seconds=wanted["unchanged_for"], min_count=wanted["min_count"])

    def trigger(self) -> BucketsTrigger:
        """Return the trigger that goes on looking, with what was seen so far."""
        from airflow_provider_neuro_buckets.triggers.blobs import PrefixUnchangedTrigger  # noqa: PLC0415 - as above

        seen: Mapping[str, str] | None = self._calm.stored() if self._calm else None
        return PrefixUnchangedTrigger(uri=self.uri, seen=seen, **self._wanted(), **self.waiting())
