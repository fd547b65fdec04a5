"""One attempt at one small update, from the images to the decision.

An attempt may be killed at any moment, and the next one starts again: features are stored as they
are computed, the same images give the same version, and a version is listed only when it is whole.
If the version was promoted before the kill, the next attempt only ends the run.
"""

import hashlib
import json
import tempfile
import time
from collections.abc import Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import numpy.typing as npt

from clickbait import LABELS, aws
from clickbait.errors import Conflict, InvalidModel, NotFound
from clickbait.inference.calibration import sigmoid
from clickbait.keys import DECIDED, EXAM, IMAGE_PARTITION, is_decided, label_of
from clickbait.learning import decide, labels, manifest, replay, selection, version
from clickbait.learning.features import FeatureReader, Outputs
from clickbait.learning.head import OWN_WEIGHT
from clickbait.learning.manifest import Record
from clickbait.learning.replay import Part, Replay
from clickbait.learning.selection import KNOWN, Candidate, Selection
from clickbait.learning.update import Champion, Update, Version, missing_to_learn, small_update
from clickbait.observability import logger
from clickbait.settings import Settings
from clickbait.store import answers, monitoring
from clickbait.store.image_features import FeatureStore, ImageFeatures
from clickbait.store.registry import Pointer, Registry, baseline_version
from clickbait.store.runs import EVALUATING, PROMOTED, REJECTED, RUNNING, Parameters, Runs
from clickbait.store.trained import Listing, digest, list_images, mark_trained, read_trained

PROMOTIONS_TRIED = 3
"""Champions that an update is compared with if others promote versions meanwhile."""

MOST_IMAGES = 1_500
"""More images would not fit the function's time if none of their features is stored."""

FINE_TUNE = "Start a training with the method `fine_tuning`"


class Over(Exception):
    """Raised when the run has ended: by this attempt, or by somebody else meanwhile."""


class Hopeless(Exception):
    """Raised with a sentence if another attempt would fail in the same way."""


@dataclass(frozen=True)
class Live:
    """The live version, the anchor whose network it keeps, and what the anchor was trained on. If
    the live version is no small update, it is its own anchor."""

    pointer: Pointer | None
    name: str
    version: Version
    anchor_name: str
    anchor: Version
    replay: Replay
    manifests: tuple[list[str], ...]
    """Lines of the manifests of the anchor and its ancestors, if they are stored."""

    @property
    def is_anchor(self) -> bool:
        return self.name == self.anchor_name


@dataclass
class Images:
    """The owner's images as listed, and what is known about them."""

    train: Listing
    exam: Listing
    decided: set[str]
    """Keys of the images whose label an admin decided."""
    unseen: list[str]
    """Keys of the images that no run has examined under their present label."""
    aside: set[str]
    """Keys of the images whose labels the label check rejected, now or earlier."""
    features: dict[str, ImageFeatures] = field(default_factory=dict)

    def usable(self) -> list[str]:
        """Keys of the images in `train/` that are not set aside, sorted."""
        return sorted(self.train.keys() - self.aside)


@dataclass(frozen=True)
class Learned:
    """The result: keys of the images that it learned from and of the exam set, in the order of the
    update's predictions, and what was left out."""

    own: list[str]
    exam: list[str]
    selection: Selection
    update: Update


