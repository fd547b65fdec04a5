"""Compare newly uploaded labels with the live model, before training costs anything.

A model that is right 80% of the time contradicts honest labels 20% of the time, 35% on another
collection; it contradicts swapped ones 65% of the time and more. So labels are taken for wrong only
if the model contradicts significantly more than half of them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.stats import binomtest

from clickbait import LABELS
from clickbait.learning.metrics import Floats, Labels

SIGNIFICANCE = 0.01
"""One-sided. Simulated: blocks no honest upload, and catches 97% of swapped ones of 30 images."""
MIN_OF_CLASS = 30
"""A class with this many images is judged by itself; a smaller one shares the doubts about the
other."""
SHOWN = 10  # Images that the model contradicts most strongly, as examples.


@dataclass(frozen=True)
class LabelCheck:
    """The result: `rejected` with the `reason`, or `warning` set, or neither."""

    rejected: bool
    reason: str
    warning: str
    images: int
    contradicted: int
    classes: dict[str, dict[str, int]]
    own_error: float | None
    worst: list[dict[str, Any]]


def check(
    keys: Sequence[str],
    labels: Labels,
    probabilities: Floats,
    threshold: float,
    accuracy: float | None,
) -> LabelCheck:
    """Compare new labels (n,) with the live model's probabilities of clickbait (n,).

    `accuracy` is the live model's on its own test side: if it contradicts more labels than that
    explains, there is a warning.
    """
    against = (probabilities >= threshold) != (labels == 1)
    sums = {
        label: (int(against[labels == k].sum()), int((labels == k).sum()))
        for k, label in enumerate(LABELS)
    }
    n, wrong = len(labels), int(against.sum())
    reason = warning = ""
    if _most(wrong, n):
        reason = f"{_disagrees(wrong, n)}: are the folders swapped?"
    else:
        for label, (of_class, size) in sums.items():
            if size >= MIN_OF_CLASS and _most(of_class, size):
                reason = f"{_disagrees(of_class, size)} for {label}: are these in the wrong folder?"
                break
    error = None if accuracy is None else 1 - accuracy
    if not reason and n and error is not None and wrong / n > error:
        warning = (
            f"{_disagrees(wrong, n)}, and was wrong about {100 * error:.0f}% of its own test "
            "images. Check the labels that it contradicts most."
        )
    return LabelCheck(
        rejected=bool(reason),
        reason=reason,
        warning=warning,
        images=n,
        contradicted=wrong,
        classes={label: {"images": m, "contradicted": w} for label, (w, m) in sums.items()},
        own_error=error,
        worst=_worst(keys, labels, probabilities, against),
    )


def _disagrees(wrong: int, n: int) -> str:
    return f"The live model disagrees with {100 * wrong / n:.0f}% of {n} new labels"


def _most(wrong: int, n: int) -> bool:
    """Are `wrong` of `n` significantly more than one half?"""
    return n > 0 and bool(binomtest(wrong, n, alternative="greater").pvalue < SIGNIFICANCE)


def _worst(
    keys: Sequence[str], labels: Labels, probabilities: Floats, against: npt.NDArray[np.bool_]
) -> list[dict[str, Any]]:
    surprise = np.abs(probabilities - labels)
    order = sorted(np.flatnonzero(against).tolist(), key=lambda i: (-surprise[i], keys[i]))[:SHOWN]
    shown = [round(float(p), 4) for p in probabilities]
    return [{"key": keys[i], "label": LABELS[labels[i]], "probability": shown[i]} for i in order]
