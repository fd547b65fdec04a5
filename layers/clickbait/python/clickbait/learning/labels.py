"""Check newly uploaded labels: reject swapped folders, but allow tastes to differ.

A model that knows nothing of an owner's taste ranks clickbait above legitimate images half of the
time. A model that shares some of the taste does so more often. If it ranks most pairs the wrong way
round, the labels are swapped. So labels are rejected only if the AUC of the live model on them is
below one half with 99% confidence.

Simulated (`loadtest/owners.py --labels`): of 4,000 honest owners, none was blocked. If the live
model's AUC was 0.70 or more, the check caught 68 to 100% of swapped folders at 60 images and 98 to
100% at 120. If the AUC was 0.62, it caught 23% at 60 images and 43% at 120. `decide`
stops the others.

Accepted corrections contradict the live model by definition, and an admin approved each one. They
are not checked here.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from math import sqrt
from statistics import NormalDist
from typing import Any

import numpy as np
import numpy.typing as npt

from clickbait import LABELS

CONFIDENCE = 0.99
MIN_OF_CLASS = 15
"""Minimum images of a class for a warning. Among fewer, one or two doubts are a large share."""
SHOWN = 10
"""Number of the most contradicted images to list."""

Floats = npt.NDArray[np.float64]
Labels = npt.NDArray[np.int64]


@dataclass(frozen=True)
class LabelCheck:
    """Result of the check. `reason` explains a rejection. `warnings` has a sentence for each class
    with which the live model mostly disagrees. `worst` lists the most contradicted images, whether
    or not the labels are rejected."""

    rejected: bool
    reason: str
    warnings: list[str]
    images: int
    contradicted: int
    auc: float | None
    classes: dict[str, dict[str, int]]
    worst: list[dict[str, Any]]

    def as_dict(self) -> dict[str, Any]:
        """Return the fields as JSON types, for a run to store."""
        return asdict(self)


def check(
    keys: Sequence[str], labels: Labels, probabilities: Floats, threshold: float = 0.5
) -> LabelCheck:
    """Compare new labels (n,) with the live model's probabilities of clickbait (n,).

    `keys` (n,) name the images. Labels of only one class cannot be ranked and are never rejected.
    """
    against = (probabilities >= threshold) != (labels == 1)
    classes = {
        label: {"images": int((labels == k).sum()), "contradicted": int(against[labels == k].sum())}
        for k, label in enumerate(LABELS)
    }
    auc, z = _ranks(labels, probabilities)
    rejected = z < NormalDist().inv_cdf(1 - CONFIDENCE)
    reason = (
        f"The live model ranks your {len(labels)} new images the wrong way round: in "
        f"{100 * (1 - auc):.0f}% of pairs of one clickbait and one legitimate image, it rates the "
        "legitimate one higher. Are the folders swapped?"
        if rejected and auc is not None
        else ""
    )
    return LabelCheck(
        rejected=bool(reason),
        reason=reason,
        warnings=[] if reason else _warnings(classes),
        images=len(labels),
        contradicted=int(against.sum()),
        auc=auc,
        classes=classes,
        worst=_worst(keys, labels, probabilities, against),
    )


def _ranks(labels: Labels, scores: Floats) -> tuple[float | None, float]:
    """The AUC, and its distance above one half in standard deviations (Mann and Whitney 1947,
    normal approximation). None and 0 without both classes."""
    clickbait, legitimate = scores[labels == 1], scores[labels == 0]
    n, m = len(clickbait), len(legitimate)
    if not n or not m:
        return None, 0.0
    ordered = np.sort(legitimate)
    below = np.searchsorted(ordered, clickbait, side="left")
    upto = np.searchsorted(ordered, clickbait, side="right")
    auc = float((below + upto).sum() / (2 * n * m))
    return auc, (auc - 0.5) / sqrt((n + m + 1) / (12 * n * m))


def _warnings(classes: dict[str, dict[str, int]]) -> list[str]:
    out = []
    for label, counts in classes.items():
        n, wrong = counts["images"], counts["contradicted"]
        # Significantly more than half, by the normal approximation to the binomial.
        if n >= MIN_OF_CLASS and (wrong - n / 2) / sqrt(n / 4) > NormalDist().inv_cdf(CONFIDENCE):
            out.append(
                f"The live model disagrees with {wrong} of {n} new images in {label}. Your taste "
                "may differ from the model's, or some images are in the wrong folder. Check the "
                "listed images."
            )
    return out


def _worst(
    keys: Sequence[str], labels: Labels, probabilities: Floats, against: npt.NDArray[np.bool_]
) -> list[dict[str, Any]]:
    surprise = np.abs(probabilities - labels)
    order = sorted(np.flatnonzero(against).tolist(), key=lambda i: (-surprise[i], keys[i]))[:SHOWN]
    return [
        {
            "key": keys[i],
            "label": LABELS[labels[i]],
            "probability": round(float(probabilities[i]), 4),
        }
        for i in order
    ]
