"""A large body without the event loop: a thread takes it from the socket, and does with it what there is to do."""

from __future__ import annotations

import os
import socket
import struct
import threading
from collections.abc import Iterable
from contextlib import suppress

from airflow_provider_neuro_buckets.buckets.http.faults import Broken
from airflow_provider_neuro_buckets.buckets.http.pouring import Basin, fill

_WEEK = 7 * 24 * 3600.0


class Loan:
    """The socket of a connection, for the time in which a thread reads it. Made, ended and closed in the event loop.

    The thread has a descriptor of its own: whatever becomes of the connection, it reads no other one.

    :param descriptor: that of the socket, which does not block.
    :param left: bytes that are still to come.
    :param silence: seconds without a byte after which it is given up; `None` for no limit.
    :ivar left: bytes that have not come.
    """

    def __init__(self, descriptor: int, *, left: int, silence: float | None) -> None:
        self.left = left
        self._socket = socket.socket(fileno=os.dup(descriptor))
        # Never without: what blocks here would block in the event loop as well.
        self._socket.settimeout(min(silence or _WEEK, _WEEK))
        self._taken = threading.Lock()

    def pour(self, arrived: Iterable[bytes | memoryview], basin: Basin) -> OSError | None:
        """Put what has arrived into a basin, and then what is still to come. Blocking: run in a thread.

        :returns: what broke the connection, if something did. What the basin raises is raised.
        """
        if not self._taken.acquire(blocking=False):
            return None
        fill(basin, *arrived)
        while self.left:
            room = basin.room()
            try:
                size = self._socket.recv_into(room, min(len(room), self.left))
            except OSError as error:
                return error.with_traceback(None)  # it would keep the basin
            if not size:
                return Broken("ServerDisconnected")
            self.left -= size
            basin.add(size)
        return None

    def recall(self) -> bool:
        """Let no thread begin any more; return whether none has."""
        return self._taken.acquire(blocking=False)

    def end(self) -> None:
        """Let the thread see the end of the connection, if it waits, and the other side as well.

        That one may wait for room: it would not hear of an orderly end.
        """
        with suppress(OSError):  # the other side has ended it
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self._socket.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Close the descriptor, once the thread has ended."""
        self._socket.close()
