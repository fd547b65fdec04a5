"""Decide whether a small update may go live. It must be better on the owner's images and must keep
what the shipped model knew.

`loadtest/owners.py` simulates which updates pass for owners of several tastes.
"""

from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from clickbait import LABELS
from clickbait.inference.calibration import (
    expected_calibration_error,
    sigmoid,
    uncertain_band,
)
from clickbait.learning import evidence
from clickbait.learning.evidence import PROMISE, Floats, Labels, Predictions
from clickbait.learning.head import OWN_WEIGHT, WRONG_LABELS, Head

MIN_IMAGES = 50
"""With 30, a third of the promoted updates were worse (simulated)."""
MIN_OF_CLASS = 15
CONFIDENCE = 0.8
"""One-sided. At 95%, three of four truly better updates would have to wait for more images."""
CHANCE = 0.5
CORRECTED_MARGIN = 0.02
"""Maximum rise of the Brier score, at CONFIDENCE, if there are corrections. An admin approved each
correction, and the purpose of the update is to learn them."""
AUC_MARGIN = 0.02
"""Maximum drop in AUC from the champion's on the owner's images, at CONFIDENCE."""
WORLD_MARGINS = {"stay_close": 0.03, "balanced": 0.06, "follow_labels": 0.15}
"""Maximum drop in AUC on the shipped test images, at WORLD_CONFIDENCE, by the dial `own_weight`."""
WORLD_CONFIDENCE = 0.8
MAX_ECE = 0.10
PERFECT_DRAWS = 400
PERFECT_QUANTILE = 0.99
"""The ECE limit is at least this quantile of the ECE of a perfectly calibrated model. On 60 images
such a model has a mean ECE of 0.13, and one in a hundred exceeds 0.21. On 400 images, the figures
are 0.05 and 0.08."""
MORE_UNSURE = 0.15
"""Maximum rise of the share of unsure predictions, unless the others are right more often."""
WARN_UNSURE = 0.10
"""Rise of the share of unsure predictions above which the decision has a warning, passed or not.
Below it, a difference of six in 60 images is chance. A small update narrows its band before it gets
there (`evidence.UNSURE_RISE`); a fine-tuned network may pass MORE_UNSURE if it is right more often
on the rest, and then a person should know."""
MAX_UNCHANGED = 0.20
"""The images call for a change only if the unchanged layer's share in the new one is below this:
the odds for a change are at least four to one. Simulated with 60 to 200 images, about one in ten
owners whose taste the champion already has passes; `loadtest/README.md` has the rates."""
RESAMPLES = 2_000
SEED = 0
SHIPPED_KIND = "thumbnails of the kind it was shipped for"
WORLD = ", world"
"""Suffix of the names of checks on the shipped test images."""


@dataclass(frozen=True)
class Check:
    """One condition: `value` against `limit`, and `detail`, a full sentence for the owner."""

    name: str
    passed: bool
    value: float | None
    limit: float | None
    detail: str


@dataclass(frozen=True)
class Decision:
    """The decision with its figures. A run and a promotion store `as_dict`.

    reason: a plain explanation with counts. advice: how to change a refusal, or "" if it passed.
    warnings: sentences on what a person should know although it may have passed.
    """

    passed: bool
    reason: str
    advice: str
    checks: list[Check]
    own: dict[str, Any] = field(default_factory=dict)
    world: dict[str, Any] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)

    @property
    def forgets(self) -> bool:
        """True if a check on the shipped test images failed, alone or with others."""
        return any(not check.passed and check.name.endswith(WORLD) for check in self.checks)

    def as_dict(self) -> dict[str, Any]:
        """Return the fields as JSON types."""
        return asdict(self)


@dataclass(frozen=True)
class HeldOut:
    """Each model's predictions on n images that it was not trained on, with labels (n,) and units
    (n,). The bootstrap draws images of one unit together. Leave out `shipped` if the champion is
    the shipped model. weights (n,) weigh the images (`head.weigh`); by default 1 each."""

    labels: Labels
    units: npt.NDArray[np.int64]
    candidate: Predictions
    champion: Predictions
    shipped: Predictions | None = None
    weights: Floats | None = None
    corrected: int = 0
    """Number of corrections among the images."""


def missing(labels: Labels) -> str:
    """Return a message on which images an owner with labels (n,) must add, or "" if none."""
    of_class = [int((labels == k).sum()) for k in range(len(LABELS))]
    lacks = [
        f"{MIN_OF_CLASS - n} more {_class(k)} {_images(MIN_OF_CLASS - n)}"
        for k, n in enumerate(of_class)
        if n < MIN_OF_CLASS
    ]
    left = MIN_IMAGES - len(labels) - sum(max(MIN_OF_CLASS - n, 0) for n in of_class)
    if left > 0:
        lacks.append(f"{left} more of either kind" if lacks else f"{left} more {_images(left)}")
    if not lacks:
        return ""
    all_lacks = " and ".join(filter(None, [", ".join(lacks[:-1]), *lacks[-1:]]))
    return (
        f"You have {of_class[1]} clickbait and {of_class[0]} legitimate images. Learning needs at "
        f"least {MIN_IMAGES}, with {MIN_OF_CLASS} of each kind. Upload {all_lacks}."
    )


