"""Sensors that wait for blobs, in the modes poke, reschedule and deferrable."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any

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
from airflow_provider_neuro_buckets.buckets.errors import BucketsError
from airflow_provider_neuro_buckets.operators.base import HOPELESS, BucketsOperator, whole_number

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

    from airflow_provider_neuro_buckets.triggers.blobs import BucketsTrigger

Question = Callable[[Any], Coroutine[Any, Any, Any]]


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
        """Return what to ask of the client; its answer is `None` for: not yet."""

    @abstractmethod
    def trigger(self) -> BucketsTrigger:
        """Return the trigger that asks the same."""

    def result(self, answer: Any) -> Any:
        """Return the XCom for an answer."""
        return answer

    def poke(self, context: Context) -> PokeReturnValue:
        """Ask once."""
        with self.buckets() as hook:
            answer = hook.call(self.question())
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
            except BucketsError as error:
                if self.never_fail:
                    raise AirflowSkipException("Skipping due to never_fail is set to True.") from error
                raise

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


class BucketBlobSensor(BucketsSensor):
    """Wait until a blob exists, or all of several.

    XCom: ``{"uri", "key", "size", "etag", "modified_at"}`` of the blob; of several, a list of them.

    :param uri: address of the blob, or a list of addresses.
    """

    template_fields: Sequence[str] = (*BucketsOperator.template_fields, "uri")

    def __init__(self, *, uri: str | Sequence[str], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.uri = uri

    def _uris(self) -> list[str]:
        return [self.uri] if isinstance(self.uri, str) else list(self.uri)

    def question(self) -> Question:
        """Ask whether the blobs exist."""
        from airflow_provider_neuro_buckets.triggers.questions import find_blobs  # noqa: PLC0415 - loads when it runs

        return lambda buckets: find_blobs(buckets, self._uris())

    def trigger(self) -> BucketsTrigger:
        """Return the trigger that waits for the blobs."""
        from airflow_provider_neuro_buckets.triggers.blobs import BlobTrigger  # noqa: PLC0415 - loads when it runs

        return BlobTrigger(
            uris=self._uris(),
            neuro_buckets_conn_id=self.neuro_buckets_conn_id,
            poke_interval=float(self.poke_interval),
        )

    def result(self, answer: Any) -> Any:
        """Return the description of the blob, or of the several."""
        return answer[0] if isinstance(self.uri, str) else answer


class BucketGlobSensor(BucketsSensor):
    """Wait until enough blobs match a pattern.

    XCom: ``{"count", "uris"}``. Counting stops at `min_count` or 100, whichever is more; `uris` are the first 100.

    :param uri: the pattern, such as ``blob:bucket/incoming/**/*.csv``; taken raw, so that ``?`` and ``[a-z]`` work.
    :param min_count: how many are enough.
    """

    template_fields: Sequence[str] = (*BucketsOperator.template_fields, "uri", "min_count")

    def __init__(self, *, uri: str, min_count: int = 1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.uri = uri
        self.min_count = min_count

    def question(self) -> Question:
        """Ask whether enough match."""
        from airflow_provider_neuro_buckets.triggers.questions import find_matches  # noqa: PLC0415 - loads when it runs

        return lambda buckets: find_matches(buckets, self.uri, self._enough())

    def trigger(self) -> BucketsTrigger:
        """Return the trigger that waits for the matches."""
        from airflow_provider_neuro_buckets.triggers.blobs import GlobTrigger  # noqa: PLC0415 - loads when it runs

        return GlobTrigger(
            uri=self.uri,
            min_count=self._enough(),
            neuro_buckets_conn_id=self.neuro_buckets_conn_id,
            poke_interval=float(self.poke_interval),
        )

    def _enough(self) -> int:
        return whole_number(self.min_count, "min_count")
