"""Each way in which the platform refuses (wire protocol 3.4) becomes the error that it means, and is asked for once."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from airflow_provider_neuro_buckets.buckets import (
    AlreadyExists,
    AuthenticationError,
    BadRequest,
    BucketNotEmpty,
    Buckets,
    BucketsError,
    InvalidAnswer,
    PermissionDenied,
    ResourceNotFound,
    TransientError,
    Unavailable,
    UnsupportedProvider,
)
from buckets.eras.conftest import Open
from buckets.eras.service import STRICT, Service, Trouble

pytestmark = pytest.mark.parametrize("service", [STRICT], indirect=True)

Ask = Callable[[Buckets], Awaitable[Any]]

ECHO = ". Path with query: /api/v1/buckets/buckets/already exists?x=not empty"


def schema(problem: str) -> tuple[int, Any]:
    return 500, {"error": f"Unexpected exception: {problem}{ECHO}"}


def get(buckets: Buckets) -> Awaitable[Any]:
    return buckets.get("data")


def create(buckets: Buckets) -> Awaitable[Any]:
    return buckets.create("fresh")


def import_(buckets: Buckets) -> Awaitable[Any]:
    return buckets.import_external("nope", "theirs", {}, name="fresh")


def remove(buckets: Buckets) -> Awaitable[Any]:
    return buckets.rm("data")


def publish(buckets: Buckets) -> Awaitable[Any]:
    return buckets.set_public_access("data", public_access=True)


def sign(buckets: Buckets) -> Awaitable[Any]:
    return buckets.make_signed_url("blob:data/key")


def lasting(buckets: Buckets) -> Awaitable[Any]:
    return buckets.persistent_credentials_create(["data"], name="keys")


def lasting_get(buckets: Buckets) -> Awaitable[Any]:
    return buckets.persistent_credentials_get("keys")


METHODS: dict[Ask, str] = {get: "GET", lasting_get: "GET", remove: "DELETE", publish: "PATCH"}
"""How each of them asks, if not by a POST."""

MISSING = {
    "missing": [
        {"uri": "blob://main/acme/ml/data", "action": "write"},
        {"uri": "blob://main/acme/ml/bucket-1", "action": "write"},
    ]
}

REFUSALS: dict[str, tuple[Ask, tuple[int, Any], type[BucketsError], str]] = {
    "duplicate name": (
        create,
        (409, {"code": "unique", "description": "Bucket with given name exists"}),
        AlreadyExists,
        "Bucket with given name exists",
    ),
    "duplicate name of an import": (
        import_,
        (409, {"code": "unique", "description": "Bucket with given name exists"}),
        AlreadyExists,
        "Choose another name",
    ),
    "creation disabled": (
        create,
        (422, {"code": "disabled", "description": "Bucket creation is disabled"}),
        PermissionDenied,
        "Bucket creation is disabled",
    ),
    "duplicate credentials": (
        lasting,
        (500, {"error": f"Unexpected exception: PersistentCredentials for alice with name keys already exists{ECHO}"}),
        AlreadyExists,
        "already exists",
    ),
    "bad name": (create, schema("{'name': ['Invalid name.']}"), BadRequest, "Invalid name"),
    "two problems": (create, schema("{'name': [\"it's bad\"], 'org_name': ['no']}"), BadRequest, "it's bad"),
    "unknown field": (create, schema("{'colour': ['Unknown field.']}"), BadRequest, "colour"),
    "bad boolean": (publish, schema("{'public': ['Not a valid boolean.']}"), BadRequest, "boolean"),
    "bad time": (
        sign,
        schema("{'expires_in_sec': ['Must be greater than or equal to 1.']}"),
        BadRequest,
        "expires_in_sec",
    ),
    "no JSON": (
        create,
        (400, {"error": "Expecting value: line 1 column 1 (char 0)"}),
        BadRequest,
        "Expecting value",
    ),
    "bad provider": (import_, (400, {"error": "'nope' is not a valid BucketsProviderType"}), BadRequest, "'nope'"),
    "no permission": (publish, (403, MISSING), PermissionDenied, "write on blob://main/acme/ml/data or write on blob:"),
    "no permission, in text": (get, (403, "403: Forbidden"), PermissionDenied, "403"),
    "by name, not found": (get, (404, "Bucket data not found"), ResourceNotFound, "cannot find bucket 'data'"),
    "owner and project": (
        get,
        (400, {"error": "owner cannot be specified with project_name"}),
        BadRequest,
        "owner cannot be specified",
    ),
    "credentials of somebody else": (
        lasting_get,
        (404, "PersistentCredentials keys not found"),
        ResourceNotFound,
        "cannot find persistent credentials 'keys'",
    ),
    "unknown bucket in credentials": (
        lasting,
        (500, {"error": f"Unexpected exception: UserBucket with id bucket-1 doesn't exist{ECHO}"}),
        ResourceNotFound,
        "bucket-1 doesn't exist",
    ),
    "no buckets in credentials": (
        lasting,
        schema("{'bucket_ids': ['Shorter than minimum length 1.']}"),
        BadRequest,
        "bucket_ids",
    ),
    "imported bucket in credentials": (
        lasting,
        (400, {"error": "Cannot create credential for imported bucket bucket-1"}),
        BadRequest,
        "imported bucket",
    ),
    "not empty": (
        remove,
        (
            500,
            {"error": f"Unexpected exception: An error occurred (BucketNotEmpty) when calling the DeleteBucket{ECHO}"},
        ),
        BucketNotEmpty,
        "force=True",
    ),
    "signed for too long": (
        sign,
        (400, {"error": "expires_in_sec must be at most 604800"}),
        BadRequest,
        "604800",
    ),
    "what the platform cannot do for a provider": (
        publish,
        (500, {"error": f"Unexpected exception: generator didn't yield{ECHO}"}),
        UnsupportedProvider,
        "cannot do this with a bucket of this provider",
    ),
    "wrong method": (get, (405, "405: Method Not Allowed"), BadRequest, "405"),
    "no token": (get, (401, "401: Unauthorized"), AuthenticationError, "Check the token"),
    "another scheme": (get, (400, {"error": "Unexpected authorization scheme"}), BadRequest, "scheme"),
    "a redirect": (get, (302, ""), InvalidAnswer, "redirects elsewhere"),
    "no JSON in a success": (get, (200, "<html>Welcome</html>"), InvalidAnswer, "not JSON"),
    "another JSON in a success": (get, (200, ["data"]), InvalidAnswer, "not a bucket"),
    "a field missing in a success": (get, (200, {"id": "bucket-1", "owner": "alice"}), InvalidAnswer, "no created_at"),
    "a time that is none": (
        get,
        (200, {"id": "b", "owner": "a", "provider": "aws", "created_at": "yesterday"}),
        InvalidAnswer,
        "yesterday",
    ),
    "deeper than any answer": (get, (200, "[" * 100_000), InvalidAnswer, "not JSON"),
}


@pytest.mark.parametrize(("ask", "answer", "kind", "text"), REFUSALS.values(), ids=REFUSALS)
async def test_a_refusal_becomes_its_error_and_is_not_asked_for_again(
    service: Service, client: Open, ask: Ask, answer: tuple[int, Any], kind: type[BucketsError], text: str
) -> None:
    service.add("data", imported=True)
    method = METHODS.get(ask, "POST")
    trouble = Trouble(method, "data|bucket-|keys|persistent|^buckets$|external", answer=answer)
    service.troubles += [trouble]
    async with client(service) as buckets:
        with pytest.raises(kind) as caught:
            await ask(buckets)
    assert type(caught.value) is kind
    assert text in str(caught.value)
    assert "connection 'test'" in str(caught.value) or kind is InvalidAnswer
    assert "Path with query" not in str(caught.value)
    assert not service.troubles
    asked = [it for it in service.asked if it.method == method and "00000000-0000" not in it.path]
    assert len(asked) == 1


@pytest.mark.parametrize(
    "answer",
    [
        (500, {"error": f"Unexpected exception: boom{ECHO}"}),
        (500, "<html>Internal Server Error</html>"),
        (502, "<html>Bad Gateway</html>"),
        (503, ""),
        (504, "<html>"),
        (408, ""),
        None,
    ],
)
@pytest.mark.parametrize("ask", [get, publish, sign, lasting_get])
async def test_a_broken_service_is_asked_again_and_then_reported(
    service: Service, client: Open, ask: Ask, answer: tuple[int, Any] | None
) -> None:
    service.add("data")
    async with client(service) as buckets:
        await buckets.persistent_credentials_create(["data"], name="keys")
        method = METHODS.get(ask, "POST")
        service.troubles += [Trouble(method, "data|bucket-|keys", answer=answer)]
        await ask(buckets)
        service.troubles += [Trouble(method, "data|bucket-|keys", answer=answer) for _ in range(9)]
        with pytest.raises(Unavailable) as caught:
            await ask(buckets)
        assert isinstance(caught.value, TransientError)
        # An aborted connection may have been sent once more underneath, where that is safe.
        assert 1 <= len(service.troubles) <= 5


async def test_an_answer_without_end_is_given_up_f47(service: Service, client: Open) -> None:
    service.troubles += [Trouble("GET", "data", answer=(200, {"id": "x" * 9 * 1024 * 1024}))]
    async with client(service) as buckets:
        with pytest.raises(InvalidAnswer, match="larger than"):
            await buckets.get("data")


async def test_the_token_is_in_no_error(service: Service, client: Open) -> None:
    async with client(service) as buckets:
        for answer in ((401, "401: Unauthorized"), (302, ""), (403, MISSING), (500, "boom"), None):
            service.troubles[:] = [Trouble("GET", "", answer=answer, headers={"Location": "/x"}) for _ in range(9)]
            with pytest.raises(BucketsError) as caught:
                await buckets.get("data")
            assert "token-of-alice" not in repr(caught.value)