def decide(
    own: HeldOut,
    world: HeldOut | None,
    head: Head | None,
    *,
    band: tuple[float, float],
    own_weight: str = OWN_WEIGHT,
    champion_band: tuple[float, float] = uncertain_band(PROMISE),
    champion_is_anchor: bool = True,
) -> Decision:
    """Compare a candidate with the champion on the owner's images and on the shipped test images.

    `own` holds out-of-fold predictions (`evidence.out_of_fold`), followed by those on an exam set,
    if any. `world` holds predictions on the shipped test images, or is None if they could not be
    measured. `head` is None for a fine-tuned network, which has none relative to an anchor. `band`
    and `champion_band` are the (low, high) probabilities between which each model is unsure.
    """
    short = missing(own.labels)
    if short:
        check = Check("enough images", False, len(own.labels), MIN_IMAGES, short)
        return Decision(False, short, short, [check])
    after = evidence.figures(own.labels, own.candidate, band)
    before = evidence.figures(own.labels, own.champion, champion_band)
    known: dict[str, Any] = {}
    figures = _counts(after, before)
    closer = _closer(own)
    checks = [closer, _beats_chance(own), _ranks_as_well(own)]
    if world is not None:
        checks += _keeps_knowledge(world, own_weight)
        known["candidate"] = evidence.figures(world.labels, world.candidate, band)
        known["champion"] = evidence.figures(world.labels, world.champion, champion_band)
        figures += (
            f" On {SHIPPED_KIND}: "
            f"{_percent(known['candidate'])} right, before {_percent(known['champion'])}."
        )
    checks += [_calibrated(after, before, own.candidate), _decisive(after, before)]
    if head is not None and champion_is_anchor:
        checks.insert(0, _needs_change(head))
    failed = [check for check in checks if not check.passed]
    reason = f"{figures} {failed[0].detail}" if failed else figures
    if not failed and after["right"] < before["right"]:  # The counts alone would speak against it.
        reason = f"{figures} {closer.detail}"
    warnings = unsure_warning("your images", after, before)
    if known:
        warnings += unsure_warning(SHIPPED_KIND, known["candidate"], known["champion"])
    if not failed:
        reason = " ".join([reason, *warnings])
    return Decision(
        passed=not failed,
        reason=reason,
        advice=_advice(failed, own.labels, own_weight),
        checks=checks,
        own={"candidate": after, "champion": before},
        world=known,
        warnings=warnings,
    )


def unsure_warning(images: str, after: dict[str, Any], before: dict[str, Any]) -> list[str]:
    """Return one sentence if the share `unsure` of `after` is more than WARN_UNSURE above that of
    `before`, else none. Both are figures on the same set, named `images`."""
    if after["unsure"] - before["unsure"] <= WARN_UNSURE:
        return []
    return [
        f"It says 'unsure' much more often: about {100 * after['unsure']:.0f}% of {images}, "
        f"before about {100 * before['unsure']:.0f}%."
    ]


def _needs_change(head: Head) -> Check:
    share = head.shares[0]
    detail = (
        "Your images do not show that a new model would be better: the live model already does "
        "about as well on them as a new one could."
        if share >= MAX_UNCHANGED
        else "Your images call for a change."
    )
    return Check("a change is called for", share < MAX_UNCHANGED, share, MAX_UNCHANGED, detail)


def _closer(own: HeldOut) -> Check:
    errors = _errors(own.labels, own.candidate) - _errors(own.labels, own.champion)
    weights = _draws(own)
    means = (weights @ errors) / weights.sum(axis=1)
    high = float(np.quantile(means, CONFIDENCE))
    limit = CORRECTED_MARGIN if own.corrected else 0.0
    if high < 0:
        detail = "Its probabilities are closer to your labels than the live model's."
    elif high < limit:
        detail = (
            "It learned from your corrections, and its probabilities are about as close to your "
            "labels as the live model's."
        )
    else:
        detail = "Its probabilities are not clearly closer to your labels than the live model's."
    return Check("brier, own", high < limit, high, limit, detail)


def _beats_chance(own: HeldOut) -> Check:
    """Stops swapped labels that passed the label check: a layer learned from them does not rank the
    owner's images better than chance.

    This compares the AUC itself and not its lower bound. At 60 images, one in ten owners whose
    taste is hard to learn would miss the bound."""
    known = evidence.auc(own.labels, own.candidate.scores) or 0.0
    detail = (
        "It separates your clickbait from your legitimate images better than a coin flip."
        if known > CHANCE
        else "It separates your clickbait from your legitimate images no better than a coin flip. "
        "Are the folders swapped?"
    )
    return Check("auc above chance, own", known > CHANCE, known, CHANCE, detail)


def _ranks_as_well(own: HeldOut) -> Check:
    low = _auc_bound(own, own.champion, CONFIDENCE)
    detail = (
        "It separates your clickbait from your legitimate images about as well as the live model, "
        "or better."
        if low > -AUC_MARGIN
        else "It may separate your clickbait from your legitimate images less well than the live "
        "model."
    )
    return Check("auc, own", low > -AUC_MARGIN, low, -AUC_MARGIN, detail)


