"""The environment as typed settings: read once, checked at start, and wrong values named by their
variable."""

import os
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

MAX_IMAGE_BYTES = 10_000_000
"""Largest image in bytes, whatever way it comes in; a request through the API has a smaller
limit."""

LAMBDA_BASELINE = Path("/opt/baseline")
CHECKOUT_BASELINE = Path(__file__).resolve().parents[4] / "layers" / "baseline" / "baseline"


class SettingsError(ValueError):
    """Raise when a variable of the environment has a value that cannot be meant; says which and
    why."""


def _split(value: object) -> object:
    return (
        [part.strip() for part in value.split(",") if part.strip()]
        if isinstance(value, str)
        else value
    )


class Settings(BaseModel):
    """Each field is the environment variable of the same name in capitals; README has them in one
    table."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    model_path: Path | None = Field(
        None, description="folder of the model that serves where no bucket has a champion"
    )
    models_bucket: str = Field(
        "", description="bucket with champion.json and versions/; empty: MODEL_PATH serves"
    )
    data_bucket: str = Field(
        "", description="bucket of images: train/, exam/, inbox/, uploads/, feedback/, results/"
    )
    table: str = Field("", description="table of runs, of the images' descriptions and of leases")
    job_queue: str = Field("", description="AWS Batch job queue that trainings are submitted to")
    job_definition: str = Field("", description="AWS Batch job definition of a training")
    uploads_queue: str = Field("", description="URL of the queue of what lands in train/")
    min_new_images: int = Field(
        20, ge=1, le=100_000, description="new images that start a training by themselves"
    )
    quiet_period: int = Field(
        60, ge=0, le=900, description="seconds without an upload before a training starts"
    )
    access: Literal["private", "public"] = Field(
        "private", description="public: what is not for admins is for anybody"
    )
    admin_secret: str = Field(
        "", description="name or ARN of the secret that holds the admin's token"
    )
    cache_size: int = Field(256, ge=0, le=100_000, description="answers kept in memory; 0 for none")
    max_upload_size: int = Field(
        MAX_IMAGE_BYTES, ge=1_024, le=MAX_IMAGE_BYTES, description="bytes of one image at most"
    )
    allowed_origins: Annotated[list[str], BeforeValidator(_split)] = Field(
        [],
        description="origins whose pages may call `make serve`; on AWS the gateway does CORS",
    )
    debug_mode: bool = Field(False, description="true: log every request, whatever LOG_LEVEL says")
    log_level: str = Field(
        "INFO", pattern="^(DEBUG|INFO|WARNING|ERROR|CRITICAL)$", description="least level logged"
    )

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Self:
        """Raises SettingsError with one line a wrong variable."""
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
                    f"{str(e['loc'][0]).upper()}={e['input']!r}: {e['msg']}" for e in error.errors()
                )
            ) from error

    @property
    def model_folder(self) -> Path:
        """MODEL_PATH, or the baseline: of the Lambda layer where there is one, else of the
        checkout.

        MODEL_PATH may name the folder of a version or the `model.tflite` in it.
        """
        if self.model_path is None:
            return LAMBDA_BASELINE if LAMBDA_BASELINE.is_dir() else CHECKOUT_BASELINE
        return self.model_path.parent if self.model_path.suffix == ".tflite" else self.model_path


@cache
def settings() -> Settings:
    """The process's settings; raises SettingsError at the first call where the environment is
    wrong."""
    return Settings.from_environment(os.environ)
