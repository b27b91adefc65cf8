"""Deleting many blobs in one request: requests inside a request, answers inside an answer. Pure: no I/O.

At most 100 belong in one. Each inner answer has a status of its own.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from email import message_from_bytes

from airflow_provider_neuro_buckets.buckets.errors import InvalidAnswer
from airflow_provider_neuro_buckets.buckets.stores.gcs_wire import BUCKET, blob_path, quoted

BATCH_PATH = "batch/storage/v1"
BATCH = 100
_NUMBER = re.compile(r"response-(\d+)>?$")
_STATUS = re.compile(rb"\s*HTTP/[\d.]+ (\d{3})")


def deletions(keys: Sequence[str], *, bucket_name: str, boundary: str) -> bytes:
    """Return the body of a request that deletes `keys`, of media type ``multipart/mixed``."""
    parts = []
    for number, key in enumerate(keys):
        path = blob_path(key).replace(BUCKET, quoted(bucket_name))
        parts.append(
            f"--{boundary}\r\nContent-Type: application/http\r\nContent-ID: <{number}>\r\n\r\n"
            f"DELETE /{path} HTTP/1.1\r\n\r\n\r\n"
        )
    return ("".join(parts) + f"--{boundary}--\r\n").encode()


def parse_answers(media_type: str, body: bytes, what: str) -> dict[int, tuple[int, bytes]]:
    """Return status and body of each inner answer, by the number of its request.

    :param media_type: the answer's ``Content-Type``, with the boundary.
    :raises InvalidAnswer: not such an answer.
    """
    head = b"Content-Type: " + media_type.encode("latin-1", "replace").splitlines()[0] if media_type else b""
    message = message_from_bytes(head + b"\r\n\r\n" + body)
    answers = {}
    for part in message.walk():
        number = _NUMBER.search(str(part.get("Content-ID", "")))
        content = part.get_payload(decode=True)
        status = _STATUS.match(content) if isinstance(content, bytes) else None
        if number and status and isinstance(content, bytes):
            answers[int(number[1])] = int(status[1]), content.partition(b"\r\n\r\n")[2]
    if not answers:
        raise InvalidAnswer(f"{what}: the answer is not one to a batch", remedy="Check the endpoint of the bucket")
    return answers
