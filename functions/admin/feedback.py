"""Corrections: users send them, and an admin decides which ones are used for training."""

import re
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Request
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict, Field

from clickbait import LABELS, errors, youtube
from clickbait.inference import images
from clickbait.keys import LABEL_OF_FOLDER
from clickbait.settings import settings
from clickbait.web.access import PROTECTED, Admin, Member
from clickbait.web.app import documented, json_response
from clickbait.web.bodies import File, Form, content_type, image_form, json_body, wrong_fields
from functions.admin import stores
from functions.paging import DEFAULT_LIMIT, Cursor, Limit, decode_cursor, encode_cursor, page

router = APIRouter()

FeedbackId = Annotated[str, Path(max_length=64, description="a correction's id")]

VERSION = re.compile(r"[A-Za-z0-9-]{1,64}")

JSON = "application/json"

FACTS = {
    "label": {"enum": list(LABEL_OF_FOLDER), "description": "the right label"},
    # An empty field counts as absent, because a page sends one if it has no value.
    "prediction": {"enum": [*LABELS, ""], "description": "the predicted label"},
    "model_version": {
        "type": "string",
        "pattern": f"^({VERSION.pattern})?$",
        "description": "the version that predicted it",
    },
}


def _schema(source: str, schema: dict[str, Any]) -> dict[str, Any]:
    """The schema of a body whose image is in, or is named by, the field `source`."""
    return {
        "schema": {
            "type": "object",
            "required": [source, "label"],
            "additionalProperties": False,
            "properties": {source: schema, **FACTS},
        }
    }


BODY = {
    "required": True,
    "content": {
        "multipart/form-data": _schema("file", {"type": "string", "format": "binary"}),
        JSON: _schema(
            "youtube",
            {
                "type": "string",
                "minLength": 1,
                "maxLength": youtube.MAX_ADDRESS,
                "description": "the id or the address of a YouTube video, whose thumbnail is "
                "fetched again",
            },
        ),
    },
}


class VideoCorrection(BaseModel):
    """A correction of a video's thumbnail, which no browser lets a page read and send."""

    model_config = ConfigDict(extra="forbid")

    youtube: str = Field(min_length=1, max_length=youtube.MAX_ADDRESS)
    label: str
    prediction: str = ""
    model_version: str = ""

    @property
    def fields(self) -> dict[str, str]:
        """The fields as a form has them."""
        return self.model_dump(exclude={"youtube"})

    def fetch(self) -> File:
        """The thumbnail; raises what `youtube.thumbnail` raises."""
        data = youtube.thumbnail(self.youtube)
        return File(f"YouTube video {youtube.video_id(self.youtube)}", data)


_video = json_body(VideoCorrection)


async def _sent(request: Request) -> Form | VideoCorrection:
    return await (_video if content_type(request) == JSON else image_form)(request)


@router.post(
    "/feedback",
    summary="Correct a prediction",
    status_code=201,
    responses=documented(
        "FeedbackAnswer",
        errors.PayloadTooLarge,
        errors.UnsupportedFormat,
        errors.NotFound,
        errors.BadRequest,
        errors.NotConfigured,
        errors.BadGateway,
        *PROTECTED,
        status=201,
    ),
    openapi_extra={"requestBody": BODY},
)
def give(_: Member, sent: Annotated[Form | VideoCorrection, Depends(_sent)]) -> Response:
    """Send a form with the image as `file`, or JSON with the address of a YouTube video as
    `youtube`. The image is checked as /predict does, and stored until an admin decides."""
    fields = sent.fields
    label = _label(fields)
    file = sent.file if isinstance(sent, Form) else sent.fetch()
    facts = {name: fields[name] for name in FACTS if name != "label" and fields.get(name)}
    image = images.read(file.data, settings().max_upload_size)
    facts["file_name"] = file.name
    kept = stores.feedback().put(file.data, image.format, label, facts)
    about_image = {
        "width": image.width,
        "height": image.height,
        "format": image.format,
        "bytes": len(file.data),
        "sha256": images.sha256(file.data),
    }
    return json_response(kept | {"file_name": file.name, "image": about_image}, status=201)


def _label(fields: dict[str, str]) -> str:
    """The label of a correction; raises BadRequest naming each field that is wrong."""
    wrong = dict.fromkeys(fields.keys() - FACTS.keys(), "unknown field")
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
