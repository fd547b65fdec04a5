"""Write a new version's TFLite file: the anchor's file with its last kernel replaced.

The file stores the kernel once, in half precision. It produces the class-activation map, whose mean
gives the logit, so both follow the new kernel. The file's own bias stays the same. The calibration
makes up the difference: probability = sigmoid(raw / temperature + bias).
"""

import base64
import hashlib
import io
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from clickbait.errors import InvalidModel
from clickbait.inference.calibration import Calibration
from clickbait.inference.classifier import Classifier
from clickbait.learning.features import FeatureReader, Outputs
from clickbait.learning.head import Head

TOLERANCE = 0.02
"""Maximum difference between calibrated logits of the patched file and of the layer. Half precision
of 1,280 weights and of stored features changes a logit by less than 0.01."""

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class PatchedModel:
    """A patched TFLite file, and its calibration as stored in `metadata.json`."""

    model: bytes
    calibration: Calibration


def patch(model: bytes, calibration: Calibration, head: Head) -> PatchedModel:
    """Return the anchor's file `model`, calibrated by `calibration`, with the last layer `head`.

    Raises InvalidModel if the file has no such kernel or if half precision cannot hold the new one.
    """
    reader = FeatureReader(model)
    old = reader.last_layer
    # head: slope * (raw / temperature + bias) + head.bias + taste . x, where raw = kernel . x + c.
    scale = head.slope / calibration.temperature
    kernel = (scale * old.kernel + head.taste).astype(np.float16)
    if not np.isfinite(kernel).all():
        raise InvalidModel("The new last layer does not fit in half precision.")
    patched = model.replace(old.stored, kernel.tobytes())
    constant = head.slope * calibration.bias + head.bias + (scale - 1) * reader.bias
    return PatchedModel(patched, Calibration(1.0, float(constant), "small update"))


def verify(
    patched: PatchedModel, head: Head, anchor: Calibration, outputs: Outputs, images: Any
) -> float:
    """Return the largest difference in calibrated logits between the patched file and the layer.

    The patched file runs on model inputs `images` (n, size, size, 3), and the layer on the anchor
    network's `outputs` for them. Raises InvalidModel if the difference exceeds TOLERANCE.
    """
    again = FeatureReader(patched.model).read(images)
    expected = head.logits(outputs.features, outputs.calibrated(anchor))
    worst = float(np.abs(again.calibrated(patched.calibration) - expected).max(initial=0.0))
    if not worst <= TOLERANCE:
        raise InvalidModel(f"The patched file's logits are off by up to {worst:.3f}.")
    return worst


def describe(
    patched: PatchedModel, anchor: dict[str, Any], changes: dict[str, Any]
) -> dict[str, Any]:
    """Return `metadata.json` of the new version.

    It is the anchor's metadata, updated with `changes` (version, dates, band, data it was learned
    from) and with the digest, calibration and golden predictions of the patched file. Raises
    InvalidModel if the service would refuse the version.
    """
    metadata = {
        **anchor,
        **changes,
        "sha256": hashlib.sha256(patched.model).hexdigest(),
        "calibration": patched.calibration.as_dict(),
    }
    inputs = golden_images(anchor)
    probabilities = patched.calibration.apply(FeatureReader(patched.model).read(inputs).logits)
    metadata["golden"] = [
        {"png": stored["png"], "probability": float(p)}
        for stored, p in zip(anchor["golden"], probabilities, strict=True)
    ]
    Classifier(patched.model, metadata)
    return metadata


def golden_images(metadata: dict[str, Any]) -> list[npt.NDArray[np.uint8]]:
    """Return the model inputs that a version keeps in its metadata to check itself with."""
    return [_golden(stored["png"]) for stored in metadata["golden"]]


def _golden(png: str) -> npt.NDArray[np.uint8]:
    with Image.open(io.BytesIO(base64.b64decode(png)), formats=("PNG",)) as image:
        return np.asarray(image.convert("RGB"))
