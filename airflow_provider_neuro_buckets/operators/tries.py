"""Which try of its transfer a task is, and what it writes down for the next."""

from __future__ import annotations

import logging
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context
    from airflow.sdk.execution_time.context import TaskStateStoreAccessor

    from airflow_provider_neuro_buckets.buckets.transfer.tries import Tries

log = logging.getLogger(__name__)

MARK = "neuro_buckets_transfer"
"""The key in the task state store. A mark says what is moved, where and when the first try began to, and what finds the
large uploads that were cut off."""
WRITES_EVERY = 2.0
"""Seconds between two looks at what would have to be written down: a process that is killed has no time for it."""
MOST_NOTES = 100
"""A value in the store has to stay small; more than are sent at once are seldom cut off."""


class Transfer(Protocol):
    """A task that moves something."""

    neuro_buckets_conn_id: str
    src: str
    dst: str

    @property
    def log(self) -> Any:
        """The log of the task."""
        ...

    def rehearses(self) -> bool:
        """Whether it moves nothing, and only tells what it would move."""
        ...


@contextmanager
def tries_of(transfer: Transfer, context: Context) -> Iterator[Tries]:
    """Tell which try of a transfer begins; a block that ends without an error ends the transfer.

    The mark that the first try leaves in Airflow's task state store is good for the tries of the same task in the same
    run that move the same: a success removes it, so that a task which is cleared afterwards begins from scratch. Below
    Airflow 3.3 there is no such store: then any try but the task's first counts as a later one, and as nobody knows
    when the first began, only contents tell what it has moved.
    """
    from airflow_provider_neuro_buckets.buckets.transfer.tries import Tries  # noqa: PLC0415 - loads when the task runs

    task, store = context.get("ti"), context.get("task_state_store")
    if task is None or transfer.rehearses():
        yield Tries()
        return
    has_later = task.try_number <= task.max_tries
    if store is None:
        yield Tries(has_earlier=task.try_number > 1, has_later=has_later)
        return
    what = {"conn": transfer.neuro_buckets_conn_id, "src": transfer.src, "dst": transfer.dst}
    mark: Any = store.get(MARK) if task.try_number > 1 else None
    has_earlier = isinstance(mark, dict) and mark.get("what") == what
    if has_earlier:
        said = "What an earlier try has moved since %s is left alone, unless its source changed"
        transfer.log.info(said, mark["began"])
    else:
        mark = {"what": what, "host": socket.gethostname(), "began": datetime.now(UTC).isoformat(), "uploads": {}}
        store.set(MARK, dict(mark))
    tries = Tries(
        has_earlier=has_earlier,
        began=_time_here(mark) if has_earlier else None,
        has_later=has_later,
        notes=dict(mark["uploads"]),
    )
    try:
        with _written_down_meanwhile(store, mark, tries) if has_later else nullcontext():
            yield tries
    except BaseException:
        _write_down(store, mark, tries)
        raise
    store.delete(MARK)


@contextmanager
def _written_down_meanwhile(store: TaskStateStoreAccessor, mark: dict[str, Any], tries: Tries) -> Iterator[None]:
    """Write down every few seconds what the next try needs, should this one be killed."""
    is_over = threading.Event()

    def write() -> None:
        while not is_over.wait(WRITES_EVERY):
            _write_down(store, mark, tries)

    writer = threading.Thread(target=write, name="neuro-buckets notes for the next try", daemon=True)
    writer.start()
    try:
        yield
    finally:
        is_over.set()
        writer.join()


def _write_down(store: TaskStateStoreAccessor, mark: dict[str, Any], tries: Tries) -> None:
    """Keep what finds the large uploads that were cut off, if it has changed; never in the way of why they were."""
    from airflow.sdk.exceptions import AirflowRuntimeError  # noqa: PLC0415 - loads when there is something to write

    uploads: dict[str, Any] = dict(tuple(tries.notes_so_far().items())[:MOST_NOTES])
    if uploads != mark["uploads"]:
        try:
            store.set(MARK, mark | {"uploads": uploads})
        except AirflowRuntimeError as error:
            log.warning("The next try will begin the large uploads anew: %s", error)
        else:
            mark["uploads"] = uploads


def _time_here(mark: dict[str, Any]) -> datetime | None:
    """Return when the first try began, if the clock and the files that it saw were those of this host."""
    return datetime.fromisoformat(mark["began"]) if mark["host"] == socket.gethostname() else None
