"""boto3: ``boto3_file.py download|upload BUCKET KEY FILE``; endpoint and keys are in the environment."""

from __future__ import annotations

import os
import sys

import boto3
from boto3.s3.transfer import TransferConfig
from botocore.config import Config

_PART = 8 * 1024 * 1024


def main(direction: str, bucket: str, key: str, local: str) -> None:
    """Move one blob."""
    silence = float(os.environ["MATRIX_SILENCE"])
    config = Config(
        read_timeout=silence,
        connect_timeout=silence,
        retries={"mode": "standard", "total_max_attempts": int(os.environ["MATRIX_ATTEMPTS"])},
    )
    s3 = boto3.client("s3", config=config)
    parts = TransferConfig(multipart_threshold=_PART, multipart_chunksize=_PART)
    if direction == "download":
        s3.download_file(bucket, key, local, Config=parts)
    else:
        s3.upload_file(local, bucket, key, Config=parts)


if __name__ == "__main__":
    main(*sys.argv[1:])
