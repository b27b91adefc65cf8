"""Every route of the platform and every way it refuses, in the order in which they are asked of a fresh platform.

What a step expects is written by hand from the wire protocol; the whole answer is pinned beside it, in tests/golden.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

HOME = {"org_name": "neuro", "project_name": "demo"}
HERE = "org_name=neuro&project_name=demo"
NDJSON = {"Accept": "application/x-ndjson"}
UNKNOWN = "bucket-00000000-0000-4000-8000-00000000dead"
S3_KEYS = {
    "endpoint_url": "http://s3.example:9000",
    "region_name": "eu-west-1",
    "access_key_id": "AKIAIMPORTED",
    "secret_access_key": "imported-secret",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One request and what must come of it.

    :ivar path: below the platform's address; ``{name}`` is the id that an earlier step kept.
    :ivar says: what the text of the answer contains.
    :ivar keep: the name for the id in the answer.
    :ivar fill: name of a bucket that gets a blob before the request.
    """

    name: str
    method: str
    path: str
    status: int
    body: Any = None
    text: str | None = None
    token: str | None = "TOKEN"
    headers: Mapping[str, str] | None = None
    says: str = ""
    keep: str = ""
    fill: str = ""


def _reader(name: str, method: str, path: str, status: int, body: Any = None, **fields: Any) -> Step:
    return Step(name=name, method=method, path=path, status=status, body=body, token="READONLY-TOKEN", **fields)


def _step(name: str, method: str, path: str, status: int, body: Any = None, **fields: Any) -> Step:
    return Step(name=name, method=method, path=path, status=status, body=body, **fields)


DISCOVERY = [
    _step("config", "GET", "config", 200),
    _reader("config_of_the_reader", "GET", "config", 200),
    _step("config_with_an_unknown_token", "GET", "config", 200, token="nobody", says='"authorized": false'),
    _step("config_without_a_token", "GET", "config", 200, token=None, says='"authorized": false'),
    _step("ping", "GET", "ping", 200, token=None),
    _step("no_token", "GET", f"buckets/buckets?{HERE}", 401, token=None, says="401: Unauthorized"),
    _step("unknown_token", "GET", f"buckets/buckets?{HERE}", 401, token="nobody", says="401: Unauthorized"),
    _step(
        "other_authorization_scheme",
        "GET",
        f"buckets/buckets?{HERE}",
        400,
        token=None,
        headers={"Authorization": "Basic dXNlcjpwYXNz"},
        says='{"error": "Unexpected authorization scheme"}',
    ),
    _step("unknown_path", "GET", "buckets/nowhere", 404, says="404: Not Found"),
    _step("unknown_method_on_buckets", "PUT", "buckets/buckets", 405, says="405: Method Not Allowed"),
    _step("unknown_method_on_a_bucket", "POST", f"buckets/buckets/{UNKNOWN}", 405, says="405: Method Not Allowed"),
    _step("list_of_no_buckets", "GET", f"buckets/buckets?{HERE}", 200, says="[]"),
    _step("list_of_no_buckets_in_lines", "GET", f"buckets/buckets?{HERE}", 200, headers=NDJSON),
]

CREATE = [
    _step("create", "POST", "buckets/buckets", 201, {"name": "data", **HOME}, keep="data"),
    _step("create_without_a_name", "POST", "buckets/buckets", 201, {"name": None, **HOME}, keep="unnamed"),
    _step(
        "create_with_ignored_fields",
        "POST",
        "buckets/buckets",
        201,
        {
            "name": "more-data",
            **HOME,
            "owner": "x",
            "public": True,
            "imported": True,
            "provider": "x",
            "created_at": "x",
        },
        says='"public": false',
        keep="more",
    ),
    _step(
        "create_with_a_taken_name", "POST", "buckets/buckets", 409, {"name": "data", **HOME}, says='"code": "unique"'
    ),
    _step("create_with_a_short_name", "POST", "buckets/buckets", 500, {"name": "ab", **HOME}, says="{'name': ["),
    _step("create_with_an_empty_name", "POST", "buckets/buckets", 500, {"name": "", **HOME}, says="{'name': ["),
    _step("create_with_upper_case", "POST", "buckets/buckets", 500, {"name": "Data", **HOME}, says="{'name': ["),
    _step("create_with_a_long_name", "POST", "buckets/buckets", 500, {"name": "d" * 41, **HOME}, says="{'name': ["),
    _step("create_without_an_org", "POST", "buckets/buckets", 500, {"name": "other"}, says="{'org_name': ["),
    _step("create_in_no_org", "POST", "buckets/buckets", 500, {"name": "other", "org_name": None}, says="org_name"),
    _step("create_with_an_unknown_field", "POST", "buckets/buckets", 500, {**HOME, "colour": "red"}, says="'colour'"),
    _step("create_from_no_json", "POST", "buckets/buckets", 400, text="{name", says="Expecting property name"),
    _step("create_from_an_array", "POST", "buckets/buckets", 500, []),
    _step("create_in_the_own_project", "POST", "buckets/buckets", 403, {"name": "own", "org_name": "neuro"}),
    _step("create_in_another_project", "POST", "buckets/buckets", 403, {**HOME, "project_name": "other"}),
    _reader("create_by_the_reader", "POST", "buckets/buckets", 403, {"name": "mine", **HOME}, says='"missing"'),
]


