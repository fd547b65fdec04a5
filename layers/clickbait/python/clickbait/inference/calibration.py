"""Logits to calibrated probabilities, and the band in which the model is uncertain."""

from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt

CLIP = 60.0
"""Logits beyond this are certain to double precision; clipping keeps `exp` finite."""

Floats = npt.NDArray[np.float64]


def sigmoid(logits: npt.ArrayLike) -> Floats:
    """1 / (1 + exp(-logit)), any shape, without overflow."""
    result: Floats = 1.0 / (1.0 + np.exp(-np.clip(np.asarray(logits, np.float64), -CLIP, CLIP)))
    return result


@dataclass(frozen=True, slots=True)
class Calibration:
    """probability = sigmoid(logit / temperature + bias).

    Source: Platt 1999; with bias 0, Guo et al. 2017.
    """

    temperature: float = 1.0
    bias: float = 0.0
    method: str = "none"

    def apply(self, logits: npt.ArrayLike) -> Floats:
        """Calibrated probability of clickbait for each logit, any shape."""
        return sigmoid(np.asarray(logits, np.float64) / self.temperature + self.bias)

    def logit(self, raw: float) -> float:
        """The calibrated logit of one raw logit."""
        return raw / self.temperature + self.bias

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, fields: dict[str, Any]) -> Self:
        """Raises ValueError unless the temperature is a positive number and the bias finite."""
        temperature, bias = float(fields["temperature"]), float(fields["bias"])
        if not (0 < temperature < np.inf and np.isfinite(bias)):
            raise ValueError(
                f"calibration needs a positive temperature and a finite bias, not {fields}"
            )
        return cls(temperature, bias, str(fields.get("method", "none")))


def expected_calibration_error(
    probabilities: npt.ArrayLike, labels: npt.ArrayLike, bins: int = 10
) -> float:
    """Mean gap between the probability and the share of clickbait, over bins of equal width.

    Source: Naeini et al. 2015.
    """
    p = np.asarray(probabilities, np.float64)
    y = np.asarray(labels, np.float64)
    place = np.minimum((p * bins).astype(int), bins - 1)
    gaps = np.bincount(place, p - y, minlength=bins)
    return float(np.abs(gaps).sum() / len(p))


def uncertain_band(promise: float) -> tuple[float, float]:
    """(low, high): between these probabilities a calibrated model is less accurate than `promise`,
    so the prediction is `uncertain`."""
    if not 0.5 <= promise < 1:
        raise ValueError(f"a promise is from 0.5 to below 1, not {promise}")
    return 1 - promise, promise
