"""Commands on blobs, but for copying."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Iterator
from contextlib import closing
from itertools import islice
from typing import TYPE_CHECKING

from airflow_provider_neuro_buckets.buckets.errors import InvalidAddress
from airflow_provider_neuro_buckets.cli.command import BadUsage, command, note, open_hook
from airflow_provider_neuro_buckets.cli.output import Row, show, tell

if TYPE_CHECKING:
    from airflow_provider_neuro_buckets.buckets.models import BucketEntry
    from airflow_provider_neuro_buckets.hooks.buckets import NeuroBucketsHook

COLUMNS = ("modified_at", "size", "uri")


def entry_row(entry: BucketEntry) -> Row:
    """Return what there is to know of a blob or a folder."""
    return {
        "uri": str(entry.uri),
        "key": entry.key,
        "size": entry.size,
        "created_at": entry.created_at.isoformat() if entry.created_at else None,
        "modified_at": entry.modified_at.isoformat() if entry.modified_at else None,
        "etag": getattr(entry, "etag", None),
        "is_dir": entry.is_dir(),
    }


@command
def ls(arguments: Namespace) -> None:
    """List blobs and folders by a prefix."""
    # One more than is shown tells whether there is more.
    limit = arguments.limit + 1 if arguments.limit else None
    with (
        open_hook(arguments) as hook,
        closing(hook.list_blobs(arguments.uri, recursive=arguments.recursive, limit=limit)) as found,
    ):
        shown = _first(found, arguments.limit) if arguments.limit else found
        show(map(entry_row, shown), output=arguments.output, columns=COLUMNS)


def _first(entries: Iterator[BucketEntry], limit: int) -> Iterator[BucketEntry]:
    yield from islice(entries, limit)
    if next(entries, None) is not None:
        note(f"There is more: these are the first {limit}. --limit 0 lists all.")


@command
def glob(arguments: Namespace) -> None:
    """Find blobs and folders by a pattern."""
    with open_hook(arguments) as hook, closing(hook.glob_blobs(arguments.pattern)) as found:
        show(map(entry_row, found), output=arguments.output, columns=COLUMNS)


@command
def rm(arguments: Namespace) -> None:
    """Remove a blob, or a folder with all in it."""
    from airflow_provider_neuro_buckets.hooks.progress import DeleteCount  # noqa: PLC0415 - only here

    gone = DeleteCount()
    with open_hook(arguments) as hook:
        if arguments.recursive and not arguments.whole_bucket and _is_bucket(hook, arguments.uri):
            raise BadUsage(f"{arguments.uri} is a whole bucket. Add --whole-bucket to empty it.")
        hook.blob_rm(arguments.uri, recursive=arguments.recursive, progress=gone)
    told = f"Removed {gone.blobs} blob{'' if gone.blobs == 1 else 's'} at {arguments.uri}"
    tell(told, {"uri": arguments.uri, "blobs": gone.blobs}, output=arguments.output)


def _is_bucket(hook: NeuroBucketsHook, uri: str) -> bool:
    """Whether the address has no key. Only the platform knows: the name of a project may have slashes."""
    try:
        hook.get(uri)
    except InvalidAddress:
        return False
    return True


@command
def sign(arguments: Namespace) -> None:
    """Make a URL with which anybody can GET a blob."""
    with open_hook(arguments) as hook:
        url = str(hook.make_signed_url(arguments.uri, expires_in_seconds=arguments.expires))
    row = {"uri": arguments.uri, "url": url, "expires_in_seconds": arguments.expires}
    tell(url, row, output=arguments.output)


@command
def du(arguments: Namespace) -> None:
    """Count the blobs and bytes of a bucket."""
    with open_hook(arguments) as hook:
        *_, usage = hook.get_disk_usage(arguments.bucket)
    row = {"bucket": arguments.bucket, "blobs": usage.object_count, "bytes": usage.total_bytes}
    show([row], output=arguments.output, columns=list(row))
