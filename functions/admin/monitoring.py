"""What was predicted, and how the service does."""

import re
from datetime import date
from typing import Annotated

from fastapi import APIRouter, Query
from fastapi.responses import Response
from pydantic import BeforeValidator

from clickbait import LABELS, aws, errors
from clickbait.errors import Unavailable
from clickbait.observability import logger
from clickbait.store import history, monitoring
from clickbait.web.access import PROTECTED, Member
from clickbait.web.app import documented, json_response
from functions.admin import stores
from functions.paging import DEFAULT_LIMIT, Cursor, Limit, decode_cursor, encode_cursor, page

router = APIRouter()

DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


def written_out(day: str) -> str:
    """`day` as it is; raises ValueError unless it is written as YYYY-MM-DD.

    Pydantic alone takes a number too, as seconds since 1970: the day of `2026` is 1970-01-01.
    """
    if not DAY.fullmatch(day):
        raise ValueError("a day is written as YYYY-MM-DD")
    return day


Prediction = Annotated[
    str | None,
    Query(alias="class", pattern=f"^({'|'.join(LABELS)})$", description="only this class"),
]
Day = Annotated[
    Annotated[date, BeforeValidator(written_out)] | None,
    Query(description="only this day, in UTC, as YYYY-MM-DD"),
]
Version = Annotated[str | None, Query(max_length=64, description="only by this version")]
Batch = Annotated[str | None, Query(max_length=64, description="only of this batch")]
Window = Annotated[monitoring.Window, Query(description="how far back")]


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
    """Of the last 30 days; the image itself is not kept.

    A page may have fewer than `limit` items, or none, and a `next` all the same: where what is
    asked for is rare, each answer looks through 10,000 predictions.
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
def metrics(_: Member, window: Window = "24h") -> Response:
    """By minute for `1h`, by hour for `24h` and `7d`.

    Drift compares the last day's images with those the live model learned from, whatever the
    window.
    """
    stores.table()
    try:
        told = monitoring.metrics(window) | {"drift": monitoring.drift()}
    except aws.faults() as error:
        logger.error("metrics cannot be read", reason=str(error))
        raise Unavailable("The metrics cannot be read now; the log says why. Try again.") from error
    return json_response(told)
