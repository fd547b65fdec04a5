"""One attempt of one run, from its images to its verdict; each step can resume after a kill.

The checkpoint has what the first attempt started from. What an attempt finished shows in what it
left: a published version, a promotion. So a run may be killed at any moment: the next attempt does
the rest, and nothing that counts is done twice.
"""

import shutil
from collections.abc import Iterable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from clickbait import LABELS
from clickbait.errors import Conflict, InvalidModel, NotFound
from clickbait.inference import images
from clickbait.inference.classifier import Classifier
from clickbait.keys import EXAM, TRAIN, label_of
from clickbait.settings import CHECKOUT_BASELINE, Settings
from clickbait.store import trained
from clickbait.store.registry import Pointer, Registry, baseline_version
from clickbait.store.runs import EVALUATING, PROMOTED, REJECTED, RUNNING, Parameters, Runs
from clickbait.store.trained import Listing
from training import Unusable, gate, gather, labels, sides
from training.bucket import Checkpoint, Images, S3Store
from training.progress import say
from training.recipe import RETRAINING, Recipe
from training.recipe import retraining as recipe_of
from training.retrain import retrain
from training.run import Run
from training.version import BASELINE, version_of

PROMOTIONS_TRIED = 3
"""Champions that a candidate is compared with if others promote versions meanwhile."""


class Over(Exception):
    """Raised when the run has ended: by this attempt, or by somebody else meanwhile."""


