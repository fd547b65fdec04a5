"""The environment as typed settings, read once. An invalid value is reported with its variable."""

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Self, get_type_hints

MAX_IMAGE_BYTES = 10_000_000
"""Bytes of the largest image, however it arrives. A request through the API has a lower limit:
`web.bodies.MAX_REQUEST_BYTES`."""

THRESHOLDS = (0.05, 0.95)
"""The lowest and the highest threshold that a caller or an admin may choose. Probabilities are
calibrated: a lower one would call images clickbait of which 19 in 20 are legitimate, and a higher
one would miss images that are almost certainly clickbait."""

LAMBDA_BASELINE = Path("/opt/baseline")
CHECKOUT_BASELINE = Path(__file__).resolve().parents[4] / "layers" / "baseline" / "baseline"

SWITCH = dict.fromkeys(("true", "t", "yes", "y", "on", "1"), True)
SWITCH |= dict.fromkeys(("false", "f", "no", "n", "off", "0"), False)
"""Words for a setting or a parameter that is on or off, in lower case."""

SIZE = re.compile(r"(\d{1,20}(?:\.\d{1,20})?)\s*([kmg]?(?:i?b)?)", re.IGNORECASE)
UNITS = {"": 0, "k": 1, "m": 2, "g": 3}
"""A size with a unit: 10MB is 10,000,000 bytes and 10MiB 10,485,760."""

KERAS_FILES = frozenset({".h5", ".hdf5", ".keras", ".pb"})


class SettingsError(ValueError):
    """Raise for invalid environment variables; name each variable and what is wrong with it."""


def _whole(least: int, most: int) -> Callable[[str], int]:
    """A reader of whole numbers from `least` to `most`."""

    def read(text: str) -> int:
        try:
            number = int(text)
        except ValueError:
            raise ValueError("it is not a whole number") from None
        if not least <= number <= most:
            raise ValueError(f"it must be from {least:,} to {most:,}")
        return number

    return read


def _size(least: int, most: int) -> Callable[[str], int]:
    """A reader of numbers of bytes, with or without a unit."""
    within = _whole(least, most)

    def read(text: str) -> int:
        found = SIZE.fullmatch(text.strip())
        if found is None:
            raise ValueError("it is not a size, such as 5000000 or 5MB")
        unit = found[2].lower()
        factor = 1024 if "i" in unit else 1000
        size = int(float(found[1]) * factor ** UNITS[unit.rstrip("ib")])
        try:
            return within(str(size))
        except ValueError as error:
            raise ValueError(f"{size:,} bytes; {error}") from None

    return read


def _model_path(text: str) -> Path:
    path = Path(text)
    if path.suffix.lower() in KERAS_FILES:
        raise ValueError(
            "this is a Keras file, and the service loads the folder of a version (model.tflite and "
            "metadata.json). It cannot be converted alone, because a version is also calibrated "
            "and measured on images. Train one on the same images: make train DATA=data "
            "OUT=version ARGS='--architecture cnn'"
        )
    return path


def _one_of(*names: str) -> Callable[[str], str]:
    """A reader of one of `names`."""

    def read(text: str) -> str:
        if text not in names:
            raise ValueError(f"it must be one of {', '.join(names)}")
        return text

    return read


def _switch(text: str) -> bool:
    if text.lower() not in SWITCH:
        raise ValueError("it must be true or false")
    return SWITCH[text.lower()]


def _list(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


@dataclass(frozen=True)
class Settings:
    """Each field is the environment variable of the same name in capitals, read by the function in
    its annotation. README lists them.

    A dataclass and not a Pydantic model: every function reads its settings while it starts, and
    importing Pydantic takes longer than most functions' own code.
    """

    model_path: Annotated[Path | None, _model_path] = None
    """Folder of the model to use if MODELS_BUCKET has no champion."""
    models_bucket: str = ""
    """Bucket with champion.json and versions/; if empty, MODEL_PATH is used."""
    data_bucket: str = ""
    """Bucket of images: train/, exam/, inbox/, uploads/, feedback/, results/."""
    table: str = ""
    """Table of runs, images, batches and predictions."""
    job_queue: str = ""
    """AWS Batch job queue for training."""
    job_definition: str = ""
    """AWS Batch job definition for training."""
    uploads_queue: str = ""
    """URL of the queue of new objects in train/."""
    learn_queue: str = ""
    """URL of the queue of small updates."""
    notify_topic: str = ""
    """ARN of the topic for messages about trainings and batches that have ended."""
    min_new_images: Annotated[int, _whole(1, 100_000)] = 20
    """New, relabelled or removed images that start a training automatically."""
    quiet_period: Annotated[int, _whole(0, 900)] = 60
    """Seconds without an upload before a training starts."""
    access: Annotated[str, _one_of("private", "public")] = "private"
    """public: anyone may use the member routes."""
    predict_access: Annotated[str, _one_of("open", "keys")] = "open"
    """keys: predictions need a key or the admin token as well."""
    admin_secret: str = ""
    """Name or ARN of the secret that holds the admin token."""
    cache_size: Annotated[int, _whole(0, 100_000)] = 256
    """Predictions cached in memory."""
    keep_unsure: Annotated[int, _whole(0, 1_000)] = 0
    """Images of unsure predictions that are kept a day for review, at most, for 30 days; 0 keeps
    none."""
    metrics_cache: Annotated[int, _whole(0, 3_600)] = 60
    """Seconds that figures of CloudWatch, which cost, are kept."""
    max_upload_size: Annotated[int, _size(1_024, MAX_IMAGE_BYTES)] = MAX_IMAGE_BYTES
    """The most bytes of one image, as a number or as 10MB."""
    allowed_origins: Annotated[list[str], _list] = field(default_factory=list)
    """Origins whose pages may call `make serve`; on AWS, API Gateway handles CORS."""
    fetch_youtube: Annotated[bool, _switch] = True
    """false: addresses of YouTube videos are refused, and nothing is fetched."""
    debug_mode: Annotated[bool, _switch] = False
    """true: log every request, whatever LOG_LEVEL says."""
    log_level: Annotated[str, _one_of("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")] = "INFO"
    """Lowest level to log."""

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Self:
        """Raises SettingsError, which names every invalid variable."""
        given: dict[str, Any] = {}
        wrong = []
        for name, kind in get_type_hints(cls, include_extras=True).items():
            variable = name.upper()
            text = environment.get(variable)
            if not text:
                continue
            (read,) = getattr(kind, "__metadata__", (str,))
            try:
                given[name] = read(text)
            except ValueError as error:
                wrong.append(f"{variable}={text!r}: {error}")
        if wrong:
            raise SettingsError("; ".join(wrong))
        return cls(**given)

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
