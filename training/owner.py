"""The owner's images as evidence for a fine-tuned network, and what it forgets of the others.

A small update is measured out of fold on all images. For a fine-tuning that takes a training for
each fold. So the images that it does not learn from are measured: those of the validation and test
sides, a third of all, up to FEW images; above, the test side is large enough. The validation side
only sets the calibration, so its images are calibrated on the test side instead.
"""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from clickbait import LABELS
from clickbait.inference.calibration import Calibration, sigmoid
from clickbait.inference.classifier import Classifier
from clickbait.learning import decide
from clickbait.learning.decide import Decision, HeldOut
from clickbait.learning.evidence import Predictions
from clickbait.learning.head import OWN_WEIGHT, Examples, weigh
from clickbait.learning.manifest import Record
from clickbait.learning.metrics import Floats, Labels
from training import calibrate, export, gather
from training.sides import SHARES
from training.start import Champion, Pixels, plain, replay_of, units

FEW = 1_000
"""Up to this many own images, the validation side is evidence as well: 175 images of 500."""


@dataclass(frozen=True)
class Own:
    """Images of the owner: records with sides, pixels (n, size, size, 3), and which of them an
    admin decided (n,). An exam set has no sides. `others` has the pixels of other sizes, if
    versions of different sizes are compared."""

    records: list[Record]
    pixels: Pixels
    decided: npt.NDArray[np.bool_]
    others: dict[int, Pixels] = field(default_factory=dict)

    def at(self, size: int) -> Pixels:
        """The pixels (n, size, size, 3), as a version of that size sees the images."""
        return self.pixels if self.pixels.shape[1] == size else self.others[size]

    def __len__(self) -> int:
        return len(self.records)

    @property
    def labels(self) -> Labels:
        return np.array([LABELS.index(r.label) for r in self.records], np.int64)

    def __getitem__(self, chosen: npt.NDArray[np.bool_]) -> "Own":
        kept = [r for r, keep in zip(self.records, chosen, strict=True) if keep]
        others = {size: pixels[chosen] for size, pixels in self.others.items()}
        return Own(kept, self.pixels[chosen], self.decided[chosen], others)


def held_out(records: list[Record]) -> npt.NDArray[np.bool_]:
    """Which (n,) of the owner's images are evidence."""
    sides = ("validation", "test") if len(records) <= FEW else ("test",)
    return np.array([r.side in sides for r in records], bool)


def too_few(records: list[Record], exam: Labels) -> str:
    """A sentence if the owner's images are too few to prove a fine-tuning, or ""."""
    labels = np.array([LABELS.index(r.label) for r in records], np.int64)
    if lacks := decide.missing(np.concatenate([labels, exam])):
        return lacks
    evidence = np.concatenate([labels[held_out(records)], exam])
    if not decide.missing(evidence):
        return ""
    share = 1 - SHARES["train"]
    return (
        f"Fine-tuning keeps {100 * share:.0f}% of your images back to prove itself on. Of your "
        f"{len(records)} images these are {(evidence == 1).sum()} clickbait and "
        f"{(evidence == 0).sum()} legitimate; it needs {decide.MIN_IMAGES}, with "
        f"{decide.MIN_OF_CLASS} of each kind. Start a small update, which is proved on all of "
        f"your images, or upload about {round(decide.MIN_IMAGES / share)} in all."
    )