class Attempt:
    """One attempt of one run."""

    def __init__(
        self, run: str, runs: Runs, config: Settings, cache: Path, log: Iterable[str]
    ) -> None:
        self.id, self.runs, self.config, self.log = run, runs, config, log
        self.by = f"run {run}"
        self.folder = cache / "runs" / run
        self.images = Images(config.data_bucket, cache / "images")
        self.registry = Registry(config.models_bucket)
        self.checkpoint = Checkpoint(config.models_bucket, run, self.folder / "work")
        self._versions: dict[str, Path] = {}

    def go(self) -> None:
        """Bring the run to its end. Raises Over then, or Unusable if there can be no model."""
        self._end_if_promoted()
        self._advance(RUNNING, "Listing the images.")
        start = self._start()
        version = self.runs.get(self.id).get("version")
        if version is None or version not in self.registry.versions():
            version = self._train(start)
        trained.mark_trained(self.config.models_bucket, start["listing"], start.get("exam"))
        self._judge(version, start["listing"])

    def clean(self) -> None:
        """Remove everything that only a next attempt would need."""
        self.checkpoint.delete()
        shutil.rmtree(self.folder, ignore_errors=True)

    # --- the start -------------------------------------------------------------------------------

    def _end_if_promoted(self) -> None:
        """End the run if an earlier attempt was killed after the promotion."""
        for promotion in self.registry.promotions():
            if promotion["by"] == self.by:
                self._end(PROMOTED, promotion["reason"], version=promotion["version"])

    def _start(self) -> dict[str, Any]:
        """The images and the champion that the first attempt found. Later attempts use the same, so
        that its checkpoint fits."""
        start: dict[str, Any] | None = self.checkpoint.start()
        if start is None:
            listing = trained.list_images(self.config.data_bucket, TRAIN)
            start = {
                "listing": listing,
                "exam": trained.list_images(self.config.data_bucket, EXAM),
                "new": trained.read_trained(self.config.models_bucket).unseen(listing),
                "champion": self._champion(self.registry.pointer()),
            }
            self.checkpoint.note(start)
        _check_listing(start["listing"])
        return start

    def _champion(self, pointer: Pointer | None) -> str:
        """The live version. Without a pointer it is the baseline, published now so that an admin
        can roll back to it."""
        if pointer is None:
            return self.registry.publish(self._baseline())
        if not pointer.version:
            raise InvalidModel("champion.json names no version. Promote one first.")
        return pointer.version

    def _baseline(self) -> Path:
        """The folder of the model that ships, with all its files."""
        folder = self.folder / "baseline"
        if not folder.exists():
            part = folder.with_suffix(".part")
            shutil.rmtree(part, ignore_errors=True)
            shutil.copytree(BASELINE, part)
            shutil.copytree(CHECKOUT_BASELINE, part, dirs_exist_ok=True)
            part.rename(folder)
        return folder

    def _version(self, version: str) -> Path:
        """The folder of a version; raises NotFound.

        The baseline comes from this checkout, with its weights: a promotion by an admin published
        only the files that serve.
        """
        if version == baseline_version(CHECKOUT_BASELINE):
            return self._baseline()
        if version not in self._versions:
            folder = self.folder / "versions" / version
            shutil.rmtree(folder, ignore_errors=True)
            self._versions[version] = self.registry.fetch(version, folder)
        return self._versions[version]

    # --- training --------------------------------------------------------------------------------

    def _train(self, start: dict[str, Any]) -> str:
        """Check the labels, train and publish; returns the version."""
        parameters = Parameters(**self.runs.get(self.id)["parameters"])
        champion = self._version(start["champion"])
        data = self._gather(start, champion, parameters)
        self._check_labels(start["new"], data, champion, parameters)
        recipe, scratch = _recipe(parameters, champion)
        # A rejected run has trained on images that the live model has not.
        seen, fresh = {r.sha256 for r in gather.manifests(champion) if r.side}, set(start["new"])
        new = sum(r.sha256 not in seen or r.file in fresh for r in data.used)
        self.checkpoint.restore()
        origin = "scratch" if scratch else "the live model"
        self._report(f"Training from {origin}.")
        rows: list[dict[str, Any]] = []

        def watch(row: dict[str, Any], epochs: int) -> None:
            rows.append(row)
            reason = f"Training: epoch {row['epoch']} of at most {epochs}."
            self._report(reason, epoch=row["epoch"], epochs=epochs, metrics=row, history=rows)

        run = Run(
            data,
            recipe,
            self.checkpoint.work,
            start=None if scratch else champion,
            store=S3Store(self.config.models_bucket),
            saved=self.checkpoint.saved,
            watch=watch,
        )
        folder = retrain(run, new=None if scratch or parameters.epochs else new)
        version = version_of(folder)
        # Reported before it is published: an attempt that finds it published does not train again.
        self._report("Publishing the new version.", version=version)
        self.registry.publish(folder)
        self._versions[version] = folder
        say(f"Published version {version}")
        return version

    def _gather(self, start: dict[str, Any], champion: Path, parameters: Parameters) -> gather.Data:
        listing: Listing = start["listing"]
        digest = trained.digest(listing | start.get("exam", {}))
        self._report(f"Fetching {len(listing)} images.", listing=digest)
        here = self.images.fetch(listing)
        gone = len(listing) - len(here)
        if gone:
            say(f"Left out: {gone} images that are too large, or were deleted or replaced.")
        found = [(key, label_of(key) or "") for key in sorted(here)]
        split = parameters.validation_split or sides.SHARES["validation"]
        groups = {key: self.images.group(key) for key in here}
        data = gather.collect(
            found, self.images.read, groups, list(gather.manifests(champion)), split
        )
        counts = {
            "listed": len(listing),
            "usable": len(data.used),
            "new": len(start["new"]),
            "left_out": len(listing) - len(data.used),
        }
        self._report(f"{len(data.used)} of {len(listing)} images are usable.", images=counts)
        return data

    def _check_labels(
        self, new: Sequence[str], data: gather.Data, champion: Path, parameters: Parameters
    ) -> None:
        """Compare the labels of the new images with the live model, if they can be decoded."""
        chosen = set(new)
        at = {r.file: i for i, r in enumerate(data.used)}
        records = [r for r in data.records if r.file in chosen and r.sha256]
        if not records:
            return
        self._report(f"Checking {len(records)} new labels with the live model.")
        model = Classifier.load(champion)
        pixels = (
            data.pixels[at[r.file]][None] if r.file in at else _pixels(self.images.read(r.file))
            for r in records
        )
        logits = np.concatenate([model.logits(one)[0] for one in pixels])
        checked = labels.check(
            [r.file for r in records],
            _labels(records),
            model.calibration.apply(logits),
            model.threshold,
            model.metadata.get("accuracy"),
        )
        warnings = [checked.warning] if checked.warning else []
        if checked.rejected and not parameters.skip_label_check:
            self._end(REJECTED, checked.reason, label_check=asdict(checked))
        if checked.rejected:
            warnings = [f"{checked.reason} The run was asked to skip this check."]
        for warning in warnings:
            say(f"Warning: {warning}")
        self._report("The labels were checked.", label_check=asdict(checked), warnings=warnings)

    # --- the gate --------------------------------------------------------------------------------

    def _judge(self, version: str, listing: Listing) -> None:
        """Pass the version through the gate, and promote it or not; repeat if another version went
        live meanwhile."""
        self._advance(EVALUATING, "Comparing the new model with the live one.", version=version)
        candidate = self._version(version)
        exams = [self._test_side(candidate, listing), *self._exam()]
        for _ in range(PROMOTIONS_TRIED):
            pointer = self.registry.pointer()
            champion = self._version(self._champion(pointer))
            result = gate.examine(candidate, champion, self._best(), exams)
            decision = asdict(result)
            if not result.passed:
                self._end(REJECTED, result.reason, gate=decision, champion=result.champion)
            try:
                about = {"by": self.by, "reason": result.reason, "gate": decision}
                self.registry.promote(
                    version, **about, baseline=CHECKOUT_BASELINE, expected=pointer
                )
            except Conflict:
                say("Another version went live meanwhile. Comparing with that one.")
                continue
            self._end(PROMOTED, result.reason, gate=decision, champion=result.champion)
        raise Conflict(
            f"Other versions went live {PROMOTIONS_TRIED} times while this one was compared."
        )

    def _best(self) -> Path | None:
        best = gate.best(self.registry.promotions())
        try:
            return self._version(best) if best else None
        except NotFound:
            say(f"Version {best}, the best ever promoted, no longer exists. Not comparing with it.")
            return None

    def _test_side(self, candidate: Path, listing: Listing) -> gate.Exam:
        """The images of the candidate's test side that still exist."""
        records = [r for r in sides.read_manifest(candidate / "manifest.csv") if r.side == "test"]
        listed = {r.file: listing[r.file] for r in records if r.file in listing}
        here = set(self.images.fetch(listed))
        records = [r for r in records if r.file in here]
        none = np.zeros((0, images.INPUT_SIZE, images.INPUT_SIZE, 3), np.uint8)
        pixels = [_pixels(self.images.read(r.file)) for r in records]
        return _exam("test", records, np.concatenate([none, *pixels]))

    def _exam(self) -> list[gate.Exam]:
        """The exam set, if there is one."""
        listing = trained.list_images(self.config.data_bucket, EXAM)
        found = [(key, label_of(key, EXAM) or "") for key in sorted(self.images.fetch(listing))]
        if not found:
            return []
        groups = {key: self.images.group(key) for key, _ in found}
        records, pixels = gather.load(found, self.images.read, groups)
        return [_exam("exam", [r for r in records if not r.reason], pixels)]

    # --- progress --------------------------------------------------------------------------------

    def _report(self, reason: str, **fields: Any) -> None:
        """Say what happens now; raises Over if somebody ended the run meanwhile."""
        say(reason)
        if not self.runs.report(self.id, reason=reason, log=list(self.log), **fields):
            raise Over

    def _advance(self, state: str, reason: str, **fields: Any) -> None:
        say(reason)
        if not self.runs.advance(self.id, state, reason, log=list(self.log), **fields):
            raise Over

    def _end(self, state: str, reason: str, **fields: Any) -> None:
        say(f"{state}: {reason}")
        self.runs.advance(self.id, state, reason, log=list(self.log), **fields)
        raise Over


