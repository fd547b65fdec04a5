"""Fit the calibration of a model on its validation side."""

import numpy as np
import numpy.typing as npt

from clickbait.inference.calibration import Calibration, sigmoid

MIN_FOR_PLATT = 200
"""With fewer validation images only the temperature is fitted: two parameters would follow the
noise."""
MIN_TEMPERATURE = 0.1
"""A few images that are separated completely ask for a temperature near 0, and then the rounding of
half precision changes verdicts."""
NEWTON_STEPS = 50


def fit(
    logits: npt.ArrayLike, labels: npt.ArrayLike, start: Calibration | None = None
) -> Calibration:
    """The calibration of least cross-entropy, by Newton's method, on validation logits (n,) and
    labels (n,) of 0 and 1.

    From MIN_FOR_PLATT images on it has a temperature and a bias. Below, only the temperature is
    fitted, around the bias of `start` (the calibration of the model that was trained on; 0 without
    one). If all labels are of one class, or the logits do not rank them at all, the result is
    `start` itself, or the identity without one.
    """
    z = np.asarray(logits, np.float64)
    y = np.asarray(labels, np.float64)
    kept = start or Calibration()
    if len(np.unique(y)) < 2:
        return kept
    platt = len(y) >= MIN_FOR_PLATT
    offset = 0.0 if platt else kept.bias
    features = np.stack([z, np.ones_like(z)], axis=1) if platt else z[:, None]
    # Platt's smoothed targets keep the slope finite if the classes are separated completely.
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
