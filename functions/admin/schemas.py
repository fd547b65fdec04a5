"""Request and response models of this function, for the OpenAPI document."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from clickbait import Label
from clickbait.inference.images import FormatName
from clickbait.store.access_keys import Role
from clickbait.store.runs import STATES, Method, Parameters, State
from functions.admin.access_keys import NewKey
from functions.admin.models import Promotion
from functions.admin.notes import VersionNote
from functions.admin.threshold import NewThreshold

__all__ = ["NewKey", "NewThreshold", "Parameters", "Promotion", "VersionNote"]

assert State.__args__ == STATES  # type: ignore[attr-defined]


class Page(BaseModel):
    """One page of a list. `next` is the `cursor` of the next page, null at the end."""

    count: int = Field(ge=0, description="items on this page")
    next: str | None


class SideCounts(BaseModel):
    """Images that a version was trained and measured with."""

    train: int | None
    validation: int | None
    test: int | None


class Key(BaseModel):
    """A key of a caller, without its secret."""

    id: str
    name: str
    role: Role
    state: Literal["active", "ended", "revoked"]
    created: str
    by: str
    quota: int | None = Field(description="images a day; null for any number")
    ends: str | None
    revoked: str | None
    used_today: int = Field(ge=0, description="images since 00:00 UTC; up to a minute late")


class MadeKey(Key):
    """A new key, with its secret."""

    key: str = Field(description="shown this once")


class Keys(BaseModel):
    """All keys."""

    items: list[Key]
    count: int = Field(ge=0)


class ModelFile(BaseModel):
    """A file of a version."""

    name: str
    bytes: int
    url: str = Field(description="a link to download it")


class ModelFiles(BaseModel):
    """The files of a version that may be downloaded."""

    items: list[ModelFile]
    expires_in: int = Field(description="seconds until the links end")


class NamedVersion(BaseModel):
    """A version's name for people, and its star."""

    version: str
    name: str | None
    starred: bool


class ModelSummary(NamedVersion):
    """A version in a list."""

    live: bool
    source: Literal["baseline", "run"] = Field(description="baseline: the built-in model")
    run: str | None = Field(description="the run that trained it")
    training_date: str | None
    architecture: str | None
    images: SideCounts
    metrics: dict[str, Any] = Field(
        description="accuracy, precision, recall, f1 and auc with their intervals; brier, loss, "
        "expected_calibration_error; null if not measured"
    )
    gate: dict[str, Any] | None = Field(
        description="the gate's decision, from its run, without its checks: `own`, `world` and "
        "`sets` have the figures of the version (candidate) and of the model that was live "
        "(champion) on the same images; null if no run is known"
    )
    error: str | None = Field(description="why its metadata cannot be read; otherwise null")


class Models(Page):
    """Versions, newest first."""

    items: list[ModelSummary]
    total: int = Field(ge=0, description="versions that match, on all pages")


class PromotionRecord(BaseModel):
    """A change of the live model, or of its threshold."""

    version: str
    previous: str | None
    at: str
    by: str = Field(description="a run, or an admin and the request")
    reason: str
    forced: bool
    gate: dict[str, Any] | None
    change: Literal["version", "threshold"] = Field(
        "version", description="threshold: the same version got another threshold"
    )
    threshold: float | None = Field(
        None, description="that an admin had set by then; null: the model's own"
    )


class Model(NamedVersion):
    """One version."""

    live: bool
    threshold: float = Field(
        description="at which it serves: that of the service if an admin set one, or its own"
    )
    source: Literal["baseline", "run"]
    run: str | None
    metadata: dict[str, Any] = Field(description="as its training wrote it, without golden images")
    metrics: dict[str, Any]
    promotions: list[PromotionRecord] = Field(description="its promotions, newest first")
    gate: dict[str, Any] | None = Field(description="the gate's decision, from its run")


class PromotionAnswer(BaseModel):
    """The result of a promotion."""

    changed: bool = Field(description="false if the version was live already")
    version: str
    promotion: PromotionRecord | None = Field(
        description="the one that made it live; null if the baseline was always live"
    )


class ThresholdAnswer(BaseModel):
    """The threshold in use."""

    model_config = ConfigDict(protected_namespaces=())

    changed: bool = Field(description="false if it was this one already")
    version: str = Field(description="the live version")
    threshold: float = Field(description="the one in use now")
    model_threshold: float = Field(description="the live version's own")
    promotion: PromotionRecord | None = Field(description="the record; null if nothing changed")


class LiveThen(BaseModel):
    """The model that was live; `at`, `by` and `reason` are null before the first promotion.
    `threshold` is the one that an admin had set, or null."""

    model_config = ConfigDict(extra="allow")

    version: str | None
    at: str | None
    by: str | None
    reason: str | None
    threshold: float | None


class Promotions(Page):
    """Promotions, newest first."""

    live: LiveThen
    items: list[PromotionRecord]


class DoubtedLabel(BaseModel):
    """A new image whose label the live model contradicts."""

    key: str = Field(description="in the data bucket, at the time of the check")
    label: Label
    probability: float = Field(ge=0, le=1, description="of clickbait, by the live model")
    url: str | None = Field(
        None,
        description="link for an admin, works for five minutes; null if the image no longer "
        "exists; left out of a list of runs",
    )


