"""One image's bytes to a prediction: shared by the functions, the worker and the command line."""

import time
from typing import Any, NamedTuple

from clickbait.inference import images
from clickbait.inference.appearance import appearance
from clickbait.inference.classifier import Classifier
from clickbait.settings import MAX_IMAGE_BYTES


class Answer(NamedTuple):
    """The prediction for one image, and the appearance of that image."""

    prediction: dict[str, Any]
    """The fields that the API returns."""
    appearance: dict[str, float]
    """The numbers of `inference.appearance`, for the log of predictions. Empty unless requested."""


def answer(
    model: Classifier,
    data: bytes,
    explain: bool = False,
    max_bytes: int = MAX_IMAGE_BYTES,
    sha256: str = "",
    *,
    with_appearance: bool = False,
) -> Answer:
    """Read and classify `data`; raises as `images.read` does.

    `explain` adds `heatmap` and `evidence` to the prediction. A caller that has hashed `data`
    already passes the `sha256`, so that it is not computed again.
    """
    started = time.perf_counter()
    image = images.read(data, max_bytes)
    pixels = images.model_input(image, model.size)
    decoded = time.perf_counter()
    verdict = model.predict(pixels, explain)
    inferred = time.perf_counter()
    prediction = {
        "prediction": verdict.prediction,
        "is_clickbait": verdict.is_clickbait,
        "probability": verdict.probability,
        "confidence": verdict.confidence,
        "uncertain": verdict.uncertain,
        "threshold": verdict.threshold,
        "model_version": model.version,
        "image": {
            "width": image.width,
            "height": image.height,
            "format": image.format,
            "bytes": len(data),
            "sha256": sha256 or images.sha256(data),
            "trimmed": image.trimmed and image.trimmed._asdict(),
        },
        "timing_ms": {
            "decode": milliseconds(decoded - started),
            "inference": milliseconds(inferred - decoded),
            "total": milliseconds(inferred - started),
        },
    }
    if explain:
        prediction |= {"heatmap": verdict.heatmap, "evidence": verdict.evidence}
    return Answer(prediction, appearance(pixels) if with_appearance else {})


def milliseconds(seconds: float) -> float:
    """Seconds as milliseconds, to the microsecond."""
    return round(1e3 * seconds, 3)
