"""Fit the calibration of a model on its validation side, and on collections that are new to it."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

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
ELSEWHERE = 0.75
"""The weight of new collections in `honest`; the validation side has the rest. It was chosen from
the table in `students/README.md`."""

STRANGERS = Path(__file__).parent / "students" / "loso.npz"

Floats = npt.NDArray[np.float64]


class Collection(NamedTuple):
    """Images that somebody judged: logits (n,), and labels (n,) of 0 and 1."""

    logits: Floats
    labels: Floats


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
    pull = np.array([0.0, BIAS_PULL if start else 0.0])
    # Platt's smoothed targets keep the slope finite if the classes are separated completely.
    positives, negatives = y.sum(), (1 - y).sum()
    target = np.where(y == 1, (positives + 1) / (positives + 2), 1 / (negatives + 2))
    features = np.stack([z, np.ones_like(z)], axis=1)
    slope, bias = _newton(features, target, np.ones_like(z), kept.bias, pull)
    if not slope > 0:
        return kept
    return Calibration(max(float(1 / slope), MIN_TEMPERATURE), float(bias), "platt")


def strangers(file: Path) -> list[Collection]:
    """The collections in `training/students/loso.npz`: for each source that a network alone learned
    from, all images of the other sources with what it says of them. The logits are calibrated on
    the validation side of the network's own source."""
    with np.load(file) as stored:
        arrays = {name: stored[name] for name in stored}
    known = arrays["label"] >= 0
    found = []
    for source in np.unique(arrays["source"][known]):
        logits, labels = arrays[source].astype(np.float64), arrays["label"].astype(np.float64)
        own = arrays["source"] == source
        home = own & known & (arrays["side"] == "validation")
        other = known & ~own
        calibrated = fit(logits[home], labels[home])
        found.append(
            Collection(logits[other] / calibrated.temperature + calibrated.bias, labels[other])
        )
    return found


def honest(
    logits: npt.ArrayLike,
    labels: npt.ArrayLike,
    elsewhere: Sequence[Collection],
    weight: float = ELSEWHERE,
) -> Calibration:
    """The calibration on validation logits (n,) and labels (n,) that is also as sure as it may be
    on collections that are new to a model.

    One slope is fitted for all: the validation side has the weight 1 - `weight`, and the
    collections of `elsewhere` share `weight` equally. Each has a bias of its own: a new collection
    may have more clickbait than expected or less, so only the bias of the validation side is used.
    If that side cannot be calibrated, the result is that of `fit`.
    """
    home = fit(logits, labels)
    if home.method == "none" or not elsewhere:
        return home
    here = np.asarray(logits, np.float64) / home.temperature + home.bias
    all_of_them = [Collection(here, np.asarray(labels, np.float64)), *elsewhere]
    shares = [1 - weight, *[weight / len(elsewhere)] * len(elsewhere)]
    sizes = [len(one.logits) for one in all_of_them]
    which = np.repeat(np.arange(len(sizes)), sizes)
    slope_and_biases = _newton(
        np.column_stack(
            [np.concatenate([one.logits for one in all_of_them]), np.eye(len(sizes))[which]]
        ),
        np.concatenate([one.labels for one in all_of_them]),
        np.repeat(np.array(shares) / sizes, sizes) * sum(sizes),
    )
    slope, bias = slope_and_biases[:2]
    if not slope > 0:
        return home
    temperature = max(float(home.temperature / slope), MIN_TEMPERATURE)
    return Calibration(temperature, float(slope * home.bias + bias), "platt")


def _newton(
    features: Floats,
    target: Floats,
    shares: Floats,
    bias: float = 0.0,
    pull: Floats | None = None,
) -> Floats:
    """The weights (m,) of a logistic regression on features (n, m), by Newton's method.

    The first weight starts at 1 and the others at `bias`, to which `pull` (m,) draws them. `shares`
    (n,) are the weights of the rows.
    """
    count = features.shape[1]
    weights = np.r_[1.0, np.full(count - 1, bias)]
    centre, ridge = weights.copy(), np.zeros(count) if pull is None else pull
    for _ in range(NEWTON_STEPS):
        p = sigmoid(features @ weights)
        gradient = features.T @ (shares * (p - target)) + ridge * (weights - centre)
        curvature = (features * (shares * p * (1 - p))[:, None]).T @ features
        step = np.linalg.solve(curvature + np.diag(ridge + 1e-9), gradient)
        weights = weights - step / max(1.0, float(np.abs(step).max()))
        if np.abs(step).max() < 1e-9:
            break
    return weights
