"""Opening what lies in the source of an upload, and nothing else: a link may be put in its way at any moment."""

from __future__ import annotations

import os
from pathlib import Path

from airflow_provider_neuro_buckets.buckets.errors import ConfigurationError


def leads_out(path: Path, root: Path | str) -> ConfigurationError:
    """Return the error for a link out of the source."""
    return ConfigurationError(
        f"{path} is a link that leads out of {root}",
        remedy='Pass symlinks="follow" to upload what it leads to, or "skip"; the default is "inside"',
    )


def is_inside(path: str, within: str) -> bool:
    """Whether a path is a folder, or below it; both without links in them."""
    return path == within or path.startswith(within.rstrip("/") + "/")


def open_inside(path: Path, flags: int, within: str | None) -> int:
    """Open what is at a path; links are followed.

    :param within: the folder, without links, in which it must really lie; `None`: anywhere.
    :raises ConfigurationError: it lies elsewhere, whatever was there a moment ago.
    """
    file = os.open(path, flags)
    try:
        is_right = within is None or is_inside(_real_path(file, path), within)
    except BaseException:
        os.close(file)
        raise
    if not is_right:
        os.close(file)
        raise leads_out(path, within or "")
    return file


def _real_path(file: int, path: Path) -> str:
    """Return where an open file is, empty if nobody can tell."""
    try:
        return os.readlink(f"/proc/self/fd/{file}")  # noqa: PTH115 - for each small file: a Path costs more than it
    except OSError:  # a system without /proc
        real = Path(os.path.realpath(path))
        return str(real) if os.path.samestat(real.stat(), os.fstat(file)) else ""
