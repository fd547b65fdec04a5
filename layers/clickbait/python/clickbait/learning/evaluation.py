"""The figures and curves of one side: `plots` draws them, `evaluation.json` keeps them.

Labels (n,) are 0 and 1; probabilities (n,) are calibrated and of clickbait. An undefined value is
NaN in an array and null in JSON. A side may lack images, or a class.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from clickbait import LABELS
from clickbait.inference.appearance import APPEARANCE
from clickbait.learning import metrics
from clickbait.learning.metrics import Floats, Labels

POINTS = 201  # Of a stored ROC curve: more than a chart of some hundred pixels can show.
STEPS = 100  # Thresholds are a hundredth apart: nobody sets one more finely.
BINS = 10  # Of the reliability diagram and of the expected calibration error.
WORST = 24  # Mistakes in the contact sheet: four rows of six.
LEAST_RANKED = 3  # A rank correlation needs this many images: of two it is always 1 or -1.
DIGITS = 4  # Decimals of stored figures: a test side has some hundred images.


def roc(labels: Labels, probabilities: Floats) -> tuple[Floats, Floats]:
    """False and true positive rates from (0, 0) to (1, 1); empty without both classes.

    If there are more than POINTS points, those nearest to even steps along the curve are kept.
    """
    if len(np.unique(labels)) < 2:
        return np.zeros(0), np.zeros(0)
    order = np.argsort(-probabilities, kind="stable")
    # Images with equal probabilities are one point.
    last = np.append(np.flatnonzero(np.diff(probabilities[order])), len(labels) - 1)
    true = np.cumsum(labels[order])[last].astype(float)
    false = last + 1 - true
    # A point between two others of one line says nothing.
    turns = (np.diff(false, 2) != 0) | (np.diff(true, 2) != 0)
    kept = np.concatenate([[True], turns, [True]])[-len(last) :]
    false = np.append(0.0, false[kept] / false[-1])
    true = np.append(0.0, true[kept] / true[-1])
    if len(false) > POINTS:
        # Both only grow, so their sum is the position along the curve.
        kept = np.unique(np.searchsorted(false + true, np.linspace(0, 2, POINTS)))
        false, true = false[kept], true[kept]
    return false, true


def at_thresholds(labels: Labels, probabilities: Floats) -> dict[str, Floats]:
    """`threshold` from 0 to 1, (STEPS + 1,), and for each threshold `precision`, `recall`,
    `accuracy` and `called`, the share of images that are called clickbait."""
    threshold = np.arange(STEPS + 1) / STEPS
    positive = (probabilities >= threshold[:, None]).astype(float)
    called, images = positive.sum(axis=1), np.full(len(threshold), float(len(labels)))
    hit, there = positive @ (labels == 1), np.full(len(threshold), float((labels == 1).sum()))
    return {
        "threshold": threshold,
        "precision": metrics.ratio(hit, called),
        "recall": metrics.ratio(hit, there),
        "accuracy": metrics.ratio((positive == labels).sum(axis=1).astype(float), images),
        "called": metrics.ratio(called, images),
    }


def reliability(labels: Labels, probabilities: Floats) -> tuple[Floats, Floats, Floats]:
    """Number of images, mean probability and share of clickbait, (BINS,) each, in bins of equal
    width."""
    place = np.minimum((probabilities * BINS).astype(int), BINS - 1)
    images = np.bincount(place, minlength=BINS).astype(float)
    mean = metrics.ratio(np.bincount(place, probabilities, BINS).astype(float), images)
    share = metrics.ratio(np.bincount(place, labels, BINS).astype(float), images)
    return images, mean, share


def mistakes(labels: Labels, probabilities: Floats, threshold: float) -> npt.NDArray[np.intp]:
    """Indices of the WORST wrong answers, the most confident first."""
    wrong = np.flatnonzero((probabilities >= threshold) != labels)
    return wrong[np.argsort(-np.abs(probabilities[wrong] - threshold), kind="stable")][:WORST]


def effects(
    appearances: Sequence[Mapping[str, float]], labels: Labels, probabilities: Floats
) -> list[dict[str, Any]]:
    """How the appearance of n images (`appearance.appearance`) correlates with the verdict and with
    the label: Spearman's rank correlations for each of `APPEARANCE`; null, with the reason, if
    undefined."""
    rows = []
    for name in APPEARANCE:
        values = np.array([one[name] for one in appearances])
        row = {"name": name, "with_probability": _correlation(values, probabilities)}
        reason = _why_none(name, values, labels, probabilities)
        rows.append({**row, "with_label": _correlation(values, labels), "reason": reason})
    return rows


def _correlation(values: Floats, others: npt.NDArray[Any]) -> float | None:
    if len(values) < LEAST_RANKED or _constant(values) or _constant(others):
        return None
    return _number(np.corrcoef(_ranks(values), _ranks(others))[0, 1])


def _ranks(values: npt.NDArray[Any]) -> Floats:
    """Ranks (n,) from 1; equal values share the mean of theirs."""
    _, place, count = np.unique(values, return_inverse=True, return_counts=True)
    ranks: Floats = (np.cumsum(count) - (count - 1) / 2)[place]
    return ranks


def _why_none(name: str, values: Floats, labels: Labels, probabilities: Floats) -> str | None:
    """The first reason why one of a feature's two correlations is null."""
    if len(values) < LEAST_RANKED:
        return f"this side has {len(values)} images; a correlation needs {LEAST_RANKED}"
    if _constant(values):
        return f"every image on this side has the same {name}"
    if _constant(probabilities):
        return "the model gives every image on this side the same probability"
    return metrics.UNDEFINED["auc"] if _constant(labels) else None


