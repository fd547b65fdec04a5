"""Decide whether a candidate goes live.

If it was trained on images of the owner, it must be better on them and keep what the shipped model
knew (`owner.judge`). If all images are the shipped model's own, it must be no worse than the
champion. In both cases it must be no worse than the best version ever.

The same code measures all models, through the TFLite file that would serve, on the same images,
which none of them has trained on. `tests/training/test_gate.py` simulates what the gate passes and
what it stops.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from clickbait import LABELS
from clickbait.errors import InvalidModel
from clickbait.inference.classifier import Classifier
from clickbait.learning import metrics
from clickbait.learning.decide import Check, Decision, unsure_warning
from clickbait.learning.metrics import Floats, Labels
from clickbait.store.registry import is_promotion
from training import golden, sides

MIN_IMAGES = 30
"""With fewer, equally good models rarely pass and clearly worse ones are rarely stopped."""
MIN_OF_CLASS = 10
"""AUC counts pairs of both classes, so the rarer class decides how certain it is."""
ENOUGH = 200
"""From here on the narrow margins hold. Equal models pass them as often as they pass the wide ones
on 100 images."""
CONFIDENCE = 0.8
"""One-sided. 95% would stop three of four equally good models at MIN_IMAGES."""
AUC_MARGINS = (0.05, 0.03)
"""How much lower the AUC may be, at CONFIDENCE: with fewer than ENOUGH images, and with more."""
BRIER_MARGINS = (0.05, 0.025)
"""How much higher the Brier score may be. Simulated: alone these margins stop 15% of equal models
at 30 images and 3% from 60 on, but 9 in 10 whose logits are off by 2, and 8 in 10 that are four
times too timid."""
FEW_UNITS = 20
"""With fewer groups, a bootstrap over them shows too little spread (Cameron, Gelbach and Miller
2008, doi:10.1162/rest.90.3.414); the bound by image replaces it if it is stricter."""
MAX_FILE_BYTES = 16_000_000
"""Of `model.tflite`, which a function fetches at its cold start."""
RESAMPLES = 2_000
EXAM = "exam"
"""The name of the exam set among the sets of images to measure on."""
MINUS = "\N{MINUS SIGN}"


@dataclass(frozen=True)
class Exam:
    """Labelled images to measure on: pixels (n, size, size, 3), labels (n,), and for each the
    group, or "", and the content hash. `others` has the pixels of other sizes, if versions of
    different sizes are compared."""

    name: str
    pixels: npt.NDArray[np.uint8]
    labels: Labels
    groups: Sequence[str]
    sha256: Sequence[str]
    others: Mapping[int, npt.NDArray[np.uint8]] = field(default_factory=dict)

    def at(self, size: int) -> npt.NDArray[np.uint8]:
        """The pixels (n, size, size, 3), as a version of that size sees the images."""
        return self.pixels if self.pixels.shape[1] == size else self.others[size]

    def without(self, seen: set[str]) -> "Exam":
        """The images whose content hash is not in `seen`."""
        keep = [i for i, sha in enumerate(self.sha256) if sha not in seen]
        return Exam(
            self.name,
            self.pixels[keep],
            self.labels[keep],
            [self.groups[i] for i in keep],
            [self.sha256[i] for i in keep],
            {size: pixels[keep] for size, pixels in self.others.items()},
        )


@dataclass(frozen=True)
class Result:
    """The decision with its numbers; a run and a promotion store it as JSON."""

    passed: bool
    reason: str
    candidate: str
    champion: str
    best: str
    checks: list[Check]
    sets: dict[str, dict[str, Any]] = field(default_factory=dict)
    auc_difference: float | None = None
    """The candidate's AUC less the champion's on the test side, or on the owner's images; `best`
    adds these up."""
    advice: str = ""
    """How the owner can change a refusal."""
    own: dict[str, Any] = field(default_factory=dict)
    """Figures of candidate and champion on the owner's images; empty if none are the owner's."""
    world: dict[str, Any] = field(default_factory=dict)
    """The same on the shipped test images, if they were measured."""
    warnings: list[str] = field(default_factory=list)
    """Sentences on what a person should know although it may have passed."""


def examine(
    candidate: Path,
    champion: Path,
    best: Path | None,
    exams: Sequence[Exam],
    decide: Callable[[], Decision] | None = None,
) -> Result:
    """Compare the version folders on `exams`, the test side first; all of them must pass.

    Images that one of the models or its ancestors trained on are left out. If images are the
    owner's, `decide` compares with the champion in place of this, and `exams` only serve to compare
    with the best version. Raises InvalidModel if the champion or the best cannot be loaded.
    """
    references = {"champion": champion}
    if best is not None and best.resolve() != champion.resolve():
        references["best"] = best
    live = {name: Classifier.load(folder) for name, folder in references.items()}
    names = {
        "candidate": candidate.name,
        "champion": live["champion"].version,
        "best": live.get("best", live["champion"]).version,
    }
    size = _size(candidate)
    try:
        ours = Classifier.load(candidate)
    except InvalidModel as error:
        return _decide([size, Check("loads", False, None, None, error.detail)], names, {})
    names["candidate"] = ours.version
    loads = "It loads; its shapes, label order and golden predictions are right."
    checks = [size, Check("loads", True, None, None, loads)]
    decision = decide() if decide else None
    checks += decision.checks if decision else []
    seen = set().union(*(trained_on(f) for f in (candidate, *references.values())))
    sets = {}
    # Beside `decide`, most images only serve to compare with the best version.
    compared = [e for e in exams if not decision or e.name == EXAM or "best" in live]
    for exam in (e.without(seen) for e in compared):
        models = {"candidate": ours, **live}
        answers = {
            name: model.calibration.apply(model.logits(exam.at(model.size))[0])
            for name, model in models.items()
        }
        if decision:
            checks += _beside(exam, answers)
            continue
        checks += judge(exam.name, exam.labels, exam.groups, answers)
        sets[exam.name] = _numbers(exam.labels, answers, models)
    # Last: the first check that fails is the reason, and real images say more than drawings.
    checks.append(_golden(ours, live["champion"]))
    return _decide(checks, names, sets, decision)


def judge(
    name: str, labels: Labels, groups: Sequence[str], answers: dict[str, Floats]
) -> list[Check]:
    """The checks on one set of images. `answers` are the probabilities (n,) of `candidate`,
    `champion` and, if it is another version, `best`."""
    checks = [evidence(name, labels)]
    finite = bool(np.isfinite(answers["candidate"]).all())
    broken = int((~np.isfinite(answers["candidate"])).sum())
    detail = f"The new model's answer is not a number on {broken} of {len(labels)} {name} images."
    checks.append(Check(f"finite, {name}", finite, broken, 0, detail))
    if not all(check.passed for check in checks):
        return checks
    wide = len(labels) < ENOUGH
    for other in [o for o in ("champion", "best") if o in answers]:
        difference, low, above, high = bounds(labels, groups, answers["candidate"], answers[other])
        limit = -AUC_MARGINS[not wide]
        checks.append(
            Check(
                f"auc against {other}, {name}",
                low > limit,
                low,
                limit,
                f"On {len(labels)} {name} images the AUC differs from the {_called(other)}'s by "
                f"{_signed(difference)}; with 80% confidence by more than {_signed(low)}. "
                f"The gate requires more than {_signed(limit)}.",
            )
        )
        limit = BRIER_MARGINS[not wide]
        checks.append(
            Check(
                f"brier against {other}, {name}",
                high < limit,
                high,
                limit,
                f"On {len(labels)} {name} images the Brier score (0 is perfect) differs from the "
                f"{_called(other)}'s by {_signed(above)}; with 80% confidence by less than "
                f"{_signed(high)}. The gate requires less than {_signed(limit)}.",
            )
        )
    return checks


def _beside(exam: Exam, answers: dict[str, Floats]) -> list[Check]:
    """The checks beside those of `decide`, if there are enough images: against the best version, if
    it is another one than the champion, and on an exam set alone also against the champion."""
    if not evidence(exam.name, exam.labels).passed:
        return []
    if exam.name == EXAM:
        return judge(exam.name, exam.labels, exam.groups, answers)
    if "best" not in answers:
        return []
    compared = {name: answers[name] for name in ("candidate", "best")}
    return judge(exam.name, exam.labels, exam.groups, compared)


def evidence(name: str, labels: Labels) -> Check:
    """Are there enough images? If not, the detail says how many are missing, and of which class."""
    short = {"images": MIN_IMAGES - len(labels)}
    short |= {label: MIN_OF_CLASS - int((labels == k).sum()) for k, label in enumerate(LABELS)}
    lacks = [f"{n} {'more ' if k == 'images' else ''}{k}" for k, n in short.items() if n > 0]
    of = ", ".join(f"{int((labels == k).sum())} {label}" for k, label in enumerate(LABELS))
    there = f"{len(labels)} {name} images that none of the compared models trained on ({of})"
    if not lacks:
        return Check(f"evidence, {name}", True, len(labels), MIN_IMAGES, f"There are {there}.")
    source = "about one upload in seven is a test image" if name == "test" else "upload to exam/"
    return Check(
        f"evidence, {name}",
        False,
        len(labels),
        MIN_IMAGES,
        f"Too little evidence: there are only {there}. "
        f"Still missing: {', '.join(lacks)} ({source}).",
    )


def bounds(
    labels: Labels, groups: Sequence[str], ours: Floats, theirs: Floats
) -> tuple[float, float, float, float]:
    """AUC difference and its lower bound, Brier difference and its upper bound, of probabilities
    (n,) of two models on the same images; one-sided, at CONFIDENCE.

    Paired bootstrap: each draw takes whole groups (an image without one is a group of its own)
    with both models' answers. Draws without both classes are ignored.
    """
    errors = (ours - labels) ** 2 - (theirs - labels) ** 2
    units = [g or f"image {i}" for i, g in enumerate(groups)]
    drawings = [units]
    if len(set(units)) < min(FEW_UNITS, len(units)):
        drawings.append([str(i) for i in range(len(units))])
    low, high = np.inf, -np.inf
    for drawn_by in drawings:
        weights = metrics.draws(drawn_by, RESAMPLES)
        auc = metrics.weighted_auc(labels, ours, weights)
        auc -= metrics.weighted_auc(labels, theirs, weights)
        low = min(low, float(np.quantile(auc[~np.isnan(auc)], 1 - CONFIDENCE)))
        brier = (weights @ errors) / weights.sum(axis=1)
        high = max(high, float(np.quantile(brier, CONFIDENCE)))
    one = np.ones((1, len(labels)))
    difference = metrics.weighted_auc(labels, ours, one) - metrics.weighted_auc(labels, theirs, one)
    return float(difference[0]), low, float(errors.mean()), high


def trained_on(version: Path) -> set[str]:
    """Content hashes of the images that `version` and its ancestors trained on.

    The validation side counts too: the calibration and the best epoch were chosen on it.
    """
    return {
        record.sha256
        for name in ("manifest.csv", "ancestors.csv")
        if (version / name).exists()
        for record in sides.read_manifest(version / name)
        if record.side in ("train", "validation")
    }


def best(promotions: Iterable[dict[str, Any]]) -> str | None:
    """The best version ever promoted, from the promotion records, newest first; None if there are
    none.

    It is not the version with the highest AUC: each was measured on the test images of its day, and
    an easier day gives a higher AUC. Paired differences can be added up instead: a version's
    standing is that of the champion it was compared with plus the AUC difference on the same images
    (0 if nothing was measured). A later promotion of the same version is a roll-back and changes no
    standing. Of equals, the one promoted last wins. A new threshold is no promotion.
    """
    standing: dict[str, float] = {}
    last: dict[str, int] = {}
    for turn, record in enumerate(filter(is_promotion, reversed(list(promotions)))):
        version, gate = record["version"], record.get("gate") or {}
        last[version] = turn
        if version not in standing:
            before = gate.get("champion") or record.get("previous")
            if before and before not in standing:  # live before the first promotion
                standing[before], last[before] = 0.0, turn - 1
            standing[version] = standing.get(before, 0.0) + (gate.get("auc_difference") or 0.0)
    return max(standing, key=lambda v: (standing[v], last[v]), default=None)


def _size(candidate: Path) -> Check:
    path = candidate / "model.tflite"
    size = path.stat().st_size if path.exists() else 0
    detail = f"model.tflite has {size / 1e6:.1f} MB; the limit is {MAX_FILE_BYTES / 1e6:.0f} MB."
    return Check("file size", size <= MAX_FILE_BYTES, size, MAX_FILE_BYTES, detail)


def _golden(candidate: Classifier, champion: Classifier) -> Check:
    """If the champion is right and sure about a golden image, the candidate must not contradict it.
    (The champion may be wrong about a drawing.)"""
    lost = []
    drawn = [golden.images(model.size) for model in (champion, candidate)]
    for name, label, old, new in zip(("loud", "calm"), (1, 0), *drawn, strict=True):
        before, after = champion.predict(old), candidate.predict(new)
        sure = before.is_clickbait == bool(label) and not before.uncertain
        if sure and after.is_clickbait != bool(label):
            lost.append(f"{name} ({before.probability:.2f} before, {after.probability:.2f} now)")
    detail = (
        "The live model is right and sure about a built-in image that the new model gets wrong: "
        f"{', '.join(lost)}."
        if lost
        else "The new model gets no built-in image wrong that the live model gets right."
    )
    return Check("golden images", not lost, len(lost), 0, detail)


def _numbers(
    labels: Labels, answers: dict[str, Floats], models: Mapping[str, Classifier]
) -> dict[str, Any]:
    """Images of each class, and for each model its AUC, Brier score, number and share of right
    answers, and share of unsure ones; null if undefined."""
    out: dict[str, Any] = {
        "images": len(labels),
        "classes": {label: int((labels == k).sum()) for k, label in enumerate(LABELS)},
    }
    for name, p in answers.items():
        known = len(labels) > 0 and bool(np.isfinite(p).all())
        band = models[name].metadata["uncertain_band"]
        right = (p >= models[name].threshold) == (labels == 1)
        unsure = (band["low"] < p) & (p < band["high"])
        out[name] = {
            "auc": metrics.auc(labels, p) if known else None,
            "brier": float(np.mean((p - labels) ** 2)) if known else None,
            "right": int(right.sum()) if known else None,
            "accuracy": float(right.mean()) if known else None,
            "unsure": float(unsure.mean()) if known else None,
        }
    return out


def _decide(
    checks: list[Check],
    names: dict[str, str],
    sets: dict[str, Any],
    decision: Decision | None = None,
) -> Result:
    broken = [c for c in checks if not c.passed]
    if decision:
        sets = {"own": _set(decision.own), "world": _set(decision.world)}
        sets = {name: one for name, one in sets.items() if one}
    first: dict[str, Any] = next(iter(sets.values()), {})
    aucs = [first.get(name, {}).get("auc") for name in ("candidate", "champion")]
    warnings = decision.warnings if decision else _warnings(sets)
    if decision:
        reason, advice = _in_words(decision, broken)
    elif broken:
        more = f" {len(broken) - 1} more checks failed." if len(broken) > 1 else ""
        reason, advice = broken[0].detail + more, ""
    else:
        figures = "; ".join(
            f"on {s['images']} {name} images AUC {s['candidate']['auc']:.3f} and Brier score "
            f"{s['candidate']['brier']:.3f}, the live model {s['champion']['auc']:.3f} and "
            f"{s['champion']['brier']:.3f}"
            for name, s in sets.items()
        )
        passed = f"No worse than the live model {names['champion']}: {figures}."
        reason, advice = " ".join([passed, *warnings]), ""
    return Result(
        passed=not broken,
        reason=reason,
        **names,
        checks=checks,
        sets=sets,
        auc_difference=None if None in aucs else aucs[0] - aucs[1],
        advice=advice,
        own=decision.own if decision else {},
        world=decision.world if decision else {},
        warnings=warnings,
    )


def _warnings(sets: Mapping[str, Any]) -> list[str]:
    """A warning for each set on which the candidate is unsure much more often."""
    return [
        warning
        for name, found in sets.items()
        if None not in (found["candidate"]["unsure"], found["champion"]["unsure"])
        for warning in unsure_warning(f"the {name} images", found["candidate"], found["champion"])
    ]


def _in_words(decision: Decision, broken: list[Check]) -> tuple[str, str]:
    """The reason with its counts, and the advice, if other checks may have failed as well."""
    others = [check for check in broken if check not in decision.checks]
    if not decision.passed or not others:
        return decision.reason, decision.advice
    advice = "Check the labels that the live model disagrees with most, and upload more images."
    return f"{decision.reason} Even so it did not go live. {others[0].detail}", advice


def _set(figures: dict[str, Any]) -> dict[str, Any]:
    """Figures of `decide` in the shape of `_numbers`."""
    if not figures:
        return {}
    classes = figures["candidate"].get("classes", {})
    models = {name: {k: f[k] for k in ("auc", "brier")} for name, f in figures.items()}
    return {"images": figures["candidate"]["images"], "classes": classes, **models}


def _called(other: str) -> str:
    return "best version" if other == "best" else "live model"


def _signed(value: float) -> str:
    return f"{value:+.3f}".replace("-", MINUS)
