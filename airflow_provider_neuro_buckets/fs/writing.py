"""A blob that is open for writing: published whole when it is closed, or not at all."""

from __future__ import annotations

import asyncio
import io
import logging
import os
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import suppress
from types import TracebackType
from typing import Any, Protocol, Self

from fsspec.spec import AbstractBufferedFile

from airflow_provider_neuro_buckets.fs.paths import Place
from airflow_provider_neuro_buckets.fs.reading import BLOCK
from airflow_provider_neuro_buckets.fs.running import run

log = logging.getLogger(__name__)

Put = Callable[[AsyncIterator[bytes]], Coroutine[Any, Any, None]]


class Upload:
    """One upload that is fed from outside, a chunk at a time; lives on one event loop.

    :param put: sends what the iterator yields, and publishes it when that ends.
    """

    def __init__(self, put: Put) -> None:
        self._chunks: asyncio.Queue[bytes | None] = asyncio.Queue(1)
        self._sending = asyncio.ensure_future(put(self._fed()))

    async def _fed(self) -> AsyncIterator[bytes]:
        while (chunk := await self._chunks.get()) is not None:
            yield chunk

    async def feed(self, chunk: bytes | None) -> None:
        """Hand over a chunk, as soon as the one before it is taken; raise what has gone wrong."""
        handing = asyncio.ensure_future(self._chunks.put(chunk))
        try:
            await asyncio.wait({handing, self._sending}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            handing.cancel()
        if self._sending.done():
            await self._sending

    async def finish(self) -> None:
        """Publish; whatever interrupts it ends the upload."""
        await self.feed(None)
        await self._sending

    async def abort(self) -> None:
        """End the upload without a trace, and wait for its clean-up."""
        self._sending.cancel()
        await asyncio.wait({self._sending})
        if not self._sending.cancelled():
            self._sending.exception()  # somebody was told of it before, or nobody wants to know


class Publisher(Protocol):
    """What a writer needs of its filesystem."""

    async def begin_upload(self, place: Place, mode: str) -> Upload:
        """Begin an upload that is fed from outside."""
        ...

    async def end_upload(self, upload: Upload, place: Place, mode: str) -> None:
        """Publish it."""
        ...


class BlobWriter(AbstractBufferedFile):
    """Sends a blob in parts while it is written, in bounded memory, and publishes it when it is closed.

    Left through an exception, or never closed, it publishes nothing: the name holds what it held.

    :param block_size: bytes to collect before they are handed on.
    :param autocommit: publish on `close`; otherwise on :meth:`commit`, at the end of a transaction.
    """

    DEFAULT_BLOCK_SIZE = BLOCK

    def __init__(self, fs: Publisher, place: Place, mode: str, **options: Any) -> None:
        self.place = place
        self.upload: Upload | None = None
        self._pid = os.getpid()
        self._is_given_up = False
        super().__init__(fs, place.path, mode=mode, **options)

    def write(self, data: Any) -> int:
        """Write bytes; a large piece is handed on in blocks."""
        if self._is_given_up:
            return memoryview(data).nbytes  # what compresses or encodes still empties its buffers
        view = memoryview(data).cast("B")
        for start in range(0, len(view), self.blocksize):
            super().write(view[start : start + self.blocksize])
        return len(view)

    def _initiate_upload(self) -> None:
        self._check_process()
        self.upload = run(self.fs.loop, self.fs.begin_upload, self.place, self.mode)

    def _upload_chunk(self, final: bool = False) -> bool:
        self._check_process()
        assert self.upload is not None
        if chunk := self.buffer.getvalue():
            run(self.fs.loop, self.upload.feed, chunk)
        if final and self.autocommit:
            self.commit()
        return True

    def _check_process(self) -> None:
        if self._pid != os.getpid():
            raise RuntimeError(
                f"{self.place} was opened for writing by another process, from which this one was forked"
            )

    def commit(self) -> None:
        """Publish what was written."""
        if self.upload is not None and not self._is_given_up:
            run(self.fs.loop, self.fs.end_upload, self.upload, self.place, self.mode)

    def discard(self) -> None:
        """Publish nothing, whatever is written or closed from now on."""
        self._is_given_up = self.closed = True
        if self.upload is not None and self._pid == os.getpid():
            run(self.fs.loop, self.upload.abort)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            self.discard()
        self.close()

    def __del__(self) -> None:
        if self.closed:
            return
        self.closed = True  # io closes what it collects; nobody knows whether this was complete
        if self._pid == os.getpid():
            log.warning("%s was never closed, so nothing was written", self.place)
            if self.upload is not None:
                with suppress(RuntimeError):  # the loop is closed, and all with it
                    asyncio.run_coroutine_threadsafe(self.upload.abort(), self.fs.loop)


class LayeredWriter(io.BufferedIOBase):
    """Compresses what is written to a blob. Closes it as well, which layers leave to others.

    :param layer: compresses into `blob`.
    """

    def __init__(self, layer: Any, blob: BlobWriter) -> None:
        self._layer = layer
        self._blob = blob

    def writable(self) -> bool:
        """Whether it can be written: always."""
        return True

    def write(self, data: Any) -> int:
        """Compress and write."""
        self._layer.write(data)
        return memoryview(data).nbytes

    def flush(self) -> None:
        """Hand on what the compressor lets go."""
        if not self._layer.closed and not self._blob.closed:
            self._layer.flush()

    def discard(self) -> None:
        """Publish nothing."""
        self._blob.discard()

    def close(self) -> None:
        """Publish what was written; nothing, if it cannot be completed."""
        if self.closed:
            return
        try:
            self._layer.close()
        except BaseException:
            self.discard()
            raise
        finally:
            super().close()
        self._blob.close()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            self.discard()
        self.close()

    def __del__(self) -> None:
        """Leave the blob alone: it tells by itself that it was never closed."""


class TextWriter(io.TextIOWrapper):
    """Encodes text on its way to a blob."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            self.buffer.discard()  # type: ignore[attr-defined]  # a writer of this module
        self.close()

    def __del__(self) -> None:
        """Leave the blob alone, as above."""
