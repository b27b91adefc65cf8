"""Commands on whole buckets."""

from __future__ import annotations

from argparse import Namespace
from typing import TYPE_CHECKING

from airflow_provider_neuro_buckets.cli.command import command, open_hook
from airflow_provider_neuro_buckets.cli.output import Row, show, tell

if TYPE_CHECKING:
    from airflow_provider_neuro_buckets.buckets.models import Bucket

COLUMNS = ("name", "id", "provider", "created_at", "uri")


def bucket_row(bucket: Bucket) -> Row:
    """Return what there is to know of a bucket."""
    return {
        "id": bucket.id,
        "name": bucket.name,
        "uri": str(bucket.uri),
        "provider": str(bucket.provider),
        "owner": bucket.owner,
        "cluster_name": bucket.cluster_name,
        "org_name": bucket.org_name,
        "project_name": bucket.project_name,
        "created_at": bucket.created_at.isoformat(),
        "imported": bucket.imported,
        "public": bucket.public,
    }


@command
def list_buckets(arguments: Namespace) -> None:
    """List buckets, by name."""
    with open_hook(arguments) as hook:
        buckets = sorted(hook.list(), key=lambda bucket: (bucket.name or "", bucket.id))
    show(map(bucket_row, buckets), output=arguments.output, columns=COLUMNS)


@command
def create_bucket(arguments: Namespace) -> None:
    """Create a bucket."""
    with open_hook(arguments) as hook:
        bucket = hook.create(arguments.name)
    tell(f"Created {bucket.uri} ({bucket.id})", bucket_row(bucket), output=arguments.output)


@command
def get_bucket(arguments: Namespace) -> None:
    """Show a bucket."""
    with open_hook(arguments) as hook:
        bucket = hook.get(arguments.bucket)
    show([bucket_row(bucket)], output=arguments.output, columns=COLUMNS)


@command
def rm_bucket(arguments: Namespace) -> None:
    """Delete a bucket."""
    with open_hook(arguments) as hook:
        hook.rm(arguments.bucket, force=arguments.force)
    tell(f"Deleted {arguments.bucket}", {"bucket": arguments.bucket}, output=arguments.output)