def _import(step: str, status: int, /, *, says: str = "", keep: str = "", **changes: Any) -> Step:
    body = {
        "name": step.replace("_", "-")[:40],
        **HOME,
        "provider": "aws",
        "provider_bucket_name": "theirs",
        "credentials": S3_KEYS,
        **changes,
    }
    sent = {field: value for field, value in body.items() if value is not ...}
    return _step(step, "POST", "buckets/buckets/import/external", status, sent, says=says, keep=keep)


IMPORT = [
    _import("import_bucket", 201, says='"imported": true', keep="imported"),
    _import("import_with_another_real_name", 201, credentials={**S3_KEYS, "bucket_name": "real"}, keep="renamed"),
    _import("import_open_stack", 201, provider="open_stack", keep="open_stack"),
    _import("import_emc_ecs", 201, provider="emc_ecs", keep="emc_ecs"),
    _import("import_with_a_taken_name", 409, name="data", says='"code": "unique"'),
    _import("import_from_an_unknown_provider", 400, provider="nope", says="'nope' is not a valid "),
    _import("import_without_credentials", 500, credentials=..., says="{'credentials': ["),
    _import("import_without_a_real_name", 500, provider_bucket_name=..., says="{'provider_bucket_name': ["),
    _import("import_with_a_bad_name", 500, name="A", says="{'name': ["),
]

FIND = [
    _step("list_buckets", "GET", f"buckets/buckets?{HERE}", 200),
    _step("list_buckets_in_lines", "GET", f"buckets/buckets?{HERE}", 200, headers=NDJSON),
    _reader("list_buckets_by_the_reader", "GET", f"buckets/buckets?{HERE}", 200),
    _step("list_buckets_of_another_project", "GET", "buckets/buckets?org_name=neuro&project_name=x", 200, says="[]"),
    _step("list_buckets_without_an_org", "GET", "buckets/buckets", 400, says='"org_name must be provided"'),
    _step("list_buckets_with_an_unknown_key", "GET", f"buckets/buckets?{HERE}&name=data", 500, says="{'name': ["),
    _step("list_buckets_with_a_repeated_key", "GET", f"buckets/buckets?{HERE}&org_name=x", 500, says="{'org_name': ["),
    _step("get_by_id", "GET", "buckets/buckets/{data}", 200, says='"name": "data"'),
    _step("get_by_id_with_other_selectors", "GET", "buckets/buckets/{data}?org_name=x&project_name=y", 200),
    _step("get_by_name", "GET", f"buckets/buckets/data?{HERE}", 200, says='"name": "data"'),
    _step("get_by_name_and_owner", "GET", "buckets/buckets/data?org_name=neuro&owner=demo", 200),
    _step("get_an_unnamed_bucket", "GET", "buckets/buckets/{unnamed}", 200, says='"name": null'),
    _step("get_an_unknown_name", "GET", f"buckets/buckets/nope?{HERE}", 404, says="Bucket nope not found"),
    _step("get_by_name_without_an_org", "GET", "buckets/buckets/data", 400, says='"org_name must be provided"'),
    _step("get_by_name_without_a_project", "GET", "buckets/buckets/data?org_name=neuro", 404),
    _step("get_an_unknown_id", "GET", f"buckets/buckets/{UNKNOWN}", 400, says='"org_name must be provided"'),
    _step("get_an_unknown_id_in_an_org", "GET", f"buckets/buckets/{UNKNOWN}?{HERE}", 404, says=UNKNOWN),
    _step(
        "get_by_owner_and_project",
        "GET",
        f"buckets/buckets/data?{HERE}&owner=demo",
        400,
        says='"owner cannot be specified with project_name"',
    ),
    _step("find_by_path", "GET", "buckets/buckets/find/by_path?path=neuro/demo/data", 200, says='"name": "data"'),
    _step("find_by_path_of_a_blob", "GET", "buckets/buckets/find/by_path?path=neuro/demo/data/a/b%2520c", 200),
    _reader("find_by_path_by_the_reader", "GET", "buckets/buckets/find/by_path?path=neuro/demo/data", 200),
    *(
        _step(f"find_by_path_{name}", "GET", f"buckets/buckets/find/by_path?path={path}", 500, says=" not found. Path")
        for name, path in {
            "of_nothing": "neuro/demo/nope",
            "of_another_project": "neuro/other/data",
            "with_an_id": "neuro/demo/{data}",
            "with_a_slash_in_front": "/neuro/demo/data",
            "too_short": "demo/data",
        }.items()
    ),
    _step("find_by_no_path", "GET", "buckets/buckets/find/by_path", 500, says="{'path': ["),
]

