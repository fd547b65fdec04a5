"""Pixels to a calibrated prediction and a heat map. A model must match its metadata."""

import base64
import copy
import hashlib
import io
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from ai_edge_litert.interpreter import Interpreter
from PIL import Image

from clickbait import LABELS
from clickbait.errors import InvalidModel
from clickbait.inference.calibration import Calibration
from clickbait.inference.images import INPUT_SIZE
from clickbait.settings import THRESHOLDS

GOLDEN_TOLERANCE = 0.02
"""Largest difference from a stored probability. Between x86 and arm64, fp16 weights changed
probabilities by at most 0.016."""

SIZES = (32, 1024)
"""Smallest and largest side of a model's input, in pixels."""
SIGNATURE = "serving_default"


@dataclass(frozen=True, slots=True)
class Prediction:
    """The model's prediction for one image.

    `probability` is that of clickbait, `confidence` that of the predicted class. From `threshold`
    on an image is called clickbait. `uncertain` does not depend on it: it says that the probability
    is in the band of the calibration.
    """

    prediction: str
    is_clickbait: bool
    probability: float
    confidence: float
    uncertain: bool
    threshold: float
    heatmap: list[list[float]] | None = None
    evidence: list[list[float]] | None = None


class Classifier:
    """One loaded model version. Threads may share it; they take turns at the interpreter."""

    def __init__(self, model: bytes, metadata: dict[str, Any]) -> None:
        """Load `model` (a TFLite file) and check it against `metadata`.

        Raises InvalidModel if the sha256, the label order, a shape or a golden prediction does not
        match.
        """
        try:
            self._check_promises(model, metadata)
            self.version = str(metadata["model_version"])
            self.metadata = metadata
            self.size = input_size(metadata)
            """Side of the square input, in pixels: `images.model_input` needs it."""
            self.calibration = Calibration.from_dict(metadata["calibration"])
            self.threshold = float(metadata["threshold"])
            band = metadata["uncertain_band"]
            self._low, self._high = float(band["low"]), float(band["high"])
            if not 0 < self.threshold < 1:
                raise ValueError(f"the threshold is {self.threshold}, not between 0 and 1")
            if not 0 <= self._low <= self._high <= 1:
                raise ValueError(f"the uncertain band is {self._low} to {self._high}")
            self._golden = [_golden(stored, self.size) for stored in metadata.get("golden", ())]
            self._interpreter = Interpreter(model_content=model, num_threads=1)
            self._interpreter.allocate_tensors()
            self._input, self._logit, self._cam, self._side = self._tensors()
        except (KeyError, TypeError, ValueError, RuntimeError, OSError, ArithmeticError) as error:
            # LiteRT raises ValueError for a broken file and RuntimeError for an unknown operation.
            raise InvalidModel(
                f"The model does not load: {type(error).__name__}: {error}"
            ) from error
        self._lock = Lock()
        self.check_golden()

    @classmethod
    def load(cls, folder: Path) -> Self:
        """The version in `folder`, which has `model.tflite` and `metadata.json`.

        Raises InvalidModel, which names a missing file.
        """
        try:
            model = (folder / "model.tflite").read_bytes()
            metadata = json.loads((folder / "metadata.json").read_bytes())
        except (OSError, ValueError) as error:
            raise InvalidModel(f"No model in {folder}: {error}") from error
        return cls(model, metadata)

    def at(self, threshold: float | None) -> Self:
        """The same loaded model with another threshold; None leaves it as it is.

        Both share the interpreter. Raises ValueError outside THRESHOLDS.
        """
        if threshold is None:
            return self
        low, high = THRESHOLDS
        if not low <= threshold <= high:
            raise ValueError(f"a threshold is from {low} to {high}, not {threshold}")
        other = copy.copy(self)
        other.threshold = threshold
        return other

    def predict(self, pixels: npt.NDArray[np.uint8], explain: bool = False) -> Prediction:
        """Classify one image, (size, size, 3) uint8 RGB; `explain` adds both maps, which have one
        cell for each 32 pixels of the side."""
        with self._lock:
            self._invoke(pixels)
            raw = float(self._interpreter.get_tensor(self._logit).item())
            cam = self._map() if explain else None
        probability = float(self.calibration.apply(raw))
        clickbait = probability >= self.threshold
        return Prediction(
            prediction=LABELS[clickbait],
            is_clickbait=clickbait,
            probability=probability,
            confidence=probability if clickbait else 1 - probability,
            uncertain=self._low < probability < self._high,
            threshold=self.threshold,
            heatmap=None if cam is None else heatmap(cam, clickbait),
            evidence=None
            if cam is None
            else evidence(cam / self.calibration.temperature, self.calibration.logit(raw)),
        )

    def logits(
        self, pixels: npt.NDArray[np.uint8]
    ) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float32]]:
        """Raw logits (n,) and class-activation maps (n, side, side) of `pixels` (n, size, size, 3)
        uint8."""
        logits = np.empty(len(pixels))
        cams = np.empty((len(pixels), self._side, self._side), np.float32)
        for i, one in enumerate(pixels):
            with self._lock:
                self._invoke(one)
                logits[i] = self._interpreter.get_tensor(self._logit).item()
                cams[i] = self._map()
        return logits, cams

    def check_golden(self) -> None:
        """Classify the images stored with the model.

        Raises InvalidModel if a probability differs from the stored one by more than
        GOLDEN_TOLERANCE.
        """
        if not self._golden:
            raise InvalidModel(f"Model {self.version} has no golden predictions to check it by.")
        for i, (pixels, stored) in enumerate(self._golden):
            probability = self.predict(pixels).probability
            if not abs(probability - stored) <= GOLDEN_TOLERANCE:
                raise InvalidModel(
                    f"Model {self.version} gives {probability:.4f} for golden image {i}; "
                    f"its metadata has {stored:.4f} (tolerance {GOLDEN_TOLERANCE})."
                )

    def _invoke(self, pixels: npt.NDArray[np.uint8]) -> None:
        self._interpreter.set_tensor(self._input, pixels[None].astype(np.float32))
        self._interpreter.invoke()

    def _map(self) -> npt.NDArray[np.float32]:
        """The last class-activation map, (side, side)."""
        cam: npt.NDArray[np.float32] = self._interpreter.get_tensor(self._cam)
        return cam.reshape(self._side, self._side)

    def _tensors(self) -> tuple[int, int, int, int]:
        """Tensor indices of input, logit and class-activation map, and the side of that map.
        Outputs are found by name, because their order varies."""
        runner = self._interpreter.get_signature_runner(SIGNATURE)
        (image,) = runner.get_input_details().values()
        outputs = runner.get_output_details()
        side = math.isqrt(int(np.prod(outputs["cam"]["shape"])))
        expected = {
            "input": (image, [1, self.size, self.size, 3], self.size * self.size * 3),
            "logit": (outputs["logit"], None, 1),
            "cam": (outputs["cam"], None, side * side),
        }
        for name, (tensor, shape, size) in expected.items():
            found = [int(n) for n in tensor["shape"]]
            right = int(np.prod(found)) == size and (shape is None or found == shape)
            if tensor["dtype"] != np.float32 or not right:
                raise ValueError(
                    f"{name} is {tensor['dtype'].__name__}{found}, not float32 of {shape or size}"
                )
        logit, cam = (int(outputs[name]["index"]) for name in ("logit", "cam"))
        return int(image["index"]), logit, cam, side

    @staticmethod
    def _check_promises(model: bytes, metadata: dict[str, Any]) -> None:
        digest = hashlib.sha256(model).hexdigest()
        if digest != metadata["sha256"]:
            raise ValueError(f"its sha256 is {digest}, but its metadata has {metadata['sha256']}")
        if list(metadata["labels"]) != list(LABELS):
            raise ValueError(f"its labels are {metadata['labels']}, not {list(LABELS)}")