def _constant(values: npt.NDArray[Any]) -> bool:
    return len(np.unique(values)) < 2


class Named(Protocol):
    """A labelled image by its name and content."""

    @property
    def file(self) -> str: ...
    @property
    def sha256(self) -> str: ...
    @property
    def label(self) -> str: ...


def evaluation(
    records: Sequence[Named],
    appearances: Sequence[Mapping[str, float]],
    probabilities: Floats,
    *,
    threshold: float,
    band: tuple[float, float],
) -> dict[str, Any]:
    """`evaluation.json`: all of the above for the n images of `records`."""
    labels = np.array([LABELS.index(r.label) for r in records], np.int64)
    auc = metrics.auc(labels, probabilities)
    table = at_thresholds(labels, probabilities)
    return {
        "images": len(records),
        "threshold": threshold,
        "uncertain_band": {"low": band[0], "high": band[1]},
        "confusion_matrix": metrics.confusion(labels, probabilities >= threshold),
        "roc": {
            "auc": auc,
            "reason": metrics.UNDEFINED["auc"] if auc is None else None,
            "points": [
                {"false_positive_rate": _number(x), "true_positive_rate": _number(y)}
                for x, y in zip(*roc(labels, probabilities), strict=True)
            ],
        },
        "thresholds": [
            dict(zip(table, map(_number, row), strict=True))
            for row in zip(*table.values(), strict=True)
        ],
        "reliability": [
            {
                "low": place / BINS,
                "high": (place + 1) / BINS,
                "images": int(images),
                "mean_probability": _number(mean),
                "share_clickbait": _number(share),
            }
            for place, (images, mean, share) in enumerate(
                zip(*reliability(labels, probabilities), strict=True)
            )
        ],
        "features": effects(appearances, labels, probabilities),
        "mistakes": [
            {
                "file": records[i].file,
                "sha256": records[i].sha256,
                "label": records[i].label,
                "probability": _number(probabilities[i]),
            }
            for i in mistakes(labels, probabilities, threshold)
        ],
    }


def _number(value: float) -> float | None:
    return None if np.isnan(value) else round(float(value), DIGITS)
