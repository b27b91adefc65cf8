"""``cp``: which way a copy goes, and what its destination is called."""

from __future__ import annotations

import re
import sys
from argparse import Namespace
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from airflow_provider_neuro_buckets.buckets.errors import IsADirectory
from airflow_provider_neuro_buckets.buckets.transfer.placing import local_names
from airflow_provider_neuro_buckets.buckets.uri import local_path, parse_blob_uri, quote_key
from airflow_provider_neuro_buckets.cli.command import BadUsage, command, note, open_hook
from airflow_provider_neuro_buckets.cli.output import tell

if TYPE_CHECKING:
    from airflow_provider_neuro_buckets.buckets.models import TransferReport
    from airflow_provider_neuro_buckets.buckets.progress import AbstractRecursiveFileProgress
    from airflow_provider_neuro_buckets.hooks.buckets import NeuroBucketsHook

_ADDRESS = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*):")


@command
def cp(arguments: Namespace) -> None:
    """Copy a file, or with ``--recursive`` what is inside a folder, to or from a bucket, or from one to another.

    A file keeps its name when the destination is a folder that exists, or ends with ``/``. A folder's content goes to
    below the destination whether that exists or not, so that a copy can be repeated.
    """
    from_bucket, to_bucket = _is_remote(arguments.src), _is_remote(arguments.dst)
    if not from_bucket and not to_bucket:
        raise BadUsage("Both are local paths. Write one of them as a blob: address.")
    if to_bucket and arguments.continue_:
        raise BadUsage("--continue is for downloads. Other copies begin each file anew; --update skips what is there.")
    move = _copy if from_bucket and to_bucket else _download if from_bucket else _upload
    with open_hook(arguments) as hook, _progress(arguments) as progress:
        dst, report = move(hook, arguments, progress)
    for name, reason in report.skipped.items():
        note(f"Skipped {name}: {reason}")
    tell(_summary(report, dst), _row(report, arguments.src, dst), output=arguments.output)


def _is_remote(text: str) -> bool:
    """Whether an argument is an address in a bucket, not a local path; ``./`` makes a path of whatever looks else."""
    found = _ADDRESS.match(text)
    scheme = found["scheme"].lower() if found else "file"
    if scheme not in {"blob", "file"}:
        raise BadUsage(f"{text!r} is neither a blob: address nor a local path. Write ./{text} if it is a file here.")
    return scheme == "blob"


def _local(text: str) -> Path:
    path = local_path(text)
    if "\0" in str(path):
        raise BadUsage(f"{text} has a NUL character, and no local name can.")
    return path


def _upload(
    hook: NeuroBucketsHook, arguments: Namespace, progress: AbstractRecursiveFileProgress | None
) -> tuple[str, TransferReport]:
    src, dst = _local(arguments.src), arguments.dst
    if src.is_dir():
        if not arguments.recursive:
            raise IsADirectory(f"{src} is a folder", remedy="Add --recursive to copy what is inside it")
        return dst, hook.upload_dir(src, dst, update=arguments.update, symlinks=arguments.symlinks, progress=progress)
    dst = _blob_in(hook, dst, lambda: _key_name(src))
    return dst, hook.upload_file(src, dst, update=arguments.update, progress=progress)


def _blob_in(hook: NeuroBucketsHook, dst: str, name: Callable[[], str]) -> str:
    """Return the address of a blob: `dst`, or where that is a folder, the one of this name in it."""
    return f"{dst.removesuffix('/')}/{name()}" if dst.endswith("/") or hook.blob_is_dir(dst) else dst


def _key_name(src: Path) -> str:
    try:
        src.name.encode()
    except UnicodeEncodeError:
        raise BadUsage(f"The name of {src} is not UTF-8, as keys are. Write the whole address.") from None
    return quote_key(src.name)


def _download(
    hook: NeuroBucketsHook, arguments: Namespace, progress: AbstractRecursiveFileProgress | None
) -> tuple[str, TransferReport]:
    src, dst = arguments.src, _local(arguments.dst)
    choices = {"update": arguments.update, "continue_": arguments.continue_, "progress": progress}
    if arguments.recursive and hook.blob_is_dir(src):
        return str(dst), hook.download_dir(src, dst, **choices)
    _check_no_folder(src)
    if arguments.dst.endswith("/") or dst.is_dir():
        dst /= _file_name(src)
    return str(dst), hook.download_file(src, dst, **choices)


def _copy(
    hook: NeuroBucketsHook, arguments: Namespace, progress: AbstractRecursiveFileProgress | None
) -> tuple[str, TransferReport]:
    src, dst = arguments.src, arguments.dst
    choices = {"update": arguments.update, "progress": progress}
    if arguments.recursive and hook.blob_is_dir(src):
        return dst, hook.copy_dir(src, dst, **choices)
    _check_no_folder(src)
    dst = _blob_in(hook, dst, lambda: quote_key(_last_name(src)))
    return dst, hook.copy_blob(src, dst, **choices)


def _check_no_folder(src: str) -> None:
    if not _last_name(src):
        raise IsADirectory(f"{src} is a folder", remedy="Add --recursive to copy what is inside it")


def _last_name(src: str) -> str:
    return parse_blob_uri(src)[0].key.rpartition("/")[2]


def _file_name(src: str) -> str:
    """Return the last name of a key, if it can be the name of a local file."""
    name = _last_name(src)
    names = local_names(name)
    if isinstance(names, str):
        raise BadUsage(f"{src} cannot keep its name here: {names}. Write the whole path.")
    return name


@contextmanager
def _progress(arguments: Namespace) -> Iterator[AbstractRecursiveFileProgress | None]:
    """Give a bar where somebody sees it, on a terminal."""
    if not sys.stderr.isatty():
        yield None
        return
    from airflow_provider_neuro_buckets.cli.bar import Bar  # noqa: PLC0415 - loads only for a terminal

    verbs = {(True, False): "Downloading", (False, True): "Uploading"}
    with Bar(verbs.get((_is_remote(arguments.src), _is_remote(arguments.dst)), "Copying")) as bar:
        yield bar


def _summary(report: TransferReport, dst: str) -> str:
    speed = f"{report.bytes / 1e6:.1f} MB in {report.seconds:.1f} s ({report.bytes_per_second / 1e6:.1f} MB/s)"
    files = f"{report.files} file{'' if report.files == 1 else 's'}"
    rest = f"{report.verified} verified by checksum, {report.unchanged} up to date, {len(report.skipped)} skipped"
    return f"{files} to {dst}, {speed}; {rest}"


def _row(report: TransferReport, src: str, dst: str) -> dict[str, object]:
    return {
        "src": src,
        "dst": dst,
        "files": report.files,
        "verified": report.verified,
        "bytes": report.bytes,
        "seconds": round(report.seconds, 3),
        "bytes_per_second": round(report.bytes_per_second),
        "unchanged": report.unchanged,
        "skipped": len(report.skipped),
    }
