"""What a try leaves for the next: its books, written beside the manifest while it goes on, and whenever it ends."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from airflow_provider_neuro_buckets.buckets.errors import BucketsError, ResourceNotFound
from airflow_provider_neuro_buckets.buckets.reading import read_bytes
from airflow_provider_neuro_buckets.buckets.sharding.ledger import Ledger
from airflow_provider_neuro_buckets.buckets.stores.base import BlobStore
from airflow_provider_neuro_buckets.buckets.transfer.window import Window

log = logging.getLogger(__name__)

EVERY_SECONDS = 5.0
LAST_SECONDS = 4.0
"""What the last one may take: whoever is cancelled has five seconds."""


async def kept(store: BlobStore, key: str, window: Window) -> bytes | None:
    """Return what the try before has left, `None` if there was none."""
    try:
        return await read_bytes(store, key, start=None, stop=None, version=None, window=window)
    except ResourceNotFound:
        return None


@asynccontextmanager
async def keeping(ledger: Ledger, store: BlobStore, key: str) -> AsyncIterator[None]:
    """Write the books every few seconds during a block, and once more at its end, however it ends.

    That they cannot be written ends nothing: then the next try has more to do.
    """
    saving = asyncio.create_task(_save_often(ledger, store, key))
    try:
        yield
    finally:
        saving.cancel()
        try:
            await asyncio.wait([saving])
        finally:
            await _save_last(ledger, store, key)


async def _save_last(ledger: Ledger, store: BlobStore, key: str) -> None:
    try:
        async with asyncio.timeout(LAST_SECONDS):
            await store.write(key, ledger.content())
    except (BucketsError, TimeoutError) as error:
        log.warning("The next try will do again what was done last: %s", error)


async def _save_often(ledger: Ledger, store: BlobStore, key: str) -> None:
    saved = 0
    while True:
        await asyncio.sleep(EVERY_SECONDS)
        if ledger.changes == saved:
            continue
        saved = ledger.changes
        try:
            await store.write(key, ledger.content())
        except BucketsError as error:
            log.warning("What is done so far could not be noted: %s", error)
