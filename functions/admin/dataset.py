"""The labelled images in figures, the rejected ones, and those that wait for a training."""

from fastapi import APIRouter
from fastapi.responses import Response

from clickbait.store import dataset_stats
from clickbait.web.access import PROTECTED, Member
from clickbait.web.app import documented, json_response
from functions.admin import stores
from functions.admin.stores import ViewUrl

router = APIRouter()


@router.get(
    "/dataset",
    summary="Counts, sizes, colours, duplicates and rejected images",
    responses=documented("Dataset", *PROTECTED),
)
def dataset(_: Member, view_url: ViewUrl) -> Response:
    """Figures of all usable images in `train/`, by class. An admin also gets links to some images,
    which work for five minutes."""
    images = dataset_stats.read_images(stores.table())
    triggers = stores.triggers()
    survey = triggers.survey({image["key"]: image["etag"] for image in images})
    return json_response(
        dataset_stats.describe(images, view_url)
        | {
            "rejected": dataset_stats.rejected(stores.data_bucket(), view_url),
            "waiting": dataset_stats.waiting(images, survey.trained)
            | {"reason": triggers.outlook(survey)},
        }
    )
