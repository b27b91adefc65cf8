"""Deleting many blobs in one request to Azure: HTTP requests inside a multipart body. Pure: no I/O."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from urllib.parse import urlsplit

from airflow_provider_neuro_buckets.buckets.errors import InvalidAnswer
from airflow_provider_neuro_buckets.buckets.stores.azure_access import AzureAccess

MOST = 256
_BOUNDARY = "batch_of_deletions"  # every line of the body is percent-encoded text, so it cannot occur in it
_LINE = re.compile(rb"^HTTP/1\.1 (\d{3})\b", re.MULTILINE)
_NUMBER = re.compile(rb"^Content-ID: *(\d+)", re.MULTILINE | re.IGNORECASE)
_CODE = re.compile(rb"^x-ms-error-code: *([A-Za-z0-9]+)", re.MULTILINE | re.IGNORECASE)
_UNDECIDED = frozenset({HTTPStatus.UNAUTHORIZED, HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS})

CONTENT_TYPE = f"multipart/mixed; boundary={_BOUNDARY}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Deletion:
    """What became of one deletion."""

    status: int
    code: str

    @property
    def is_gone(self) -> bool:
        """Whether the blob is not there any more."""
        return self.status in range(200, 300) or self.code == "BlobNotFound"

    @property
    def is_final(self) -> bool:
        """Whether asking again, alone and with fresh credentials, would change nothing."""
        maybe_ended = self.code in {"AuthenticationFailed", "AuthorizationFailure"}
        return not maybe_ended and self.status not in _UNDECIDED and self.status < HTTPStatus.INTERNAL_SERVER_ERROR


def deletions(access: AzureAccess, paths: Sequence[str]) -> bytes:
    """Return the body of a batch that deletes blobs; each deletion is authorised by itself.

    :param paths: the keys, encoded.
    """
    return "".join(
        [*(_deletion(access, number, path) for number, path in enumerate(paths)), f"--{_BOUNDARY}--\r\n"]
    ).encode()


def _deletion(access: AzureAccess, number: int, path: str) -> str:
    url = access.url(path)
    target = urlsplit(url)
    headers = access.authorize("DELETE", url, {"Content-Length": "0"})
    lines = [
        f"--{_BOUNDARY}",
        "Content-Type: application/http",
        "Content-Transfer-Encoding: binary",
        f"Content-ID: {number}",
        "",
        f"DELETE {target.path}{'?' if target.query else ''}{target.query} HTTP/1.1",
        *(f"{name}: {value}" for name, value in headers.items()),
        "",
        "",
    ]
    return "\r\n".join(lines)


def parse_outcomes(body: bytes, content_type: str) -> Mapping[int, Deletion]:
    """Return what became of each deletion, by its number; one that was not answered is not there.

    :param content_type: of the answer; it names the boundary.
    :raises InvalidAnswer: not the answer to a batch.
    """
    boundary = content_type.partition("boundary=")[2].strip('" ')
    if not content_type.lower().startswith("multipart/mixed") or not boundary:
        raise InvalidAnswer("the answer to a batch of deletions is not one")
    outcomes: dict[int, Deletion] = {}
    for part in body.split(f"--{boundary}".encode()):
        number, status, code = _NUMBER.search(part), _LINE.search(part), _CODE.search(part)
        if number and status:
            outcomes[int(number[1])] = Deletion(status=int(status[1]), code=code[1].decode() if code else "")
    return outcomes
