"""HTTP/1.1 with limits on what a client may leave unfinished: a head, a body, reading a response.

uvicorn itself ends only connections that are idle between two requests. A connection that stalls
within one would keep its memory for ever, and a head could be as large as memory.
"""

import json
import uuid
from asyncio import TimerHandle, Transport
from typing import Any, ClassVar

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from clickbait.errors import BadRequest, Problem
from clickbait.web.app import PROBLEM_TYPE, problem_document

STALL_SECONDS = 30
"""Seconds in which a head must be complete, the next bytes of a body must come, and a client must
read on. Phones lose their network for ten seconds at a time, rarely for longer."""

BODY_STALLS = 10
"""A body must be complete within this many times the limit: 4 MiB in 300 s is 14 KB/s."""

MAX_HEAD = 32 * 1024
"""The most bytes of a request's address and headers, and of what stands between the bytes of a body
or behind them: sizes of chunks and trailers. Browsers send 2 KB; API Gateway takes 10."""


class BadHttp(BadRequest):
    """Raise when the bytes of a request are not HTTP/1.1."""

    status, title = 400, "Invalid HTTP"


class HeadTooLarge(Problem):
    """Raise when the address and headers of a request have more bytes than the limit."""

    status, title = 431, "Headers too large"


class TooSlow(Problem):
    """Raise when a request stops arriving before it is complete."""

    status, title = 408, "Request too slow"


class BoundedProtocol(HttpToolsProtocol):
    """A connection that is closed if its client breaks a limit, with a problem document if no
    response has begun."""

    accepted: ClassVar[int] = 0
    """Connections of this process so far."""

    def __init__(self, *given: Any, stall_seconds: float = STALL_SECONDS, **named: Any) -> None:
        super().__init__(*given, **named)
        self._stall = stall_seconds
        self._begun = self._in_head = self._in_body = self._ended = False
        self._unread_bytes = 0  # since the head began, or since the last byte of the body
        self._latest = 0.0
        self._deadline: float | None = None
        self._timer: TimerHandle | None = None
        self._unread: TimerHandle | None = None

    # --- the connection --------------------------------------------------------------------------

    def connection_made(self, transport: Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        BoundedProtocol.accepted += 1
        self._expect()

    def connection_lost(self, exc: Exception | None) -> None:
        for timer in (self._timer, self._unread):
            if timer:
                timer.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._ended:
            return
        self._begun = True
        self._unread_bytes += len(data)
        if not self._in_head and (self._in_body or self._deadline is None):
            self._expect()
        super().data_received(data)
        if self._unread_bytes > MAX_HEAD and (self._in_head or self._in_body):
            self._refuse_head()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._unread = self.loop.call_later(self._stall, self.transport.abort)

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._unread:
            self._unread.cancel()

    # --- the parser ------------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._in_head, self._unread_bytes = True, 0

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._in_head:  # Not a trailer: nobody reads those.
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        if self._ended:
            return
        size = len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)
        self._in_head, self._in_body, self._unread_bytes = False, True, 0
        if size > MAX_HEAD:
            self._refuse_head()
            return
        self._latest = self.loop.time() + BODY_STALLS * self._stall
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self._unread_bytes = 0
        if not self._ended:
            super().on_body(body)

    def on_message_complete(self) -> None:
        self._in_body, self._deadline = False, None
        if not self._ended:
            super().on_message_complete()

    # --- limits ----------------------------------------------------------------------------------

    def _expect(self) -> None:
        """Give the client time for what comes next."""
        now = self.loop.time()
        self._deadline = now + self._stall
        if self._in_body:
            self._deadline = min(self._deadline, self._latest)
        if self._timer is None:
            self._timer = self.loop.call_at(self._deadline, self._check)

    def _check(self) -> None:
        """End the connection if its deadline has passed, otherwise look again then."""
        self._timer = None
        if self._deadline is None or self.transport.is_closing():
            return
        if self.flow.read_paused or (self._in_head and self._waits()):
            # We do not read, so the client cannot send; or it still waits for its last response.
            self._deadline = self.loop.time() + self._stall
        if self.loop.time() < self._deadline:
            self._timer = self.loop.call_at(self._deadline, self._check)
        elif self._begun:
            part = "The body" if self._in_body else "The head of the request"
            self._end(
                TooSlow(
                    f"{part} did not arrive in time: {self._stall:g} s without a byte, or "
                    f"{BODY_STALLS * self._stall:g} s in all. Send the request again."
                )
            )
        else:
            self.transport.close()

    def _refuse_head(self) -> None:
        self._end(
            HeadTooLarge(
                f"The address and the headers of a request may have {MAX_HEAD:,} bytes, and so may "
                "its trailers. Send shorter ones: an image belongs in the body.",
                limit=MAX_HEAD,
            )
        )

    def send_400_response(self, msg: str) -> None:
        """Refuse what the parser cannot read; uvicorn calls this."""
        self._end(BadHttp("The bytes that arrived are not an HTTP/1.1 request. Send one."))

    def _waits(self) -> bool:
        """Whether the client waits for the response to a request that began to arrive."""
        return self.cycle is not None and not self.cycle.response_complete

    def _end(self, problem: Problem) -> None:
        """Close the connection, with `problem` unless another response is due or has begun."""
        self._ended, self._deadline = True, None
        waits = self._waits()
        if not waits or not (self._in_head or self.pipeline or self.cycle.response_started):
            request_id = uuid.uuid4().hex
            body = json.dumps(problem_document(problem, request_id)).encode()
            head = b"content-type: %b\r\ncontent-length: %d\r\nx-request-id: %b\r\n" % (
                PROBLEM_TYPE.encode(),
                len(body),
                request_id.encode(),
            )
            status = STATUS_LINE[problem.status]
            self.transport.write(b"%b%bconnection: close\r\n\r\n%b" % (status, head, body))
        if waits:
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        self.transport.close()
        # A client that reads nothing must not keep the connection.
        self._unread = self.loop.call_later(self._stall, self.transport.abort)
