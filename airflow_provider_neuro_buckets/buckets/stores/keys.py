"""Which keys a store takes. Pure.

Some providers keep keys as paths of a file system: they fold ``a//b`` into ``a/b``, say that all is well, and so answer
for another key than the one that was asked for. Where that is known of a provider, such a key is never sent.
"""

from __future__ import annotations

from collections.abc import Iterable
from collections.abc import Set as AbstractSet

from airflow_provider_neuro_buckets.buckets.errors import BucketsError, InvalidAddress
from airflow_provider_neuro_buckets.buckets.stores.base import Capability


def check_key(key: str) -> None:
    """Refuse what no provider can mean by a key.

    :raises InvalidAddress: empty, which would address the bucket itself, or not Unicode text.
    """
    if not key:
        raise InvalidAddress("the key of a blob is empty", remedy="Write the key behind the bucket, as in blob:bkt/key")
    try:
        key.encode()
    except UnicodeEncodeError:
        raise InvalidAddress(f"the key {key!r} is not Unicode text", remedy="Give it a name in UTF-8") from None


def unsayable(keys: Iterable[str]) -> dict[str, BucketsError]:
    """Return those of the keys that no provider can mean, each with what :func:`check_key` says."""
    found: dict[str, BucketsError] = {}
    for key in keys:
        try:
            check_key(key)
        except InvalidAddress as error:
            found[key] = error
    return found


def impossible(key: str, capabilities: AbstractSet[Capability]) -> str | None:
    """Return what in `key` its provider cannot keep; `None` when the key can exist there."""
    *folders, name = key.split("/")
    if name in {".", ".."} and Capability.DOT_SEGMENTS not in capabilities:
        return f"the segment {name!r}"
    return _in_folders(folders, key, capabilities)


def impossible_prefix(prefix: str, capabilities: AbstractSet[Capability]) -> str | None:
    """Return what in `prefix` no key of the provider can begin with; `None` when a key can."""
    return _in_folders(prefix.split("/")[:-1], prefix, capabilities)


def _in_folders(folders: list[str], text: str, capabilities: AbstractSet[Capability]) -> str | None:
    if "" in folders and Capability.EMPTY_SEGMENTS not in capabilities:
        return "an empty segment"
    if Capability.DOT_SEGMENTS not in capabilities:
        for dots in {".", ".."} & set(folders):
            return f"the segment {dots!r}"
    if "\\" in text and Capability.BACKSLASH not in capabilities:
        return "a backslash"
    return None
