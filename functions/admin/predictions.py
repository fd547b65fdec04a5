"""Past predictions: a list with filters, and one with its image."""

import re
from collections.abc import Sequence
from datetime import date
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query
from fastapi.responses import Response
from pydantic import BeforeValidator

from clickbait import LABELS, Verdict, errors
from clickbait.keys import MAX_BATCH_ID, UPLOADS, id_of
from clickbait.settings import settings
from clickbait.store import history, presigned
from clickbait.store.history import Source
from clickbait.web.access import PROTECTED, Given, Member, is_admin
from clickbait.web.app import documented, json_response
from functions.admin import stores
from functions.paging import DEFAULT_LIMIT, Cursor, Limit, decode_cursor, encode_cursor, page

router = APIRouter()

DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")

MAX_ID = 400
"""Characters of an id: those of a time, and of a request id of up to 200 bytes."""


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
InWords = Annotated[
    Verdict | None,
    Query(description="only this verdict: clickbait and legitimate are without the unsure ones"),
]
Day = Annotated[
    Annotated[date, BeforeValidator(checked_day)] | None,
    Query(description="only this day, in UTC, as YYYY-MM-DD"),
]
Version = Annotated[str | None, Query(max_length=64, description="only by this version")]
Batch = Annotated[str | None, Query(max_length=MAX_BATCH_ID, description="only of this batch")]
From = Annotated[
    Source | None,
    Query(description="predict: POST /predict; batch: POST /predict-batch; worker: of a batch"),
]
PredictionId = Annotated[
    str, Path(max_length=MAX_ID, description="a prediction's id, from POST /predict or the list")
]


@router.get(
    "/predictions",
    summary="Predictions, newest first",
    responses=documented("Predictions", errors.BadRequest, *PROTECTED),
)
def predictions(
    _: Member,
    given: Given,
    limit: Limit = DEFAULT_LIMIT,
    cursor: Cursor = None,
    *,
    prediction: Prediction = None,
    verdict: InWords = None,
    day: Day = None,
    version: Version = None,
    batch: Batch = None,
    source: From = None,
) -> Response:
    """Predictions of the last 30 days. An admin gets a link to each image that is still stored: an
    image of a batch for a week, an upload for a day, an unsure one if KEEP_UNSURE says so.

    Filters have no index. `day` reads that day alone; the others search all predictions, newest
    first, at most 10,000 or for ten seconds in each response. So a page may have fewer than
    `limit` items, or none, and still a `next`.
    """
    rows, following = history.page(
        stores.table(),
        limit,
        decode_cursor("predictions", cursor),
        prediction=prediction,
        verdict=verdict,
        day=day,
        version=version,
        batch=batch,
        source=source,
    )
    body = page(_with_images(rows, given), encode_cursor("predictions", following))
    return json_response(body | {"searched_to": following and history.time_of(following)})


@router.get(
    "/predictions/{prediction}",
    summary="One prediction",
    responses=documented("PastPrediction", errors.NotFound, errors.BadRequest, *PROTECTED),
)
def prediction(_: Member, given: Given, prediction: PredictionId) -> Response:
    """A prediction of the last 30 days, as in the list."""
    (found,) = _with_images([history.get(stores.table(), prediction)], given)
    return json_response(found)


def _with_images(rows: Sequence[dict[str, Any]], given: Given) -> list[dict[str, Any]]:
    """`rows` of `history` with links to their images in place of the keys.

    Only for an admin (`stores.view_url`), because asking S3 about each image costs.
    """
    bucket = settings().data_bucket
    named = {row["id"]: row for row in rows if row["key"]} if bucket and is_admin(given) else {}
    found: dict[str, str | None] = {}
    if named:
        keys = stores.at_once(lambda one: history.image_of(bucket, named[one]), named)
        found = dict(zip(named, keys, strict=True))
    return [_linked(row, found.get(row["id"])) for row in rows]


def _linked(row: dict[str, Any], key: str | None) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name != "key"} | {
        "url": key and presigned.view_url(key),
        "review": id_of(key) if key and not key.startswith(UPLOADS) else None,
    }
