"""Fit the calibration of a model on its validation side."""

import numpy as np
import numpy.typing as npt

from clickbait.inference.calibration import Calibration, sigmoid

BIAS_PULL = 4.0
"""Ridge penalty that pulls the bias to that of the start. 16 images at probabilities near one half
outweigh it, so 100 validation images decide, and 10 hardly do. A bias that was held below 200
images made a fine-tuned model timid: on another taste its AUC rose by 0.11, its accuracy by
0.02."""
MIN_TEMPERATURE = 0.1
"""A few images that are separated completely ask for a temperature near 0, and then the rounding of
half precision changes verdicts."""
NEWTON_STEPS = 50


def fit(
    logits: npt.ArrayLike, labels: npt.ArrayLike, start: Calibration | None = None
) -> Calibration:
    """The calibration of least cross-entropy, by Newton's method, on validation logits (n,) and
    labels (n,) of 0 and 1.

    The bias is pulled to that of `start`, the calibration of the model that was trained on; without
    one it is free. If all labels are of one class, or the logits do not rank them at all, the
    result is `start` itself, or the identity without one.
    """
    z = np.asarray(logits, np.float64)
    y = np.asarray(labels, np.float64)
    kept = start or Calibration()
    if len(np.unique(y)) < 2:
        return kept
    features = np.stack([z, np.ones_like(z)], axis=1)
    pull = np.array([0.0, BIAS_PULL if start else 0.0])
    # Platt's smoothed targets keep the slope finite if the classes are separated completely.
    positives, negatives = y.sum(), (1 - y).sum()
    target = np.where(y == 1, (positives + 1) / (positives + 2), 1 / (negatives + 2))
    weights, centre = np.array([1.0, kept.bias]), np.array([0.0, kept.bias])
    for _ in range(NEWTON_STEPS):
        p = sigmoid(features @ weights)
        gradient = features.T @ (p - target) + pull * (weights - centre)
        hessian = (features * (p * (1 - p))[:, None]).T @ features + np.diag(pull + 1e-9)
        step = np.linalg.solve(hessian, gradient)
        weights = weights - step / max(1.0, float(np.abs(step).max()))
        if np.abs(step).max() < 1e-9:
            break
    if not weights[0] > 0:
        return kept
    temperature = max(float(1 / weights[0]), MIN_TEMPERATURE)
    return Calibration(temperature, float(weights[1]), "platt")
