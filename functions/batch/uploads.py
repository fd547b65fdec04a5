"""POST /uploads: forms that upload images to S3, past the API's limit."""

from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Request
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict, Field, RootModel

from clickbait import errors
from clickbait.inference.images import MediaType
from clickbait.keys import EXAM, LABEL_OF_FOLDER, TRAIN
from clickbait.settings import settings
from clickbait.store import presigned
from clickbait.store.batches import MAX_NAME
from clickbait.web import access
from clickbait.web.access import PROTECTED, Given, Member
from clickbait.web.app import documented, json_request, json_response
from clickbait.web.bodies import MAX_NAMES, json_body
from functions.paging import page

router = APIRouter()

Folder = Literal["clickbait_fake", "clickbait", "clickbait_real", "legitimate"]
assert set(Folder.__args__) == set(LABEL_OF_FOLDER)  # type: ignore[attr-defined]

Names = Annotated[
    list[Annotated[str, Field(min_length=1, max_length=MAX_NAME)]],
    Field(min_length=1, max_length=presigned.MAX_FORMS),
]
Count = Annotated[
    int, Field(ge=1, le=presigned.MAX_FORMS, description="number of forms; each takes one image")
]


class ImageUpload(BaseModel):
    """Images for POST /predict, which reads them by their keys."""

    model_config = ConfigDict(extra="forbid")

    purpose: Literal["image"]
    content_type: MediaType
    count: Count = 1


class TrainingUpload(BaseModel):
    """Labelled images for training, or for the exam set, which models are only measured on. Only an
    admin may add them."""

    model_config = ConfigDict(extra="forbid")

    purpose: Literal["training"]
    label: Folder
    folder: Literal["train", "exam"] = "train"
    content_type: MediaType
    count: Count = 1
    names: Names | None = Field(
        None,
        description="names of the files, which their keys keep: one form for each, in their order, "
        "whatever `count` says",
    )


class Upload(RootModel[Annotated[ImageUpload | TrainingUpload, Field(discriminator="purpose")]]):
    """The images to upload."""


@router.post(
    "/uploads",
    summary="Get forms to upload images with",
    responses=documented("UploadForms", errors.BadRequest, errors.PayloadTooLarge, *PROTECTED),
    openapi_extra=json_request("Upload"),
)
def uploads(
    request: Request,
    _: Member,
    given: Given,
    body: Annotated[Upload, Depends(json_body(Upload, MAX_NAMES, "Send fewer names."))],
) -> Response:
    """Each form takes one image of up to 10 MB within five minutes. Send its `fields`, then the
    image as `file`, to its `url`. POST /predict with `{"key": ...}` then classifies it."""
    upload = body.root
    if isinstance(upload, TrainingUpload):
        access.admin(request, given)
        prefix = EXAM if upload.folder == "exam" else TRAIN
        forms = [
            presigned.training_upload(
                LABEL_OF_FOLDER[upload.label], upload.content_type, name=name, prefix=prefix
            )
            for name in upload.names or [""] * upload.count
        ]
    else:
        forms = [presigned.image_upload(upload.content_type) for _ in range(upload.count)]
    return json_response(page(forms, None) | form_limits())


def form_limits() -> dict[str, int]:
    """The seconds until the forms expire, and the most bytes of an image."""
    return {"expires_in": presigned.POST_SECONDS, "max_bytes": settings().max_upload_size}
