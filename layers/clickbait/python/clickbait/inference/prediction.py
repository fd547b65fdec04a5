"""One image's bytes to the fields of the API's answer: what the command line, the functions and the
worker share."""

import time
from dataclasses import asdict
from typing import Any

from clickbait.inference import images
from clickbait.inference.appearance import appearance
from clickbait.inference.classifier import Classifier
from clickbait.settings import MAX_IMAGE_BYTES


def answer(
    model: Classifier,
    data: bytes,
    explain: bool = False,
    max_bytes: int = MAX_IMAGE_BYTES,
    sha256: str = "",
    *,
    looks: bool = False,
) -> dict[str, Any]:
    """Read and classify `data`; raises as `images.read` does.

    `sha256` spares hashing what the caller hashed. `looks` adds `features`, which are for the log
    of predictions and no part of an answer: see `told`."""
    started = time.perf_counter()
    image = images.read(data, max_bytes)
    pixels = images.model_input(image)
    decoded = time.perf_counter()
    verdict = asdict(model.predict(pixels, explain))
    inferred = time.perf_counter()
    heatmap = verdict.pop("heatmap")
    return {
        **verdict,
        "model_version": model.version,
        "image": {
            "width": image.width,
            "height": image.height,
            "format": image.format,
            "bytes": len(data),
            "sha256": sha256 or images.sha256(data),
        },
        "timing_ms": {
            "decode": milliseconds(decoded - started),
            "inference": milliseconds(inferred - decoded),
            "total": milliseconds(inferred - started),
        },
        **({"heatmap": heatmap} if explain else {}),
        **({"features": appearance(pixels)} if looks else {}),
    }


def told(made: dict[str, Any]) -> dict[str, Any]:
    """What a caller is told of an `answer`."""
    return {name: value for name, value in made.items() if name != "features"}


def milliseconds(seconds: float) -> float:
    """Seconds as milliseconds, to the microsecond."""
    return round(1e3 * seconds, 3)
