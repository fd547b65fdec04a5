"""Corrections: anybody who may predict may send one; an admin decides what becomes training
data."""

import re
from typing import Annotated

from fastapi import APIRouter, Depends, Path
from fastapi.responses import Response

from clickbait import LABELS, errors
from clickbait.inference import images
from clickbait.keys import LABEL_OF_FOLDER
from clickbait.settings import settings
from clickbait.web.access import PROTECTED, Admin, Member
from clickbait.web.app import documented, json_response
from clickbait.web.bodies import Form, image_form, wrong_fields
from functions.admin import stores
from functions.paging import DEFAULT_LIMIT, Cursor, Limit, decode_cursor, encode_cursor, page

router = APIRouter()

FeedbackId = Annotated[str, Path(max_length=64, description="a correction's id")]

FIELDS = {"label", "prediction", "model_version"}
VERSION = re.compile(r"[A-Za-z0-9-]{1,64}")

FORM = {
    "required": True,
    "content": {
        "multipart/form-data": {
            "schema": {
                "type": "object",
                "required": ["file", "label"],
                "additionalProperties": False,
                "properties": {
                    "file": {"type": "string", "format": "binary"},
                    "label": {"enum": list(LABEL_OF_FOLDER), "description": "what it really is"},
                    # Empty is as good as left out: so a page sends what it does not know.
                    "prediction": {"enum": [*LABELS, ""], "description": "what was answered"},
                    "model_version": {
                        "type": "string",
                        "pattern": f"^({VERSION.pattern})?$",
                        "description": "by which version",
                    },
                },
            }
        }
    },
}


@router.post(
    "/feedback",
    summary="Say what an image really is",
    status_code=201,
    responses=documented(
        "FeedbackAnswer",
        errors.PayloadTooLarge,
        errors.UnsupportedFormat,
        errors.BadRequest,
        *PROTECTED,
        status=201,
    ),
    openapi_extra={"requestBody": FORM},
)
def give(_: Member, form: Annotated[Form, Depends(image_form)]) -> Response:
    """The image is checked as /predict checks it, and waits for an admin's decision."""
    label = _label(form.fields)
    told = {name: form.fields[name] for name in FIELDS - {"label"} if form.fields.get(name)}
    image = images.read(form.file.data, settings().max_upload_size)
    told["file_name"] = form.file.name
    kept = stores.feedback().put(form.file.data, image.format, label, told)
    facts = {
        "width": image.width,
        "height": image.height,
        "format": image.format,
        "bytes": len(form.file.data),
        "sha256": images.sha256(form.file.data),
    }
    return json_response(kept | {"file_name": form.file.name, "image": facts}, status=201)


def _label(fields: dict[str, str]) -> str:
    """The label of a correction; raises BadRequest naming each field that is wrong."""
    wrong = dict.fromkeys(fields.keys() - FIELDS, "there is no such field")
    label = LABEL_OF_FOLDER.get(fields.get("label", ""))
    if label is None:
        wrong["label"] = f"one of {', '.join(LABEL_OF_FOLDER)} is needed"
    if fields.get("prediction") and fields["prediction"] not in LABELS:
        wrong["prediction"] = f"it is {' or '.join(LABELS)}"
    if fields.get("model_version") and not VERSION.fullmatch(fields["model_version"]):
        wrong["model_version"] = "it is letters, digits and hyphens, 64 at most"
    if label is None or wrong:
        raise wrong_fields(sorted(wrong.items()))
    return label


@router.get(
    "/feedback",
    summary="Corrections that wait, oldest first",
    responses=documented("FeedbackList", errors.BadRequest, *PROTECTED),
)
def waiting(_: Admin, limit: Limit = DEFAULT_LIMIT, cursor: Cursor = None) -> Response:
    """Each with an address to look at it, which works for five minutes."""
    items, last = stores.feedback().page(limit, decode_cursor("feedback", cursor))
    return json_response(page(items, encode_cursor("feedback", last)))


@router.post(
    "/feedback/{feedback}/accept",
    summary="Make a correction training data",
    responses=documented(
        "AcceptAnswer", errors.NotFound, errors.Conflict, errors.BadRequest, *PROTECTED
    ),
)
def accept(_: Admin, feedback: FeedbackId) -> Response:
    """It is copied into the drop folder of its label, where it counts as a new image."""
    return json_response(stores.feedback().accept(feedback) | {"decision": "accepted"})


@router.post(
    "/feedback/{feedback}/reject",
    summary="Throw a correction away",
    responses=documented("RejectAnswer", errors.NotFound, errors.BadRequest, *PROTECTED),
)
def reject(_: Admin, feedback: FeedbackId) -> Response:
    """It is deleted."""
    return json_response(stores.feedback().reject(feedback) | {"decision": "rejected"})
