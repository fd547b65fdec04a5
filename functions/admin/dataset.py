"""The labelled images: in figures, one by one, and what admins changed about them."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Path, Query, Request
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict, Field

from clickbait import Label, errors
from clickbait.errors import Problem
from clickbait.keys import key_of_id
from clickbait.store import dataset_stats, presigned
from clickbait.store.changes import Changed, unknown
from clickbait.store.labelled import Filters, Folder, Show, Side
from clickbait.web.access import PROTECTED, Admin, Member
from clickbait.web.app import (
    documented,
    json_request,
    json_response,
    problem_document,
    request_id_of,
)
from clickbait.web.bodies import json_body, wrong_fields
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

MAX_ID = 1_400
"""The most characters of an image's id: a key of 1,024 bytes in base64."""

MAX_IDS = 256 * 1024
"""The most bytes of a body with 100 such ids."""

ImageId = Annotated[str, Path(max_length=MAX_ID, description="an image's id, from GET")]
ChangeId = Annotated[str, Path(max_length=64, description="a change's id")]
Ids = Annotated[
    list[Annotated[str, Field(max_length=MAX_ID)]], Field(min_length=1, max_length=MAX_LIMIT)
]


@router.get(
    "/dataset",
    summary="Counts, sizes, colours, duplicates and rejected images",
    responses=documented("Dataset", *PROTECTED),
)
def dataset(_: Member, view_url: ViewUrl) -> Response:
    """Figures of all usable images in `train/`, by class. While `counting` is not 0, some uploads
    are missing from them. An admin also gets links to some images, which work for five minutes."""
    triggers = stores.triggers()
    counting = dataset_stats.counting(triggers.uploads_queue)  # Before the images are read.
    images = dataset_stats.read_images(stores.table())
    survey = triggers.survey({image["key"]: image["etag"] for image in images})
    return json_response(
        dataset_stats.describe(images, view_url)
        | {
            "counting": counting,
            "rejected": dataset_stats.rejected(stores.data_bucket(), view_url),
            "waiting": dataset_stats.waiting(images, survey.trained)
            | {"reason": triggers.outlook(survey)},
        }
    )


# --- one by one ----------------------------------------------------------------------------------


@router.get(
    "/dataset/images",
    summary="Labelled images, by key",
    responses=documented("DatasetImages", errors.BadRequest, *PROTECTED),
)
def images(
    _: Member,
    view_url: ViewUrl,
    *,
    label: Annotated[Label | None, Query(description="only this label")] = None,
    side: Annotated[
        Side | None,
        Query(description="only images that the live model used so; `none`: that it has not seen"),
    ] = None,
    show: Annotated[
        Show | None,
        Query(
            description="disagrees: the model disagrees with the label. duplicates: another file "
            "is the same or looks alike. both_labels: and has the other label. rejected: images "
            "that cannot be used, with the reasons"
        ),
    ] = None,
    q: Annotated[str, Query(max_length=200, description="text in the file's name")] = "",
    limit: Limit = DEFAULT_LIMIT,
    cursor: Cursor = None,
) -> Response:
    """The images of `exam/`, then those of `train/`. A page may have fewer items than `limit`, even
    none, and still a `next`: each request reads 5,000 images at most. Only an admin gets links."""
    wanted = Filters(label, side, show, q)
    found, last = stores.labelled().page(limit, decode_cursor("images", cursor), wanted)
    items = [image | {"url": view_url(image["key"])} for image in found]
    return json_response(page(items, encode_cursor("images", last)))


def _without_default(schema: dict[str, Any]) -> None:
    """A field that may be left out, but not null."""
    schema.pop("default")


LEFT_OUT: Any = Field(None, json_schema_extra=_without_default)


class ImageChange(BaseModel):
    """A new label or folder of an image. A label that is given counts as decided by an admin, even
    if it is the present one."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"minProperties": 1})

    label: Label = LEFT_OUT
    folder: Folder = LEFT_OUT


class ImageChanges(BaseModel):
    """The same change of up to 100 images: a new label, a new folder, or their removal."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "minProperties": 2,
            "dependentSchemas": {"remove": {"maxProperties": 2}},
        },
    )

    ids: Ids
    label: Label = LEFT_OUT
    folder: Folder = LEFT_OUT
    remove: Literal[True] = LEFT_OUT


def _require_change(body: ImageChange | ImageChanges) -> None:
    """Raises BadRequest for a body that says nothing to do, or two different things."""
    change = body.label or body.folder
    if getattr(body, "remove", None):
        if change:
            raise wrong_fields([("remove", "goes without label and folder")])
    elif not change:
        raise wrong_fields([("label", "nothing to change: give a label, a folder or both")])


