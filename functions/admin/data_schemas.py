"""Response models of `functions.admin.dataset` and `functions.admin.review`, and their requests."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema

from clickbait import Label
from clickbait.inference.images import FormatName
from clickbait.store.changes import Outcome
from clickbait.store.labelled import Folder, Side
from clickbait.store.review import Order, Source
from functions.admin.dataset import ImageChange, ImageChanges
from functions.admin.review import ReviewLabel, ReviewLabels
from functions.admin.schemas import Page

__all__ = ["ImageChange", "ImageChanges", "ReviewLabel", "ReviewLabels"]

# Schemas of other modules, by their names. `functions.openapi` writes references to them.
ProblemDocument = Annotated[dict[str, Any], WithJsonSchema({"x-schema": "ProblemDocument"})]
PredictionAnswer = Annotated[dict[str, Any], WithJsonSchema({"x-schema": "PredictionAnswer"})]

Probability = Annotated[float, Field(ge=0, le=1)]

IMAGE: dict[str, Any] = {
    "id": "dHJhaW4vY2xpY2tiYWl0X2Zha2UvYmVhY2guanBn",
    "key": "train/clickbait_fake/beach.jpg",
    "name": "beach.jpg",
    "label": "clickbait_fake",
    "folder": "train",
    "side": "train",
    "width": 1280,
    "height": 720,
    "bytes": 184213,
    "format": "JPEG",
    "at": "2026-11-26T09:12:44+00:00",
    "sha256": "934487d6b377646d0ac8d9b778c593f950f6a3f5dc8ab8f8a425897bb0415994",
    "probability": 0.21,
    "disagrees": True,
    "duplicates": [],
    "trained": True,
    "decided": False,
    "rejected": None,
    "url": None,
}

CHANGE: dict[str, Any] = {
    "id": "20261126-101502-123456-a1b2c3",
    "at": "2026-11-26T10:15:02.123+00:00",
    "by": "admin, request 6b1f0c2e",
    "action": "relabelled",
    "key": "train/clickbait_fake/beach.jpg",
    "before": {
        "id": "dHJhaW4vY2xpY2tiYWl0X2Zha2UvYmVhY2guanBn",
        "key": "train/clickbait_fake/beach.jpg",
        "name": "beach.jpg",
        "label": "clickbait_fake",
        "folder": "train",
        "decided": False,
    },
    "after": {
        "id": "dHJhaW4vY2xpY2tiYWl0X3JlYWwvYmVhY2guanBn",
        "key": "train/clickbait_real/beach.jpg",
        "name": "beach.jpg",
        "label": "clickbait_real",
        "folder": "train",
        "decided": True,
    },
    "undone": None,
}

REVIEWED: dict[str, Any] = {
    "id": "aW5ib3gvc3ByaW5nL2JlYWNoLmpwZw",
    "source": "batch",
    "name": "beach.jpg",
    "label": None,
    "probability": 0.48,
    "uncertain": True,
    "why": "unsure",
    "model_version": "20261120-030412-1c9e55",
    "batch": "spring",
    "at": "2026-11-26T09:12:44.120+00:00",
    "url": "https://s3.eu-central-1.amazonaws.com/...",
}


class Rejection(BaseModel):
    """Why an image cannot be used."""

    reason: str = Field(description="the kind of problem, as in /docs/problems")
    detail: str


class DatasetImage(BaseModel):
    """A labelled image. Of a rejected one, what could not be read is null."""

    model_config = ConfigDict(json_schema_extra={"examples": [IMAGE]})

    id: str = Field(description="changes when the image is moved or relabelled")
    key: str = Field(description="in the data bucket")
    name: str = Field(description="the file's name below the folder of its label")
    label: Label | None = Field(description="null for a rejected image in an unknown folder")
    folder: Folder
    side: Side = Field(
        description="how the live model and those before it used the image; `none`: not at all"
    )
    width: int | None
    height: int | None
    bytes: int | None
    format: FormatName | None
    at: str | None = Field(description="when it was uploaded, moved or relabelled")
    sha256: str | None
    probability: Probability | None = Field(
        description="of clickbait, by a model that did not learn from this image; "
        "null before the next run has judged it"
    )
    disagrees: bool = Field(description="the model calls it the other label, at its threshold")
    duplicates: list[str] = Field(
        description="ids of images with the same bytes or that look alike; up to a minute old"
    )
    trained: bool = Field(description="the last run examined it, under this label")
    decided: bool = Field(description="an admin decided its label, so no run questions it")
    rejected: Rejection | None
    url: str | None = Field(description="link for an admin, works for five minutes")


class DatasetImages(Page):
    """Labelled images by key: those of the exam, then those of training."""

    items: list[DatasetImage]


class ImageChanged(BaseModel):
    """The result of a change."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "id": IMAGE["id"],
                    "outcome": "relabelled",
                    "change": CHANGE["id"],
                    "image": IMAGE
                    | {
                        "id": CHANGE["after"]["id"],
                        "key": "train/clickbait_real/beach.jpg",
                        "label": "clickbait_real",
                        "disagrees": False,
                        "decided": True,
                    },
                    "problem": None,
                }
            ]
        }
    )

    id: str = Field(description="as it was given")
    outcome: Outcome | None = Field(
        description="confirmed: the label stays, and an admin has decided it. unchanged: it was so "
        "already. null if it failed"
    )
    change: str | None = Field(description="the change, to undo it; null if nothing changed")
    image: DatasetImage | None = Field(
        description="the image now, with its new id; null if it was removed, or was uploaded a "
        "moment ago and is not described yet"
    )
    problem: ProblemDocument | None = Field(description="why it failed, else null")


