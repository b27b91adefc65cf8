"""Commands on persistent credentials. None prints a secret, unless it is asked for a connection."""

from __future__ import annotations

from argparse import Namespace
from typing import TYPE_CHECKING

from airflow_provider_neuro_buckets.cli.command import BadUsage, command, note, open_hook
from airflow_provider_neuro_buckets.cli.output import Row, show, tell
from airflow_provider_neuro_buckets.hooks.persistent import persistent_connection

if TYPE_CHECKING:
    from airflow_provider_neuro_buckets.buckets.models import PersistentBucketCredentials

COLUMNS = ("name", "id", "read_only", "buckets")


def credentials_row(credentials: PersistentBucketCredentials) -> Row:
    """Return what there is to know of credentials, but for their secrets."""
    return {
        "id": credentials.id,
        "name": credentials.name,
        "owner": credentials.owner,
        "read_only": credentials.read_only,
        "cluster_name": credentials.cluster_name,
        "buckets": [item.bucket_id for item in credentials.credentials],
    }


@command
def list_credentials(arguments: Namespace) -> None:
    """List the caller's persistent credentials, by name."""
    with open_hook(arguments) as hook:
        found = sorted(hook.persistent_credentials_list(), key=lambda item: (item.name or "", item.id))
    show(map(credentials_row, found), output=arguments.output, columns=COLUMNS)


@command
def create_credentials(arguments: Namespace) -> None:
    """Create persistent credentials."""
    if arguments.show_connection and arguments.output:
        raise BadUsage("--show-connection prints JSON by itself. Leave --output out.")
    with open_hook(arguments) as hook:
        buckets = [hook.get(bucket) for bucket in arguments.bucket]
        credentials = hook.persistent_credentials_create(
            arguments.bucket, name=arguments.name, read_only=arguments.read_only
        )
    if arguments.show_connection:
        note(f"The connection below holds the secrets of {credentials.id}: keep it where secrets are kept.")
        print(persistent_connection(credentials, buckets))
    else:
        tell(credentials.id, credentials_row(credentials), output=arguments.output)


@command
def get_credentials(arguments: Namespace) -> None:
    """Show persistent credentials."""
    with open_hook(arguments) as hook:
        credentials = hook.persistent_credentials_get(arguments.credentials)
    show([credentials_row(credentials)], output=arguments.output, columns=COLUMNS)


@command
def rm_credentials(arguments: Namespace) -> None:
    """Delete persistent credentials."""
    with open_hook(arguments) as hook:
        hook.persistent_credentials_rm(arguments.credentials)
    tell(f"Deleted {arguments.credentials}", {"credentials": arguments.credentials}, output=arguments.output)
