"""Read an image's pooled features, the input to the last layer of a version's network.

A version's logit is `features @ kernel + bias`. The class-activation map is the kernel applied at
each position of the last feature map, and the logit is the mean of that map plus the bias. So the
features are the mean of the feature map over its positions. Newer files have an output `features`.
From older files, the features are read from LiteRT's preserved tensors, which takes about twice as
long as a prediction.
"""

import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from ai_edge_litert.interpreter import Interpreter

from clickbait.errors import InvalidModel
from clickbait.inference.calibration import Calibration
from clickbait.inference.classifier import SIGNATURE

OUTPUT = "features"
"""Name of the output that holds the pooled features, in newer files."""

STORED = np.float16
"""Type of stored features: 2.5 KB an image, and logits change by less than 0.01."""

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Outputs:
    """A network's outputs for n images: pooled features (n, d) float16 and raw logits (n,)."""

    features: npt.NDArray[np.float16]
    logits: Floats

    def calibrated(self, calibration: Calibration) -> Floats:
        """Return calibrated logits (n,). Their sigmoid is the probability of clickbait."""
        return self.logits / calibration.temperature + calibration.bias


@dataclass(frozen=True, slots=True)
class LastLayer:
    """The weights of a version's last layer: `kernel` (d,), and its bytes in the file."""

    kernel: Floats
    stored: bytes


class FeatureReader:
    """Reads features with one version's TFLite file. Do not share a reader between threads."""

    def __init__(self, model: bytes) -> None:
        """Raises InvalidModel if the file has no last layer as described above. The plain `cnn` has
        none, because its map is not one kernel applied at every position."""
        try:
            self._open(model)
        except (KeyError, ValueError, RuntimeError) as error:
            raise InvalidModel(f"The model's features cannot be read: {error}") from error

    def _open(self, model: bytes) -> None:
        plain = Interpreter(model_content=model, num_threads=1)
        plain.allocate_tensors()
        self.last_layer = _last_layer(plain, model)
        self.dimensions = len(self.last_layer.kernel)
        self._image, self.size, outputs = _signature(plain)
        """`size` is the side of the square input in pixels."""
        if OUTPUT in outputs:
            self._interpreter, self._features = plain, outputs[OUTPUT]
        else:
            self._interpreter = _preserving(model)
            self._features = _feature_map(self._interpreter, self.dimensions, outputs["cam"])
        self._logit = outputs["logit"]
        blank = np.zeros((self.size, self.size, 3), np.uint8)
        features, logit = self._one(blank)
        self.bias = logit - float(features @ self.last_layer.kernel)
        """The constant that the file adds to `features @ kernel`."""

    def read(self, inputs: Iterable[npt.NDArray[np.uint8]]) -> Outputs:
        """Return features and logits of model inputs, each (size, size, 3) uint8 RGB, in order."""
        features, logits = [], []
        for pixels in inputs:
            pooled, logit = self._one(pixels)
            features.append(pooled.astype(STORED))
            logits.append(logit)
        shape = (len(features), self.dimensions)
        return Outputs(np.array(features, STORED).reshape(shape), np.array(logits, np.float64))

    def _one(self, pixels: npt.NDArray[np.uint8]) -> tuple[npt.NDArray[np.float32], float]:
        """Features (d,) and logit of one model input."""
        self._interpreter.set_tensor(self._image, pixels[None].astype(np.float32))
        self._interpreter.invoke()
        feature_map = self._interpreter.get_tensor(self._features)
        logit = float(self._interpreter.get_tensor(self._logit).item())
        return feature_map.reshape(-1, self.dimensions).mean(axis=0), logit


def _signature(interpreter: Interpreter) -> tuple[int, int, dict[str, int]]:
    """Index of the input, its side in pixels, and the index of each output by name.

    The runner holds references to the interpreter's tensors, so it is released before the
    interpreter is invoked.
    """
    runner = interpreter.get_signature_runner(SIGNATURE)
    (image,) = runner.get_input_details().values()
    outputs = runner.get_output_details().items()
    indices = {name: int(details["index"]) for name, details in outputs}
    return int(image["index"]), int(image["shape"][1]), indices


def _preserving(model: bytes) -> Interpreter:
    """An interpreter that preserves all intermediate tensors."""
    with warnings.catch_warnings():
        # LiteRT warns about the extra memory. EfficientNet-Lite0 needs 60 MB, which we can spare.
        warnings.simplefilter("ignore", UserWarning)
        kept = Interpreter(
            model_content=model, num_threads=1, experimental_preserve_all_tensors=True
        )
        kept.allocate_tensors()
    return kept


def _last_layer(interpreter: Interpreter, model: bytes) -> LastLayer:
    """The kernel (1, 1, 1, d) that produces the class-activation map.

    It is the only half-precision constant with one output channel and a 1 x 1 window, and only the
    mean follows it. Its bytes must occur once in the file, so that `patch` can replace them.
    """
    found = [
        details
        for details in interpreter.get_tensor_details()
        if details["dtype"] == np.float16
        and len(details["shape"]) == 4
        and tuple(details["shape"][:3]) == (1, 1, 1)
    ]
    if len(found) != 1:
        raise ValueError(f"it has {len(found)} one-channel 1 x 1 layers, not one")
    kernel = interpreter.get_tensor(int(found[0]["index"]))
    stored = kernel.tobytes()
    if model.count(stored) != 1:
        raise ValueError(
            f"its last kernel occurs {model.count(stored)} times in the file, not once"
        )
    return LastLayer(kernel.ravel().astype(np.float64), stored)


def _feature_map(interpreter: Interpreter, dimensions: int, cam: int) -> int:
    """Index of the feature map (1, side, side, d) behind the class-activation map `cam`: the last
    one before it."""
    maps = [
        int(details["index"])
        for details in interpreter.get_tensor_details()
        if details["dtype"] == np.float32 and _is_map(details, dimensions)
    ]
    before = [index for index in maps if index < cam]
    if not before:
        raise ValueError(f"it has no feature map of {dimensions} channels")
    return max(before)


def _is_map(details: dict[str, Any], dimensions: int) -> bool:
    shape = [int(n) for n in details["shape"]]
    return len(shape) == 4 and shape[3] == dimensions and shape[1] == shape[2] > 1
