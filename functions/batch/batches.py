"""Batches over HTTP: create one, get its upload forms, start it, follow it, read its results."""

from datetime import UTC, datetime
from typing import Annotated, Any, Literal
from urllib.parse import quote

from fastapi import APIRouter, Depends, Path, Query
from fastapi.responses import RedirectResponse, Response
from pydantic import BaseModel, ConfigDict, Field

from clickbait import errors
from clickbait.errors import BadRequest
from clickbait.keys import INBOX, INBOX_DAYS, MAX_BATCH_ID, id_of
from clickbait.settings import THRESHOLDS
from clickbait.store import presigned, results
from clickbait.store.batches import MAX_FILES, MAX_NAME, Batches, Progress
from clickbait.store.results import Row, Selection
from clickbait.store.rows import Rows
from clickbait.web.access import PROTECTED, Given, Member, is_admin
from clickbait.web.app import documented, json_request, json_response
from clickbait.web.bodies import MAX_NAMES, json_body
from functions.batch.uploads import form_limits
from functions.paging import (
    DEFAULT_LIMIT,
    Cursor,
    Limit,
    decode_cursor,
    encode_cursor,
    invalid_cursor,
    page,
)

router = APIRouter()

MAX_ROWS = 1_000
"""The most rows of results on a page: 250 KB, about as much as DynamoDB reads at a time."""
DEFAULT_ROWS = 100

MAX_CSV = 4 * 1024 * 1024
"""The most bytes of CSV per response, as a JSON string. Lambda takes 6 MB; S3 serves more."""

MAX_KEY_BYTES = 1_024
"""Bytes of a sort key in DynamoDB."""

BatchId = Annotated[
    str,
    Path(max_length=MAX_BATCH_ID, description="a batch's id, or the name of its folder in inbox/"),
]
RowLimit = Annotated[int, Query(ge=1, le=MAX_ROWS, description="the most rows on this page")]


Title = Annotated[str, Field(min_length=1, max_length=100, pattern=r"\S")]


class BatchTitle(BaseModel):
    """A title of a batch for people, or null for none."""

    model_config = ConfigDict(extra="forbid")

    name: Title | None


class NewBatch(BaseModel):
    """A new batch."""

    model_config = ConfigDict(extra="forbid")

    files: Annotated[
        list[Annotated[str, Field(min_length=1, max_length=MAX_NAME)]],
        Field(min_length=1, max_length=MAX_FILES),
    ] = Field(description="names of the files, as the results will show them; any text")
    name: Title | None = Field(None, description="a title for people")
    threshold: float | None = Field(
        None,
        ge=THRESHOLDS[0],
        le=THRESHOLDS[1],
        description="from this probability on, images of this batch are called clickbait; by "
        "default from the threshold that the service uses when it classifies each",
    )


# --- before it starts ----------------------------------------------------------------------------


@router.get(
    "/batches",
    summary="Batches, the newest first",
    responses=documented("BatchList", errors.BadRequest, *PROTECTED),
)
def batches(_: Member, limit: Limit = DEFAULT_LIMIT, cursor: Cursor = None) -> Response:
    """Their names, states and counts, from when their results were last written. Folders that were
    dropped into `inbox/` are among them once their first image is classified."""
    before = decode_cursor("batches", cursor)
    found, following = Batches.from_settings().newest(limit, before)
    return json_response(page(found, encode_cursor("batches", following)))


@router.patch(
    "/batches/{batch}",
    summary="Name a batch",
    responses=documented("Batch", errors.NotFound, errors.BadRequest, *PROTECTED),
    openapi_extra=json_request("BatchTitle"),
)
def rename(
    _: Member, batch: BatchId, body: Annotated[BatchTitle, Depends(json_body(BatchTitle))]
) -> Response:
    """The title is for people; the id stays."""
    batches = Batches.from_settings()
    batch = batches.id_of(batch)
    batches.rename(batch, body.name)
    return json_response(_status(batches, batches.progress(batch)))


@router.post(
    "/batches",
    summary="Create a batch of up to 10,000 images",
    status_code=201,
    responses=documented(
        "BatchBegun", errors.BadRequest, errors.PayloadTooLarge, *PROTECTED, status=201
    ),
    openapi_extra=json_request("NewBatch"),
)
def begin(
    _: Member,
    body: Annotated[NewBatch, Depends(json_body(NewBatch, MAX_NAMES, "Create several batches."))],
) -> Response:
    """Name the files. Upload each with its form, or put them under these names into the batch's
    folder of the bucket. Then start the batch. Files are classified as they arrive. A file that is
    one line with the address of a YouTube video stands for the video's thumbnail."""
    batches = Batches.from_settings()
    batch = batches.create(body.files, body.threshold, body.name)
    place = f"/batches/{batch}"
    created = {
        "id": batch,
        "expected": len(body.files),
        "uploads": _forms(batches, batch, 0),
        "more_uploads": f"{place}/uploads",
        "drop_folder": _drop_folder(batches, batch),
        "start": f"{place}/start",
        "status": place,
    }
    return json_response(created, {"location": place}, 201)


@router.get(
    "/batches/{batch}/uploads",
    summary="Get a batch's upload forms",
    responses=documented(
        "BatchForms", errors.NotFound, errors.Conflict, errors.BadRequest, *PROTECTED
    ),
)
def forms(_: Member, batch: BatchId, cursor: Cursor = None) -> Response:
    """A page of forms, in the order of the file names. A page that is requested again has new
    forms."""
    place = decode_cursor(f"uploads {batch}", cursor)
    if place is not None and not (place.isascii() and place.isdigit() and len(place) <= 5):
        raise invalid_cursor()
    return json_response(_forms(Batches.from_settings(), batch, int(place or 0)))


