"""What the labelled images are like, which were refused, and which no training has seen yet."""

from fastapi import APIRouter
from fastapi.responses import Response

from clickbait import description
from clickbait.access import PROTECTED, Member
from clickbait.retraining import trained
from clickbait.web import answers, json_response
from functions.admin import stores
from functions.admin.looks import Look

router = APIRouter()


@router.get(
    "/dataset",
    summary="Counts, sizes, colours, duplicates and refused images",
    responses=answers("Dataset", *PROTECTED),
)
def dataset(_: Member, look: Look) -> Response:
    """Figures over every image in `train/` that could be read, by class; and for an admin addresses
    to look at some of them, which work for five minutes."""
    images = description.stored(stores.table())
    return json_response(
        description.describe(images, look)
        | {
            "rejected": description.rejected(stores.data_bucket(), look),
            "waiting": description.waiting(images, trained(stores.registry().bucket)),
        }
    )
