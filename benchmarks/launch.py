"""Run one program and tell what it took: ``launch.py STDOUT STDERR PROGRAM ARGUMENTS…``, in an isolated interpreter.

Linux counts to a new program's peak memory what its parent held when it was started, so this parent holds next to
nothing; and the time is taken around the program alone.
"""

import json
import os
import sys
import time


def main(stdout: str, stderr: str, *command: str) -> int:
    """Print status, seconds, CPU seconds and peak bytes of `command` as JSON."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
    begun = time.perf_counter()
    pid = os.posix_spawnp(
        command[0],
        command,
        os.environ,
        file_actions=[
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, stdout, flags, 0o600),
            (os.POSIX_SPAWN_OPEN, 2, stderr, flags, 0o600),
        ],
    )
    _, status, used = os.wait4(pid, 0)
    seconds = time.perf_counter() - begun
    print(
        json.dumps(
            {
                "status": os.waitstatus_to_exitcode(status),
                "seconds": seconds,
                "cpu_seconds": used.ru_utime + used.ru_stime,
                "peak_bytes": used.ru_maxrss * 1024,
            }
        )
    )
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
