"""Child processes that never outlive whoever started them."""

from __future__ import annotations

import ctypes
import os
import signal
from collections.abc import Callable

_PR_SET_PDEATHSIG = 1


def dies_with_parent(signal_number: signal.Signals) -> Callable[[], None]:
    """Return a `preexec_fn` with which the kernel sends the child a signal when its parent dies, however it dies.

    The parent must start the child from a thread that lives as long as itself: the kernel counts threads.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    parent = os.getpid()

    def prepare() -> None:
        libc.prctl(_PR_SET_PDEATHSIG, int(signal_number), 0, 0, 0)
        if os.getppid() != parent:  # it died between fork and prctl
            os.kill(os.getpid(), signal_number)

    return prepare