@router.patch(
    "/dataset/images/{image}",
    summary="Give an image another label or folder, or confirm its label",
    responses=documented(
        "ImageChanged", errors.NotFound, errors.Conflict, errors.BadRequest, *PROTECTED
    ),
    openapi_extra=json_request("ImageChange"),
)
def change(
    by: Admin,
    image: ImageId,
    body: Annotated[ImageChange, Depends(json_body(ImageChange))],
) -> Response:
    """Moves the file in the bucket; its name stays. It then has another id, in `image`. The change
    is listed in GET /dataset/changes and can be undone."""
    _require_change(body)
    changed = stores.changes().move(_key(image), by, body.label, body.folder)
    return _one(image, changed)


@router.delete(
    "/dataset/images/{image}",
    summary="Remove an image",
    responses=documented(
        "ImageChanged", errors.NotFound, errors.Conflict, errors.BadRequest, *PROTECTED
    ),
)
def remove(by: Admin, image: ImageId) -> Response:
    """The image can be restored for a week, with POST /dataset/changes/{change}/undo."""
    return _one(image, stores.changes().remove(_key(image), by))


@router.post(
    "/dataset/images",
    summary="Change or remove up to 100 images",
    responses=documented("ImagesChanged", errors.BadRequest, errors.PayloadTooLarge, *PROTECTED),
    openapi_extra=json_request("ImageChanges"),
)
def change_many(
    request: Request,
    by: Admin,
    body: Annotated[ImageChanges, Depends(json_body(ImageChanges, MAX_IDS, "Send fewer ids."))],
) -> Response:
    """Each image is changed on its own. One that cannot be changed gets a problem and does not
    affect the others."""
    _require_change(body)
    store = stores.changes()

    def one(image: str) -> Changed | Problem:
        try:
            key = _key(image)
            if body.remove:
                return store.remove(key, by)
            return store.move(key, by, body.label, body.folder)
        except Problem as problem:
            return problem

    ids = list(dict.fromkeys(body.ids))
    results = stores.at_once(one, ids)
    keys = [result.key for result in results if isinstance(result, Changed) and result.key]
    described = stores.labelled().described(keys)
    items = [
        {"id": image} | _failed(result, request_id_of(request))
        if isinstance(result, Problem)
        else _answer(image, result, described)
        for image, result in zip(ids, results, strict=True)
    ]
    return json_response(page(items, None))


def _key(image: str) -> str:
    """The key of an image's id; raises NotFound."""
    key = key_of_id(image)
    if key is None:
        raise unknown(image)
    return key


def _one(image: str, changed: Changed) -> Response:
    described = stores.labelled().described([changed.key] if changed.key else [])
    return json_response(_answer(image, changed, described))


def _answer(image: str, changed: Changed, described: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """The result of a change. `image` is null if the image was removed, or is not described yet."""
    now = described.get(changed.key or "")
    return {
        "id": image,
        "outcome": changed.outcome,
        "change": changed.change,
        "image": now and now | {"url": presigned.view_url(now["key"])},
        "problem": None,
    }


def _failed(problem: Problem, request_id: str) -> dict[str, Any]:
    return {
        "outcome": None,
        "change": None,
        "image": None,
        "problem": problem_document(problem, request_id),
    }


# --- what was changed ----------------------------------------------------------------------------


@router.get(
    "/dataset/changes",
    summary="What admins changed about labelled images, newest first",
    responses=documented("Changes", errors.BadRequest, *PROTECTED),
)
def changes(_: Member, limit: Limit = DEFAULT_LIMIT, cursor: Cursor = None) -> Response:
    """Who changed what and when, for a year. Undoing a change marks it; it stays in the list."""
    items, last = stores.changes().page(limit, decode_cursor("changes", cursor))
    return json_response(page(items, encode_cursor("changes", last)))


@router.post(
    "/dataset/changes/{change}/undo",
    summary="Undo a change of an image",
    responses=documented(
        "ChangeUndone", errors.NotFound, errors.Conflict, errors.BadRequest, *PROTECTED
    ),
)
def undo(by: Admin, change: ChangeId) -> Response:
    """Restores the image as it was: its name, folder, label, and whether an admin had decided. A
    removed image can be restored for a week."""
    undone, key = stores.changes().undo(change, by)
    described = stores.labelled().described([key] if key else [])
    now = described.get(key or "")
    image = now and now | {"url": presigned.view_url(now["key"])}
    return json_response({"change": undone, "image": image})
