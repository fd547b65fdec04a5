"""Uploads past the API, and batches: begun, started, watched, and their results."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Path, Query, Request
from fastapi.responses import RedirectResponse, Response
from pydantic import BaseModel, ConfigDict, Field, RootModel

from clickbait import errors
from clickbait.errors import BadRequest
from clickbait.inference.images import MediaType
from clickbait.keys import INBOX, LABEL_OF_FOLDER
from clickbait.settings import settings
from clickbait.store import presigned, results
from clickbait.store.batches import MAX_FILES, MAX_NAME, Batches, Progress
from clickbait.store.rows import Rows
from clickbait.web import access
from clickbait.web.access import PROTECTED, Given, Member
from clickbait.web.app import documented, json_response
from clickbait.web.bodies import MAX_NAMES, json_body
from functions.paging import Cursor, decode_cursor, encode_cursor, page

router = APIRouter()

MAX_FORMS = 100
"""Forms in one answer: a browser uploads so many within the five minutes that they work."""

MAX_ROWS = 1_000
"""Rows of results in one answer: 250 KB, and as much as DynamoDB reads at a time."""
USUAL_ROWS = 100

MAX_CSV = 4 * 1024 * 1024
"""Bytes of CSV in one answer, as Lambda carries it, which takes 6 MB; more is fetched from S3."""

CSV = "text/csv; charset=utf-8"

MAX_KEY_BYTES = 1_024
"""Of a sort key in DynamoDB."""

BatchId = Annotated[
    str, Path(max_length=64, description="a batch's id, or the name of its folder in inbox/")
]
RowLimit = Annotated[int, Query(ge=1, le=MAX_ROWS, description="rows in this answer at most")]

Label = Literal["clickbait_fake", "clickbait", "clickbait_real", "legitimate"]
assert set(Label.__args__) == set(LABEL_OF_FOLDER)  # type: ignore[attr-defined]


class ImageUpload(BaseModel):
    """Images to be predicted by their keys."""

    model_config = ConfigDict(extra="forbid")

    purpose: Literal["image"]
    content_type: MediaType
    count: int = Field(1, ge=1, le=MAX_FORMS, description="how many, a form each")


class TrainingUpload(BaseModel):
    """Labelled images to train with, which an admin may add."""

    model_config = ConfigDict(extra="forbid")

    purpose: Literal["training"]
    label: Label
    content_type: MediaType
    count: int = Field(1, ge=1, le=MAX_FORMS, description="how many, a form each")


class Upload(RootModel[Annotated[ImageUpload | TrainingUpload, Field(discriminator="purpose")]]):
    """What is to be uploaded."""


class NewBatch(BaseModel):
    """A batch to begin."""

    model_config = ConfigDict(extra="forbid")

    files: Annotated[
        list[Annotated[str, Field(min_length=1, max_length=MAX_NAME)]],
        Field(min_length=1, max_length=MAX_FILES),
    ] = Field(description="names of the files, as the results are to say them; any text will do")


read_names = json_body(NewBatch, MAX_NAMES, "Begin several batches.")


def _body(shape: str) -> dict[str, Any]:
    schema = {"$ref": f"#/components/schemas/{shape}"}
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}


# --- single uploads ------------------------------------------------------------------------------


@router.post(
    "/uploads",
    summary="Get forms to upload images with",
    responses=documented("UploadForms", errors.BadRequest, errors.PayloadTooLarge, *PROTECTED),
    openapi_extra=_body("Upload"),
)
def uploads(
    request: Request,
    _: Member,
    given: Given,
    asked: Annotated[Upload, Depends(json_body(Upload))],
) -> Response:
    """Each form takes one image past the API, up to 10 MB: send its `fields`, then the image as
    `file`, to its `url`, within five minutes. POST /predict with `{"key": ...}` reads it then."""
    wanted = asked.root
    if isinstance(wanted, TrainingUpload):
        access.admin(request, given)
        label, kind = LABEL_OF_FOLDER[wanted.label], wanted.content_type
        made = [presigned.training_upload(label, kind) for _ in range(wanted.count)]
    else:
        made = [presigned.image_upload(wanted.content_type) for _ in range(wanted.count)]
    limits = {"expires_in": presigned.POST_SECONDS, "max_bytes": settings().max_upload_size}
    return json_response(page(made, None) | limits)


# --- batches -------------------------------------------------------------------------------------


@router.post(
    "/batches",
    summary="Begin a batch of up to 10,000 images",
    status_code=201,
    responses=documented(
        "BatchBegun", errors.BadRequest, errors.PayloadTooLarge, *PROTECTED, status=201
    ),
    openapi_extra=_body("NewBatch"),
)
def begin(_: Member, asked: Annotated[NewBatch, Depends(read_names)]) -> Response:
    """Name the files; upload each with its form, or put them into the batch's folder of the bucket
    under these names; then start it. Files are predicted as they arrive."""
    batches = Batches.from_settings()
    batch = batches.create(asked.files)
    place = f"/batches/{batch}"
    body = {
        "id": batch,
        "expected": len(asked.files),
        "uploads": _forms(batches, batch, 0),
        "more_uploads": f"{place}/uploads",
        "drop_folder": _drop_folder(batches, batch),
        "start": f"{place}/start",
        "status": place,
    }
    return json_response(body, {"location": place}, 201)


@router.get(
    "/batches/{batch}/uploads",
    summary="Get the forms of a batch's files",
    responses=documented(
        "BatchForms", errors.NotFound, errors.Conflict, errors.BadRequest, *PROTECTED
    ),
)
def forms(_: Member, batch: BatchId, cursor: Cursor = None) -> Response:
    """A page of them, in the order of the names; without a cursor the first one anew."""
    place = decode_cursor(f"uploads {batch}", cursor)
    if place is not None and not (place.isascii() and place.isdigit() and len(place) <= 5):
        raise BadRequest("query.cursor: it names no place in the list of files.")
    return json_response(_forms(Batches.from_settings(), batch, int(place or 0)))


def _forms(batches: Batches, batch: str, start: int) -> dict[str, Any]:
    made, following = batches.forms(batch, start)
    cursor = None if following is None else encode_cursor(f"uploads {batch}", str(following))
    limits = {"expires_in": presigned.POST_SECONDS, "max_bytes": settings().max_upload_size}
    return page(made, cursor) | limits


@router.post(
    "/batches/{batch}/start",
    summary="Close a batch: nothing more is awaited",
    responses=documented("Batch", errors.NotFound, errors.BadRequest, *PROTECTED),
)
def start(_: Member, batch: BatchId) -> Response:
    """A file that was named and has not arrived fails. One that arrives after all takes its place
    in the results."""
    batches = Batches.from_settings()
    return json_response(_told(batches, batches.start(batch)))


@router.get(
    "/batches/{batch}",
    summary="How far a batch is",
    responses=documented("Batch", errors.NotFound, errors.BadRequest, *PROTECTED),
)
def status(_: Member, batch: BatchId) -> Response:
    """Counts, rate and time left; of a folder that was dropped too, from its first object on."""
    batches = Batches.from_settings()
    return json_response(_told(batches, batches.refresh(batch)))


def _told(batches: Batches, progress: Progress) -> dict[str, Any]:
    place = f"/batches/{progress.batch}/results?format="
    return progress.as_dict() | {
        "drop_folder": _drop_folder(batches, progress.batch),
        "results": {"json": f"{place}json", "csv": f"{place}csv"},
    }


def _drop_folder(batches: Batches, batch: str) -> str:
    return f"s3://{batches.bucket}/{INBOX}{batch}/"


RESULTS: dict[int | str, dict[str, Any]] = documented(
    "BatchResults", errors.NotFound, errors.BadRequest, *PROTECTED
)
RESULTS[200]["content"]["application/json"]["schema"] = {
    "anyOf": [
        {"$ref": f"#/components/schemas/{shape}"} for shape in ("BatchResults", "ResultsLink")
    ]
}
RESULTS[200]["content"]["text/csv"] = {"schema": {"type": "string"}}
RESULTS[303] = {
    "description": f"The CSV has more than {MAX_CSV:,} bytes, and is at `location` for 5 minutes"
}


@router.get("/batches/{batch}/results", summary="The results of a batch", responses=RESULTS)
def results_of(
    _: Member,
    batch: BatchId,
    format: Annotated[
        Literal["json", "csv", "link"],
        Query(description="csv: all rows in one file; link: the address of that file"),
    ] = "json",
    limit: RowLimit = USUAL_ROWS,
    cursor: Cursor = None,
) -> Response:
    """A row for each file that was looked at, failed ones too, in the order of the names; as far as
    they are known while the batch runs. JSON comes in pages.

    A page of the web asks for `link`, and goes where `url` says: it may not follow a redirect to
    another host, as `csv` answers where there is much.

    CSV: RFC 4180, UTF-8 without a byte order mark; a text that a spreadsheet would take for a
    formula has an apostrophe before it.
    """
    batches = Batches.from_settings()
    if format == "csv":
        return _csv(batches, batch)
    if format == "link":
        return json_response({"url": _link(batches, batch), "expires_in": presigned.VIEW_SECONDS})
    after = decode_cursor(f"results {batch}", cursor)
    if after is not None and len(after.encode()) > MAX_KEY_BYTES:
        raise BadRequest("query.cursor: it names no row of this batch.")
    rows = batches.rows(batch, after, limit)
    more = len(rows) > limit
    following = encode_cursor(f"results {batch}", rows[limit - 1].name) if more else None
    return json_response(page([row.as_dict() for row in rows[:limit]], following))


def _csv(batches: Batches, batch: str) -> Response:
    batches.require(batch)
    text = results.csv_within(Rows(batches.table, batch).read(), MAX_CSV)
    if text is not None:
        name = {"content-disposition": f'attachment; filename="{batch}.csv"'}
        return Response(text, headers=name, media_type=CSV)
    return RedirectResponse(_link(batches, batch), status_code=303)


def _link(batches: Batches, batch: str) -> str:
    """The address of a batch's CSV, which is as the rows are now; raises NotFound."""
    batches.results_written(batch)
    return presigned.download_url(results.csv_key(batch), f"{batch}.csv", CSV)