def _keeps_knowledge(world: HeldOut, own_weight: str) -> list[Check]:
    """Also compares with the shipped model, so that many small losses do not add up."""
    margin = WORLD_MARGINS[own_weight]
    others = {"champion": ("live", world.champion), "shipped": ("shipped", world.shipped)}
    checks = []
    for name, (called, predictions) in others.items():
        if predictions is None:
            continue
        low = _auc_bound(world, predictions, WORLD_CONFIDENCE)
        detail = (
            f"It keeps what the {called} model knew."
            if low > -margin
            else f"It forgets too much of what the {called} model knew about other thumbnails."
        )
        checks.append(Check(f"auc against {name}{WORLD}", low > -margin, low, -margin, detail))
    return checks


def _calibrated(after: dict[str, Any], before: dict[str, Any], predictions: Predictions) -> Check:
    limit = max(before["ece"], MAX_ECE, _perfect_ece(_probabilities(predictions)))
    detail = (
        f"Its probabilities are off by {after['ece']:.2f} on average, before {before['ece']:.2f}."
    )
    return Check("ece, own", after["ece"] <= limit, after["ece"], limit, detail)


def _perfect_ece(probabilities: Floats) -> float:
    """Upper quantile of the ECE if labels are drawn with exactly these probabilities."""
    rng = np.random.default_rng(SEED)
    labels = rng.random((PERFECT_DRAWS, len(probabilities))) < probabilities
    errors = [expected_calibration_error(probabilities, row) for row in labels]
    return float(np.quantile(errors, PERFECT_QUANTILE))


def _decisive(after: dict[str, Any], before: dict[str, Any]) -> Check:
    limit = before["unsure"] + MORE_UNSURE
    rises = (after["sure_accuracy"] or 0.0) > (before["sure_accuracy"] or 0.0)
    detail = (
        f"It is unsure about {100 * after['unsure']:.0f}% of your images, "
        f"before {100 * before['unsure']:.0f}%."
    )
    return Check("unsure, own", after["unsure"] <= limit or rises, after["unsure"], limit, detail)


def _advice(failed: list[Check], labels: Labels, own_weight: str) -> str:
    """How the owner can change a refusal."""
    if not failed:
        return ""
    names = {check.name for check in failed}
    if all(name.endswith(WORLD) for name in names) and own_weight != "follow_labels":
        return (
            "The new model is better on your images but forgets other thumbnails. If only your "
            "images matter, choose 'follow my labels'."
        )
    more = max(10, round(len(labels) / 4, -1))
    return (
        f"Upload about {more:.0f} more of each kind, or check the labels that the live model "
        "disagrees with most."
    )


def _auc_bound(held_out: HeldOut, other: Predictions, confidence: float) -> float:
    """Lower bound of the candidate's AUC minus that of `other`, by a bootstrap over units. Draws
    without both classes do not count."""
    labels = held_out.labels
    orders = evidence.orders(labels, held_out.candidate.scores)
    orders = orders - evidence.orders(labels, other.scores)
    weights = _draws(held_out)
    clickbait, legitimate = weights[:, labels == 1], weights[:, labels == 0]
    count = clickbait.sum(axis=1) * legitimate.sum(axis=1)
    total = ((clickbait @ orders) * legitimate).sum(axis=1)
    return float(np.quantile(total[count > 0] / count[count > 0], 1 - confidence))


def _draws(held_out: HeldOut) -> Floats:
    """Weight of each image in each of RESAMPLES draws of whole units, (RESAMPLES, n)."""
    _, unit = np.unique(held_out.units, return_inverse=True)
    count = int(unit.max()) + 1
    drawn = np.random.default_rng(SEED).multinomial(
        count, np.full(count, 1 / count), size=RESAMPLES
    )
    weights: Floats = drawn[:, unit].astype(np.float64)
    return weights if held_out.weights is None else weights * held_out.weights


def _errors(labels: Labels, predictions: Predictions) -> Floats:
    """Squared errors (n,), corrected for the share WRONG_LABELS of wrong labels, which penalise a
    model for being sure (Natarajan et al. 2013, "Learning with Noisy Labels", lemma 1)."""
    p = _probabilities(predictions)
    added = WRONG_LABELS * (p**2 + (1 - p) ** 2)
    errors: Floats = ((p - labels) ** 2 - added) / (1 - 2 * WRONG_LABELS)
    return errors


def _probabilities(predictions: Predictions) -> Floats:
    return sigmoid(predictions.logits)


def _counts(after: dict[str, Any], before: dict[str, Any]) -> str:
    return (
        f"Right on {after['right']} of {after['images']} of your images, "
        f"before on {before['right']}."
    )


def _percent(figures: dict[str, Any]) -> str:
    return f"{100 * figures['accuracy']:.0f}%"


def _class(label: int) -> str:
    return ("legitimate", "clickbait")[label]


def _images(count: int) -> str:
    return "image" if count == 1 else "images"
