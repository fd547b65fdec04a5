"""Measures of a model, each with its uncertainty. An undefined figure is null, with the reason."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from clickbait import LABELS
from clickbait.inference.calibration import Calibration, expected_calibration_error, sigmoid

RESAMPLES = 2_000
"""Bootstrap samples: the ends of a 95% interval move by about 0.001 from seed to seed."""
PERFECT_DRAWS = 1_000
SEED = 0
NAMES = ("accuracy", "precision", "recall", "f1", "auc")
UNDEFINED = {
    "accuracy": "this side has no image",
    "precision": "no image was called clickbait",
    "recall": "this side has no clickbait image",
    "f1": "there is no clickbait image, and none was called clickbait",
    "auc": "this side does not have images of both classes",
}

Floats = npt.NDArray[np.float64]
Labels = npt.NDArray[np.int64]


def auc(labels: Labels, scores: Floats) -> float | None:
    """Area under the ROC curve, ties counted half; None without both classes."""
    value = float(weighted_auc(labels, scores, np.ones((1, len(labels))))[0])
    return None if np.isnan(value) else value


def ratio(over: Floats, under: Floats) -> Floats:
    """`over` / `under`, of the same shape; NaN where `under` is 0."""
    out: Floats = np.full(over.shape, np.nan)
    np.divide(over, under, out=out, where=under > 0)
    return out


def weighted_auc(labels: Labels, scores: Floats, weights: Floats) -> Floats:
    """AUC (r,) for each row of image weights (r, n): pairs in the right order over all pairs, ties
    counted half; NaN without both classes."""
    if not len(labels):
        return np.full(len(weights), np.nan)
    order = np.argsort(scores, kind="stable")
    weights, labels, scores = weights[:, order], labels[order], scores[order]
    ties = np.flatnonzero(np.append(True, scores[1:] != scores[:-1]))
    positive = np.add.reduceat(weights * (labels == 1), ties, axis=1)
    negative = np.add.reduceat(weights * (labels == 0), ties, axis=1)
    below = np.cumsum(negative, axis=1) - negative / 2
    return ratio((positive * below).sum(axis=1), positive.sum(axis=1) * negative.sum(axis=1))


def measure(
    labels: Labels, probabilities: Floats, threshold: float, weights: Floats
) -> dict[str, Floats]:
    """Each of NAMES, (r,), for each row of image weights (r, n); NaN if undefined."""
    verdict = probabilities >= threshold
    hit = weights @ (verdict & (labels == 1)).astype(float)
    called, there = weights @ verdict.astype(float), weights @ (labels == 1).astype(float)
    return {
        "accuracy": ratio(weights @ (verdict == labels).astype(float), weights.sum(axis=1)),
        "precision": ratio(hit, called),
        "recall": ratio(hit, there),
        "f1": ratio(2 * hit, called + there),
        "auc": weighted_auc(labels, probabilities, weights),
    }


def with_intervals(
    labels: Labels, probabilities: Floats, groups: list[str], threshold: float
) -> dict[str, dict[str, Any]]:
    """Each of NAMES as {value, low, high}: 95% percentile bootstrap, drawn by group.

    Images of one group are not independent evidence, so they are drawn together. An image without
    a group is a group of its own.
    """
    if not len(labels):
        return {name: _null(UNDEFINED["accuracy"]) for name in NAMES}
    units = [group or f"image {i}" for i, group in enumerate(groups)]
    point = measure(labels, probabilities, threshold, np.ones((1, len(labels))))
    spread = measure(labels, probabilities, threshold, draws(units, RESAMPLES))
    out = {}
    for name in NAMES:
        value, sample = float(point[name][0]), spread[name][~np.isnan(spread[name])]
        if np.isnan(value):
            out[name] = _null(UNDEFINED[name])
        else:
            low, high = np.percentile(sample, [2.5, 97.5])
            out[name] = {"value": value, "low": float(low), "high": float(high)}
    return out


def draws(units: Sequence[str], count: int) -> Floats:
    """How often each image is in each of `count` draws of whole units, (count, n)."""
    _, unit = np.unique(units, return_inverse=True)
    total = int(unit.max()) + 1
    drawn = np.random.default_rng(SEED).multinomial(total, np.full(total, 1 / total), size=count)
    weights: Floats = drawn[:, unit].astype(np.float64)
    return weights


def _null(reason: str) -> dict[str, Any]:
    return {"value": None, "low": None, "high": None, "reason": reason}


def confusion(labels: Labels, verdicts: npt.NDArray[Any]) -> dict[str, Any]:
    """Numbers of images by label and verdict, both 0 or 1."""
    matrix = np.zeros((2, 2), int)
    np.add.at(matrix, (labels, verdicts.astype(int)), 1)
    axes = {"labels": list(LABELS), "rows": "true class", "columns": "predicted class"}
    return {**axes, "counts": matrix.tolist()}


def perfect_calibration_error(probabilities: Floats) -> float:
    """Mean ECE if the labels are drawn from `probabilities` themselves: no model can be expected to
    have less."""
    rng = np.random.default_rng(SEED)
    labels = rng.random((PERFECT_DRAWS, len(probabilities))) < probabilities
    return float(np.mean([expected_calibration_error(probabilities, row) for row in labels]))


def log_loss(labels: Labels, probabilities: Floats) -> float:
    """Mean negative log-likelihood, in nats. Probabilities of 0 and 1 count as the next number."""
    tiny = np.finfo(np.float64).eps
    p = np.clip(probabilities, tiny, 1 - tiny)
    return float(-np.mean(np.where(labels == 1, np.log(p), np.log1p(-p))))


def evaluate(
    logits: Floats,
    labels: Labels,
    groups: list[str],
    *,
    calibrated: Calibration,
    threshold: float,
    band: tuple[float, float],
) -> dict[str, Any]:
    """`metrics.json`: everything about one side, from the exported file's logits (n,)."""
    probabilities = calibrated.apply(logits)
    verdicts = (probabilities >= threshold).astype(np.int64)
    metrics: dict[str, Any] = {
        "images": len(labels),
        "groups": len({g for g in groups if g}),
        "intervals": f"95% bootstrap by {'group' if any(groups) else 'image'}, {RESAMPLES} draws",
        **with_intervals(labels, probabilities, groups, threshold),
    }
    metrics["confusion_matrix"] = confusion(labels, verdicts)
    if not len(labels):
        return metrics
    metrics["loss"] = log_loss(labels, probabilities)
    metrics["brier"] = float(np.mean((probabilities - labels) ** 2))
    metrics["expected_calibration_error"] = {
        "before": expected_calibration_error(sigmoid(logits), labels),
        "after": expected_calibration_error(probabilities, labels),
        "perfect_at_this_n": perfect_calibration_error(probabilities),
    }
    inside, right = (band[0] < probabilities) & (probabilities < band[1]), verdicts == labels
    metrics["uncertain"] = {
        "share": float(inside.mean()),
        "accuracy_inside": float(right[inside].mean()) if inside.any() else None,
        "accuracy_outside": float(right[~inside].mean()) if (~inside).any() else None,
    }
    metrics["by_group"] = _by_group(right, groups)
    return metrics


def _by_group(right: npt.NDArray[np.bool_], groups: list[str]) -> list[dict[str, Any]]:
    """Accuracy of each group, largest first; images without one are not listed."""
    found = sorted({g for g in groups if g})
    places = {g: [i for i, h in enumerate(groups) if h == g] for g in found}
    rows = [
        {"group": g, "images": len(at), "accuracy": float(right[at].mean())}
        for g, at in places.items()
    ]
    return sorted(rows, key=lambda row: (-row["images"], row["group"]))