def _forms(batches: Batches, batch: str, start: int) -> dict[str, Any]:
    items, following = batches.forms(batch, start)
    cursor = None if following is None else encode_cursor(f"uploads {batch}", str(following))
    return page(items, cursor) | form_limits()


@router.post(
    "/batches/{batch}/start",
    summary="Start a batch once its files are uploaded",
    responses=documented("Batch", errors.NotFound, errors.BadRequest, *PROTECTED),
)
def start(_: Member, batch: BatchId) -> Response:
    """A named file that has not arrived fails. If it arrives later, its result replaces the
    failure."""
    batches = Batches.from_settings()
    return json_response(_status(batches, batches.start(batches.id_of(batch))))


# --- while it runs -------------------------------------------------------------------------------


@router.get(
    "/batches/{batch}",
    summary="Follow a batch",
    responses=documented("Batch", errors.NotFound, errors.BadRequest, *PROTECTED),
)
def status(_: Member, batch: BatchId) -> Response:
    """Counts, rate and time left. A folder that somebody drops into `inbox/` is a batch too.

    While a batch of more than 1,000 images runs, its counts are a few seconds old.
    """
    batches = Batches.from_settings()
    return json_response(_status(batches, batches.follow(batches.id_of(batch))))


def _status(batches: Batches, progress: Progress) -> dict[str, Any]:
    place = f"/batches/{quote(progress.batch, safe='')}/results?format="
    return progress.as_dict() | {
        "drop_folder": _drop_folder(batches, progress.batch),
        "results": {"json": f"{place}json", "csv": f"{place}csv"},
    }


def _drop_folder(batches: Batches, batch: str) -> str:
    return f"s3://{batches.bucket}/{INBOX}{batch}/"


# --- results -------------------------------------------------------------------------------------

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
    "description": f"The CSV has more than {MAX_CSV:,} bytes. It is at `location` for 5 minutes."
}


@router.get("/batches/{batch}/results", summary="Get a batch's results", responses=RESULTS)
def results_of(
    _: Member,
    batch: BatchId,
    *,
    format: Annotated[
        Literal["json", "csv", "link"],
        Query(description="csv: all rows in one file; link: the URL of that file"),
    ] = "json",
    limit: RowLimit = DEFAULT_ROWS,
    cursor: Cursor = None,
    verdict: Annotated[
        Selection | None,
        Query(description="csv and link: only rows with this verdict, or only those that failed"),
    ] = None,
    bom: Annotated[
        bool, Query(description="csv and link: begin with a byte order mark, for Excel")
    ] = False,
    links: Annotated[
        bool, Query(description="json: add `url`, a link to the image, if the caller is an admin")
    ] = False,
    given: Given = None,
) -> Response:
    """One row for each processed file, failed ones too, in the order of the names. While the batch
    runs, these are the rows so far. JSON comes in pages.

    A web page asks for `link` and opens the `url`. With `csv`, a large file is a redirect to
    another host, which a script in a browser may not follow.

    CSV: RFC 4180, UTF-8, by default without a byte order mark; probabilities have four digits. A
    text that a spreadsheet would run as a formula has an apostrophe before it.
    """
    batches = Batches.from_settings()
    batch = batches.id_of(batch)
    if format == "csv":
        return _csv(batches, batch, verdict, bom)
    if format == "link":
        url = _link(batches, batch, verdict, bom)
        return json_response({"url": url, "expires_in": presigned.VIEW_SECONDS})
    if verdict is not None or bom:
        raise BadRequest("`verdict` and `bom` are for format=csv and format=link.")
    after = decode_cursor(f"results {batch}", cursor)
    if after is not None and len(after.encode()) > MAX_KEY_BYTES:
        raise invalid_cursor()
    rows = batches.rows(batch, after, limit)
    more = len(rows) > limit
    following = encode_cursor(f"results {batch}", rows[limit - 1].name) if more else None
    linked = links and is_admin(given)
    items = [row.as_dict() | _image_of(batch, row, linked) for row in rows[:limit]]
    return json_response(page(items, following))


def _image_of(batch: str, row: Row, linked: bool) -> dict[str, str | None]:
    """The id of a row's image in the review queue, and a link to it if `linked`.

    Both are None for an error, or once the image is deleted.
    """
    age = datetime.now(UTC) - datetime.fromisoformat(row.at)
    if row.failed or age.days >= INBOX_DAYS:
        return {"id": None, "url": None}
    key = f"{INBOX}{batch}/{row.name}"
    return {"id": id_of(key), "url": presigned.view_url(key) if linked else None}


def _csv(batches: Batches, batch: str, verdict: Selection | None, bom: bool) -> Response:
    batches.require(batch)
    rows = (row for row in Rows(batches.table, batch).read() if not verdict or row.is_in(verdict))
    text = results.csv_within(rows, MAX_CSV, bom)
    if text is not None:
        name = {"content-disposition": presigned.attachment(f"{batch}.csv")}
        return Response(text, headers=name, media_type=results.CSV_TYPE)
    return RedirectResponse(_link(batches, batch, verdict, bom), status_code=303)


def _link(batches: Batches, batch: str, verdict: Selection | None, bom: bool) -> str:
    """Update a batch's CSV and return its URL; raises NotFound."""
    if verdict is None and not bom:
        batches.write_results(batch)
        key = results.csv_key(batch)
    else:
        batches.require(batch)
        rows = Rows(batches.table, batch).read()
        key = results.write_selection(batches.bucket, batch, rows, verdict, bom)
    return presigned.download_url(key, f"{batch}.csv", results.CSV_TYPE)
