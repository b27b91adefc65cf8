from __future__ import annotations

import copy
import errno
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
        (408, "", errors.Timeout),
        (504, "", errors.Timeout),
        (400, "RequestTimeout", errors.Timeout),
        (507, "", errors.QuotaExceeded),
        (403, "QuotaExceeded", errors.QuotaExceeded),
        (403, "AccessDenied", errors.PermissionDenied),
        (401, "", errors.AuthenticationError),
        (403, "RequestTimeTooSkewed", errors.AuthenticationError),
        (400, "InvalidBucketName", errors.InvalidAddress),
        (409, "", errors.AlreadyExists),
        (400, "BadDigest", errors.IntegrityError),
        (403, "InvalidObjectState", errors.BadRequest),
        (403, "ObjectNotInActiveTierError", errors.BadRequest),
    ],
)
def test_an_answer_becomes_an_error_by_its_code_first_then_by_its_status(
    status: int, code: str, kind: type[BucketsError]
) -> None:
    assert type(error_for(status, what="cannot read blob:b/k", code=code)) is kind


@pytest.mark.parametrize("kind", ALL)
def test_the_number_of_the_builtin_survives_pickling_and_is_that_of_a_local_file(kind: type[BucketsError]) -> None:
    numbers: dict[type[BucketsError], int] = {
        errors.AuthenticationError: errno.EACCES,
        errors.PermissionDenied: errno.EACCES,
        errors.ResourceNotFound: errno.ENOENT,
        errors.AlreadyExists: errno.EEXIST,
        errors.BucketNotEmpty: errno.ENOTEMPTY,
        errors.QuotaExceeded: errno.EDQUOT,
        errors.IsADirectory: errno.EISDIR,
        errors.NotADirectory: errno.ENOTDIR,
        errors.Timeout: errno.ETIMEDOUT,
    }
    for error in (kind("it broke"), pickle.loads(pickle.dumps(kind("it broke"))), copy.deepcopy(kind("it broke"))):
        assert getattr(error, "errno", None) == numbers.get(kind)


@pytest.mark.parametrize("code", ["", "Unheard-Of", *errors._BY_CODE])
def test_every_refusal_says_what_failed_where_and_what_to_do(code: str) -> None:
    for status in range(400, 600):
        error = error_for(status, what="cannot read blob:b/k", code=code, detail="No")
        assert str(error).startswith("cannot read blob:b/k: the service answered ")
        assert error.remedy
        assert str(error).endswith(f". {error.remedy}.")


@pytest.mark.parametrize("evil", ["\n[2026] ERROR forged", "\x1b[31m", "\x9b", "\u202e", "\u2028", "\0", "\ud800"])
def test_no_name_and_no_service_writes_a_line_of_its_own_into_a_log(evil: str) -> None:
    kept = "café 日本 🙂"
    error = error_for(403, what=f"cannot read {evil}{kept}", detail=evil)
    listed = TransferError("1 file failed", failures={f"/x/{evil}{kept}": error})
    for text in (str(error), repr(error), str(listed).replace("\n  ", "")):
        assert evil[0] not in text
        text.encode()
        assert kept in text
    assert list(listed.failures) == [f"/x/{evil}{kept}"]


def test_the_wait_that_a_server_asks_for_is_kept() -> None:
    error = error_for(503, what="x", retry_after=7.5)
    assert isinstance(error, errors.Unavailable)
    assert pickle.loads(pickle.dumps(error)).retry_after == 7.5


def test_a_transfer_error_shows_the_first_failures_and_keeps_all() -> None:
    error = TransferError("15 files failed", failures={f"blob:b/{n}": OSError("no") for n in range(15)})
    assert str(error).count("blob:b/") == TransferError.SHOWN
    assert "5 more" in str(error)
    assert len(pickle.loads(pickle.dumps(error)).failures) == 15
