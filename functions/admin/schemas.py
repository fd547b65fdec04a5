"""The shapes of this function's bodies and answers, as the OpenAPI document shows them."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from clickbait import Label
from clickbait.inference.images import FormatName
from clickbait.store.runs import STATES, Parameters
from functions.admin.models import Promotion

__all__ = ["Parameters", "Promotion"]

State = Literal["QUEUED", "RUNNING", "EVALUATING", "PROMOTED", "REJECTED", "FAILED"]
assert State.__args__ == STATES  # type: ignore[attr-defined]


class Page(BaseModel):
    """One page of a list; `next` is the `cursor` of the following one, null at the end."""

    count: int = Field(ge=0, description="items in this answer")
    next: str | None


class SideCounts(BaseModel):
    """Images a version was made with."""

    train: int | None
    validation: int | None
    test: int | None


class ModelSummary(BaseModel):
    """One version in the list of them."""

    version: str
    live: bool
    source: Literal["baseline", "run"] = Field(description="baseline: the model that ships")
    run: str | None = Field(description="the run that made it")
    training_date: str | None
    architecture: str | None
    images: SideCounts
    metrics: dict[str, Any] = Field(
        description="accuracy, precision, recall, f1 and auc with their intervals; brier, loss, "
        "expected_calibration_error; null where it was not measured"
    )
    error: str | None = Field(description="why its metadata cannot be read, if so")


class Models(Page):
    """Versions, newest first."""

    items: list[ModelSummary]


class PromotionRecord(BaseModel):
    """A change of the live model."""

    version: str
    previous: str | None
    at: str
    by: str = Field(description="who decided: a run, or an admin and the request")
    reason: str
    forced: bool
    gate: dict[str, Any] | None


class Model(BaseModel):
    """One version."""

    version: str
    live: bool
    source: Literal["baseline", "run"]
    run: str | None
    metadata: dict[str, Any] = Field(description="as its training wrote it, but golden images")
    metrics: dict[str, Any]
    promotions: list[PromotionRecord] = Field(description="when it was made live, newest first")
    gate: dict[str, Any] | None = Field(description="what the gate said in the run that made it")


class PromotionAnswer(BaseModel):
    """What a promotion did."""

    changed: bool = Field(description="false where the version was live already")
    version: str
    promotion: PromotionRecord | None = Field(
        description="the one that made it live; null where the baseline has been live all along"
    )


class LiveThen(BaseModel):
    """The model that was live; `at`, `by` and `reason` are null before the first promotion."""

    model_config = ConfigDict(extra="allow")

    version: str | None
    at: str | None
    by: str | None
    reason: str | None


class Promotions(Page):
    """Changes of the live model, newest first."""

    live: LiveThen
    items: list[PromotionRecord]


class DoubtedLabel(BaseModel):
    """A new image whose label the live model contradicts."""

    key: str = Field(description="in the data bucket, when it was looked at")
    label: Label
    probability: float = Field(ge=0, le=1, description="what the live model says, of clickbait")
    url: str | None = Field(
        None,
        description="for an admin, to look at it, for five minutes; null where it is there no "
        "more; left out of a list of runs",
    )


class LabelOfClass(BaseModel):
    """New images of one class."""

    images: int
    contradicted: int


class LabelCheck(BaseModel):
    """What the live model says of the labels of new images, before a training."""

    rejected: bool
    reason: str = Field(description="why, where it is rejected; else empty")
    warning: str = Field(description="empty where there is none")
    images: int
    contradicted: int
    classes: dict[Label, LabelOfClass]
    own_error: float | None = Field(description="share of its own test images it was wrong about")
    worst: list[DoubtedLabel] = Field(description="the ten that it contradicts most")


class Run(BaseModel):
    """A training run; what is not known yet is left out."""

    model_config = ConfigDict(extra="allow")

    id: str
    state: State
    reason: str = Field(description="why it is in this state, in a sentence")
    trigger: Literal["uploads", "schedule", "admin"]
    parameters: dict[str, Any]
    created: str
    times: dict[str, str] = Field(description="when it came into each state")
    epoch: int | None = None
    epochs: int | None = None
    metrics: dict[str, Any] | None = Field(None, description="of the last epoch")
    history: list[dict[str, Any]] | None = Field(None, description="of every epoch")
    images: dict[str, Any] | None = None
    warnings: list[Any] | None = None
    label_check: LabelCheck | None = None
    gate: dict[str, Any] | None = None
    version: str | None = None
    champion: str | None = None
    job: str | None = None
    log: list[str] | None = Field(None, description="the last lines")


class RunList(Page):
    """Runs, newest first, without their logs and histories."""

    items: list[Run]


class Histogram(BaseModel):
    """Images by value: `counts` has one number fewer than `edges`."""

    edges: list[float]
    counts: list[int]


class Spread(BaseModel):
    """How one number is spread over the images of a class; null where there are none."""

    mean: float | None
    sd: float | None
    min: float | None
    max: float | None
    percentiles: dict[str, float | None] = Field(description="p5, p25, p50, p75, p95")
    histogram: Histogram


class Look(BaseModel):
    """An image of the data bucket, and an address to look at it."""

    key: str
    url: str | None = Field(description="for an admin; works for five minutes")


class ClassFigures(BaseModel):
    """The images of one class."""

    images: int
    formats: dict[str, int]
    width: Spread = Field(description="pixels")
    height: Spread = Field(description="pixels")
    bytes: Spread
    brightness: Spread = Field(description="mean luma (BT.601), 0 to 255")
    contrast: Spread = Field(description="standard deviation of the luma")
    saturation: Spread = Field(description="mean S of HSV, 0 to 1")
    colourfulness: Spread = Field(description="Hasler and Suesstrunk 2003, M3")
    samples: list[Look] = Field(description="eight, the same ones as long as they are there")


class Family(BaseModel):
    """Images that are the same, or look it."""

    images: int
    labels: list[Label] = Field(description="two: one of them is wrong")
    keys: list[str] = Field(description="the first 20")
    looks: list[Look] = Field(description="the first four of them")


class Families(BaseModel):
    """Families of duplicates, the largest first; `items` has the first 100."""

    families: int
    images: int
    items: list[Family]


class NearFamilies(Families):
    """Families by looks (perceptual hash), of images that differ in their bytes."""

    compared: int = Field(description="images compared, the newest")


class Duplicates(BaseModel):
    """Images that are there more than once."""

    identical: Families
    near: NearFamilies


class RejectedImage(BaseModel):
    """An image that was set aside, and why."""

    model_config = ConfigDict(extra="allow")

    key: str
    reason: str
    detail: str
    url: str | None = Field(
        description="for an admin, to look at it where it was set aside, for five minutes; null "
        "where it is there no more"
    )


class RejectedImages(BaseModel):
    """Images that were set aside; `items` has the first 100 by key."""

    images: int
    items: list[RejectedImage]


class Waiting(BaseModel):
    """Images that no run has trained on."""

    images: int
    counts: dict[Label, int]


class Dataset(BaseModel):
    """The labelled images."""

    images: int
    counts: dict[Label, int]
    classes: dict[Label, ClassFigures]
    duplicates: Duplicates
    rejected: RejectedImages
    waiting: Waiting


class FeedbackImage(BaseModel):
    """What was sent, upright."""

    width: int
    height: int
    format: FormatName
    bytes: int
    sha256: str


class FeedbackAnswer(BaseModel):
    """A correction that now waits."""

    id: str
    label: Label
    at: str
    file_name: str = Field(description="as it was sent; it names nothing here")
    image: FeedbackImage


class WaitingFeedback(BaseModel):
    """A correction that waits."""

    id: str
    label: Label | None
    at: str
    bytes: int
    content_type: str
    file_name: str | None
    prediction: str | None
    model_version: str | None
    url: str = Field(description="to look at it; works for five minutes")


class FeedbackList(Page):
    """Corrections that wait, oldest first."""

    items: list[WaitingFeedback]


class AcceptAnswer(BaseModel):
    """A correction that became training data."""

    id: str
    decision: Literal["accepted"]
    label: Label
    key: str = Field(description="where it lies in the data bucket now")


class RejectAnswer(BaseModel):
    """A correction that was thrown away."""

    id: str
    decision: Literal["rejected"]


class RecentRequest(BaseModel):
    """One request that this process answered."""

    at: str
    method: str
    path: str
    status: int
    ms: float
    request_id: str


class Debug(BaseModel):
    """What one process is made of and has just done."""

    versions: dict[str, str | None]
    settings: dict[str, Any]
    recent_requests: list[RecentRequest] = Field(description="the last 50, newest first")
