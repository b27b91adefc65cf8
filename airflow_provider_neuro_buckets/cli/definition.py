"""The commands as `airflow` wants to know them at its start: names, arguments and where the code is. Data only."""

from __future__ import annotations

from airflow.cli.cli_config import (
    ARG_OUTPUT,
    ARG_VERBOSE,
    ActionCommand,
    Arg,
    CLICommand,
    GroupCommand,
    lazy_load_command,
    positive_int,
)

_CODE = "airflow_provider_neuro_buckets.cli"

ADDRESS = "blob:bucket/key, blob:/project/bucket/key or blob://cluster/org/project/bucket/key, percent-encoded"

ARG_CONN_ID = Arg(
    ("--conn-id",),
    help="Airflow connection of type neuro_buckets (default: %(default)s)",
    default="neuro_buckets_default",
)
# What does something and does not list: a sentence, or the same as data.
ARG_RESULT = Arg(
    ("-o", "--output"),
    help="Print the result as data. Allowed values: json, yaml, plain, table (default: one line)",
    metavar="(table, json, yaml, plain)",
    choices=("table", "json", "yaml", "plain"),
)
ARG_BUCKET = Arg(("bucket",), help="Its name, its id or its blob: URI")
ARG_BUCKET_NAME = Arg(("name",), nargs="?", help="Unique in its project; without, the bucket has an id only")
ARG_BUCKETS = Arg(("bucket",), nargs="+", help="Names, ids or blob: URIs")
ARG_FORCE = Arg(("--force",), action="store_true", help="Delete the blobs in it as well")
ARG_URI = Arg(("uri",), help=f"Address: {ADDRESS}")
ARG_PREFIX = Arg(("uri",), help=f"What the addresses listed begin with; end it with / to look into a folder: {ADDRESS}")
ARG_PATTERN = Arg(
    ("pattern",),
    help="blob:bucket/pattern, taken as it stands: * and ? within a folder, [a-z], ** across folders; quote it",
)
ARG_SRC = Arg(("src",), help="A local path or a blob: address")
ARG_DST = Arg(
    ("dst",),
    help="A blob: address or a local path; a file keeps its name in a folder that exists, or if this ends in /",
)
ARG_RECURSIVE = Arg(("-r", "--recursive"), action="store_true", help="Also what is in the folders below")
ARG_COPY_RECURSIVE = Arg(
    ("-r", "--recursive"), action="store_true", help="Copy what is inside the folder SRC to below DST"
)
ARG_LIMIT = Arg(
    ("--limit",),
    type=positive_int(allow_zero=True),
    default=10000,
    help="Most entries to list; 0 for all (default: %(default)s)",
)
ARG_UPDATE = Arg(
    ("--update",), action="store_true", help="Only what is missing at DST, has another size there, or is older there"
)
ARG_CONTINUE = Arg(
    ("--continue",),
    dest="continue_",
    action="store_true",
    help="Go on with local files that are the beginning of their blob",
)
ARG_SYMLINKS = Arg(
    ("--symlinks",),
    choices=("inside", "follow", "skip"),
    default="inside",
    help="Links in an uploaded folder: follow those within it and fail others, follow all, or skip all "
    "(default: %(default)s)",
)
ARG_WHOLE_BUCKET = Arg(
    ("--whole-bucket",), action="store_true", help="Agree that a bucket is emptied, when the address has no key"
)
ARG_EXPIRES = Arg(
    ("--expires",),
    type=positive_int(allow_zero=False),
    default=3600,
    help="Seconds until the URL expires, up to 604800 (default: %(default)s)",
)
ARG_CREDENTIALS = Arg(("credentials",), help="Their id or name")
ARG_CREDENTIALS_NAME = Arg(("--name",), help="Unique among your credentials; without, they have an id only")
ARG_READ_ONLY = Arg(("--read-only",), action="store_true", help="They may read and list, and nothing else")
ARG_SHOW_CONNECTION = Arg(
    ("--show-connection",),
    action="store_true",
    help="Print an Airflow connection as JSON that uses them, with no token and no platform. It holds the secrets",
)


