"""The environment as typed settings, read once. An invalid value is reported with its variable."""

import os
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ByteSize,
    ConfigDict,
    Field,
    ValidationError,
)

MAX_IMAGE_BYTES = 10_000_000
"""Bytes of the largest image, however it arrives. A request through the API has a lower limit:
`web.bodies.MAX_REQUEST_BYTES`."""

THRESHOLDS = (0.05, 0.95)
"""The lowest and the highest threshold that a caller or an admin may choose. Probabilities are
calibrated: a lower one would call images clickbait of which 19 in 20 are legitimate, and a higher
one would miss images that are almost certainly clickbait."""

LAMBDA_BASELINE = Path("/opt/baseline")
CHECKOUT_BASELINE = Path(__file__).resolve().parents[4] / "layers" / "baseline" / "baseline"


class SettingsError(ValueError):
    """Raise for invalid environment variables; name each variable and what is wrong with it."""


def _split(value: object) -> object:
    if not isinstance(value, str):
        return value
    return [part.strip() for part in value.split(",") if part.strip()]


KERAS_FILES = frozenset({".h5", ".hdf5", ".keras", ".pb"})


def _no_keras_file(path: Path) -> Path:
    if path.suffix.lower() in KERAS_FILES:
        raise ValueError(
            "this is a Keras file, and the service loads the folder of a version (model.tflite and "
            "metadata.json). Train one on the same images: make train DATA=data OUT=version "
            "ARGS='--architecture cnn'"
        )
    return path


class Settings(BaseModel):
    """Each field is the environment variable of the same name in capitals. README lists them."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    model_path: Annotated[Path, AfterValidator(_no_keras_file)] | None = Field(
        None, description="folder of the model to use if MODELS_BUCKET has no champion"
    )
    models_bucket: str = Field(
        "", description="bucket with champion.json and versions/; if empty, MODEL_PATH is used"
    )
    data_bucket: str = Field(
        "", description="bucket of images: train/, exam/, inbox/, uploads/, feedback/, results/"
    )
    table: str = Field("", description="table of runs, images, batches and predictions")
    job_queue: str = Field("", description="AWS Batch job queue for training")
    job_definition: str = Field("", description="AWS Batch job definition for training")
    uploads_queue: str = Field("", description="URL of the queue of new objects in train/")
    learn_queue: str = Field("", description="URL of the queue of small updates")
    min_new_images: int = Field(
        20,
        ge=1,
        le=100_000,
        description="new, relabelled or removed images that start a training automatically",
    )
    quiet_period: int = Field(
        60, ge=0, le=900, description="seconds without an upload before a training starts"
    )
    access: Literal["private", "public"] = Field(
        "private", description="public: anyone may use the member routes"
    )
    admin_secret: str = Field(
        "", description="name or ARN of the secret that holds the admin token"
    )
    cache_size: int = Field(256, ge=0, le=100_000, description="predictions cached in memory")
    keep_unsure: int = Field(
        0,
        ge=0,
        le=1_000,
        description="images of unsure predictions that are kept a day for review, at most, for 30 "
        "days; 0 keeps none",
    )
    metrics_cache: int = Field(
        60, ge=0, le=3_600, description="seconds that figures of CloudWatch, which cost, are kept"
    )
    max_upload_size: ByteSize = Field(
        ByteSize(MAX_IMAGE_BYTES),
        ge=1_024,
        le=MAX_IMAGE_BYTES,
        description="the most bytes of one image, as a number or as 10MB",
    )
    allowed_origins: Annotated[list[str], BeforeValidator(_split)] = Field(
        [],
        description="origins whose pages may call `make serve`; on AWS, API Gateway handles CORS",
    )
    debug_mode: bool = Field(False, description="true: log every request, whatever LOG_LEVEL says")
    log_level: str = Field(
        "INFO",
        pattern="^(DEBUG|INFO|WARNING|ERROR|CRITICAL)$",
        description="lowest level to log",
    )

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Self:
        """Raises SettingsError, which names every invalid variable."""
        given = {
            name: environment[name.upper()]
            for name in cls.model_fields
            if environment.get(name.upper())
        }
        try:
            return cls.model_validate(given)
        except ValidationError as error:
            raise SettingsError(
                "; ".join(
                    f"{str(e['loc'][0]).upper()}={e['input']!r}: "
                    + e["msg"].removeprefix("Value error, ")
                    for e in error.errors()
                )
            ) from error

    @property
    def model_folder(self) -> Path:
        """The folder of MODEL_PATH, or else the baseline in the Lambda layer or the checkout.

        MODEL_PATH names the folder of a version, or the `model.tflite` in it.
        """
        if self.model_path is None:
            return LAMBDA_BASELINE if LAMBDA_BASELINE.is_dir() else CHECKOUT_BASELINE
        return self.model_path.parent if self.model_path.suffix == ".tflite" else self.model_path


@cache
def settings() -> Settings:
    """The process's settings. The first call raises SettingsError if the environment is invalid."""
    return Settings.from_environment(os.environ)
