"""Logit to a probability that means what it says, and the band in which the model admits that it
does not know."""

from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt

MIN_FOR_PLATT = 200
"""Validation images below which only the temperature is fitted: two parameters would follow the
noise."""

MIN_TEMPERATURE = 0.1
"""A few images that are separated completely would ask for a temperature near 0, which blows half
precision's rounding up into another verdict."""

NEWTON_STEPS = 50
CLIP = 60.0
"""Logits beyond this are certain to double precision; clipping keeps `exp` finite."""

Floats = npt.NDArray[np.float64]


def sigmoid(logits: npt.ArrayLike) -> Floats:
    """1 / (1 + exp(-logit)), any shape, without overflow."""
    result: Floats = 1.0 / (1.0 + np.exp(-np.clip(np.asarray(logits, np.float64), -CLIP, CLIP)))
    return result


@dataclass(frozen=True, slots=True)
class Calibration:
    """probability = sigmoid(logit / temperature + bias) (Platt 1999; with bias 0, Guo et al.
    2017)."""

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
        made = cls(
            float(fields["temperature"]), float(fields["bias"]), str(fields.get("method", "none"))
        )
        if not (0 < made.temperature < np.inf and np.isfinite(made.bias)):
            raise ValueError(
                f"calibration needs a positive temperature and a finite bias, not {fields}"
            )
        return made


def fit(
    logits: npt.ArrayLike, labels: npt.ArrayLike, start: Calibration | None = None
) -> Calibration:
    """Least cross-entropy by Newton's method on validation logits (n,) and labels (n,) of 0 and 1.

    From MIN_FOR_PLATT images on, temperature and bias; below, the temperature alone, around the
    bias of `start` (that of the model that was trained on; without it 0). Where the labels are of
    one class or the logits do not rank them at all, no calibration is better than a wild one:
    `start` itself, without it the identity.
    """
    z = np.asarray(logits, np.float64)
    y = np.asarray(labels, np.float64)
    kept = start or Calibration()
    if len(np.unique(y)) < 2:
        return kept
    platt = len(y) >= MIN_FOR_PLATT
    offset = 0.0 if platt else kept.bias
    features = np.stack([z, np.ones_like(z)], axis=1) if platt else z[:, None]
    # Platt's smoothed targets keep the slope finite where the classes are separated completely.
    positives, negatives = y.sum(), (1 - y).sum()
    target = np.where(y == 1, (positives + 1) / (positives + 2), 1 / (negatives + 2))
    weights = np.array([1.0, 0.0])[: features.shape[1]]
    for _ in range(NEWTON_STEPS):
        p = sigmoid(features @ weights + offset)
        gradient = features.T @ (p - target)
        hessian = (features * (p * (1 - p))[:, None]).T @ features + 1e-9 * np.eye(len(weights))
        step = np.linalg.solve(hessian, gradient)
        weights = weights - step / max(1.0, float(np.abs(step).max()))
        if np.abs(step).max() < 1e-9:
            break
    if not weights[0] > 0:
        return kept
    bias = float(weights[1]) if platt else offset
    temperature = max(float(1 / weights[0]), MIN_TEMPERATURE)
    return Calibration(temperature, bias, "platt" if platt else "temperature")


def expected_calibration_error(
    probabilities: npt.ArrayLike, labels: npt.ArrayLike, bins: int = 10
) -> float:
    """Mean gap between probability of clickbait and share of clickbait over equal-width bins
    (Naeini et al. 2015)."""
    p = np.asarray(probabilities, np.float64)
    y = np.asarray(labels, np.float64)
    place = np.minimum((p * bins).astype(int), bins - 1)
    gaps = np.bincount(place, p - y, minlength=bins)
    return float(np.abs(gaps).sum() / len(p))


def uncertain_band(promise: float) -> tuple[float, float]:
    """(low, high): between them a calibrated model is right less often than `promise`, so it says
    `uncertain`."""
    if not 0.5 <= promise < 1:
        raise ValueError(f"a promise lies between 0.5 and 1, not at {promise}")
    return 1 - promise, promise
