"""Past predictions, and metrics of the service."""

import re
from datetime import date
from typing import Annotated

from fastapi import APIRouter, Query
from fastapi.responses import Response
from pydantic import BeforeValidator

from clickbait import LABELS, aws, errors
from clickbait.errors import Unavailable
from clickbait.keys import MAX_BATCH_ID
from clickbait.observability import logger
from clickbait.store import history, monitoring
from clickbait.web.access import PROTECTED, Member
from clickbait.web.app import documented, json_response
from functions.admin import stores
from functions.paging import DEFAULT_LIMIT, Cursor, Limit, decode_cursor, encode_cursor, page

router = APIRouter()

DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


def checked_day(day: str) -> str:
    """`day` unchanged; raises ValueError unless it has the form YYYY-MM-DD.

    Pydantic alone also accepts a number, as seconds since 1970: it reads `2026` as 1970-01-01.
    """
    if not DAY.fullmatch(day):
        raise ValueError("a day is written as YYYY-MM-DD")
    return day


Prediction = Annotated[
    str | None,
    Query(alias="class", pattern=f"^({'|'.join(LABELS)})$", description="only this class"),
]
Day = Annotated[
    Annotated[date, BeforeValidator(checked_day)] | None,
    Query(description="only this day, in UTC, as YYYY-MM-DD"),
]
Version = Annotated[str | None, Query(max_length=64, description="only by this version")]
Batch = Annotated[str | None, Query(max_length=MAX_BATCH_ID, description="only of this batch")]
Window = Annotated[monitoring.Window, Query(description="how far back")]
Functions = Annotated[bool, Query(description="with the figures of every function, not of predict")]


@router.get(
    "/predictions",
    summary="Predictions, newest first",
    responses=documented("Predictions", errors.BadRequest, *PROTECTED),
)
def predictions(
    _: Member,
    limit: Limit = DEFAULT_LIMIT,
    cursor: Cursor = None,
    *,
    prediction: Prediction = None,
    day: Day = None,
    version: Version = None,
    batch: Batch = None,
) -> Response:
    """Predictions of the last 30 days. Images are not kept.

    A page may have fewer than `limit` items, or none, and still a `next`, because each response
    searches at most 10,000 predictions.
    """
    items, following = history.page(
        stores.table(),
        limit,
        decode_cursor("predictions", cursor),
        prediction=prediction,
        day=day,
        version=version,
        batch=batch,
    )
    return json_response(page(items, encode_cursor("predictions", following)))


@router.get(
    "/metrics",
    summary="Requests, errors, latency, classes and drift",
    responses=documented("Metrics", errors.BadRequest, *PROTECTED),
)
def metrics(_: Member, window: Window = "24h", *, functions: Functions = True) -> Response:
    """Points for each minute of `1h`, or each hour of `24h` and `7d`. Figures of `1h` are up to one
    minute old, the others up to five.

    For every window, drift compares the images of the last day with those from which the live model
    learned.
    """
    stores.table()
    try:
        names = monitoring.FUNCTIONS if functions else (monitoring.LATENCY_SERVICE,)
        body = monitoring.metrics(window, names) | {"drift": monitoring.drift()}
    except aws.faults() as error:
        logger.error("metrics cannot be read", reason=str(error))
        raise Unavailable("The metrics cannot be read now; the log says why. Try again.") from error
    return json_response(body)
