"""The schemas of this function's responses, for the OpenAPI document."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from clickbait import Label
from clickbait.inference.images import FormatName

Share = Field(ge=0, le=1)


class Trimmed(BaseModel):
    """Black bars that were cut off, in pixels of the upright image."""

    left: int = Field(ge=0)
    top: int = Field(ge=0)
    right: int = Field(ge=0)
    bottom: int = Field(ge=0)


class ImageFacts(BaseModel):
    """The image that was sent; width and height are those of the upright image, with its bars."""

    width: int
    height: int
    format: FormatName
    bytes: int
    sha256: str
    trimmed: Trimmed | None = Field(
        description="black bars that the model does not see; the heat map lies inside of them"
    )


class Timing(BaseModel):
    """Milliseconds in the function."""

    decode: float
    inference: float
    total: float


class PredictionAnswer(BaseModel):
    """The verdict on one image."""

    model_config = ConfigDict(protected_namespaces=())

    prediction: Label = Field(description="the class, named as its training folder")
    is_clickbait: bool
    probability: float = Field(
        ge=0, le=1, description="calibrated probability that the image is clickbait"
    )
    confidence: float = Field(ge=0, le=1, description="probability of the predicted class")
    uncertain: bool = Field(
        description="at this probability, the model is right less often than it promises, whatever "
        "the threshold"
    )
    threshold: float = Field(description="from this probability on, it is called clickbait")
    model_version: str
    image: ImageFacts
    timing_ms: Timing
    cached: bool
    request_id: str
    id: str | None = Field(
        None, description="for GET /predictions/{id}; left out if the prediction is not logged"
    )
    heatmap: list[list[float]] | None = Field(
        None,
        description="with `explain`: the evidence for the predicted class from 0 to 1, in a square "
        "of cells, one for each 32 pixels of the side of the model's input: 7 x 7 at 224 pixels",
    )
    evidence: list[list[float]] | None = Field(
        None,
        description="with `explain`: evidence for clickbait above 0 and against it below, in the "
        "same cells; their mean is the log odds of `probability`",
    )


class ServiceAnswer(BaseModel):
    """Name, status, version and links."""

    name: str
    status: Literal["ready", "unavailable"] = Field(description="`/status` says why")
    version: str
    description: str
    links: dict[str, str]


class StatusAnswer(BaseModel):
    """The state of the process that responds."""

    model_config = ConfigDict(protected_namespaces=())

    status: Literal["ready", "degraded"] = Field(
        description="degraded: another model serves than the one that was promoted last"
    )
    problem: str | None = Field(description="why the service is degraded")
    model_version: str
    threshold: float = Field(description="the one in use")
    model_since: str = Field(description="when this process loaded the model, UTC")
    uptime_seconds: float
    cold_start: bool


class CheckResult(BaseModel):
    """One dependency."""

    name: str
    ok: bool
    milliseconds: float
    detail: str


class SystemCheckAnswer(BaseModel):
    """The result of checking every dependency."""

    status: Literal["ok", "degraded"]
    checks: list[CheckResult]


class Endpoint(BaseModel):
    """One route."""

    method: str
    path: str
    summary: str


class Example(BaseModel):
    """One command to try."""

    title: str
    command: str


class DocsInfoAnswer(BaseModel):
    """The addresses of the documentation, all routes, and examples."""

    title: str
    version: str
    documentation: dict[str, str]
    endpoints: list[Endpoint]
    examples: list[Example]


class UncertainBand(BaseModel):
    """Between these probabilities the model is right less often than its promise."""

    low: float
    high: float
    promise: float = Field(description="how often it is right outside the band, at least")


class ModelInfoAnswer(BaseModel):
    """The live model's metadata. training/README.md describes the other fields."""

    model_config = ConfigDict(extra="allow", protected_namespaces=())

    model_version: str
    architecture: str
    training_date: str
    training_images: int
    validation_images: int
    test_images: int
    accuracy: float | None
    loss: float | None
    epochs_trained: int
    early_stopping_epoch: int | None
    labels: list[str]
    threshold: float = Field(description="the model's own")
    threshold_in_use: float = Field(description="the one that an admin set, or the model's own")
    uncertain_band: UncertainBand
    metrics: dict[str, Any]
