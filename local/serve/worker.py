"""One worker of `make serve`: uvicorn on a socket of its own, and a queue that ends.

A worker classifies one image at a time, because it has one core. What comes meanwhile waits in the
order in which it came whole; where too much waits already, it is refused at once with 503.
"""

import asyncio
import contextlib
import time
import uuid
from collections import deque
from socket import socket
from typing import ClassVar

import uvicorn
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from clickbait.errors import Unavailable
from clickbait.settings import settings
from clickbait.web.app import problem_response

MOST_WAITING = 128
"""Requests of one worker that wait for their turn: 2 s of work at 15 ms an image."""

LONGEST_WAIT = 4.0
"""Seconds: nobody joins a queue that is longer at its present pace. On slow machines, and where the
work is batches, that is fewer than MOST_WAITING."""

PACE_SHARE = 0.1
"""What one turn counts in the mean of their lengths: the last twenty or so make it."""

RETRY_AFTER = 2
"""Seconds: a full queue is worked off by then."""

SENDING_SECONDS = 2.0
"""A request whose body takes longer to come is not counted until it is whole: it takes no time of
the worker's, and many slow senders must not fill the queue."""

WITHOUT_BODY = {"GET", "HEAD", "OPTIONS"}
"""Answered at once, full or not: they cost next to nothing, and a full server is a healthy one."""

BACKLOG = 2048
"""Connections that the kernel keeps while a worker is busy or is being replaced."""

KEEP_ALIVE_SECONDS = 30
STOP_SECONDS = 10
"""From the request to stop until what is under way is cut off: twice a full queue."""


class Busy(Unavailable):
    """Raise when as much waits already as can be answered soon: it is refused at once, to be sent
    again."""

    title = "The service is full"
    headers: ClassVar[dict[str, str]] = {"Retry-After": str(RETRY_AFTER)}

    def __init__(self) -> None:
        super().__init__(
            f"More requests wait than can be answered soon. Send it again after {RETRY_AFTER} s."
        )


class Queue:
    """ASGI layer: requests with a body take turns, each when its body is there; the rest pass.

    One turn a round of the event loop, so that refusals, small requests and new connections wait
    for one image at most, and never for all that are queued.
    """

    def __init__(
        self, app: ASGIApp, most: int = MOST_WAITING, longest: float = LONGEST_WAIT
    ) -> None:
        self.app, self.most, self.longest = app, most, longest
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._coming: dict[object, float] = {}
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
        place, holding = object(), False
        self._coming[place] = time.monotonic()

        async def received() -> Message:
            nonlocal holding
            message = await receive()
            # A slow sender holds nobody up: its turn comes when all of the body is here.
            if not (holding or message.get("more_body", False)):
                await self._turn(self._coming.pop(place, None) is not None)
                holding = True
            return message

        try:
            await self.app(scope, received, send)
        finally:
            self._coming.pop(place, None)
            if holding:
                # In the next round: who became ready in this one has queued by then.
                asyncio.get_running_loop().call_soon(self._next)

    def full(self) -> bool:
        """Whether who comes now is refused."""
        coming, now = self._coming, time.monotonic()
        while coming and now - next(iter(coming.values())) > SENDING_SECONDS:
            del coming[next(iter(coming))]
        ahead = len(self._waiting) + len(coming)
        under_way = now - self._since if self._taken else 0.0
        return ahead >= self.most or (ahead > 0 and ahead * self._pace + under_way > self.longest)

    async def _turn(self, counted: bool) -> None:
        """Wait until it is this request's turn; raises Busy where it was too slow to be `counted`
        and the queue has filled up since it was let in."""
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
                self._next()  # It was given the turn and will not use it.
            raise

    def _next(self) -> None:
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
        """503 without reading the body. Outside the app, so that a flood is not logged a line a
        request."""
        request_id = uuid.uuid4().hex
        response = problem_response(Busy(), request_id)
        response.headers["x-request-id"] = request_id
        origin = next((v.decode("latin-1") for k, v in scope["headers"] if k == b"origin"), "")
        if origin in settings().allowed_origins:
            response.headers["access-control-allow-origin"] = origin
            response.headers["access-control-expose-headers"] = "retry-after, x-request-id"
            response.headers["vary"] = "Origin"
        await response(scope, receive, send)


def application() -> ASGIApp:
    """The API of all HTTP functions behind one queue, with one model; loads no model yet."""
    from functions.admin import app as admin
    from functions.batch import app as batch
    from functions.predict import app as predict

    known = predict.app.router.routes
    known += [route for other in (batch, admin) for route in other.app.routes if route not in known]
    return Queue(predict.app)


def load_model() -> None:
    """Load the model that serves without a bucket; raises Unavailable where it cannot be used.

    A process that is forked later has it already, in the same memory.
    """
    from functions.predict.app import service

    if service.live.registry is None:
        service.live.current()


def work(listener: socket) -> None:
    """Answer what comes to `listener` until a signal to stop."""
    config = uvicorn.Config(
        application(),
        access_log=False,  # DEBUG_MODE logs each request itself, with its id
        log_level="warning",
        backlog=BACKLOG,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=STOP_SECONDS,
        server_header=False,
    )
    # The signal that stopped it, raised again by uvicorn.
    with contextlib.suppress(KeyboardInterrupt):
        uvicorn.Server(config).run([listener])
