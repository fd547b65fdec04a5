"""Training runs: start one, list them, follow one, and cancel it."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query
from fastapi.responses import Response

from clickbait import errors
from clickbait.store.runs import Parameters, State
from clickbait.web.access import PROTECTED, Admin, Member
from clickbait.web.app import documented, json_request, json_response
from clickbait.web.bodies import json_body
from functions.admin import stores
from functions.admin.stores import ViewUrl
from functions.paging import (
    DEFAULT_LIMIT,
    MAX_LIMIT,
    Cursor,
    Limit,
    decode_cursor,
    encode_cursor,
    page,
)

router = APIRouter()

SEARCHED = 1_000
"""The most runs that one search reads: 20 KB each, about a second. `next` goes on from there."""

RunId = Annotated[str, Path(max_length=64, description="a run's id")]


@router.post(
    "/retrain",
    summary="Start a training",
    status_code=202,
    responses=documented("Run", errors.Conflict, errors.BadRequest, *PROTECTED, status=202),
    openapi_extra=json_request("Parameters", required=False),
)
def retrain(
    by: Admin, parameters: Annotated[Parameters, Depends(json_body(Parameters))]
) -> Response:
    """Starts a training on all images in `train/`. Omitted parameters have their defaults; the
    number of images decides between a small update and fine-tuning.

    Only one training runs at a time. A 409 names the one in progress, or says how many images a
    small update lacks.
    """
    run = stores.triggers().request(parameters, f"Requested by {by}.")
    return json_response(run, {"location": f"/runs/{run['id']}"}, status=202)


@router.get(
    "/runs",
    summary="Training runs, newest first",
    responses=documented("RunList", errors.BadRequest, *PROTECTED),
)
def runs(
    _: Member,
    q: Annotated[
        str, Query(max_length=100, description="text in the run's id, version or reason")
    ] = "",
    state: Annotated[State | None, Query(description="only runs in this state")] = None,
    limit: Limit = DEFAULT_LIMIT,
    cursor: Cursor = None,
) -> Response:
    """Each run with its state, and the reason for it in a sentence.

    A page of a search may have fewer items than `limit`, or none, although there is a `next`.
    """
    after, text = decode_cursor("runs", cursor), q.strip().casefold()
    if text or state:
        items, following = _search(text, state, limit, after)
    else:
        items, following = stores.runs().page(limit, after)
    return json_response(page(items, encode_cursor("runs", following)))


def _search(
    text: str, state: str | None, limit: int, after: str | None
) -> tuple[list[dict[str, Any]], str | None]:
    """Up to `limit` runs in `state` that have `text`, and where the next search goes on."""
    found: list[dict[str, Any]] = []
    for _ in range(SEARCHED // MAX_LIMIT):
        some, after = stores.runs().page(MAX_LIMIT, after)
        for run in some:
            names = "\n".join((run["id"], run.get("version") or "", run["reason"])).casefold()
            if state in (None, run["state"]) and text in names:
                found.append(run)
            if len(found) == limit:
                return found, run["id"]
        if after is None:
            break
    return found, after


@router.get(
    "/runs/{run}",
    summary="One training run",
    responses=documented("Run", errors.NotFound, errors.BadRequest, *PROTECTED),
)
def run(_: Member, run: RunId, view_url: ViewUrl) -> Response:
    """The epochs so far and, after the end, the gate's decision and the last lines of the log."""
    found = stores.runs().get(run)
    preparing = stores.runs().preparing(found)
    reason = {"reason": preparing} if preparing else {}
    return json_response(_with_urls(found, view_url) | reason)


@router.post(
    "/runs/{run}/cancel",
    summary="Cancel a training run",
    responses=documented("Run", errors.NotFound, errors.Conflict, errors.BadRequest, *PROTECTED),
)
def cancel(by: Admin, run: RunId) -> Response:
    """Ends a run that waits or is in progress, and stops its job. The live model stays. You may
    cancel a run more than once.

    A 409 says that the run has ended in another way, or is making its version live at this moment.
    """
    return json_response(stores.runs().cancel(run, f"Cancelled by {by}."))


def _with_urls(run: dict[str, Any], view_url: ViewUrl) -> dict[str, Any]:
    """`run` with a link to each image whose label is doubted: None if the image no longer exists or
    the caller is not an admin."""
    check = run.get("label_check")
    if not check:
        return run
    existing = stores.training_images(image["key"] for image in check["worst"])
    worst = [
        image | {"url": view_url(image["key"]) if image["key"] in existing else None}
        for image in check["worst"]
    ]
    return run | {"label_check": check | {"worst": worst}}