def get_commands() -> list[CLICommand]:
    """Return the command group; Airflow calls this at each start, and imports the code only of a command that runs."""
    return [
        GroupCommand(
            name="neuro-buckets",
            help="Buckets of the Neuro (Apolo) platform, their blobs and their credentials",
            subcommands=[
                GroupCommand(name="buckets", help="List, create and delete buckets", subcommands=_bucket_commands()),
                *_blob_commands(),
                GroupCommand(
                    name="credentials",
                    help="Persistent credentials: for some buckets, until they are deleted",
                    subcommands=_credentials_commands(),
                ),
            ],
        )
    ]


def _command(name: str, code: str, *, text: str, arguments: tuple[Arg, ...], output: Arg = ARG_RESULT) -> ActionCommand:
    return ActionCommand(
        name=name,
        help=text,
        func=lazy_load_command(f"{_CODE}.{code}"),
        args=(*arguments, ARG_CONN_ID, ARG_VERBOSE, output),
    )


def _bucket_commands() -> list[CLICommand]:
    return [
        _command("list", "buckets.list_buckets", text="List buckets", arguments=(), output=ARG_OUTPUT),
        _command("create", "buckets.create_bucket", text="Create a bucket", arguments=(ARG_BUCKET_NAME,)),
        _command("get", "buckets.get_bucket", text="Show a bucket", arguments=(ARG_BUCKET,), output=ARG_OUTPUT),
        _command(
            "rm",
            "buckets.rm_bucket",
            text="Delete a bucket, and with it everybody's persistent credentials for it",
            arguments=(ARG_BUCKET, ARG_FORCE),
        ),
    ]


def _blob_commands() -> list[CLICommand]:
    return [
        _command(
            "ls",
            "blobs.ls",
            text="List blobs and folders by a prefix",
            arguments=(ARG_PREFIX, ARG_RECURSIVE, ARG_LIMIT),
            output=ARG_OUTPUT,
        ),
        _command(
            "glob",
            "blobs.glob",
            text="Find blobs and folders by a pattern",
            arguments=(ARG_PATTERN,),
            output=ARG_OUTPUT,
        ),
        _command(
            "cp",
            "copying.cp",
            text="Copy files and folders between this machine and a bucket, or from bucket to bucket",
            arguments=(ARG_SRC, ARG_DST, ARG_COPY_RECURSIVE, ARG_UPDATE, ARG_CONTINUE, ARG_SYMLINKS),
        ),
        _command(
            "rm",
            "blobs.rm",
            text="Remove a blob, or a folder with all in it",
            arguments=(ARG_URI, ARG_RECURSIVE, ARG_WHOLE_BUCKET),
        ),
        _command(
            "sign",
            "blobs.sign",
            text="Make a URL with which anybody can GET a blob for a while",
            arguments=(ARG_URI, ARG_EXPIRES),
        ),
        _command(
            "du", "blobs.du", text="Count the blobs and bytes of a bucket", arguments=(ARG_BUCKET,), output=ARG_OUTPUT
        ),
    ]


def _credentials_commands() -> list[CLICommand]:
    return [
        _command(
            "list",
            "credentials.list_credentials",
            text="List your persistent credentials, without their secrets",
            arguments=(),
            output=ARG_OUTPUT,
        ),
        _command(
            "create",
            "credentials.create_credentials",
            text="Create persistent credentials for some buckets, and print their id",
            arguments=(ARG_BUCKETS, ARG_CREDENTIALS_NAME, ARG_READ_ONLY, ARG_SHOW_CONNECTION),
        ),
        _command(
            "get",
            "credentials.get_credentials",
            text="Show persistent credentials, without their secrets",
            arguments=(ARG_CREDENTIALS,),
            output=ARG_OUTPUT,
        ),
        _command(
            "rm",
            "credentials.rm_credentials",
            text="Delete persistent credentials: whoever uses them is locked out",
            arguments=(ARG_CREDENTIALS,),
        ),
    ]
