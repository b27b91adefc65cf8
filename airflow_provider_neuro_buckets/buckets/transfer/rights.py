"""The rights that a new file gets."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path


def usual_mode() -> int:
    """Return the mode of a file that is made as programs do: everybody's to read and write, but for the umask."""
    return 0o666 & ~_umask()


def _umask() -> int:
    """Return the umask; read where the kernel tells it, since setting it to see it would race with other threads."""
    with suppress(FileNotFoundError):
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("Umask:"):
                return int(line.split()[1], 8)
    mask = os.umask(0o022)
    os.umask(mask)
    return mask
