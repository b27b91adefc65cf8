from __future__ import annotations

import inspect
import pickle

import pytest

from airflow_provider_neuro_buckets.buckets import errors
from airflow_provider_neuro_buckets.buckets.errors import BucketsError, TransferError, error_for

ALL = [
    value
    for _, value in inspect.getmembers(errors, inspect.isclass)
    if issubclass(value, BucketsError) and value.__module__ == errors.__name__
]


@pytest.mark.parametrize("kind", ALL)
def test_every_error_survives_pickling_with_its_text_and_remedy(kind: type[BucketsError]) -> None:
    error = kind("it broke", remedy="Mend it")
    again = pickle.loads(pickle.dumps(error))
    assert (type(again), str(again), again.remedy) == (kind, "it broke. Mend it.", "Mend it")


@pytest.mark.parametrize("kind", [kind for kind in ALL if kind is not BucketsError])
def test_every_error_is_also_a_builtin_that_a_user_would_catch(kind: type[BucketsError]) -> None:
    builtin = [base for base in kind.__mro__ if base.__module__ == "builtins" and base is not Exception]
    assert builtin[0] not in {BaseException, object}


@pytest.mark.parametrize("kind", [kind for kind in ALL if kind is not BucketsError])
def test_the_tree_in_the_module_shows_every_error(kind: type[BucketsError]) -> None:
    assert kind.__name__ in (errors.__doc__ or "")


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (404, "", errors.ResourceNotFound),
        (400, "ExpiredToken", errors.AuthenticationError),
        (503, "SlowDown", errors.Throttled),
        (500, "BucketNotEmpty", errors.BucketNotEmpty),
        (500, "", errors.Unavailable),
        (418, "", errors.BadRequest),
        (505, "", errors.InvalidAnswer),
        (429, "", errors.Throttled),
        (412, "", errors.Conflict),
    ],
)
def test_an_answer_becomes_an_error_by_its_code_first_then_by_its_status(
    status: int, code: str, kind: type[BucketsError]
) -> None:
    assert type(error_for(status, what="cannot read blob:b/k", code=code)) is kind


def test_the_wait_that_a_server_asks_for_is_kept() -> None:
    error = error_for(503, what="x", retry_after=7.5)
    assert isinstance(error, errors.Unavailable)
    assert pickle.loads(pickle.dumps(error)).retry_after == 7.5


def test_a_transfer_error_shows_the_first_failures_and_keeps_all() -> None:
    error = TransferError("15 files failed", failures={f"blob:b/{n}": OSError("no") for n in range(15)})
    assert str(error).count("blob:b/") == TransferError.SHOWN
    assert "5 more" in str(error)
    assert len(pickle.loads(pickle.dumps(error)).failures) == 15
