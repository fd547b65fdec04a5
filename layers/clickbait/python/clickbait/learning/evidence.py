"""Use all of the owner's images to estimate how good a new layer is. Each image is predicted by a
layer that did not learn from it."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from clickbait.inference.calibration import expected_calibration_error, sigmoid, uncertain_band
from clickbait.learning.folds import FOLDS, folds
from clickbait.learning.head import OWN_WEIGHT, Examples, Head, Space, learn

PROMISE = 0.75
"""Default accuracy that a band promises for predictions outside it."""
LEAST_PROMISE = 0.55
"""Lowest accuracy that a band may promise. A coin flip is right half of the time."""
REPEATS = 2
"""Splits into folds, to average. On 60 images of a mild taste, one split made the AUC look too low
in 20% of draws, and two in 4%."""
UNSURE_RISE = 0.08
"""Maximum rise of the share of unsure predictions over the anchor's before the band is narrowed.
The requirement is 0.10; the margin of 0.02 allows for differences on other images."""

Floats = npt.NDArray[np.float64]
Labels = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Predictions:
    """Predictions on n images: calibrated logits (n,), and scores (n,) to rank them by.

    Logits of different folds cannot be ranked together. A layer that lacks a positive image has a
    slightly lower bias and slope, so the AUC of logits pooled over folds is 0.02 too low at 60
    images (simulated). Scores are standardised for each fold's layer over all of the owner's images
    and can be ranked together.
    """

    logits: Floats
    scores: Floats

    def __len__(self) -> int:
        return len(self.logits)

    def __getitem__(self, chosen: npt.NDArray[Any]) -> "Predictions":
        return Predictions(self.logits[chosen], self.scores[chosen])

    def concat(self, other: "Predictions") -> "Predictions":
        """Return these predictions followed by `other`."""
        return Predictions(
            np.concatenate([self.logits, other.logits]),
            np.concatenate([self.scores, other.scores]),
        )


def out_of_fold(
    own: Examples,
    replay: Examples,
    own_weight: str = OWN_WEIGHT,
    *,
    learned: npt.NDArray[np.bool_] | None = None,
    space: Space | None = None,
    kept: float = 1.0,
) -> Predictions:
    """Return predictions on the owner's n images, each the mean of REPEATS layers learned without
    the image's fold.

    For a champion that is itself a small update, `learned` (n,) marks the images that it learned
    from; by default, all. The other images are predicted by the same fold layers, so that all
    scores are comparable.
    """
    space = space or Space(own, replay)
    used = np.ones(len(own), bool) if learned is None else learned
    logits, scores = np.zeros(len(own)), np.zeros(len(own))
    for repeat in range(REPEATS):
        fold = folds(own.labels, own.units, seed=repeat)
        for one in range(FOLDS):
            out = fold == one
            head = learn(own[used & ~out], replay, own_weight, space, kept)
            predicted = by_head(head, own, own[out])
            logits[out] += predicted.logits / REPEATS
            scores[out] += predicted.scores / REPEATS
    return Predictions(logits, scores)


def by_head(head: Head, own: Examples, images: Examples) -> Predictions:
    """Return predictions of `head` on `images` that it was not trained on, such as an exam set."""
    logits, scale = (head.logits(e.features, e.logits) for e in (images, own))
    spread = float(scale.std()) or 1.0
    return Predictions(logits, (logits - scale.mean()) / spread)


def by_anchor(own: Examples, images: Examples) -> Predictions:
    """Return the anchor's predictions on `images`, with scores on the same scale."""
    spread = float(own.logits.std()) or 1.0
    return Predictions(images.logits, (images.logits - own.logits.mean()) / spread)


def band(candidate: Predictions, anchor: Predictions) -> tuple[float, float, float]:
    """Return (low, high, promise) of the band in which the candidate is unsure.

    If a taste is hard to learn, calibrated probabilities lie near one half, and with the default
    PROMISE most predictions would be unsure. The band is then narrowed until the share of unsure
    predictions is UNSURE_RISE above the anchor's, and its promise is lowered to match.
    """
    low, high = uncertain_band(PROMISE)
    before = unsure(anchor.logits, low, high)
    sure = np.sort(np.abs(sigmoid(candidate.logits) - 0.5) + 0.5)
    allowed = min(int((before + UNSURE_RISE) * len(sure)), len(sure) - 1)
    promise = float(np.clip(np.floor(100 * sure[allowed]) / 100, LEAST_PROMISE, PROMISE))
    low, high = uncertain_band(promise)
    return round(low, 2), round(high, 2), promise


def unsure(logits: Floats, low: float, high: float) -> float:
    """Return the share of predictions inside the band; 0 if there are none."""
    p = sigmoid(logits)
    return float(((low < p) & (p < high)).mean()) if len(p) else 0.0


def figures(
    labels: Labels, predictions: Predictions, bounds: tuple[float, float]
) -> dict[str, Any]:
    """Return one model's figures on images with labels (n,): images, right, accuracy, auc, brier,
    ece, unsure (share inside the band `bounds`) and sure_accuracy (outside it). auc and
    sure_accuracy are None if undefined."""
    p = sigmoid(predictions.logits)
    right = (p >= 0.5) == (labels == 1)
    sure = ~((bounds[0] < p) & (p < bounds[1]))
    return {
        "images": len(labels),
        "right": int(right.sum()),
        "accuracy": float(right.mean()),
        "auc": auc(labels, predictions.scores),
        "brier": float(np.mean((p - labels) ** 2)),
        "ece": expected_calibration_error(p, labels),
        "unsure": float(1 - sure.mean()),
        "sure_accuracy": float(right[sure].mean()) if sure.any() else None,
    }


def auc(labels: Labels, scores: Floats) -> float | None:
    """Return the area under the ROC curve. Ties count half. None without both classes."""
    over = orders(labels, scores)
    return float(over.mean()) if over.size else None


def orders(labels: Labels, scores: Floats) -> Floats:
    """Return (clickbait, legitimate) scores: 1 if a pair is in the right order, 1/2 for a tie."""
    clickbait, legitimate = scores[labels == 1][:, None], scores[labels == 0][None]
    right: Floats = (clickbait > legitimate) + 0.5 * (clickbait == legitimate)
    return right
