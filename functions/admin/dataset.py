"""What the labelled images are like, which were refused, and which no training has seen yet."""

from fastapi import APIRouter
from fastapi.responses import Response

from clickbait.store import dataset_stats
from clickbait.store.triggers import trained
from clickbait.web.access import PROTECTED, Member
from clickbait.web.app import documented, json_response
from functions.admin import stores
from functions.admin.looks import Look

router = APIRouter()


@router.get(
    "/dataset",
    summary="Counts, sizes, colours, duplicates and refused images",
    responses=documented("Dataset", *PROTECTED),
)
def dataset(_: Member, look: Look) -> Response:
    """Figures over every image in `train/` that could be read, by class; and for an admin addresses
    to look at some of them, which work for five minutes."""
    images = dataset_stats.stored(stores.table())
    return json_response(
        dataset_stats.describe(images, look)
        | {
            "rejected": dataset_stats.rejected(stores.data_bucket(), look),
            "waiting": dataset_stats.waiting(images, trained(stores.registry().bucket)),
        }
    )
