"""What a version did on its test side: curves, thresholds, and its worst mistakes to look at."""

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
    summary="What a version did on its test side",
    responses=documented("Evaluation", errors.NotFound, errors.BadRequest, *PROTECTED),
)
def evaluation(_: Member, version: Version, view_url: ViewUrl) -> Response:
    """Measured once, when it was made. For an admin a mistake has an address where this very image
    lies in the data bucket now: those of the model that ships lie in nobody's."""
    models.metadata_of(version)
    told = _stored(version)
    here = stores.images_here(mistake["file"] for mistake in told["mistakes"])

    def address(mistake: dict[str, Any]) -> str | None:
        key = mistake["file"]
        return view_url(key) if here.get(key) == mistake["sha256"] else None

    mistakes = [mistake | {"url": address(mistake)} for mistake in told["mistakes"]]
    return json_response({"version": version} | told | {"mistakes": mistakes})


def _stored(version: str) -> dict[str, Any]:
    """What its training wrote of a version that there is; raises NotFound where it wrote none."""
    try:
        if version != models.shipped_version():
            return stores.registry().evaluation(version)
        told: dict[str, Any] = json.loads((settings().model_folder / EVALUATION).read_bytes())
    except (NotFound, FileNotFoundError) as error:
        raise NotFound(
            f"Version {version} has no {EVALUATION}: it was made before trainings wrote one. Those "
            "made from now on have it; for an older one `python -m training.reevaluate` makes it."
        ) from error
    return told