def _check_listing(listing: Listing) -> None:
    """Raises Unusable if a class has no image."""
    here = {label_of(key) for key in listing}
    missing = [label for label in LABELS if label not in here]
    if missing:
        raise Unusable(
            f"There is no image of {' and none of '.join(missing)} in the bucket. Upload some to "
            f"{' and '.join(f'{TRAIN}{label}/' for label in missing)}."
        )


def _recipe(parameters: Parameters, champion: Path) -> tuple[Recipe, bool]:
    """The recipe with the run's parameters, and whether it starts from scratch."""
    live = str(Classifier.load(champion).metadata["architecture"])
    architecture = parameters.architecture or live
    recipe = recipe_of(architecture, None if parameters.from_scratch else live)
    scratch = recipe is not RETRAINING
    knobs = ("epochs", "batch_size", "learning_rate")
    asked = {name: getattr(parameters, name) for name in knobs}
    return replace(recipe, **{name: v for name, v in asked.items() if v is not None}), scratch


def _pixels(data: bytes) -> npt.NDArray[np.uint8]:
    """The model input of one image, (1, 224, 224, 3)."""
    return images.model_input(images.read(data))[None]


def _labels(records: Sequence[sides.Record]) -> npt.NDArray[np.int64]:
    return np.array([LABELS.index(r.label) for r in records], np.int64)


def _exam(name: str, records: Sequence[sides.Record], pixels: npt.NDArray[np.uint8]) -> gate.Exam:
    groups, hashes = [r.group for r in records], [r.sha256 for r in records]
    return gate.Exam(name, pixels, _labels(records), groups, hashes)
