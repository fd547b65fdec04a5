"""Metrics of the service."""

from typing import Annotated

from fastapi import APIRouter, Query
from fastapi.responses import Response

from clickbait import aws, errors
from clickbait.errors import Unavailable
from clickbait.observability import logger
from clickbait.store import monitoring
from clickbait.web.access import PROTECTED, Member
from clickbait.web.app import documented, json_response
from functions.admin import stores

router = APIRouter()

Window = Annotated[monitoring.Window, Query(description="how far back")]
Functions = Annotated[bool, Query(description="with the figures of every function, not of predict")]


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
