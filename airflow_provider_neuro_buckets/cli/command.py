"""What every command shares: the hook on its connection, one sentence for an error, an exit status."""

from __future__ import annotations

import functools
import os
import re
import sys
from argparse import Namespace
from collections.abc import Callable
from typing import TYPE_CHECKING

from airflow.providers.common.compat.sdk import AirflowException
from airflow.utils.cli import suppress_logs_and_warning

from airflow_provider_neuro_buckets.buckets.errors import BucketsError, InvalidAddress, TransferError
from airflow_provider_neuro_buckets.cli.output import printable

if TYPE_CHECKING:
    from airflow_provider_neuro_buckets.hooks.buckets import NeuroBucketsHook

FAILED = 1
BAD_USAGE = 2
INTERRUPTED = 128 + 2
NOBODY_READS = 128 + 13


class BadUsage(Exception):
    """Arguments that contradict each other, or what was asked for; nothing was done."""


def command(act: Callable[[Namespace], None]) -> Callable[[Namespace], None]:
    """Make a function a command: errors become text on stderr, and the process ends with a status.

    1: it failed; 2: it was asked for in a wrong way, and nothing was done; 130: Ctrl-C; 141: nobody reads the output.
    Log lines show with ``--verbose`` only.
    """
    quietly = suppress_logs_and_warning(act)

    @functools.wraps(act)
    def run(arguments: Namespace) -> None:
        try:
            quietly(arguments)
            sys.stdout.flush()
        except (BadUsage, InvalidAddress) as error:
            _end(error, BAD_USAGE)
        except BrokenPipeError:
            # Python would complain once more when it flushes at its end.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise SystemExit(NOBODY_READS) from None
        except (BucketsError, AirflowException, OSError) as error:
            _end(error, FAILED)
        except KeyboardInterrupt:
            note("Stopped.")
            raise SystemExit(INTERRUPTED) from None

    return run


def open_hook(arguments: Namespace) -> NeuroBucketsHook:
    """Return the hook on the connection asked for; as a context manager it keeps one client open."""
    from airflow_provider_neuro_buckets.hooks.buckets import NeuroBucketsHook  # noqa: PLC0415 - usage errors come first

    # As `airflow connections` does: without it, a process that is no task does not look into the metadata database.
    os.environ["_AIRFLOW_PROCESS_CONTEXT"] = "server"
    return NeuroBucketsHook(arguments.conn_id)


def note(text: str) -> None:
    """Tell the user something beside the result, in one line."""
    print(printable(text), file=sys.stderr, flush=True)


def _end(error: Exception, status: int) -> None:
    for line in _told(error):
        note(line)
    raise SystemExit(status)


def _told(error: Exception) -> list[str]:
    """Return an error as a user of the command line should read it, in lines."""
    if not isinstance(error, BucketsError):
        return [str(error) or type(error).__name__]
    remedy = _as_options(error.remedy)
    lines = [f"{error.problem}. {remedy}." if remedy else f"{error.problem}."]
    if isinstance(error, TransferError):
        shown = list(error.failures.items())[: error.SHOWN]
        lines += [f"  {name}: {' '.join(_told(cause))}" for name, cause in shown]
        if len(error.failures) > len(shown):
            lines.append(f"  … and {len(error.failures) - len(shown)} more")
    return lines


def _as_options(remedy: str) -> str:
    """Write Python's parameters as the options they are here: ``update=True`` is ``--update``."""
    remedy = re.sub(r"\b(force|recursive|update)=True", r"--\1", remedy)
    remedy = re.sub(r"\bsymlinks=\"(\w+)\"", r"--symlinks \1", remedy)
    remedy = re.sub(r"^\w+ it with (upload|download|copy)_dir$", "Add --recursive to copy what is inside it", remedy)
    return remedy.replace("neuro_buckets_conn_id", "--conn-id")
