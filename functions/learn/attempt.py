"""One attempt at one small update, from the images to the decision.

An attempt may be killed at any moment, and the next one starts again: features are stored as they
are computed, the same images give the same version, and a version is listed only when it is whole.
If the version was promoted before the kill, the next attempt only ends the run.
"""

import json
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from clickbait.errors import Conflict
from clickbait.inference.calibration import sigmoid
from clickbait.keys import label_of
from clickbait.learning import decide, labels, selection, version
from clickbait.learning.head import OWN_WEIGHT
from clickbait.learning.selection import KNOWN, Selection
from clickbait.learning.update import Champion, Update, missing_to_learn, small_update
from clickbait.observability import logger
from clickbait.settings import Settings
from clickbait.store import answers, monitoring
from clickbait.store.image_features import FeatureStore, ImageFeatures
from clickbait.store.registry import Registry
from clickbait.store.runs import EVALUATING, PROMOTED, REJECTED, RUNNING, Parameters, Runs
from clickbait.store.trained import digest, mark_trained, read_trained
from functions.learn.images import Images, labels_of
from functions.learn.live import FINE_TUNE, Live, read_live

PROMOTIONS_TRIED = 3
"""Champions that an update is compared with if others promote versions meanwhile."""

MOST_IMAGES = 1_500
"""More images would not fit the function's time if none of their features is stored."""


class Over(Exception):
    """Raised when the run has ended: by this attempt, or by somebody else meanwhile."""


@dataclass(frozen=True)
class Learned:
    """The result: keys of the images that it learned from and of the exam set, in the order of the
    update's predictions, and what was left out."""

    own: list[str]
    exam: list[str]
    selection: Selection
    update: Update

    @property
    def keys(self) -> list[str]:
        return [*self.own, *self.exam]


