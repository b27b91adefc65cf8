"""How large a body is, and its MD5, as headers and listings write it: in Base64. Pure."""

from __future__ import annotations

import hashlib
from base64 import b64decode, b64encode

from airflow_provider_neuro_buckets.buckets.stores.base import Bytes

_MD5_BYTES = 16


def size_of(body: Bytes) -> int:
    """Return the bytes of a body."""
    return body.nbytes if isinstance(body, memoryview) else len(body)


def md5(body: Bytes) -> bytes:
    """Return the MD5 of a body."""
    return hashlib.md5(body, usedforsecurity=False).digest()


def base64_of(digest: bytes) -> str:
    """Return a digest as headers have it."""
    return b64encode(digest).decode()


def md5_of_base64(text: str | None) -> str | None:
    """Return the hex MD5 in a Base64 one; `None` for anything else."""
    try:
        digest = b64decode(text or "", validate=True)
    except ValueError:
        return None
    return digest.hex() if len(digest) == _MD5_BYTES else None
