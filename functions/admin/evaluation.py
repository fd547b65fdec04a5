"""The results of a version on its test images: curves, thresholds, and its worst mistakes."""

import json
from typing import Any

from fastapi import APIRouter
from fastapi.responses import Response

from clickbait import errors
from clickbait.errors import NotFound
from clickbait.settings import settings
from clickbait.store.registry import EVALUATION
from clickbait.web.access import PROTECTED, Member
from clickbait.web.app import documented, json_response
from functions.admin import models, stores
from functions.admin.models import Version
from functions.admin.stores import ViewUrl

router = APIRouter()


@router.get(
    "/models/{version}/evaluation",
    summary="Results of a version on its test images",
    responses=documented("Evaluation", errors.NotFound, errors.BadRequest, *PROTECTED),
)
def evaluation(_: Member, version: Version, view_url: ViewUrl) -> Response:
    """Measured once, when the version was trained. An admin gets a link to each mistake whose image
    is in the data bucket. Those of the built-in model are not there."""
    models.metadata_of(version)
    evaluation = _stored(version)
    hashes = stores.training_images(mistake["file"] for mistake in evaluation["mistakes"])

    def url(mistake: dict[str, Any]) -> str | None:
        key = mistake["file"]
        return view_url(key) if hashes.get(key) == mistake["sha256"] else None

    mistakes = [mistake | {"url": url(mistake)} for mistake in evaluation["mistakes"]]
    return json_response({"version": version} | evaluation | {"mistakes": mistakes})


def _stored(version: str) -> dict[str, Any]:
    """The evaluation that a version's training wrote; raises NotFound if there is none."""
    try:
        if version != models.shipped_version():
            return stores.registry().evaluation(version)
        document: dict[str, Any] = json.loads((settings().model_folder / EVALUATION).read_bytes())
    except (NotFound, FileNotFoundError) as error:
        raise NotFound(
            f"Version {version} has no {EVALUATION}, because it was trained before trainings wrote "
            "one. `python -m training.reevaluate` writes it."
        ) from error
    return document
