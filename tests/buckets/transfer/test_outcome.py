from __future__ import annotations

import errno

import pytest

from airflow_provider_neuro_buckets.buckets.errors import (
    AuthenticationError,
    IntegrityError,
    PermissionDenied,
    TransferError,
    Unavailable,
)
from airflow_provider_neuro_buckets.buckets.models import TransferReport
from airflow_provider_neuro_buckets.buckets.stores.base import Proof
from airflow_provider_neuro_buckets.buckets.transfer.outcome import Left, Moved, Outcome
from airflow_provider_neuro_buckets.buckets.transfer.prospects import DOWN_AFTER


def test_a_transfer_without_failures_concludes_with_its_totals() -> None:
    outcome = Outcome()
    outcome.moved(Moved(5, Proof.SIZE))
    outcome.done(Moved(7, Proof.CHECKSUM))
    outcome.done(Left.UNCHANGED)
    outcome.skipped["s"] = "a socket"
    report = outcome.conclude("copy")
    assert (report.files, report.bytes, report.verified, report.unchanged, report.skipped, report.failed) == (
        2,
        12,
        1,
        1,
        {"s": "a socket"},
        {},
    )
    assert report.seconds >= 0


def test_every_failure_is_listed_with_its_cause_and_what_was_done_is_reported() -> None:
    outcome = Outcome()
    outcome.moved(Moved(5, Proof.SIZE))
    outcome.done(Left.UNCHANGED)
    causes = {f"k{number}": IntegrityError(f"broken {number}") for number in range(25)}
    for key, error in causes.items():
        outcome.failed(key, error)
    with pytest.raises(TransferError, match="25 of 27 files failed in the copy") as caught:
        outcome.conclude("copy")
    assert caught.value.failures == causes
    report = caught.value.report
    assert isinstance(report, TransferReport)
    assert report.failed == {key: str(error) for key, error in causes.items()}
    assert (report.files, report.bytes, report.unchanged) == (1, 5, 1)
    assert "update=True" in str(caught.value)


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EROFS])
def test_a_disk_that_holds_no_more_ends_the_transfer_which_lists_what_failed(code: int) -> None:
    outcome = Outcome()
    outcome.moved(Moved(1, Proof.SIZE))
    outcome.failed("k", OSError(code, "no"))
    assert outcome.hopeless is not None
    with pytest.raises(TransferError) as caught:
        outcome.conclude("copy")
    assert list(caught.value.failures) == ["k"]


def test_a_rejected_token_ends_the_transfer_with_itself() -> None:
    outcome = Outcome()
    error = AuthenticationError("expired")
    outcome.failed("k", error)
    assert outcome.hopeless is error
    with pytest.raises(AuthenticationError):
        outcome.conclude("copy")


def test_one_refused_file_among_others_is_a_failure_of_that_file() -> None:
    outcome = Outcome()
    outcome.failed("archived", PermissionDenied("this object is archived"))
    outcome.moved(Moved(1, Proof.SIZE))
    assert outcome.hopeless is None
    with pytest.raises(TransferError) as caught:
        outcome.conclude("copy")
    assert list(caught.value.failures) == ["archived"]


def test_when_all_is_refused_the_refusal_is_what_is_raised() -> None:
    outcome = Outcome()
    outcome.failed("a", PermissionDenied("a"))
    outcome.failed("b", PermissionDenied("b"))
    with pytest.raises(PermissionDenied, match="a"):
        outcome.conclude("copy")


@pytest.mark.parametrize("kind", [PermissionDenied, Unavailable])
def test_many_refusals_in_a_row_end_the_transfer(kind: type[PermissionDenied | Unavailable]) -> None:
    outcome = Outcome()
    errors = [kind("no") for _ in range(DOWN_AFTER + 5)]
    stopped_by = []
    for number, error in enumerate(errors):
        outcome.failed(f"k{number}", error)
        stopped_by.append(outcome.hopeless)
    assert stopped_by == [None] * (DOWN_AFTER - 1) + [errors[DOWN_AFTER - 1]] * 6
    with pytest.raises(kind):
        outcome.conclude("copy")


def test_a_success_in_between_shows_that_the_service_is_there() -> None:
    outcome = Outcome()
    for number in range(3 * DOWN_AFTER):
        outcome.failed(f"k{number}", Unavailable("no"))
        if number % 10 == 0:
            outcome.moved(Moved(0, Proof.SIZE))
    assert outcome.hopeless is None
