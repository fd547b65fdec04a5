"""One worker of `make serve`: uvicorn on its own socket, with a bounded queue.

A worker classifies one image at a time, because it has one core. Other requests wait in the order
in which their bodies were complete. If too many wait already, or their bodies would take too much
memory, a request gets 503 at once.
"""

import asyncio
import os
import time
import uuid
from collections import deque
from functools import partial
from pathlib import Path
from socket import socket
from typing import Any, ClassVar

import uvicorn
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from clickbait.errors import Unavailable
from clickbait.settings import settings
from clickbait.web.app import problem_response
from clickbait.web.bodies import MAX_FORM_OVERHEAD, MAX_REQUEST_BYTES
from local.serve.lingering import Lingering
from local.serve.metrics import Counters, Measured, Shared, respond, shared_figures
from local.serve.page import WithPage
from local.serve.protocol import STALL_SECONDS, BoundedProtocol
from local.serve.routes import all_routes
from ops import StackError

MAX_WAITING = 128  # Maximum number of waiting requests per worker: 2 s of work at 15 ms an image.

MAX_WAIT = 4.0
"""Seconds; maximum waiting time at the queue's current pace. On slow machines and with batches this
allows fewer requests than MAX_WAITING."""

PACE_SHARE = 0.1
"""Weight of a turn in the moving average of their lengths, which covers about twenty turns."""

RETRY_AFTER = 2  # Seconds; a full queue is empty by then.

MAX_HELD = 64 * 1024 * 1024
"""The most bytes of bodies in memory: 128 requests of the usual size, or 16 of the largest. A
worker with its model takes 120 MB, so it stays below 300 MB whatever its clients send."""

MAX_ROUNDS = 64
"""Rounds of the event loop between two turns while clients connect. libuv accepts one connection
a round, so without them the last of 250 clients would wait for 250 turns to be refused."""

SENDING_SECONDS = 2.0
"""A request whose body takes longer to arrive does not count until it is complete. It takes none of
the worker's time, and many slow senders must not fill the queue."""

MAX_BODY = MAX_REQUEST_BYTES + MAX_FORM_OVERHEAD

WITHOUT_BODY = {"GET", "HEAD", "OPTIONS"}
"""Methods that are answered at once, even if the queue is full: they cost next to nothing."""

BACKLOG = 2048  # Connections that the kernel holds while a worker is busy or being replaced.
KEEP_ALIVE_SECONDS = 30
STOP_SECONDS = 10
"""Time from the stop signal until open requests are cut off: twice the time of a full queue."""


class Busy(Unavailable):
    """Raise when the queue is full, so that the client sends the request again later."""

    title = "Service busy"
    headers: ClassVar[dict[str, str]] = {"Retry-After": str(RETRY_AFTER)}

    def __init__(self) -> None:
        super().__init__(
            f"Too many requests are waiting. Send this one again after {RETRY_AFTER} s."
        )


class _Body:
    """The body of a request: its bytes in memory, and the task that reads it."""

    def __init__(self, task: asyncio.Task[Any] | None) -> None:
        self.task, self.size, self.evicted = task, 0, False


