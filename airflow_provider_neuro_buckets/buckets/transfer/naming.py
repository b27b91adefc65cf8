"""What the system raises names the file that it is about."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def naming(path: Path, *below: str) -> Iterator[None]:
    """Let what the system raises name the file, rather than nothing, a descriptor or a temporary name."""
    try:
        yield
    except OSError as error:
        name(error, path.joinpath(*below))
        raise


def name(error: OSError, path: Path) -> None:
    """Let an error name a file."""
    error.filename = str(path)
    if error.filename2 is not None:
        del error.filename2  # set to `None`, it would be told as "-> None"
