from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from airflow_provider_neuro_buckets.buckets.errors import TransferError
from airflow_provider_neuro_buckets.buckets.transfer.temporary import is_temporary, temporary_name
from buckets.transfer.asking import download, upload
from buckets.transfer.trees import snapshot
from buckets.transfer.watched import remote
from conformance.rigs.base import Rig

SMALL = b"new content"

CRASHING = """
import signal, sys
from pathlib import Path
from airflow_provider_neuro_buckets.buckets.transfer.local import Destination
destination = Destination(Path(sys.argv[1]))
target = destination.begin(("f",), size=1000)
target.write(0, b"part of it")
print("ready", flush=True)
signal.pause()
"""


async def test_what_a_killed_process_left_is_removed_by_the_next_run_and_never_uploaded_f78(
    aws: Rig, tmp_path: Path
) -> None:
    with subprocess.Popen(  # noqa: ASYNC220 - until its first line
        [sys.executable, "-c", CRASHING, str(tmp_path)], stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        process.send_signal(signal.SIGKILL)
    (left,) = snapshot(tmp_path)
    assert is_temporary(left)
    report = await upload(tmp_path, remote(aws, "up")[0])
    assert list(report.skipped) == [str(tmp_path / left)]
    assert await aws.names() == []
    await aws.put("d/f", SMALL)
    await download(remote(aws, "d")[0], tmp_path)
    assert snapshot(tmp_path) == {"f": SMALL}


async def test_a_blob_with_the_name_of_a_temporary_file_is_refused_rather_than_swept_later(
    aws: Rig, tmp_path: Path
) -> None:
    await aws.put(f"d/{temporary_name('x')}", SMALL)
    await aws.put("d/f", SMALL)
    with pytest.raises(TransferError, match="temporary file"):
        await download(remote(aws, "d")[0], tmp_path)
    assert snapshot(tmp_path) == {"f": SMALL}