class Attempt:
    """One attempt at one run."""

    def __init__(
        self, run: Mapping[str, Any], runs: Runs, config: Settings, registry: Registry
    ) -> None:
        self.runs, self.config, self.registry = runs, config, registry
        self.id = str(run["id"])
        self.by = f"run {self.id}"
        self.parameters = Parameters(**run["parameters"])
        self.warnings: list[str] = []
        self.seconds: dict[str, float] = {}

    def go(self) -> None:
        """Bring the run to its end. Raises Over then, or Hopeless if there can be no update."""
        self._end_if_promoted()
        # An earlier attempt may have been killed as it began to promote its version.
        self._advance(RUNNING, "Listing the images.", promoting=False)
        for _ in range(PROMOTIONS_TRIED):
            try:
                self._decide()
            except Conflict:
                reason = "Another version went live meanwhile. Deciding again."
                self._report(reason, promoting=False)
        raise Conflict(f"Other versions went live {PROMOTIONS_TRIED} times meanwhile.")

    def _end_if_promoted(self) -> None:
        """End the run if an earlier attempt was killed after the promotion."""
        for promotion in self.registry.promotions():
            if promotion["by"] == self.by:
                name, gate = promotion["version"], promotion["gate"]
                self._end(PROMOTED, promotion["reason"], version=name, gate=gate)

    def _decide(self) -> NoReturn:
        """Learn from the images and decide about the result. Raises Over, or Conflict if another
        version went live meanwhile."""
        self.warnings = []
        with self._timed("list"):
            images = self._list()
            live = read_live(self.registry, self.config.model_folder)
        with self._timed("features"):
            images.features = self._features(images, live)
        self._check_labels(images, live)
        with self._timed("learn"):
            learned = self._learn(images, live)
        if learned.update.patched is None:
            self._end_without_learning(images, learned)
        with self._timed("publish"):
            name = self._publish(images, live, learned)
        self._judge(name, images, live, learned)

    # --- the images ------------------------------------------------------------------------------

    def _list(self) -> Images:
        """The images as they are now. Ends the run before any computing if there are too few, or
        too many."""
        images = Images.listed(self.config)
        if len(images) > MOST_IMAGES:
            reason = (
                f"You have {len(images):,} images. A small update learns from at most "
                f"{MOST_IMAGES:,}. {FINE_TUNE}."
            )
            self._end(REJECTED, reason)
        images.look_up(self.config, all_labels=self.parameters.skip_label_check)
        self._report("Listing the images.", listing=digest(images.train | images.exam))
        usable = images.usable()
        short = decide.missing(labels_of([*usable, *images.exam]))
        short = short or missing_to_learn(labels_of(usable))
        if short:
            aside = f" {_left_aside(len(images.aside))}" if images.aside else ""
            self._end(REJECTED, short + aside, images=images.counts())
        return images

    def _features(self, images: Images, live: Live) -> dict[str, ImageFeatures]:
        """The features of the usable images by key; reports how many are done."""
        config = self.config
        store = FeatureStore(
            config.data_bucket, config.models_bucket, live.anchor_name, live.reader
        )

        def progress(done: int, new: int) -> None:
            self._report(f"Reading new images: {done} of {new}.")

        usable = {key: images.train[key] for key in images.usable()}
        found = store.read(usable | images.exam, progress)
        if store.problems:
            example = min(store.problems)
            self.warnings.append(
                f"{_counted(len(store.problems))} left out: unreadable. {example}: "
                f"{store.problems[example]}"
            )
        return found

    def _check_labels(self, images: Images, live: Live) -> None:
        """Compare the labels of new images with the live model, except those that an admin decided.

        Rejected images are set aside. The run ends if nothing else is new.
        """
        new = images.unchecked()
        if not new:
            return
        probabilities = sigmoid(live.logits([images.features[key] for key in new]))
        threshold = float(live.version.metadata["threshold"])
        checked = labels.check(new, labels_of(new), probabilities, threshold)
        self.warnings += checked.warnings
        rejected = checked.rejected and not self.parameters.skip_label_check
        if rejected:
            images.aside |= set(new)
            self.warnings.append(f"{checked.reason} {_left_aside(len(new))}")
        elif checked.rejected:
            self.warnings.append(f"{checked.reason} The run was asked to skip this check.")
        self._report("The labels were checked.", label_check=checked.as_dict())
        if rejected:
            rest = {key: images.train[key] for key in images.usable()}
            if not read_trained(self.config.models_bucket).news(rest, images.exam).total:
                self._mark_trained(images)
                self._end(REJECTED, checked.reason, images=images.counts())

    def _mark_trained(self, images: Images) -> None:
        mark_trained(self.config.models_bucket, images.train, images.exam, images.aside)

    # --- learning --------------------------------------------------------------------------------

    def _learn(self, images: Images, live: Live) -> Learned:
        """Select the images and learn from them."""
        self._report("Learning from your images.")
        train = [key for key in images.usable() if key in images.features]
        exam = [key for key in sorted(images.exam) if key in images.features]
        chosen = selection.select(
            [images.candidate(key) for key in train],
            [images.candidate(key) for key in exam],
            live.known(),
        )
        for kind, count in chosen.counts().items():
            self.warnings.append(f"{_counted(count)} left out: {kind}.")
        own = [train[i] for i in chosen.own]
        measured = [exam[i] for i in chosen.exam]
        if not own:
            short = decide.missing(labels_of(measured)) or missing_to_learn(labels_of(own))
            return Learned(own, measured, chosen, Update(decide.Decision(False, short, short, [])))
        used = [(images.features[key].sha256, images.features[key].sketch) for key in own]
        update = small_update(
            live.anchor,
            images.part(own, chosen.own_units),
            live.replay.without(used),
            exam=images.part(measured, chosen.exam_units) if measured else None,
            champion=None if live.is_anchor else _champion(live, own, images),
            own_weight=self.parameters.own_weight or OWN_WEIGHT,
        )
        return Learned(own, measured, chosen, update)

    def _end_without_learning(self, images: Images, learned: Learned) -> NoReturn:
        known = learned.selection.counts().get(KNOWN, 0)
        reason = learned.update.decision.reason
        if known:
            reason += (
                f" {known} of your images do not count, because the live model's network was "
                f"trained on them. {FINE_TUNE}: it can use them again."
            )
        self._mark_trained(images)
        self._end(REJECTED, reason, images=images.counts(len(learned.own)))

    # --- the version and the decision ------------------------------------------------------------

    def _publish(self, images: Images, live: Live, learned: Learned) -> str:
        """Write the version and publish it; returns its name."""
        files = self._files(images, live, learned)
        name = str(json.loads(files["metadata.json"])["model_version"])
        counts = images.counts(len(learned.own))
        self._report("Publishing the new version.", version=name, images=counts)
        with tempfile.TemporaryDirectory() as folder:
            for file, content in files.items():
                Path(folder, file).write_bytes(content)
            return self.registry.publish(Path(folder))

    def _files(self, images: Images, live: Live, learned: Learned) -> dict[str, bytes]:
        """The files of the version by name. The same run and images give the same bytes."""
        chosen, predictions = learned.selection, learned.update.predictions
        records = [images.record(key, version.TRAIN) for key in learned.own]
        records += [images.record(key, version.TEST) for key in learned.exam]
        records += [images.record(key, "", why) for key, why in chosen.left_out.items()]
        units = [f"own {unit}" for unit in chosen.own_units]
        units += [f"exam {unit}" for unit in chosen.exam_units]
        appearances = [images.features[key].appearance for key in learned.keys]
        moment = datetime.strptime(self.id[:15], "%Y%m%d-%H%M%S").replace(tzinfo=UTC)
        files = version.files(
            live.anchor,
            learned.update,
            version.Story(self.id, self.id[:15], moment.isoformat(), live.name),
            records=records,
            units=units,
            appearances=appearances,
            ancestors=version.ancestors(*live.manifests),
        )
        scores = sigmoid(predictions.logits).tolist() if predictions else []
        reference = monitoring.reference(appearances[: len(learned.own)], scores)
        return files | {"reference.json": json.dumps(reference).encode()}

    def _judge(self, name: str, images: Images, live: Live, learned: Learned) -> NoReturn:
        """Promote the version if it passed. Raises Over, or Conflict if another went live."""
        decision = learned.update.decision
        gate = _gate(name, live.name, learned.update)
        self._advance(EVALUATING, "Comparing the new model with the live one.", version=name)
        self._mark_trained(images)
        self._keep_answers(name, images, live, learned)
        if not decision.passed:
            reason = f"{decision.reason} {decision.advice}".rstrip()
            self._end(REJECTED, reason, gate=gate, champion=live.name)
        if not self.runs.begin_promotion(self.id):
            raise Over
        self.registry.promote(
            name,
            by=self.by,
            reason=decision.reason,
            gate=gate,
            baseline=self.config.model_folder,
            expected=live.pointer,
        )
        self._end(PROMOTED, decision.reason, gate=gate, champion=live.name)

    def _keep_answers(self, name: str, images: Images, live: Live, learned: Learned) -> None:
        """Store what the version that will be live says of each image."""
        update, passed = learned.update, learned.update.decision.passed
        predictions = update.predictions if passed else update.before
        if predictions is None:
            return
        listing = images.train | images.exam
        found = zip(learned.keys, sigmoid(predictions.logits).tolist(), strict=True)
        answers.write(
            self.config.models_bucket,
            name if passed else live.name,
            {key: (listing[key], probability) for key, probability in found},
            listing,
        )

    # --- progress --------------------------------------------------------------------------------

    @contextmanager
    def _timed(self, stage: str) -> Iterator[None]:
        """Note the seconds that `stage` takes."""
        began = time.monotonic()
        yield
        self.seconds[stage] = round(time.monotonic() - began, 2)

    def _report(self, reason: str, **fields: Any) -> None:
        """Say what happens now. Raises Over if somebody ended the run meanwhile."""
        logger.info(reason)
        fields |= {"warnings": self.warnings, "seconds": self.seconds}
        if not self.runs.report(self.id, reason=reason, **fields):
            raise Over

    def _advance(self, state: str, reason: str, **fields: Any) -> None:
        logger.info(reason)
        if not self.runs.advance(self.id, state, reason, **fields):
            raise Over

    def _end(self, state: str, reason: str, **fields: Any) -> NoReturn:
        logger.info("run ended", state=state, reason=reason)
        fields |= {"warnings": self.warnings, "seconds": self.seconds}
        self.runs.end(self.id, state, reason, **fields)
        raise Over