class Attempt:
    """One attempt at one run."""

    def __init__(
        self, run: Mapping[str, Any], runs: Runs, config: Settings, registry: Registry
    ) -> None:
        self.run, self.runs, self.config, self.registry = run, runs, config, registry
        self.id = str(run["id"])
        self.by = f"run {self.id}"
        self.parameters = Parameters(**run["parameters"])
        self.warnings: list[str] = []
        self.seconds: dict[str, float] = {}

    def go(self) -> None:
        """Bring the run to its end. Raises Over then, or Hopeless if there can be no update."""
        self._end_if_promoted()
        self._advance(RUNNING, "Listing the images.")
        for _ in range(PROMOTIONS_TRIED):
            try:
                self._decide()
            except Conflict:
                self._report("Another version went live meanwhile. Deciding again.")
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
            self._require_enough(images)
            live = self._live()
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
        """The images as they are now, with what earlier runs found out about them. Ends the run if
        there are too many."""
        config = self.config
        train, exam = list_images(config.data_bucket), list_images(config.data_bucket, EXAM)
        if len(train) + len(exam) > MOST_IMAGES:
            reason = (
                f"You have {len(train) + len(exam):,} images. A small update learns from at most "
                f"{MOST_IMAGES:,}. {FINE_TUNE}."
            )
            self._end(REJECTED, reason)
        trained = read_trained(config.models_bucket)
        marks = {
            item["sk"]: item.get(DECIDED)
            for item in aws.query(config.table, IMAGE_PARTITION)
            if item["etag"] == train.get(item["sk"])
        }
        decided = {key for key in train if is_decided(key, marks.get(key))}
        aside = set() if self.parameters.skip_label_check else trained.left_out(train) - decided
        self._report("Listing the images.", listing=digest(train | exam))
        return Images(train, exam, decided, trained.unseen(train), aside)

    def _require_enough(self, images: Images) -> None:
        """End the run before any computing if there are too few images."""
        usable = [*images.usable(), *images.exam]
        short = decide.missing(_labels(usable)) or missing_to_learn(_labels(images.usable()))
        if short:
            aside = f" {_left_aside(len(images.aside))}" if images.aside else ""
            self._end(REJECTED, short + aside, images=self._counts(images))

    def _features(self, images: Images, live: Live) -> dict[str, ImageFeatures]:
        """The features of all images by key; reports how many are done."""
        store = FeatureStore(
            self.config.data_bucket,
            self.config.models_bucket,
            live.anchor_name,
            _reader(live.anchor),
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
        new = [
            key
            for key in images.unseen
            if key in images.features and key not in images.decided | images.aside
        ]
        if not new:
            return
        logits = _live_logits(live, [images.features[key] for key in new])
        threshold = float(live.version.metadata["threshold"])
        checked = labels.check(new, _labels(new), sigmoid(logits), threshold)
        self.warnings += checked.warnings
        if checked.rejected and self.parameters.skip_label_check:
            self.warnings.append(f"{checked.reason} The run was asked to skip this check.")
        elif checked.rejected:
            images.aside |= set(new)
            self.warnings.append(f"{checked.reason} {_left_aside(len(new))}")
        self._report("The labels were checked.", label_check=checked.as_dict())
        if images.aside & set(new):
            trained = read_trained(self.config.models_bucket)
            # Images that earlier runs set aside are no news.
            rest = {key: etag for key, etag in images.train.items() if key not in set(new)}
            if not trained.news(rest, images.exam).total:
                self._mark_trained(images)
                self._end(REJECTED, checked.reason, images=self._counts(images))

    def _mark_trained(self, images: Images) -> None:
        mark_trained(self.config.models_bucket, images.train, images.exam, images.aside)

    def _counts(self, images: Images, used: int = 0) -> dict[str, int]:
        return {
            "listed": len(images.train),
            "usable": used,
            "new": len(images.unseen),
            "left_out": len(images.train) - used,
            "exam": len(images.exam),
        }

    # --- the live version and its anchor ---------------------------------------------------------

    def _live(self) -> Live:
        """The live version and its anchor. Raises Hopeless if its network cannot be updated."""
        pointer = self.registry.pointer()
        shipped = baseline_version(self.config.model_folder)
        if pointer is None:  # Published now, so that an admin can roll back to it.
            self.registry.publish(self.config.model_folder)
        elif not pointer.version:
            raise Hopeless("champion.json names no version. Promote one first.")
        name = pointer.version if pointer else shipped
        try:
            live = self._version(name)
            anchor_name = str(live.metadata.get("anchor", name))
            anchor = self._version(anchor_name)
            stored = self._file(anchor_name, replay.FILE)
            if stored is None:
                raise Hopeless(
                    f"The network of {anchor_name} has no stored images to replay, so a small "
                    f"update would forget what it knows. {FINE_TUNE}."
                )
            known = replay.read(stored)
        except (InvalidModel, NotFound) as error:
            raise Hopeless(f"{error.detail} {FINE_TUNE}.") from error
        if known.network != hashlib.sha256(anchor.model).hexdigest():
            raise Hopeless(
                f"The stored images of {anchor_name} were computed by another network. {FINE_TUNE}."
            )
        names = (manifest.FILE, manifest.ANCESTORS)
        found = [self._file(anchor_name, one) for one in names]
        manifests = tuple(one.decode().splitlines() for one in found if one)
        return Live(pointer, name, live, anchor_name, anchor, known, manifests)

    def _version(self, name: str) -> Version:
        model, metadata = (self._file(name, one) for one in ("model.tflite", "metadata.json"))
        if model is None or metadata is None:
            raise NotFound(f"Version {name} is not complete.")
        return Version(model, json.loads(metadata))

    def _file(self, name: str, file: str) -> bytes | None:
        """A file of a version, or None if the version lacks it. The baseline's come with the code:
        a promotion by an admin may have published only some of them."""
        path = self.config.model_folder / file
        if name == baseline_version(self.config.model_folder) and path.exists():
            return path.read_bytes()
        try:
            return self.registry.file(name, file)
        except NotFound:
            return None

    # --- learning --------------------------------------------------------------------------------

    def _learn(self, images: Images, live: Live) -> Learned:
        """Select the images and learn from them."""
        self._report("Learning from your images.")
        train = [key for key in images.usable() if key in images.features]
        exam = [key for key in sorted(images.exam) if key in images.features]
        candidates = [self._candidate(key, images) for key in train]
        examined = [self._candidate(key, images) for key in exam]
        known = _known(live)
        chosen = selection.select(candidates, examined, known)
        for kind, count in chosen.counts().items():
            self.warnings.append(f"{_counted(count)} left out: {kind}.")
        own_keys = [train[i] for i in chosen.own]
        exam_keys = [exam[i] for i in chosen.exam]
        own = _part(own_keys, chosen.own_units, images)
        measured = _part(exam_keys, chosen.exam_units, images) if exam_keys else None
        used = [(images.features[k].sha256, images.features[k].sketch) for k in own_keys]
        update = small_update(
            live.anchor,
            own,
            live.replay.without(used),
            exam=measured,
            champion=None if live.is_anchor else self._champion(live, own_keys, images),
            own_weight=self.parameters.own_weight or OWN_WEIGHT,
        )
        return Learned(own_keys, exam_keys, chosen, update)

    def _candidate(self, key: str, images: Images) -> Candidate:
        found = images.features[key]
        prefix = EXAM if key in images.exam else None
        label = LABELS.index((label_of(key, prefix) if prefix else label_of(key)) or "")
        return Candidate(key, label, found.sha256, found.sketch, found.group, key in images.decided)

    def _champion(self, live: Live, own: list[str], images: Images) -> Champion:
        """The live small update, with the images that it learned from under their present label."""
        stored = self._file(live.name, manifest.FILE) or b""
        before = version.learned(stored.decode().splitlines())
        learned = [before.get(images.features[key].sha256) == label_of(key) for key in own]
        return Champion(live.version, np.array(learned, bool))

    def _end_without_learning(self, images: Images, learned: Learned) -> NoReturn:
        known = learned.selection.counts().get(KNOWN, 0)
        reason = learned.update.decision.reason
        if known:
            reason += (
                f" {known} of your images do not count, because the live model's network was "
                f"trained on them. {FINE_TUNE}: it can use them again."
            )
        self._mark_trained(images)
        self._end(REJECTED, reason, images=self._counts(images, len(learned.own)))

    # --- the version and the decision ------------------------------------------------------------

    def _publish(self, images: Images, live: Live, learned: Learned) -> str:
        """Write the version and publish it; returns its name."""
        own, exam, chosen, update = (
            learned.own, learned.exam, learned.selection, learned.update,
        )  # fmt: skip
        moment = datetime.strptime(self.id[:15], "%Y%m%d-%H%M%S").replace(tzinfo=UTC)
        units = [f"own {unit}" for unit in chosen.own_units]
        units += [f"exam {unit}" for unit in chosen.exam_units]
        used = [images.features[key] for key in (*own, *exam)]
        records = [_record(key, images, version.TRAIN) for key in own]
        records += [_record(key, images, version.TEST) for key in exam]
        records += [_record(key, images, "", why) for key, why in chosen.left_out.items()]
        files = version.files(
            live.anchor,
            update,
            version.Story(self.id, self.id[:15], moment.isoformat(), live.name),
            records=records,
            units=units,
            appearances=[one.appearance for one in used],
            ancestors=version.ancestors(*live.manifests),
        )
        if update.predictions is not None:
            scores = sigmoid(update.predictions.logits).tolist()
            reference = monitoring.reference([f.appearance for f in used[: len(own)]], scores)
            files["reference.json"] = json.dumps(reference).encode()
        with tempfile.TemporaryDirectory() as folder:
            for name, content in files.items():
                Path(folder, name).write_bytes(content)
            name = str(json.loads(files["metadata.json"])["model_version"])
            self._report(
                "Publishing the new version.",
                version=name,
                images=self._counts(images, len(own)),
            )
            return self.registry.publish(Path(folder))

    def _judge(self, name: str, images: Images, live: Live, learned: Learned) -> NoReturn:
        """Promote the version if it passed. Raises Over, or Conflict if another went live."""
        update, keys = learned.update, [*learned.own, *learned.exam]
        decision = update.decision
        gate = _gate(name, live.name, update)
        self._advance(EVALUATING, "Comparing the new model with the live one.", version=name)
        self._mark_trained(images)
        says = update.predictions if decision.passed else update.before
        if says is not None:
            probabilities = sigmoid(says.logits).tolist()
            listing = images.train | images.exam
            answers.write(
                self.config.models_bucket,
                name if decision.passed else live.name,
                {k: (listing[k], p) for k, p in zip(keys, probabilities, strict=True)},
                listing,
            )
        reason = decision.reason
        if not decision.passed:
            reason = f"{reason} {decision.advice}".rstrip()
            self._end(REJECTED, reason, gate=gate, champion=live.name)
        self.registry.promote(
            name,
            by=self.by,
            reason=reason,
            gate=gate,
            baseline=self.config.model_folder,
            expected=live.pointer,
        )
        self._end(PROMOTED, reason, gate=gate, champion=live.name)

    # --- progress --------------------------------------------------------------------------------

    @contextmanager
    def _timed(self, stage: str) -> Any:
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


def _reader(anchor: Version) -> FeatureReader:
    try:
        return FeatureReader(anchor.model)
    except InvalidModel as error:
        raise Hopeless(f"{error.detail} {FINE_TUNE}.") from error


def _labels(keys: list[str]) -> npt.NDArray[np.int64]:
    found = [label_of(key) or label_of(key, EXAM) or "" for key in keys]
    return np.array([LABELS.index(label) for label in found], np.int64)


def _counted(images: int) -> str:
    return "1 image is" if images == 1 else f"{images} images are"


def _left_aside(count: int) -> str:
    return (
        f"{_counted(count)} left out because the live model ranks their labels the wrong way "
        "round. Move them to the other folder, or start a training that skips the label check."
    )


def _outputs(found: list[ImageFeatures]) -> Outputs:
    return Outputs(
        np.stack([one.features for one in found]), np.array([one.logit for one in found])
    )


def _live_logits(live: Live, found: list[ImageFeatures]) -> npt.NDArray[np.float64]:
    """The live model's calibrated logits (n,) of images, from their features."""
    outputs = _outputs(found)
    if live.is_anchor:
        return outputs.calibrated(live.anchor.calibration)
    return live.version.logits(outputs.features)


def _known(live: Live) -> replay.Known:
    """All images that the anchor's network was trained on."""
    shipped = live.replay.learned
    records = [
        record
        for lines in live.manifests
        for record in manifest.read(lines)
        if record.side in ("train", "validation") and record.phash
    ]
    hashes = np.array([int(record.phash, 16) for record in records], np.uint64)
    return replay.Known(
        (*shipped.sha256, *(record.sha256 for record in records)),
        np.concatenate([shipped.hashes, hashes]),
    )


def _part(keys: list[str], units: npt.NDArray[np.int64], images: Images) -> Part:
    found = [images.features[key] for key in keys]
    corrected = np.array([key in images.decided for key in keys], bool)
    if not found:
        return Part(Outputs(np.zeros((0, 0), np.float16), np.zeros(0)), _labels(keys), units)
    return Part(_outputs(found), _labels(keys), units, corrected)


def _record(key: str, images: Images, side: str, reason: str = "") -> Record:
    found = images.features[key]
    label = label_of(key) or label_of(key, EXAM) or ""
    phash = f"{found.sketch.hash:016x}"
    return Record(key, label, found.sha256, phash, found.group, side, reason)


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
