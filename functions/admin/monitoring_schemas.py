"""The shapes of what `functions.admin.monitoring` answers."""

from typing import Literal

from pydantic import BaseModel, Field

from clickbait import Label
from functions.admin.schemas import Page

Level = Literal["none", "moderate", "large"]


class ImageFeatures(BaseModel):
    """What an image looked like to the model, in four numbers."""

    brightness: float = Field(ge=0, le=255, description="mean luma")
    contrast: float = Field(ge=0, description="standard deviation of luma")
    saturation: float = Field(ge=0, le=1)
    colourfulness: float = Field(ge=0, description="Hasler and Suesstrunk's M3")


class PastPrediction(BaseModel):
    """One answer that was given."""

    at: str
    request_id: str
    prediction: Label
    is_clickbait: bool
    probability: float = Field(ge=0, le=1)
    uncertain: bool
    model_version: str
    sha256: str = Field(description="of the image's bytes")
    ms: float = Field(ge=0, description="milliseconds to decode and classify; about 0 where cached")
    source: Literal["predict", "batch", "worker"]
    batch: str | None
    features: ImageFeatures | None


class Predictions(Page):
    """Predictions, newest first."""

    items: list[PastPrediction]


class Latency(BaseModel):
    """Milliseconds of requests to `predict`; null where there were none."""

    p50: float | None
    p95: float | None
    p99: float | None


class Counts(BaseModel):
    """What was counted in some time."""

    requests: int = Field(ge=0)
    client_errors: int = Field(ge=0, description="answers 400 to 499")
    faults: int = Field(ge=0, description="answers 500 and up")
    cold_starts: int = Field(ge=0)
    clickbait: int = Field(ge=0)
    legitimate: int = Field(ge=0)
    uncertain: int = Field(ge=0, description="of the two before, those inside the uncertain band")
    latency_ms: Latency


class Shares(BaseModel):
    """Parts of the predictions; null where there were none."""

    clickbait: float | None
    legitimate: float | None
    uncertain: float | None


class Totals(Counts):
    """Of the whole window."""

    error_rate: float | None = Field(description="of requests; null where there were none")
    shares: Shares


class MetricsPoint(Counts):
    """Of the minute or hour that begins at `at`."""

    at: str


class FeatureDrift(BaseModel):
    """How far one feature of the last day's images is from the training's."""

    psi: float | None = Field(description="population stability index; null where not known")
    level: Level | None
    sample: int = Field(ge=0, description="predictions of the last day that it is made from")
    reason: str | None = Field(description="why there is none")


class DriftFeatures(BaseModel):
    """The features that are watched."""

    brightness: FeatureDrift
    contrast: FeatureDrift
    saturation: FeatureDrift
    score: FeatureDrift = Field(description="the probability, of the live version's answers alone")


class Thresholds(BaseModel):
    """From which index on a change has a name."""

    moderate: float
    large: float


class Drift(BaseModel):
    """The last day's input against what the live version learned from."""

    model_version: str | None
    hours: int
    thresholds: Thresholds
    largest: float | None
    level: Level | None
    features: DriftFeatures


class Duration(BaseModel):
    """Milliseconds of a function's invocations; null where there were none."""

    p50: float | None
    p95: float | None
    p99: float | None


class FunctionFigures(BaseModel):
    """What one function did in the window."""

    function: Literal["predict", "batch", "worker", "admin", "retrain"]
    invocations: int = Field(
        ge=0,
        description="requests, or events; of retrain without those of the clock, which never rest",
    )
    duration_ms: Duration
    memory_mb: float | None = Field(
        ge=0, description="the most that one process has had; null where nothing ran"
    )
    memory_limit_mb: int | None = Field(
        ge=1, description="what a process may have; null outside of Lambda"
    )


class Metrics(BaseModel):
    """How the service did in a window that ends now."""

    model_config = {"populate_by_name": True}

    window: Literal["1h", "24h", "7d"]
    from_: str = Field(alias="from")
    to: str
    step_seconds: int
    totals: Totals
    points: list[MetricsPoint] = Field(description="oldest first, without gaps")
    functions: list[FunctionFigures]
    drift: Drift