class ImagesChanged(Page):
    """The results of a change of several images, in the order of their ids."""

    items: list[ImageChanged]


class Placed(BaseModel):
    """Where an image was or is, and how it was labelled."""

    id: str
    key: str
    name: str
    label: Label
    folder: Folder
    decided: bool


class Change(BaseModel):
    """A change of a labelled image."""

    model_config = ConfigDict(json_schema_extra={"examples": [CHANGE]})

    id: str
    at: str
    by: str = Field(description="an admin and the request")
    action: Outcome = Field(description="added: from the review queue")
    key: str = Field(description="where the image was, or is if it was added")
    before: Placed | None = Field(description="null if it was added")
    after: Placed | None = Field(description="null if it was removed")
    undone: str | None = Field(description="when it was undone")


class Changes(Page):
    """Changes, newest first."""

    items: list[Change]


class ChangeUndone(BaseModel):
    """A change that was undone."""

    change: Change
    image: DatasetImage | None = Field(
        description="the image now; null if it did not exist before the change"
    )


class ReviewItem(BaseModel):
    """An image in the review queue."""

    model_config = ConfigDict(protected_namespaces=(), json_schema_extra={"examples": [REVIEWED]})

    id: str
    source: Source
    name: str = Field(description="the file's name, as a person gave it")
    label: Label | None = Field(description="the label it has; null if it has none yet")
    probability: Probability = Field(description="of clickbait, by `model_version`")
    uncertain: bool
    why: Order | None = Field(description="why it is in the queue; null if it is not")
    model_version: str
    batch: str | None = Field(description="for the source `batch`")
    at: str = Field(description="when it was predicted or uploaded")
    url: str = Field(description="link to the image; works for five minutes")


class ReviewQueue(Page):
    """Images worth a label, the most telling first."""

    items: list[ReviewItem]


class Decision(BaseModel):
    """The decision about an image."""

    label: Label
    outcome: Literal["training", "waiting"]
    at: str


class ReviewImage(ReviewItem):
    """An image of the review queue, with a new prediction."""

    decision: Decision | None = Field(description="null while it waits for one")
    prediction: PredictionAnswer = Field(description="by the live model, with the heat map")


class ReviewDecision(Decision):
    """The decision about one image of a batch."""

    id: str


class ReviewDecisions(Page):
    """The decisions about images of a batch, in the order of their keys."""

    items: list[ReviewDecision]


class ReviewAnswer(BaseModel):
    """A decision."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "id": REVIEWED["id"],
                    "label": "clickbait_real",
                    "outcome": "training",
                    "key": "train/clickbait_real/beach.jpg",
                }
            ]
        }
    )

    id: str
    label: Label
    outcome: Literal["training", "waiting"] = Field(
        description="training: it is training data now. waiting: it is a correction, until an "
        "admin accepts it"
    )
    key: str = Field(description="of the new object in the data bucket")


class ReviewResult(BaseModel):
    """The decision about one of several images; null, with the problem, if it failed."""

    id: str
    label: Label | None
    outcome: Literal["training", "waiting"] | None
    key: str | None
    problem: ProblemDocument | None


class ReviewAnswers(Page):
    """The decisions about several images, in the order of their ids."""

    items: list[ReviewResult]
