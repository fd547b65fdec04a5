"""Classify one image with any version, to compare versions before or after a promotion."""

from functools import lru_cache
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import Response

from clickbait import errors
from clickbait.inference import images
from clickbait.inference.classifier import Classifier
from clickbait.inference.prediction import answer
from clickbait.settings import settings
from clickbait.web.access import PROTECTED, Admin
from clickbait.web.app import documented, json_response, request_id_of
from clickbait.web.bodies import File, image_body
from clickbait.web.queries import Threshold
from functions.admin import models, stores

router = APIRouter()

LOADED = 3
"""Versions that a process keeps loaded: those before and after a training, and one more. Each takes
30 MB, and half a second to load."""

IMAGE = {"type": "string", "format": "binary"}
IMAGE_BODY = {
    "required": True,
    "content": {
        "multipart/form-data": {
            "schema": {"type": "object", "required": ["file"], "properties": {"file": IMAGE}}
        },
        **{media_type: {"schema": IMAGE} for media_type in images.MEDIA_TYPES},
    },
}


@router.post(
    "/models/{version}/predict",
    summary="Classify one image with this version",
    responses=documented(
        "PredictionAnswer",
        errors.PayloadTooLarge,
        errors.UnsupportedFormat,
        errors.NotFound,
        errors.BadRequest,
        *PROTECTED,
    ),
    openapi_extra={"requestBody": IMAGE_BODY},
)
def predict(
    _: Admin,
    request: Request,
    version: models.Version,
    file: Annotated[File, Depends(image_body)],
    explain: Annotated[bool, Query(description="add both maps of evidence")] = False,
    threshold: Threshold = None,
) -> Response:
    """Send a form with the image as `file`, or the image itself with its content type. The answer
    is the one that this version would give if it were live, at the threshold of the service. It is
    neither logged nor counted as a prediction."""
    models.metadata_of(version)  # Raises NotFound, which loading does not.
    bucket = settings().models_bucket
    if threshold is None and bucket:
        pointer = stores.registry().pointer()
        threshold = pointer.threshold if pointer else None
    model = _loaded(bucket, version).at(threshold)
    prediction = answer(model, file.data, explain, settings().max_upload_size).prediction
    content = prediction | {"cached": False, "request_id": request_id_of(request)}
    return json_response(content, {"x-model-version": version})


@lru_cache(LOADED)
def _loaded(_: str, version: str) -> Classifier:
    """The version, fetched and checked at its first use; raises InvalidModel."""
    if version == models.shipped_version():
        return Classifier.load(settings().model_folder)
    return stores.registry().load(version)