class LabelOfClass(BaseModel):
    """New images of one class."""

    images: int
    contradicted: int


class LabelCheck(BaseModel):
    """How well the live model agrees with the labels of new images, before a training."""

    rejected: bool
    reason: str = Field(description="why it is rejected; otherwise empty")
    warnings: list[str] = Field(
        [], description="a sentence for each class with which the live model mostly disagrees"
    )
    warning: str = Field("", description="the warning of a run of before; empty if there is none")
    images: int
    contradicted: int
    classes: dict[Label, LabelOfClass]
    auc: float | None = Field(
        None, description="AUC of the live model on these labels; null without both classes"
    )
    own_error: float | None = Field(
        None, description="of a run of before: the live model's error rate on its test images"
    )
    worst: list[DoubtedLabel] = Field(description="the ten most doubtful labels")


class Run(BaseModel):
    """A training run. Fields are left out until they are known."""

    model_config = ConfigDict(extra="allow")

    id: str
    state: State
    reason: str = Field(description="why it is in this state, in a sentence")
    trigger: Literal["uploads", "schedule", "admin"]
    method: Method = Field(
        description="small_update: a new last layer, in seconds; fine_tuning: the network"
    )
    method_reason: str = Field(description="why this method, in a sentence; may be empty")
    parameters: dict[str, Any]
    created: str
    times: dict[str, str] = Field(description="when it reached each state")
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
    """Images by value. `counts` has one number fewer than `edges`."""

    edges: list[float]
    counts: list[int]


class Spread(BaseModel):
    """The distribution of one figure over the images of a class; null without images."""

    mean: float | None
    sd: float | None
    min: float | None
    max: float | None
    percentiles: dict[str, float | None] = Field(description="p5, p25, p50, p75, p95")
    histogram: Histogram


class Look(BaseModel):
    """An image in the data bucket, and a link to it."""

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
    samples: list[Look] = Field(description="eight, the same ones each time")


class Family(BaseModel):
    """Images that are identical or look alike."""

    images: int
    labels: list[Label] = Field(description="both if one of them is wrong")
    keys: list[str] = Field(description="the first 20")
    looks: list[Look] = Field(description="links to the first four of them")


class Families(BaseModel):
    """Families of duplicates, the largest first; `items` has the first 100."""

    families: int
    images: int
    items: list[Family]


class NearFamilies(Families):
    """Families of images that look alike (by perceptual hash) and differ in their bytes."""

    compared: int = Field(description="images compared, the newest")


class Duplicates(BaseModel):
    """Duplicate images."""

    identical: Families
    near: NearFamilies


class RejectedImage(BaseModel):
    """A rejected image, and the reason."""

    model_config = ConfigDict(extra="allow")

    key: str
    reason: str
    detail: str
    url: str | None = Field(
        description="link for an admin, works for five minutes; null if the image no longer exists"
    )


class RejectedImages(BaseModel):
    """Rejected images. `items` has the first 100 by key."""

    images: int
    items: list[RejectedImage]


class Waiting(BaseModel):
    """Images that no run has examined under their present label."""

    images: int
    counts: dict[Label, int]
    reason: str = Field(
        description="why no training starts by itself, or when one will, in sentences"
    )


class Dataset(BaseModel):
    """The labelled images."""

    images: int
    counts: dict[Label, int]
    classes: dict[Label, ClassFigures]
    duplicates: Duplicates
    rejected: RejectedImages
    waiting: Waiting
    counting: int | None = Field(
        description="about how many uploads and removals the figures do not have yet; null if "
        "unknown"
    )


class FeedbackImage(BaseModel):
    """The image that was sent, upright."""

    width: int
    height: int
    format: FormatName
    bytes: int
    sha256: str


class FeedbackAnswer(BaseModel):
    """A new correction."""

    id: str
    label: Label
    at: str
    file_name: str = Field(description="as it was sent")
    image: FeedbackImage


class WaitingFeedback(BaseModel):
    """A correction to review."""

    id: str
    label: Label | None
    at: str
    bytes: int
    content_type: str
    file_name: str | None
    prediction: str | None
    model_version: str | None
    url: str = Field(description="link to the image; works for five minutes")


class FeedbackList(Page):
    """Corrections to review, oldest first."""

    items: list[WaitingFeedback]


class AcceptAnswer(BaseModel):
    """An accepted correction."""

    id: str
    decision: Literal["accepted"]
    label: Label
    key: str = Field(description="of its training image in the data bucket")


class RejectAnswer(BaseModel):
    """A rejected correction."""

    id: str
    decision: Literal["rejected"]


class RecentRequest(BaseModel):
    """A request to this process."""

    at: str
    method: str
    path: str
    status: int
    ms: float
    request_id: str


class Debug(BaseModel):
    """Versions, settings and recent requests of one process."""

    versions: dict[str, str | None]
    settings: dict[str, Any]
    recent_requests: list[RecentRequest] = Field(description="the last 50, newest first")