def _champion(live: Live, own: list[str], images: Images) -> Champion:
    """The live small update, with the images that it learned from under their present label."""
    before = version.learned(live.learned_from)
    learned = [before.get(images.features[key].sha256) == label_of(key) for key in own]
    return Champion(live.version, np.array(learned, bool))


def _counted(images: int) -> str:
    return "1 image is" if images == 1 else f"{images} images are"


def _left_aside(count: int) -> str:
    return (
        f"{_counted(count)} left out because the live model ranks their labels the wrong way "
        "round. Move them to the other folder, or start a training that skips the label check."
    )


def _gate(candidate: str, champion: str, update: Update) -> dict[str, Any]:
    """The decision in the form of the gate of a fine-tuning, with the figures before and after."""
    decision = update.decision
    aucs = [decision.own.get(name, {}).get("auc") for name in ("candidate", "champion")]
    return decision.as_dict() | {
        "candidate": candidate,
        "champion": champion,
        "best": champion,
        "sets": {
            name: {"images": found["candidate"]["images"]}
            | {model: {k: found[model][k] for k in ("auc", "brier")} for model in found}
            for name, found in (("own", decision.own), ("world", decision.world))
            if found
        },
        "auc_difference": None if None in aucs else aucs[0] - aucs[1],
        "own_weight": update.own_weight,
    }
