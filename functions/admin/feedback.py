"""Corrections: users send them, and an admin decides which ones are used for training."""

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
                    "label": {"enum": list(LABEL_OF_FOLDER), "description": "the right label"},
                    # An empty field counts as absent, because a page sends one if it has no value.
                    "prediction": {
                        "enum": [*LABELS, ""],
                        "description": "the predicted label",
                    },
                    "model_version": {
                        "type": "string",
                        "pattern": f"^({VERSION.pattern})?$",
                        "description": "the version that predicted it",
                    },
                },
            }
        }
    },
}


@router.post(
    "/feedback",
    summary="Correct a prediction",
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
    """Checks the image as /predict does, and stores it until an admin decides."""
    label = _label(form.fields)
    facts = {name: form.fields[name] for name in FIELDS - {"label"} if form.fields.get(name)}
    image = images.read(form.file.data, settings().max_upload_size)
    facts["file_name"] = form.file.name
    kept = stores.feedback().put(form.file.data, image.format, label, facts)
    about_image = {
        "width": image.width,
        "height": image.height,
        "format": image.format,
        "bytes": len(form.file.data),
        "sha256": images.sha256(form.file.data),
    }
    return json_response(kept | {"file_name": form.file.name, "image": about_image}, status=201)


def _label(fields: dict[str, str]) -> str:
    """The label of a correction; raises BadRequest naming each field that is wrong."""
    wrong = dict.fromkeys(fields.keys() - FIELDS, "unknown field")
    label = LABEL_OF_FOLDER.get(fields.get("label", ""))
    if label is None:
        wrong["label"] = f"must be one of {', '.join(LABEL_OF_FOLDER)}"
    if fields.get("prediction") and fields["prediction"] not in LABELS:
        wrong["prediction"] = f"must be {' or '.join(LABELS)}"
    if fields.get("model_version") and not VERSION.fullmatch(fields["model_version"]):
        wrong["model_version"] = "must be letters, digits and hyphens, 64 at most"
    if label is None or wrong:
        raise wrong_fields(sorted(wrong.items()))
    return label


@router.get(
    "/feedback",
    summary="Corrections to review, oldest first",
    responses=documented("FeedbackList", errors.BadRequest, *PROTECTED),
)
def waiting(_: Admin, limit: Limit = DEFAULT_LIMIT, cursor: Cursor = None) -> Response:
    """Each has a link to its image, which works for five minutes."""
    items, last = stores.feedback().page(limit, decode_cursor("feedback", cursor))
    return json_response(page(items, encode_cursor("feedback", last)))


@router.post(
    "/feedback/{feedback}/accept",
    summary="Accept a correction",
    responses=documented(
        "AcceptAnswer", errors.NotFound, errors.Conflict, errors.BadRequest, *PROTECTED
    ),
)
def accept(_: Admin, feedback: FeedbackId) -> Response:
    """Moves the image to the training images of its label, where it counts as new."""
    return json_response(stores.feedback().accept(feedback) | {"decision": "accepted"})


@router.post(
    "/feedback/{feedback}/reject",
    summary="Reject a correction",
    responses=documented("RejectAnswer", errors.NotFound, errors.BadRequest, *PROTECTED),
)
def reject(_: Admin, feedback: FeedbackId) -> Response:
    """Deletes the correction and its image."""
    return json_response(stores.feedback().reject(feedback) | {"decision": "rejected"})
