"""The review queue: images worth a label, and the labels that people give them."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Path, Query, Request
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict

from clickbait import Label, errors
from clickbait.errors import Problem
from clickbait.inference.prediction import answer
from clickbait.keys import MAX_BATCH_ID, is_batch_id, key_of_id
from clickbait.store import presigned
from clickbait.store.live import serving
from clickbait.store.review import Order, Source, source_of, unknown
from clickbait.web import access
from clickbait.web.access import PROTECTED, Given, Member, is_admin
from clickbait.web.app import (
    documented,
    json_request,
    json_response,
    problem_document,
    request_id_of,
)
from clickbait.web.bodies import json_body, wrong_fields
from functions.admin import stores
from functions.admin.dataset import MAX_ID, MAX_IDS, Ids
from functions.paging import DEFAULT_LIMIT, Cursor, Limit, decode_cursor, encode_cursor, page

router = APIRouter()

OF_MEMBERS: frozenset[Source] = frozenset({"batch"})
"""The sources that members without the admin token may see and label. They can read the results of
batches anyway. Training images and single predictions belong to somebody."""
OF_ADMINS: frozenset[Source] = frozenset({"batch", "upload", "prediction"})

ReviewId = Annotated[str, Path(max_length=MAX_ID, description="an image's id, from GET /review")]


class ReviewLabel(BaseModel):
    """The label of an image."""

    model_config = ConfigDict(extra="forbid")

    label: Label


class ReviewLabels(BaseModel):
    """The same label for up to 100 images."""

    model_config = ConfigDict(extra="forbid")

    ids: Ids
    label: Label


@router.get(
    "/review",
    summary="Images worth a label",
    responses=documented("ReviewQueue", errors.BadRequest, *PROTECTED),
)
def queue(
    request: Request,
    _: Member,
    given: Given,
    *,
    source: Annotated[
        Literal["all", "batch", "upload", "prediction"],
        Query(
            description="batch: results of the five newest batches. upload: training images. "
            "prediction: kept because of KEEP_UNSURE. Only an admin gets the last two"
        ),
    ] = "all",
    order: Annotated[
        Order,
        Query(
            description="unsure: first those nearest to the threshold. surprising: first those "
            "whose label the model contradicts most"
        ),
    ] = "unsure",
    limit: Limit = DEFAULT_LIMIT,
    cursor: Cursor = None,
) -> Response:
    """The model is unsure about them, or contradicts their label. What was labelled leaves the
    queue. A page may have fewer items than `limit` and still a `next`."""
    sources = OF_ADMINS if is_admin(given) else OF_MEMBERS
    if source != "all":
        if source not in sources:
            access.admin(request, given)
        sources = frozenset({source})
    name = f"review {source} {order}"
    items, last = stores.review().page(limit, decode_cursor(name, cursor), sources, order)
    return json_response(page([_linked(item) for item in items], encode_cursor(name, last)))


@router.get(
    "/review/decisions",
    summary="What was decided about the images of a batch",
    responses=documented("ReviewDecisions", errors.BadRequest, *PROTECTED),
)
def decisions(
    _: Member,
    batch: Annotated[
        str, Query(min_length=1, max_length=MAX_BATCH_ID, description="the batch's id")
    ],
    limit: Limit = DEFAULT_LIMIT,
    cursor: Cursor = None,
) -> Response:
    """The `id` is that of the row in the batch's results. Decisions are kept for 40 days."""
    if not is_batch_id(batch):
        raise wrong_fields([("query.batch", "no batch can have this id")])
    name = f"decisions {batch}"
    items, last = stores.review().decisions(batch, limit, decode_cursor(name, cursor))
    return json_response(page(items, encode_cursor(name, last)))


@router.get(
    "/review/{review}",
    summary="One image with the live model's prediction and heat map",
    responses=documented(
        "ReviewImage",
        errors.NotFound,
        errors.PayloadTooLarge,
        errors.UnsupportedFormat,
        errors.BadRequest,
        *PROTECTED,
    ),
)
def image(request: Request, _: Member, given: Given, review: ReviewId) -> Response:
    """Predicts the image again, which takes as long as POST /predict."""
    key = _key(request, given, review)
    store = stores.review()
    found = _linked(store.get(key))
    prediction = answer(serving().current(), store.read(key), explain=True).prediction
    more = {"cached": False, "request_id": request_id_of(request)}
    return json_response(found | {"prediction": prediction | more})


@router.post(
    "/review/{review}",
    summary="Label an image",
    responses=documented(
        "ReviewAnswer", errors.NotFound, errors.Conflict, errors.BadRequest, *PROTECTED
    ),
    openapi_extra=json_request("ReviewLabel"),
)
def label_one(
    request: Request,
    by: Member,
    given: Given,
    review: ReviewId,
    body: Annotated[ReviewLabel, Depends(json_body(ReviewLabel))],
) -> Response:
    """Also confirms a label. An admin's label becomes training data at once, under the name that
    the file had. Anybody else's waits as a correction, until an admin accepts it."""
    key = _key(request, given, review)
    return json_response(stores.review().decide(key, body.label, by, admin=is_admin(given)))


@router.post(
    "/review",
    summary="Label up to 100 images",
    responses=documented("ReviewAnswers", errors.BadRequest, errors.PayloadTooLarge, *PROTECTED),
    openapi_extra=json_request("ReviewLabels"),
)
def label_many(
    request: Request,
    by: Member,
    given: Given,
    body: Annotated[ReviewLabels, Depends(json_body(ReviewLabels, MAX_IDS, "Send fewer ids."))],
) -> Response:
    """Each image is labelled on its own. One that cannot be labelled gets a problem and does not
    affect the others."""
    store, admin = stores.review(), is_admin(given)
    request_id = request_id_of(request)

    def one(review: str) -> dict[str, Any]:
        try:
            key = _key(request, given, review)
            return store.decide(key, body.label, by, admin=admin) | {"problem": None}
        except Problem as problem:
            nothing = dict.fromkeys(("label", "outcome", "key"))
            return {"id": review, **nothing, "problem": problem_document(problem, request_id)}

    return json_response(page(stores.at_once(one, dict.fromkeys(body.ids)), None))


@router.post(
    "/review/{review}/undo",
    summary="Take a label back",
    responses=documented(
        "ReviewAnswer", errors.NotFound, errors.Conflict, errors.BadRequest, *PROTECTED
    ),
)
def undo(request: Request, by: Member, given: Given, review: ReviewId) -> Response:
    """Returns what was decided. The image is then as it was, and in the queue again. Only an admin
    may take an admin's label back."""
    key = _key(request, given, review)
    store = stores.review()
    if store.requires_admin(key):
        access.admin(request, given)
    return json_response(store.undo(key, by))


def _key(request: Request, given: Given, review: str) -> str:
    """The key of an id; raises NotFound, or Unauthorized if only an admin may see it."""
    key = key_of_id(review)
    if key is None:
        raise unknown(review)
    if source_of(key) not in OF_MEMBERS:
        access.admin(request, given)
    return key


def _linked(item: dict[str, Any]) -> dict[str, Any]:
    key = item["key"]
    return {name: value for name, value in item.items() if name != "key"} | {
        "url": presigned.view_url(key)
    }
