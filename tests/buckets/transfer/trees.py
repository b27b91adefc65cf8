"""Local trees, written down and compared."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path


def plant(root: Path, tree: Mapping[str, bytes | None]) -> Path:
    """Make the files of `tree`; a path that ends with ``/`` is a folder."""
    root.mkdir(parents=True, exist_ok=True)
    for path, content in tree.items():
        if content is None:
            (root / path).mkdir(parents=True, exist_ok=True)
        else:
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_bytes(content)
    return root


def snapshot(root: Path) -> dict[str, bytes | str | None]:
    """Return what is below a folder: the content of files, the target of links, `None` for folders."""
    found: dict[str, bytes | str | None] = {}
    for folder, folders, files in os.walk(root):
        here = Path(folder).relative_to(root)
        for name in sorted(folders + files):
            path = Path(folder) / name
            relative = str(here / name)
            if path.is_symlink():
                found[relative] = f"-> {path.readlink()}"
            else:
                found[relative + ("/" if path.is_dir() else "")] = None if path.is_dir() else path.read_bytes()
    return found


def age(root: Path, seconds: float) -> None:
    """Make every file below a folder older by so many seconds."""
    for path in root.rglob("*"):
        if path.is_file() and not path.is_symlink():
            status = path.stat()
            os.utime(path, (status.st_atime, status.st_mtime - seconds))
