"""The service's own threshold: from which probability on an image is called clickbait."""

from typing import Annotated

from fastapi import APIRouter, Depends
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict, Field

from clickbait import errors
from clickbait.settings import THRESHOLDS, settings
from clickbait.web.access import PROTECTED, Admin
from clickbait.web.app import documented, json_request, json_response
from clickbait.web.bodies import json_body
from functions.admin import models, stores

router = APIRouter()


class NewThreshold(BaseModel):
    """A threshold for the service, and why."""

    model_config = ConfigDict(extra="forbid")

    threshold: Annotated[float, Field(ge=THRESHOLDS[0], le=THRESHOLDS[1])] | None = Field(
        description="from this probability on, an image is called clickbait; null: from the "
        "model's own threshold on"
    )
    reason: models.Reason = Field(
        description="why, in a sentence; it is shown in the release history"
    )


@router.put(
    "/threshold",
    summary="Set the threshold of the service, or return to the model's own",
    responses=documented("ThresholdAnswer", errors.Conflict, errors.BadRequest, *PROTECTED),
    openapi_extra=json_request("NewThreshold"),
)
def set_threshold(
    by: Admin, body: Annotated[NewThreshold, Depends(json_body(NewThreshold))]
) -> Response:
    """It belongs to the service, not to a version: promotions and roll-backs keep it. Probabilities
    are calibrated, so it means the same for every version. `uncertain` does not depend on it.

    All processes use it within half a minute. Requests and batches may name another one.
    """
    registry = stores.registry()
    pointer = registry.pointer()
    record = None
    if body.threshold != (pointer.threshold if pointer else None):
        record = registry.set_threshold(
            body.threshold, by=by, reason=body.reason, baseline=settings().model_folder
        )
    live = models.live_version(pointer) if record is None else record["version"]
    own = float(models.metadata_of(live)["threshold"])
    return json_response(
        {
            "changed": record is not None,
            "version": live,
            "threshold": own if body.threshold is None else body.threshold,
            "model_threshold": own,
            "promotion": record,
        }
    )
