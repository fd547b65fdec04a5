"""The figures of this server, counted by all of its workers, as text for Prometheus.

Each worker counts in its own row of shared memory, and any of them can add them up. So it does not
matter which worker answers GET /metrics, and a worker that is replaced loses no count.
"""

import ctypes
import json
import mmap
import os
import sys
import time
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from itertools import accumulate
from multiprocessing.sharedctypes import RawArray
from pathlib import Path
from typing import TypeAlias

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from clickbait.errors import BadRequest
from clickbait.settings import settings
from clickbait.store.live import serving
from clickbait.web import access
from clickbait.web.app import CLIENT_LEFT

STATUSES: Sequence[int] = (
    *(200, 201, 202, 204, 304, 307, 400, 401, 403, 404, 405, 409, 413, 415, 422, 429),
    *(CLIENT_LEFT, 500, 501, 502, 503, 0),
)
"""Statuses that are counted; 0 counts all others."""

BUCKETS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Seconds: the upper bounds of the histogram. An image takes 0.02 s, a full queue 4 s."""

PREDICTS = ("/predict", "/predict-batch")
WAITING, PROCESS, SUM = range(-3, 0)
"""Places of the other figures in a row, from its end."""

WIDTH = len(STATUSES) + len(BUCKETS) + 1 + 3
TEXT = "text/plain; version=0.0.4; charset=utf-8"

Row = Sequence[float]
Shared: TypeAlias = "ctypes.Array[ctypes.c_double]"


def shared_figures(workers: int) -> Shared:
    """Memory for the figures of `workers`, which processes share that are started later."""
    numbers = workers * WIDTH
    if sys.platform == "linux":
        # Workers are forked there. RawArray needs a file in /dev/shm, which may not exist.
        size = numbers * ctypes.sizeof(ctypes.c_double)
        return (ctypes.c_double * numbers).from_buffer(mmap.mmap(-1, size))
    figures: Shared = RawArray("d", numbers)
    return figures


class Counters:
    """The figures of one worker in shared memory, and those of all workers."""

    def __init__(self, shared: Shared, place: int) -> None:
        """`shared` has WIDTH numbers for each worker; `place` is this one's."""
        self._shared = shared
        self._start = place * WIDTH
        self._end = self._start + WIDTH
        self._set(PROCESS, os.getpid())

    @property
    def rows(self) -> list[Row]:
        """The figures of each worker."""
        return [self._shared[n : n + WIDTH] for n in range(0, len(self._shared), WIDTH)]

    def answered(self, path: str, status: int, seconds: float) -> None:
        """Count a response, and its time if it is a prediction."""
        self._add(STATUSES.index(status if status in STATUSES else 0))
        if path in PREDICTS and status == 200:
            self._add(len(STATUSES) + bisect_left(BUCKETS, seconds))
            self._add(WIDTH + SUM, seconds)

    def waiting(self, requests: int) -> None:
        """Store how many requests wait for their turn."""
        self._set(WAITING, requests)

    def _add(self, place: int, value: float = 1.0) -> None:
        self._shared[self._start + place] += value

    def _set(self, from_end: int, value: float) -> None:
        self._shared[self._end + from_end] = value


class Measured:
    """ASGI middleware that counts every response of `app`."""

    def __init__(self, app: ASGIApp, counters: Counters, waiting: Callable[[], int]) -> None:
        self.app, self._counters, self._waiting = app, counters, waiting

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started, status = time.perf_counter(), CLIENT_LEFT

        async def counted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self.app(scope, receive, counted)
        finally:
            self._counters.answered(scope["path"], status, time.perf_counter() - started)
            self._counters.waiting(self._waiting())


def wants_text(request: Request) -> bool:
    """Whether a request is for the figures of this server, as Prometheus asks for them.

    Raises BadRequest if it names another format.
    """
    asked = request.query_params.get("format")
    if asked not in (None, "json", "prometheus"):
        raise BadRequest("format: only json and prometheus are known.")
    accepted = request.headers.get("accept", "").lower()
    # Some clients, such as axios, accept JSON and text in all of their requests.
    text = "text/plain" in accepted and "application/json" not in accepted
    return asked == "prometheus" or (asked is None and text)


async def respond(request: Request, counters: Counters) -> Response:
    """The figures. If this server has an admin token, ACCESS decides who may read them."""
    if settings().admin_secret:
        given = await access.MEMBER_BEARER(request)
        await run_in_threadpool(access.member, request, given)
    return PlainTextResponse("\n".join(lines(counters.rows)) + "\n", media_type=TEXT)


def lines(rows: Sequence[Row]) -> Iterator[str]:
    """The figures of all workers in Prometheus' text format."""
    total = [sum(column) for column in zip(*rows, strict=True)]
    counts = total[: len(STATUSES)]
    times = list(accumulate(total[len(STATUSES) : len(STATUSES) + len(BUCKETS) + 1]))
    yield from _about("requests_total", "counter", "Responses by status; 0: any other status.")
    for status, count in zip(STATUSES, counts, strict=True):
        if count:
            yield f'clickbait_requests_total{{status="{status}"}} {count:.0f}'
    yield from _about("prediction_seconds", "histogram", "Time of requests that predict.")
    for bound, count in zip((*map(str, BUCKETS), "+Inf"), times, strict=True):
        yield f'clickbait_prediction_seconds_bucket{{le="{bound}"}} {count:.0f}'
    yield f"clickbait_prediction_seconds_sum {total[SUM]:.6f}"
    yield f"clickbait_prediction_seconds_count {times[-1]:.0f}"
    yield from _about("waiting_requests", "gauge", "Requests that wait for their turn.")
    yield f"clickbait_waiting_requests {total[WAITING]:.0f}"
    yield from _about("worker_memory_bytes", "gauge", "Resident memory of each worker.")
    for place, row in enumerate(rows):
        if memory := _memory(int(row[PROCESS])):
            yield f'clickbait_worker_memory_bytes{{worker="{place}"}} {memory}'
    yield from _about("model_info", "gauge", "The model that answers now.")
    version = serving().current().version
    # JSON escapes quotes, backslashes and line ends as this format does.
    yield f"clickbait_model_info{{version={json.dumps(version, ensure_ascii=False)}}} 1"


def _about(name: str, kind: str, text: str) -> Iterator[str]:
    yield f"# HELP clickbait_{name} {text}"
    yield f"# TYPE clickbait_{name} {kind}"


def _memory(process: int) -> int:
    """Resident memory in bytes; 0 where the kernel does not say it."""
    try:
        pages = Path(f"/proc/{process}/statm").read_text().split()[1]
    except OSError:
        return 0
    return int(pages) * os.sysconf("SC_PAGE_SIZE")