def input_size(metadata: Mapping[str, Any]) -> int:
    """The side of the input of the version with this metadata, in pixels: that of its
    `preprocessing`, or INPUT_SIZE if it has none. Raises ValueError unless it is a whole number
    within SIZES."""
    steps = metadata.get("preprocessing", {})
    if not isinstance(steps, Mapping):
        raise ValueError("its preprocessing is not an object")
    size, (low, high) = steps.get("size", INPUT_SIZE), SIZES
    if isinstance(size, bool) or not isinstance(size, int) or not low <= size <= high:
        raise ValueError(f"the input size is {size!r}, not a whole number from {low} to {high}")
    return size


def _golden(stored: dict[str, Any], size: int) -> tuple[npt.NDArray[np.uint8], float]:
    """A stored input, (size, size, 3) uint8, and its probability."""
    with Image.open(io.BytesIO(base64.b64decode(stored["png"])), formats=("PNG",)) as image:
        pixels = np.asarray(image.convert("RGB"))
    if pixels.shape != (size, size, 3):
        raise ValueError(
            f"a golden image is {pixels.shape[1]} x {pixels.shape[0]} pixels, not {size} x {size}"
        )
    return pixels, float(stored["probability"])


def heatmap(cam: npt.NDArray[np.float32], clickbait: bool) -> list[list[float]]:
    """The evidence for the predicted class: a square of cells, from 0 (none) to 1 (the strongest).

    Evidence against that class in the class-activation map is left out. Source: Zhou et al. 2016,
    arXiv 1512.04150.
    """
    evidence = np.maximum(cam if clickbait else -cam, 0)
    strongest = float(evidence.max())
    scaled = evidence / strongest if strongest > 0 else evidence
    return [[round(float(v), 4) for v in row] for row in scaled]


def evidence(cam: npt.NDArray[np.float32], log_odds: float) -> list[list[float]]:
    """The evidence for (above 0) and against (below 0) clickbait in each cell.

    In log odds, so that one scale fits all images: the mean of the cells is `log_odds`, the
    calibrated logit of the image. The constants of the last layer and of the calibration are
    spread evenly. `cam` is the class-activation map divided by the calibration's temperature.
    """
    cells = cam + (log_odds - float(cam.mean()))
    return [[round(float(v), 3) for v in row] for row in cells]
