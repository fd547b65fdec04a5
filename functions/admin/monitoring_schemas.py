"""Response models of `functions.admin.monitoring`."""

from typing import Literal

from pydantic import BaseModel, Field

from clickbait import Label
from functions.admin.schemas import Page

Level = Literal["none", "moderate", "large"]


class ImageFeatures(BaseModel):
    """The appearance of an image at the model's input size, in four numbers."""

    brightness: float = Field(ge=0, le=255, description="mean luma")
    contrast: float = Field(ge=0, description="standard deviation of luma")
    saturation: float = Field(ge=0, le=1)
    colourfulness: float = Field(ge=0, description="Hasler and Suesstrunk's M3")


class PastPrediction(BaseModel):
    """A past prediction."""

    id: str
    at: str
    request_id: str
    prediction: Label
    is_clickbait: bool
    probability: float = Field(ge=0, le=1)
    uncertain: bool
    model_version: str
    sha256: str = Field(description="of the image's bytes")
    ms: float = Field(ge=0, description="milliseconds to decode and classify; about 0 if cached")
    source: Literal["predict", "batch", "worker"]
    batch: str | None
    file: str | None = Field(description="the file's name in the batch; null without a batch")
    threshold: float | None = Field(
        description="from this probability on, it was called clickbait; null if it was not stored"
    )
    features: ImageFeatures | None
    url: str | None = Field(
        description="a link to the image, for five minutes; null if it is no longer stored, or the "
        "caller is not an admin"
    )
    review: str | None = Field(
        description="the image's id for GET /review/{id}, which has a heat map; null without `url`"
    )


class Predictions(Page):
    """Predictions, newest first."""

    items: list[PastPrediction]
    searched_to: str | None = Field(
        description="the time down to which this response searched; null if it searched all"
    )


class Latency(BaseModel):
    """Milliseconds of requests to `predict`; null without requests."""

    p50: float | None
    p95: float | None
    p99: float | None


class Counts(BaseModel):
    """Counts over a period."""

    requests: int = Field(ge=0)
    client_errors: int = Field(ge=0, description="responses 400 to 499")
    faults: int = Field(ge=0, description="responses 500 and up")
    cold_starts: int = Field(ge=0)
    clickbait: int = Field(ge=0)
    legitimate: int = Field(ge=0)
    uncertain: int = Field(ge=0, description="those of both classes inside the uncertain band")
    not_logged: int = Field(
        ge=0, description="predictions that the history, and so the drift, lacks"
    )
    latency_ms: Latency


class Shares(BaseModel):
    """Shares of the predictions; null without predictions."""

    clickbait: float | None
    legitimate: float | None
    uncertain: float | None


class Totals(Counts):
    """Totals of the whole window."""

    error_rate: float | None = Field(description="of requests; null without requests")
    shares: Shares


class MetricsPoint(Counts):
    """The minute or hour that begins at `at`."""

    at: str


class FeatureDrift(BaseModel):
    """The drift of one feature between the training images and those of the last day."""

    psi: float | None = Field(description="population stability index; null if not known")
    level: Level | None
    sample: int = Field(ge=0, description="predictions of the last day from which it is computed")
    reason: str | None = Field(description="why it is null")


class DriftFeatures(BaseModel):
    """The features whose drift is computed."""

    brightness: FeatureDrift
    contrast: FeatureDrift
    saturation: FeatureDrift
    score: FeatureDrift = Field(description="the probability, of the live version only")


class Thresholds(BaseModel):
    """The index at which each level begins."""

    moderate: float
    large: float


class Drift(BaseModel):
    """The last day's images compared with those from which the live version learned."""

    model_version: str | None
    hours: int
    thresholds: Thresholds
    largest: float | None
    level: Level | None
    features: DriftFeatures


class Duration(BaseModel):
    """Milliseconds of a function's invocations; null without invocations."""

    p50: float | None
    p95: float | None
    p99: float | None


class FunctionFigures(BaseModel):
    """The figures of one function over the window."""

    function: Literal["predict", "batch", "worker", "admin", "retrain", "learn"]
    invocations: int = Field(
        ge=0,
        description="requests or events, without the scheduled events of retrain",
    )
    duration_ms: Duration
    memory_mb: float | None = Field(
        ge=0, description="the most that one process used; null without invocations"
    )
    memory_limit_mb: int | None = Field(
        ge=1, description="the limit of a process; null outside of Lambda"
    )


class Metrics(BaseModel):
    """Metrics of a window that ends now."""

    model_config = {"populate_by_name": True}

    window: Literal["1h", "24h", "7d"]
    from_: str = Field(alias="from")
    to: str
    step_seconds: int
    totals: Totals
    points: list[MetricsPoint] = Field(description="oldest first, without gaps")
    functions: list[FunctionFigures]
    drift: Drift
