"""Downloads: the files of a version, and a list of the labelled images."""

import csv
import io
from collections.abc import Iterable
from typing import Annotated, Any

from fastapi import APIRouter, Query
from fastapi.responses import Response

from clickbait import errors
from clickbait.errors import NotFound
from clickbait.keys import VERSIONS
from clickbait.settings import settings
from clickbait.store import presigned
from clickbait.store.registry import METADATA
from clickbait.store.results import CSV_TYPE, OTHER_SEPARATORS, safe
from clickbait.web.access import PROTECTED, Admin, Member
from clickbait.web.app import documented, json_response
from functions.admin import models, stores
from functions.paging import Cursor, decode_cursor, encode_cursor

router = APIRouter()

FILES = {
    "model.tflite": "application/octet-stream",
    METADATA: "application/json",
    "card.md": "text/markdown; charset=utf-8",
}
"""The files of a version that a member may have, with their types. Plots, evaluations and manifests
may show or name images, so they are not among them."""

COLUMNS = (
    "key", "label", "side", "bytes", "width", "height", "format", "sha256", "at", "decided", "uri",
)  # fmt: skip
"""The columns of the export; with `links`, `url` as well."""

EXPORTED = 5_000
"""Rows of one export: with links 4 MB, and Lambda returns 6 MB at most."""


@router.get(
    "/models/{version}/files",
    summary="Download a version",
    responses=documented("ModelFiles", errors.NotFound, errors.BadRequest, *PROTECTED),
)
def files(_: Member, version: models.Version) -> Response:
    """Links to the model, its metadata and its card, valid for five minutes. `python -m clickbait
    predict` and `make serve` read a folder with the first two (`MODEL_PATH`)."""
    models.metadata_of(version)
    bucket = settings().models_bucket
    found = stores.registry().sizes(version) if bucket else {}
    if not found:
        raise NotFound(
            f"The version {version} is not in a bucket: it is the baseline, whose files come with "
            "the code, in layers/baseline/baseline."
        )
    items = [
        {
            "name": name,
            "bytes": found[name],
            "url": presigned.download_url(
                f"{VERSIONS}{version}/{name}", f"{version}-{name}", content_type, bucket
            ),
        }
        for name, content_type in FILES.items()
        if name in found
    ]
    return json_response({"items": items, "expires_in": presigned.VIEW_SECONDS})


@router.get(
    "/dataset/export",
    summary="List all labelled images as CSV",
    responses=documented("DatasetImages", errors.BadRequest, *PROTECTED)
    | {
        200: {
            "description": "The rows. If there are more, the header `link` has the next address, "
            'with `rel="next"`.',
            "content": {"text/csv": {"schema": {"type": "string"}}},
        }
    },
)
def export(
    _: Admin,
    links: Annotated[
        bool, Query(description="add `url`, a link to each image that is valid for five minutes")
    ] = False,
    cursor: Cursor = None,
) -> Response:
    """Key, label, side, size, content hash and address of each image, the exam first. To have the
    images themselves, copy the keys: `aws s3 sync s3://BUCKET/train/ train/`. An image whose name
    has a semicolon or a tab has no address: a spreadsheet might read the rest as a formula."""
    after = decode_cursor("export", cursor)
    images, last = stores.labelled().export(EXPORTED, after)
    headers = {"content-disposition": presigned.attachment("dataset.csv")}
    if last is not None:
        address = (
            f"/dataset/export?links={str(links).lower()}&cursor={encode_cursor('export', last)}"
        )
        headers["link"] = f'<{address}>; rel="next"'
    body = _csv(images, header=after is None, links=links)
    return Response(body, headers=headers, media_type=CSV_TYPE)


def _csv(images: Iterable[dict[str, Any]], *, header: bool, links: bool) -> str:
    text = io.StringIO(newline="")
    columns = (*COLUMNS, "url") if links else COLUMNS
    plain, quoted = (
        csv.DictWriter(text, columns, extrasaction="ignore", lineterminator="\r\n", quoting=quoting)
        for quoting in (csv.QUOTE_MINIMAL, csv.QUOTE_ALL)
    )
    if header:
        plain.writeheader()
    bucket = stores.data_bucket()
    for image in images:
        row = image | {
            "key": safe(image["key"]),
            "decided": str(image["decided"]).lower(),
            "uri": f"s3://{bucket}/{image['key']}",
        }
        if links:
            row["url"] = presigned.view_url(image["key"])
        if any(separator in image["key"] for separator in OTHER_SEPARATORS):
            # Quotes protect the first cell of a row only, so the address is left out.
            quoted.writerow(row | {"uri": ""})
        else:
            plain.writerow(row)
    return text.getvalue()