def judge(
    candidate: Path,
    champion: Champion,
    shipped: Path,
    own: Own,
    exam: Own,
    *,
    chosen: npt.NDArray[np.bool_],
    own_weight: str = OWN_WEIGHT,
) -> tuple[Decision, dict[str, float]]:
    """Compare a fine-tuned version with the live one on the owner's images, and on the shipped test
    images if both networks' features of them are known.

    shipped: the folder of the model that ships. own: the owner's images, of which those that are
    `chosen` are evidence; if the live version is a small update, its last layer needs the others.
    Also returns the new version's probabilities of the evidence, by file.
    """
    new, live = Classifier.load(candidate), Classifier.load(champion.folder)
    if not champion.relearned:
        trained = _trained(champion)
        chosen = chosen & ~np.array([r.sha256 in trained for r in own.records], bool)
    evidence = own[chosen]
    labels = np.concatenate([evidence.labels, exam.labels])
    after = _candidate(candidate, new, evidence, exam)
    before, world_before = _champion(champion, live, own, chosen, exam)
    corrected = np.concatenate([evidence.decided, exam.decided])
    groups = units([*evidence.records, *exam.records])
    blank = np.zeros((len(labels), 0), np.float16)
    weighed = Examples(blank, before.logits, labels, groups, None, corrected)
    weights = weigh(weighed, before.logits).counts
    decision = decide.decide(
        HeldOut(labels, groups, after, before, None, weights, int(corrected.sum())),
        _world(candidate, new, champion, shipped, before=world_before),
        None,
        band=_band(new),
        own_weight=own_weight,
        champion_band=_band(live),
        champion_is_anchor=not champion.is_small_update,
    )
    said = sigmoid(after.logits[: len(evidence)])
    return decision, {r.file: float(p) for r, p in zip(evidence.records, said, strict=True)}


def _candidate(folder: Path, version: Classifier, own: Own, exam: Own) -> Predictions:
    """The new version's predictions, each with a calibration that did not see the image."""
    model, calibration = (folder / "model.tflite").read_bytes(), version.calibration
    pixels = np.concatenate([own.at(version.size), exam.at(version.size)])
    outputs = export.run(model, pixels, ["logit"])
    raw = outputs["logit"].ravel().astype(np.float64)
    logits = _calibrated(calibration, raw)
    fitted = np.array([r.side == "validation" for r in own.records] + [False] * len(exam), bool)
    test = np.array([r.side == "test" for r in own.records] + [False] * len(exam), bool)
    if fitted.any():
        labels = np.concatenate([own.labels, exam.labels])
        other = calibrate.fit(raw[test], labels[test], calibration)
        logits[fitted] = _calibrated(other, raw[fitted])
    return Predictions(logits, raw)


def _champion(
    champion: Champion, live: Classifier, own: Own, chosen: npt.NDArray[np.bool_], exam: Own
) -> tuple[Predictions, Floats | None]:
    """The live version's predictions on `own[chosen]` and the exam set, and its logits on the
    world, if they are known."""
    if champion.relearned:
        learned = np.array([r.sha256 in champion.learned for r in own.records], bool)
        images = champion.examples(own.records, own.at(live.size), own.decided)
        extra = champion.examples(exam.records, exam.at(live.size), exam.decided)
        said = champion.out_of_fold(images, learned, extra)
        places = np.append(np.flatnonzero(chosen), len(own) + np.arange(len(exam)))
        return said.own[places], said.world.logits
    model = (champion.folder / "model.tflite").read_bytes()
    pixels = np.concatenate([own.at(live.size)[chosen], exam.at(live.size)])
    raw = export.run(model, pixels, ["logit"])["logit"].ravel().astype(np.float64)
    known = None if champion.is_small_update else champion.replay
    world = known.test.outputs.calibrated(live.calibration) if known else None
    return plain(_calibrated(live.calibration, raw)), world


def _world(
    candidate: Path,
    new: Classifier,
    champion: Champion,
    shipped: Path,
    *,
    before: Floats | None,
) -> HeldOut | None:
    """All models on the shipped test images; None if their features are not known. Copies of them
    among the owner's images are on the test side (`sides.assign_sides`), so none is trained on."""
    known, base = replay_of(candidate), replay_of(shipped)
    if known is None or base is None or before is None:
        return None
    baseline = Classifier.load(shipped)
    first = base.test.outputs.calibrated(baseline.calibration)
    is_live = baseline.version == Classifier.load(champion.folder).version
    return HeldOut(
        known.test.labels,
        known.test.units,
        plain(known.test.outputs.calibrated(new.calibration)),
        plain(before),
        None if is_live else plain(first),
    )


def _trained(champion: Champion) -> set[str]:
    """Content hashes of the images that the live version trained on."""
    return {r.sha256 for r in gather.manifests(champion.folder) if r.side == "train"}


def _calibrated(calibration: Calibration, raw: Floats) -> Floats:
    return raw / calibration.temperature + calibration.bias


def _band(model: Classifier) -> tuple[float, float]:
    band = model.metadata["uncertain_band"]
    return float(band["low"]), float(band["high"])
