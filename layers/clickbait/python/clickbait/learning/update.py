"""Make a small update: learn a new version from an owner's images in seconds and decide whether it
may go live.

Callers need only `small_update`. The caller reads the images, and stores and promotes the version.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from clickbait.inference.calibration import Calibration, uncertain_band
from clickbait.learning import evidence
from clickbait.learning.decide import Decision, HeldOut, decide, missing
from clickbait.learning.evidence import PROMISE, Labels, Predictions
from clickbait.learning.features import FeatureReader, Outputs
from clickbait.learning.head import (
    KEPT,
    OWN_WEIGHT,
    Examples,
    Head,
    Space,
    learn,
    learn_each,
    weigh,
)
from clickbait.learning.patch import PatchedModel, patch
from clickbait.learning.replay import Part, Replay

MIN_TO_LEARN = 10
"""Minimum images of each class outside the exam set: about one for each fold."""

FORGETTING = {"stay_close": 0.01, "balanced": 0.015, "follow_labels": 0.1}
"""Maximum drop in AUC on the shipped test images, by the dial `own_weight`. An update keeps as much
of the taste as this allows. The same images then show the drop, so they flatter it: chosen on half
of them, the drop on the other half was 0.002 to 0.007 larger. The gate's own margins are wider,
because they must hold at a confidence."""

LARGE = 500
"""From this many own images, an upload starts fine-tuning instead. At 347 the small update was
better on everything (own AUC 0.841 and 0.786, fine-tuned 0.807 and 0.759). Where fine-tuning
overtakes it was not measured. The small update itself still gains above: on a mild taste its AUC is
0.833 at 350 images, 0.840 at 500 and 0.847 at 800."""


@dataclass(frozen=True)
class Version:
    """A version's TFLite file and its `metadata.json`."""

    model: bytes
    metadata: dict[str, Any]

    @property
    def calibration(self) -> Calibration:
        return Calibration.from_dict(self.metadata["calibration"])

    def logits(self, features: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
        """Return the calibrated logits (n,) that the version's last layer computes of the pooled
        features (n, d) of its network."""
        reader = FeatureReader(self.model)
        raw = features.astype(np.float64) @ reader.last_layer.kernel + reader.bias
        return Outputs(np.zeros((0, 0), np.float16), raw).calibrated(self.calibration)

    @property
    def band(self) -> tuple[float, float]:
        """(low, high): the probabilities between which the version is unsure."""
        band = self.metadata["uncertain_band"]
        return float(band["low"]), float(band["high"])


@dataclass(frozen=True)
class Champion:
    """The live version, if it is a small update itself. `learned` (n,) marks the owner's images
    that it learned from."""

    version: Version
    learned: npt.NDArray[np.bool_]

    @property
    def recipe(self) -> dict[str, Any]:
        """The settings that it was learned with, as stored by `Update.changes`."""
        recipe: dict[str, Any] = self.version.metadata["small_update"]
        return recipe


@dataclass(frozen=True)
class Update:
    """Result of a small update. All but the first three are None if images were too few.

    predictions: what the new layer predicts of the owner's images, out of fold, followed by the
    exam set. before: the same by the champion.
    """

    decision: Decision
    own_weight: str = OWN_WEIGHT
    kept: float = 1.0
    head: Head | None = None
    patched: PatchedModel | None = None
    band: dict[str, float] | None = None
    predictions: Predictions | None = None
    before: Predictions | None = None

    def changes(self) -> dict[str, Any]:
        """Return the changes to the anchor's metadata, without the version's name and dates.

        Raises ValueError if there were too few images.
        """
        if self.head is None or self.band is None:
            raise ValueError("nothing was learned, so there are no changes")
        return {
            "uncertain_band": self.band,
            "small_update": {
                "choice": self.head.choice,
                "shares": list(self.head.shares),
                "slope": self.head.slope,
                "own_weight": self.own_weight,
                "kept": self.kept,
            },
        }


def small_update(
    anchor: Version,
    own: Part,
    replay: Replay,
    *,
    exam: Part | None = None,
    champion: Champion | None = None,
    own_weight: str = OWN_WEIGHT,
) -> Update:
    """Learn a last layer from `own` and decide whether it may go live.

    anchor: the version whose network is kept, either the shipped or a fine-tuned one.
    own, exam, replay: images with the outputs of the anchor's network. `own` must not hold images
    that the anchor was trained on, or copies of images in `exam`.
    champion: the live version; None if the anchor itself is live.
    """
    calibration = anchor.calibration
    images = own.examples(calibration)
    extra = exam.examples(calibration) if exam is not None else images[np.zeros(0, np.int64)]
    short = missing(np.concatenate([images.labels, extra.labels]))
    short = short or missing_to_learn(images.labels)
    if short:
        return Update(Decision(False, short, short, []))
    known, world = replay.train.examples(calibration), replay.test.examples(calibration)
    space = Space(images, known)
    live = champion_predictions(images, extra, world, known, space=space, champion=champion)
    images = weigh(images, live.own.logits[: len(images)])
    update, head = attempt(Inputs(images, extra, world, known, space, live), own_weight)
    return replace(update, patched=patch(anchor.model, calibration, head))


@dataclass(frozen=True)
class Live:
    """The champion's predictions on the owner's images followed by the exam set, and on the world;
    the band in which it is unsure; and whether it is the anchor."""

    own: Predictions
    world: Predictions
    band: tuple[float, float]
    is_anchor: bool


def champion_predictions(
    own: Examples,
    exam: Examples,
    world: Examples,
    known: Examples,
    *,
    space: Space,
    champion: Champion | None,
) -> Live:
    """Return the champion's predictions on the owner's images, the exam set and the world. Those on
    the owner's images are out of fold if it learned from them. `champion` is None if the anchor is
    live."""
    if champion is None:
        on_world = evidence.by_anchor(own, world)
        on_own = evidence.by_anchor(own, own).concat(evidence.by_anchor(own, exam))
        return Live(on_own, on_world, uncertain_band(PROMISE), True)
    recipe = champion.recipe
    on_own = evidence.out_of_fold(
        weigh(own, own.logits),
        known,
        recipe["own_weight"],
        learned=champion.learned,
        space=space,
        kept=recipe["kept"],
    )
    on_own = on_own.concat(_by_version(champion.version, own, exam))
    return Live(on_own, _by_version(champion.version, own, world), champion.version.band, False)


@dataclass(frozen=True)
class Inputs:
    """Inputs that all tries share: the owner's images, the exam set, the world, the replayed images
    (`known`), the directions to learn in, and the champion's predictions."""

    own: Examples
    exam: Examples
    world: Examples
    known: Examples
    space: Space
    live: Live


def attempt(inputs: Inputs, own_weight: str = OWN_WEIGHT) -> tuple[Update, Head]:
    """Learn a layer and decide on it. If it is refused but a new calibration alone passes, return
    the calibration. It cannot rank images worse, so it needs less evidence."""
    first = _try(inputs, own_weight, *_remembering(inputs, own_weight))
    if first[0].decision.passed or first[0].kept == 0:
        return first
    head = learn(inputs.own, inputs.known, own_weight, inputs.space, kept=0.0)
    calibration = _try(inputs, own_weight, 0.0, head)
    return calibration if calibration[0].decision.passed else first


def _try(inputs: Inputs, own_weight: str, kept: float, head: Head) -> tuple[Update, Head]:
    """Decide on a layer that keeps the part `kept` of the taste."""
    own, exam, world, live = inputs.own, inputs.exam, inputs.world, inputs.live
    known, space = inputs.known, inputs.space
    candidate = evidence.out_of_fold(own, known, own_weight, space=space, kept=kept)
    candidate = candidate.concat(evidence.by_head(head, own, exam))
    shipped = evidence.by_anchor(own, own).concat(evidence.by_anchor(own, exam))
    low, high, promise = evidence.band(candidate, shipped)
    decision = decide(
        HeldOut(
            np.concatenate([own.labels, exam.labels]),
            np.concatenate([own.units, exam.units + own.units.max() + 1]),
            candidate,
            live.own,
            weights=np.concatenate([own.counts, exam.counts]),
            corrected=0 if own.corrected is None else int(own.corrected.sum()),
        ),
        HeldOut(
            world.labels,
            world.units,
            evidence.by_head(head, own, world),
            live.world,
            None if live.is_anchor else evidence.by_anchor(own, world),
        ),
        head,
        band=(low, high),
        own_weight=own_weight,
        champion_band=live.band,
        champion_is_anchor=live.is_anchor,
    )
    band = {"low": low, "high": high, "promise": promise}
    return Update(decision, own_weight, kept, head, None, band, candidate, live.own), head


def _remembering(inputs: Inputs, own_weight: str) -> tuple[float, Head]:
    """The largest part of the taste, with its layer, that forgets no more than FORGETTING allows;
    if none does, the one that forgets least."""
    world = inputs.world
    known = evidence.auc(world.labels, world.logits) or 0.0
    least = np.inf
    heads = learn_each(inputs.own, inputs.known, own_weight, inputs.space)
    for kept, head in zip(KEPT, heads, strict=True):
        scores = head.logits(world.features, world.logits)
        drop = known - (evidence.auc(world.labels, scores) or 0.0)
        if drop < least:
            least, best = drop, (kept, head)
        if drop <= FORGETTING[own_weight]:
            break
    return best


def missing_to_learn(labels: Labels) -> str:
    """Return a message if there are too few images outside the exam set, or "" if there are enough.
    Exam images are used only for measuring."""
    counts = [int((labels == k).sum()) for k in (0, 1)]
    if min(counts) >= MIN_TO_LEARN:
        return ""
    return (
        f"You have {counts[1]} clickbait and {counts[0]} legitimate images outside the exam set. "
        f"Learning needs at least {MIN_TO_LEARN} of each kind."
    )


def _by_version(version: Version, own: Examples, images: Examples) -> Predictions:
    """Predictions of a small update, from its own kernel and the anchor's features."""
    scale, predicted = version.logits(own.features), version.logits(images.features)
    return Predictions(predicted, (predicted - scale.mean()) / (float(scale.std()) or 1.0))