PUBLIC = [
    _step("make_public", "PATCH", "buckets/buckets/{data}", 200, {"public": True}, says='"public": true'),
    _step("make_public_again", "PATCH", f"buckets/buckets/data?{HERE}", 200, {"public": True}, says='"public": true'),
    _step("patch_nothing", "PATCH", "buckets/buckets/{data}", 200, {}, says='"public": true'),
    _step("make_private", "PATCH", "buckets/buckets/{data}", 200, {"public": False}, says='"public": false'),
    _step("make_public_null", "PATCH", "buckets/buckets/{more}", 200, {"public": None}, says='"public": null'),
    _step("make_public_a_word", "PATCH", "buckets/buckets/{data}", 500, {"public": "yes"}, says="{'public': ["),
    _step("patch_a_name", "PATCH", "buckets/buckets/{data}", 500, {"name": "new"}, says="{'name': ["),
    _step("make_public_an_unknown_bucket", "PATCH", f"buckets/buckets/nope?{HERE}", 404, {"public": True}),
    _reader("make_public_by_the_reader", "PATCH", "buckets/buckets/{data}", 403, {"public": True}, says='"write"'),
    _reader("make_public_unnamed_by_the_reader", "PATCH", "buckets/buckets/{unnamed}", 403, {}, says="demo/None"),
    _step(
        "make_public_open_stack",
        "PATCH",
        "buckets/buckets/{open_stack}",
        500,
        {"public": True},
        says="generator didn't yield",
    ),
]


def _credentials(name: str, bucket: str, status: int, **fields: Any) -> Step:
    return _step(name, "POST", f"buckets/buckets/{bucket}/make_tmp_credentials", status, **fields)


def _sign(name: str, bucket: str, status: int, says: str = "", **body: Any) -> Step:
    return _step(name, "POST", f"buckets/buckets/{bucket}/sign_blob_url", status, body, says=says)


CREDENTIALS = [
    _credentials("temporary_credentials", "{data}", 200, says='"read_only": false'),
    _credentials(
        "temporary_credentials_of_the_reader", "{data}", 200, token="READONLY-TOKEN", says='"read_only": true'
    ),
    _credentials("temporary_credentials_imported", "{imported}", 200, says='"bucket_name": "theirs"'),
    _credentials("temporary_credentials_imported_real_name", "{renamed}", 200, says='"bucket_name": "real"'),
    _credentials("temporary_credentials_imported_reader", "{imported}", 200, token="READONLY-TOKEN"),
    _credentials("temporary_credentials_of_nothing", "nope", 400, says='"org_name must be provided"'),
    _sign("sign", "{data}", 200, key="a/b c+d%20é.txt"),
    _sign("sign_for_a_week", "{data}", 200, key="blob", expires_in_sec=604_800),
    _sign("sign_for_too_long", "{data}", 400, key="blob", expires_in_sec=604_801),
    _sign("sign_for_no_time", "{data}", 500, "{'expires_in_sec': [", key="blob", expires_in_sec=0),
    _sign("sign_for_a_word", "{data}", 500, "{'expires_in_sec': [", key="blob", expires_in_sec="1h"),
    _sign("sign_no_key", "{data}", 500, "{'key': ["),
    _sign("sign_with_an_unknown_field", "{data}", 500, "{'method': [", key="blob", method="PUT"),
    _sign("sign_imported", "{imported}", 200, "http://s3.example:9000/theirs/blob?", key="blob"),
    _sign("sign_imported_real_name", "{renamed}", 200, "http://s3.example:9000/real/blob?", key="blob"),
    _sign("sign_open_stack", "{open_stack}", 500, "generator didn't yield", key="blob"),
    _sign("sign_emc_ecs", "{emc_ecs}", 500, "generator didn't yield", key="blob"),
    _sign("sign_in_an_unknown_bucket", "nope", 400, "org_name must be provided", key="blob"),
]


