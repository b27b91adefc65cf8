"""Signals as they reach a process at the worst."""

from __future__ import annotations

import signal
import threading


def signal_from_here(number: signal.Signals) -> None:
    """Signal this process so that the calling thread takes it, as the kernel may choose: it wakes no other thread.

    What Python does about it happens in the main thread all the same, once that is awake.
    """
    signal.pthread_kill(threading.get_ident(), number)