class Queue:
    """ASGI middleware: requests with a body take turns when the body is complete; others pass.

    Between two turns the event loop has a round, and more while clients connect. So refusals, small
    requests and new connections wait for at most one image, never for the whole queue.
    """

    def __init__(
        self, app: ASGIApp, max_waiting: int = MAX_WAITING, max_wait: float = MAX_WAIT
    ) -> None:
        self.app, self.max_waiting, self.max_wait = app, max_waiting, max_wait
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._arriving: dict[object, float] = {}
        self._bodies: dict[_Body, None] = {}  # Those that arrive; the last one got bytes last.
        self._held = 0
        self._accepted = 0
        self._taken = False
        self._since = 0.0
        self._pace = 0.0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] in WITHOUT_BODY:
            await self.app(scope, receive, send)
            return
        if self.full():
            await self._refuse(scope, receive, send)
            return
        place, holding = _Body(asyncio.current_task()), False
        self._arriving[place] = time.monotonic()

        async def received() -> Message:
            nonlocal holding
            message = await receive()
            self._hold(place, len(message.get("body", b"")))
            # A slow sender delays nobody: it waits for its turn when its body is complete.
            if not (holding or message.get("more_body", False)):
                self._bodies.pop(place)
                await self._turn(self._arriving.pop(place, None) is not None)
                holding = True
            return message

        try:
            await self.app(scope, received, send)
        except asyncio.CancelledError:
            if not place.evicted:
                raise
            await self._refuse(scope, receive, send)
        finally:
            self._arriving.pop(place, None)
            self._bodies.pop(place, None)
            self._held -= place.size
            if holding:
                # In the next round, after those that became ready in this one have queued.
                asyncio.get_running_loop().call_soon(self._next)

    def length(self) -> int:
        """How many requests wait for their turn."""
        return len(self._waiting)

    def full(self) -> bool:
        """Whether a new request would be refused."""
        arriving, now = self._arriving, time.monotonic()
        while arriving and now - next(iter(arriving.values())) > SENDING_SECONDS:
            del arriving[next(iter(arriving))]
        ahead = len(self._waiting) + len(arriving)
        under_way = now - self._since if self._taken else 0.0
        waiting_bytes = self._held - sum(body.size for body in self._bodies)
        return (
            ahead >= self.max_waiting
            or waiting_bytes >= MAX_HELD
            or (ahead > 0 and ahead * self._pace + under_way > self.max_wait)
        )

    def _hold(self, body: "_Body", size: int) -> None:
        """Count `size` more bytes of `body`.

        If bodies take too much memory, the one that has waited longest for bytes is given up. It
        gets Busy: raised here, or in its own task.
        """
        self._bodies.pop(body, None)
        self._bodies[body] = None
        size = min(size, MAX_BODY - body.size)  # Routes keep no more of a body over its limit.
        body.size += size
        self._held += size
        while self._held > MAX_HELD:
            oldest = next(iter(self._bodies))
            if oldest is body or oldest.task is None:
                raise Busy
            del self._bodies[oldest]
            oldest.evicted = True
            oldest.task.cancel()
            self._held -= oldest.size
            oldest.size = 0

    async def _turn(self, counted: bool) -> None:
        """Wait for the turn of a request.

        Raises Busy if its body was too slow to be `counted` and the queue has filled up meanwhile.
        """
        if not self._taken:
            self._taken, self._since = True, time.monotonic()
            return
        if not counted and self.full():
            raise Busy
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self._next()  # It got the turn but will not use it.
            raise

    def _next(self, rounds: int = MAX_ROUNDS) -> None:
        """Give the next request its turn, after the connections that wait to be accepted."""
        if BoundedProtocol.accepted != self._accepted and rounds:
            self._accepted = BoundedProtocol.accepted
            asyncio.get_running_loop().call_soon(self._next, rounds - 1)
            return
        now = time.monotonic()
        self._pace += PACE_SHARE * (now - self._since - self._pace)
        self._since = now
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                return
        self._taken = False

    async def _refuse(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer 503 without reading the body; the app does not log these requests."""
        request_id = uuid.uuid4().hex
        response = problem_response(Busy(), request_id)
        response.headers["x-request-id"] = request_id
        origin = next((v.decode("latin-1") for k, v in scope["headers"] if k == b"origin"), "")
        if origin in settings().allowed_origins:
            response.headers["access-control-allow-origin"] = origin
            response.headers["access-control-expose-headers"] = "retry-after, x-request-id"
            response.headers["vary"] = "Origin"
        await response(scope, receive, send)


def application(counters: Counters | None = None) -> ASGIApp:
    """The routes of all HTTP functions behind one queue, with one model, which loads later."""
    counted = counters or Counters(shared_figures(1), 0)
    app, offered = all_routes(partial(respond, counters=counted))
    queue = Queue(app)
    measured = Measured(queue, counted, queue.length)
    folder = os.environ.get("SITE_DIR")
    return Lingering(WithPage(measured, Path(folder), offered) if folder else measured)


def load_model() -> None:
    """Load the model if there is no bucket; raises StackError if that fails.

    Processes that are forked later share its memory.
    """
    from functions.predict.app import service

    live = service.live
    if live.registry is None:
        try:
            live.current()
        except Unavailable:
            raise StackError(
                f"{live.problem}. Set MODEL_PATH to the folder of a whole version (model.tflite "
                "and metadata.json), such as `make train DATA=data OUT=version` writes, or unset "
                "it for the model that ships."
            ) from None


def work(
    listener: socket, place: int, shared: Shared, stall_seconds: float = STALL_SECONDS
) -> None:
    """Serve on `listener` until a signal stops it. This worker counts at `place` of `shared`."""
    config = uvicorn.Config(
        application(Counters(shared, place)),
        http=partial(BoundedProtocol, stall_seconds=stall_seconds),  # type: ignore[arg-type]
        ws="none",
        access_log=False,  # With DEBUG_MODE the app logs each request, with its id.
        log_level="warning",
        backlog=BACKLOG,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=STOP_SECONDS,
        server_header=False,
    )
    uvicorn.Server(config).run([listener])