def _lasting(step: str, status: int, /, *, says: str = "", keep: str = "", token: str = "TOKEN", **body: Any) -> Step:
    path = "buckets/persistent_credentials"
    return _step(step, "POST", path, status, body, says=says, keep=keep, token=token)


_ONE = "buckets/persistent_credentials"
PERSISTENT = [
    _lasting("persistent_create", 201, name="keys", bucket_ids=["{data}", "{more}"], keep="keys"),
    _lasting("persistent_create_read_only", 201, name="ro-keys", bucket_ids=["{data}"], read_only=True, keep="ro"),
    _lasting("persistent_create_unnamed", 201, bucket_ids=["{data}"], read_only=None, says='"name": null', keep="null"),
    _lasting("persistent_create_taken_name", 500, name="keys", bucket_ids=["{data}"], says="already exists"),
    _lasting("persistent_create_bad_name", 500, name="K", bucket_ids=["{data}"], says="{'name': ["),
    _lasting(
        "persistent_create_bucket_by_name", 500, bucket_ids=["data"], says="UserBucket with id data doesn't exist"
    ),
    _lasting("persistent_create_unknown_bucket", 500, bucket_ids=[UNKNOWN], says=f"id {UNKNOWN} doesn't exist"),
    _lasting("persistent_create_no_buckets", 500, bucket_ids=[], says="{'bucket_ids': ["),
    _lasting("persistent_create_buckets_missing", 500, name="none", says="{'bucket_ids': ["),
    _lasting("persistent_create_bad_read_only", 500, bucket_ids=["{data}"], read_only="no", says="{'read_only': ["),
    _lasting("persistent_create_unknown_field", 500, bucket_ids=["{data}"], org_name="neuro", says="{'org_name': ["),
    _lasting(
        "persistent_create_imported",
        400,
        bucket_ids=["{imported}"],
        says="Cannot create credential for imported bucket",
    ),
    _lasting("persistent_create_by_the_reader", 403, bucket_ids=["{data}"], token="READONLY-TOKEN", says='"write"'),
    _lasting(
        "persistent_create_read_only_by_the_reader",
        201,
        name="keys",
        bucket_ids=["{data}"],
        read_only=True,
        token="READONLY-TOKEN",
        keep="readers",
    ),
    _step("persistent_list", "GET", _ONE, 200),
    _step("persistent_list_in_lines", "GET", _ONE, 200, headers=NDJSON),
    _step("persistent_list_ignores_unknown_keys", "GET", f"{_ONE}?colour=red", 200),
    _reader("persistent_list_of_the_reader", "GET", _ONE, 200),
    _step("persistent_get_by_id", "GET", f"{_ONE}/{{keys}}", 200, says='"secret_access_key"'),
    _step("persistent_get_by_name", "GET", f"{_ONE}/keys", 200, says='"secret_access_key"'),
    _step("persistent_get_unknown", "GET", f"{_ONE}/nope", 404, says="nope not found"),
    _step("persistent_get_of_somebody_else", "GET", f"{_ONE}/{{readers}}", 404, says="not found"),
    _reader("persistent_delete_of_somebody_else", "DELETE", f"{_ONE}/{{keys}}", 404, says="not found"),
    _step("persistent_delete", "DELETE", f"{_ONE}/ro-keys", 204),
    _step("persistent_delete_again", "DELETE", f"{_ONE}/ro-keys", 404, says="ro-keys not found"),
    _step("persistent_unknown_method", "PATCH", f"{_ONE}/keys", 405, {}, says="405: Method Not Allowed"),
]

DELETE = [
    _reader("delete_by_the_reader", "DELETE", "buckets/buckets/{more}", 403, says='"write"'),
    _step("delete_a_full_bucket", "DELETE", "buckets/buckets/{data}", 500, says="(BucketNotEmpty)", fill="data"),
    _step("persistent_list_after_that", "GET", _ONE, 200),
    _step("get_a_full_bucket_after_that", "GET", "buckets/buckets/{data}", 200),
    _step("delete", "DELETE", "buckets/buckets/{more}", 204),
    _step("delete_again", "DELETE", "buckets/buckets/{more}", 400, says='"org_name must be provided"'),
    _step("delete_again_in_an_org", "DELETE", f"buckets/buckets/more-data?{HERE}", 404, says="more-data not found"),
    _step("delete_imported", "DELETE", "buckets/buckets/{imported}", 204),
    _step("persistent_list_in_the_end", "GET", _ONE, 200, says="[]"),
]

STEPS = [*DISCOVERY, *CREATE, *IMPORT, *FIND, *PUBLIC, *CREDENTIALS, *PERSISTENT, *DELETE]
