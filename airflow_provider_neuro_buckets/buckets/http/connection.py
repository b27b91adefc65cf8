"""One connection: a request goes out, its answer comes in, then the next one may."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from contextvars import copy_context
from typing import cast

import httptools
from multidict import CIMultiDict

from airflow_provider_neuro_buckets.buckets.http.answer import Answer, Chunk
from airflow_provider_neuro_buckets.buckets.http.faults import Broken
from airflow_provider_neuro_buckets.buckets.http.lending import Loan
from airflow_provider_neuro_buckets.buckets.http.pouring import Basin
from airflow_provider_neuro_buckets.buckets.http.sending import Outgoing, send
from airflow_provider_neuro_buckets.buckets.pace import Pace
from airflow_provider_neuro_buckets.buckets.threads import ended

READ_AT_ONCE = 1024 * 1024
"""Bytes that are asked of the socket at once while a large body arrives."""
LARGE = 512 * 1024
"""Bytes of a body for which it is worth while to wake a thread."""
LARGEST_HEAD = 64 * 1024
"""Bytes of status and headers, those of provisional answers before it included; or of what follows a body in chunks."""
_SCRATCH = 16 * 1024
_RECORD = 16 * 1024
"""Bytes that TLS decrypts at once."""
_PROVISIONAL = range(100, 200)


class Connection(asyncio.BufferedProtocol):
    """One connection of HTTP/1.1.

    :param silence: seconds without a byte after which a request is given up; `None` for no limit.
    :param idle: told when it may carry the next request.
    :param lost: told when it has ended.
    :param threads: take large bodies from the network.
    :ivar idle_since: when it last became free, by the loop's clock.
    """

    transport: asyncio.Transport | None = None

    def __init__(
        self,
        silence: float | None,
        *,
        threads: Executor,
        idle: Callable[[Connection], None],
        lost: Callable[[Connection], None],
    ) -> None:
        self._silence = silence
        self._threads = threads
        self._idle = idle
        self._lost = lost
        self.idle_since = 0.0
        self.is_lost = False
        self._answer: Answer | None = None
        self._parser: httptools.HttpResponseParser | None = None
        self._sending: asyncio.Task[None] | None = None
        self._can_write: asyncio.Future[None] | None = None
        self._loan: Loan | None = None
        # What is parsed comes into one buffer, again and again; the rest of a body whose length is known into its own.
        self._scratch = memoryview(bytearray(_SCRATCH))
        self._room = self._scratch[:0]
        self._is_head = False
        self._lines: list[tuple[str, str]] = []
        self._head_bytes = 0
        self._left: int | None = None
        self._is_past_parser = False
        self._is_until_end = False
        self._keeps = False

    # For who asks

    @property
    def is_sending(self) -> bool:
        """Whether the body of a request is still on its way."""
        return self._sending is not None and not self._sending.done()

    async def ask(self, method: str, head: bytes, body: Outgoing, *, pace: Pace | None = None) -> Answer:
        """Send a request; return its answer once status and headers are there.

        :param head: request line and headers, with the empty line after them.
        :param pace: limits the bytes per second of the body.
        :raises TimeoutError: no more of the body is taken, or no answer comes.
        :raises ConnectionError: the connection breaks, or what comes is not HTTP.
        """
        transport = self.transport
        if self.is_lost or transport is None:  # at once after it was made
            raise Broken("ServerDisconnected")
        answer = self._answer = Answer(self, self._silence)
        self._parser = httptools.HttpResponseParser(self)
        self._is_head = method == "HEAD"
        self._lines = []
        self._head_bytes = 0
        self._left = None
        if pace is None and body.is_small:
            transport.write(b"".join((head, *body.pieces)))
        else:
            transport.write(head)
            sending = send(self, transport, body, silence=self._silence, pace=pace)
            self._sending = asyncio.get_running_loop().create_task(sending)
            self._sending.add_done_callback(self._sent)
        try:
            await answer.head()
        except BaseException:
            self.drop()
            raise
        return answer

    def drop(self, error: Exception | None = None) -> None:
        """End the connection at once; an answer that has not ended does so with `error`."""
        answer, self._answer = self._answer, None
        if answer is not None and error is not None:
            answer.finish(error)
        if self._sending is not None:
            self._sending.cancel()
        if self._loan is not None:
            self._loan.end()
        if self.transport is not None:
            self.transport.abort()

    def hold(self) -> None:
        """Take no more from the network."""
        if self.transport is not None:
            self.transport.pause_reading()

    def go_on(self) -> None:
        """Take from the network again."""
        if self.transport is not None:
            self.transport.resume_reading()

    @property
    def can_pour(self) -> bool:
        """Whether a thread may take the rest of a body from the socket."""
        transport = self.transport
        if transport is None or transport.is_closing() or self.is_sending or transport.get_write_buffer_size():
            return False
        is_plain = transport.get_extra_info("sslcontext") is None
        return is_plain and self._is_past_parser and (self._left or 0) >= LARGE

    async def pour(self, arrived: Sequence[Chunk], basin: Basin) -> OSError | None:
        """Let a thread put the rest of a body into a basin, after what has arrived of it."""
        transport, left = self.transport, self._left or 0
        assert transport is not None
        transport.pause_reading()
        try:
            loan = Loan(transport.get_extra_info("socket").fileno(), left=left, silence=self._silence)
        except OSError as error:  # there is no descriptor to be had
            self.drop(error)
            return error
        self._loan = loan
        try:
            failure = await self._poured(loan, arrived, basin)
        finally:
            self._loan = None
            loan.close()
        if self._answer is not None:
            if failure is None:
                self._complete(self._answer)
            else:
                self.drop(failure)
        return failure

    async def _poured(self, loan: Loan, arrived: Sequence[Chunk], basin: Basin) -> OSError | None:
        loop = asyncio.get_running_loop()
        running = loop.run_in_executor(self._threads, copy_context().run, loan.pour, arrived, basin)
        try:
            return await asyncio.shield(running)
        except BaseException:
            self.drop()
            if not loan.recall():
                await ended(running)
            raise
        finally:
            del running  # an error of the basin refers to this frame

    async def drain(self) -> None:
        """Wait until the system takes more.

        :raises ConnectionError: the connection has ended.
        """
        if self._can_write is not None:
            await asyncio.shield(self._can_write)
        if self.is_lost or self.transport is None or self.transport.is_closing():
            raise Broken("ClosedConnection")

    def _sent(self, sending: asyncio.Task[None]) -> None:
        self._sending = None
        if sending.cancelled():
            return
        error = sending.exception()
        if isinstance(error, TimeoutError):
            self.drop(error)
        elif self._answer is not None:  # if the connection broke, that is told by itself; else time begins to count
            self._answer.look()

    # For asyncio

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the transport."""
        self.transport = cast("asyncio.Transport", transport)

    def connection_lost(self, exc: Exception | None) -> None:
        """Take note of the end."""
        self.is_lost = True
        if self._loan is not None:
            self._loan.end()
        self.resume_writing()  # whoever waits for that sees the end
        answer, self._answer = self._answer, None
        if answer is not None:
            is_whole = exc is None and answer.status and self._is_until_end
            answer.finish(None if is_whole else Broken("ServerDisconnected" if exc is None else type(exc).__name__))
        self._parser = None  # it refers to this
        self._room = self._scratch[:0]
        self._lost(self)

    def pause_writing(self) -> None:
        """Take note that the system takes no more for now."""
        self._can_write = asyncio.get_running_loop().create_future()

    def resume_writing(self) -> None:
        """Take note that it does again."""
        if self._can_write is not None and not self._can_write.done():
            self._can_write.set_result(None)
        self._can_write = None

    def get_buffer(self, sizehint: int) -> memoryview:
        """Say where the next bytes go.

        At the end of a connection with TLS asyncio fills one buffer, and what has no room in it is lost.
        """
        wanted = sizehint + _RECORD if sizehint > 0 else 1
        if not self._is_past_parser:
            if wanted > len(self._scratch):
                self._scratch = memoryview(bytearray(wanted))
            return self._scratch
        left = self._left or 0
        if len(self._room) < min(left, wanted):
            self._room = memoryview(bytearray(min(left, max(READ_AT_ONCE, wanted))))
        return self._room

    def buffer_updated(self, nbytes: int) -> None:
        """Take the bytes that have arrived."""
        answer = self._answer
        if answer is None:
            self.drop()  # nobody has asked, or nobody wants it any more
            return
        if self._is_past_parser:
            self._take(answer, nbytes)
        else:
            self._parse(answer, nbytes)
        answer.look()

    def _take(self, answer: Answer, size: int) -> None:
        assert self._left is not None
        answer.add(self._room[:size])
        self._room = self._room[size:]
        self._left -= size
        if not self._left:
            self._complete(answer)

    def _parse(self, answer: Answer, size: int) -> None:
        assert self._parser is not None
        self._head_bytes += size
        try:
            self._parser.feed_data(self._scratch[:size])
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            self.drop(Broken(type(error).__name__))
            return
        if self._answer is not answer:
            return
        self._is_past_parser = bool(answer.status and self._left)
        if self._head_bytes > LARGEST_HEAD:
            self.drop(Broken("HeadTooLarge"))

    def _complete(self, answer: Answer) -> None:
        self._answer = None
        self._is_past_parser = False
        if len(self._scratch) > _SCRATCH:
            self._scratch = memoryview(bytearray(_SCRATCH))
        self._room = self._scratch[:0]
        answer.finish()
        transport = self.transport
        assert transport is not None
        if not self._keeps or self.is_sending or transport.get_write_buffer_size():
            # The rest of a request is not sent that was answered before its end. Not at once: asyncio is at work here.
            asyncio.get_running_loop().call_soon(self.drop)
            return
        transport.resume_reading()  # what is unread waits in the answer, not here
        self.idle_since = asyncio.get_running_loop().time()
        self._idle(self)

    # For the parser

    def on_message_begin(self) -> None:
        """Take note of an answer; if nobody asked for it, whatever comes after it cannot be told apart."""
        if self._answer is None:
            self.drop()

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header; what follows a body in chunks is of no use."""
        if self._answer is None or self._answer.status:
            return
        self._lines.append((name.decode("latin-1"), value.decode("utf-8", "surrogateescape")))

    def on_headers_complete(self) -> None:
        """Take the head, unless it is a provisional one."""
        answer, parser = self._answer, self._parser
        if answer is None or parser is None or (status := parser.get_status_code()) in _PROVISIONAL:
            return
        if not status:
            self.drop(Broken("NoStatus"))
            return
        headers = CIMultiDict(self._lines)
        self._keeps = parser.should_keep_alive()
        if (encoding := headers.get("Transfer-Encoding")) is None:
            length = headers.get("Content-Length")
            self._is_until_end = length is None
            self._left = None if length is None else int(length)
        else:
            self._is_until_end = not encoding.lower().endswith("chunked")
        answer.begin(status, headers)
        if self._is_head:
            self._left = None
            is_last = parser.get_http_version() != "1.1" or "close" in headers.get("Connection", "").lower()
            self._keeps = not is_last  # the parser waits for a body, and without a length for the end
            self._complete(answer)

    def on_body(self, content: bytes) -> None:
        """Take more of the body."""
        if self._answer is None:
            self.drop()  # there is none after a HEAD
            return
        self._head_bytes = 0
        self._answer.add(content)
        if self._left is not None:
            self._left -= len(content)

    def on_message_complete(self) -> None:
        """Take note of the end of an answer, unless it is a provisional one."""
        if self._answer is None:
            return
        if self._answer.status:
            self._complete(self._answer)
        else:
            self._lines = []
