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
from clickbait.errors import Conflict, NotFound
from clickbait.inference import images
from clickbait.inference.classifier import Classifier, input_size
from clickbait.keys import EXAM, TRAIN, is_decided, label_of
from clickbait.learning import copies, labels
from clickbait.learning.decide import Decision
from clickbait.learning.head import OWN_WEIGHT
from clickbait.learning.manifest import Record
from clickbait.settings import CHECKOUT_BASELINE, Settings
from clickbait.store import answers, trained
from clickbait.store.registry import Pointer, Registry, baseline_version
from clickbait.store.runs import EVALUATING, PROMOTED, REJECTED, RUNNING, Parameters, Runs
from clickbait.store.trained import Listing
from training import Unusable, gate, gather, owner, sides
from training.bucket import Checkpoint, Images, S3Store
from training.owner import Own
from training.progress import say
from training.recipe import RETRAINING, Recipe
from training.recipe import retraining as recipe_of
from training.retrain import retrain
from training.run import Run
from training.start import Champion
from training.version import BASELINE, metadata_of, version_of
from training.world import PLACES

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
        self._aside: list[str] | None = None
        """Keys that this attempt leaves out because a label check rejected them; None if it only
        finishes what an earlier one trained."""
        self._said: dict[str, float] = {}
        """Probabilities of images by key, each by a model that did not learn from the image."""

    def go(self) -> None:
        """Bring the run to its end. Raises Over then, or Unusable if there can be no model."""
        self._end_if_promoted()
        # An earlier attempt may have been killed as it began to promote its version.
        self._advance(RUNNING, "Listing the images.", promoting=False)
        start = self._start()
        run = self.runs.get(self.id)
        parameters, version = Parameters(**run["parameters"]), run.get("version")
        if version is None or version not in self.registry.versions():
            version = self._train(start, parameters)
        # Labels that were rejected earlier stay so, unless an admin had them trained on now.
        self._mark(start, [] if parameters.skip_label_check else self._aside)
        self._judge(version, start, parameters.own_weight or OWN_WEIGHT)

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
            before = trained.read_trained(self.config.models_bucket)
            start = {
                "listing": listing,
                "exam": trained.list_images(self.config.data_bucket, EXAM),
                "new": before.unseen(listing),
                "rejected": sorted(before.left_out(listing)),
                "champion": self._champion(self._pointer()),
            }
            self.checkpoint.note(start)
        _check_listing(start["listing"])
        return start

    def _champion(self, pointer: Pointer | None) -> str:
        """The live version. If none was promoted it is the baseline, published now so that an admin
        can roll back to it."""
        return (pointer.version if pointer else "") or self.registry.publish(self._baseline())

    def _pointer(self) -> Pointer | None:
        """The live version, checked as the service checks it before it serves."""
        return self.registry.resolve(self.registry.load)[0]

    def _baseline(self) -> Path:
        """The folder of the model that ships, with all its files."""
        folder = self.folder / "baseline"
        if not folder.exists():
            part = folder.with_suffix(".part")
            shutil.rmtree(part, ignore_errors=True)
            shutil.copytree(BASELINE, part, ignore=shutil.ignore_patterns(PLACES.name))
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

    def _train(self, start: dict[str, Any], parameters: Parameters) -> str:
        """Check the labels and the evidence, train and publish; returns the version."""
        folder = self._version(start["champion"])
        champion = Champion.of(folder, self._version)
        recipe, scratch = _recipe(parameters, folder)
        exam = self._exam(start)
        data = self._gather(start, champion, exam, parameters, size=recipe.size)
        self._check_labels(start, data, folder, parameters)
        self._check_evidence(data, exam)
        # A rejected run has trained on images that the live model has not.
        seen = {r.sha256 for r in gather.manifests(champion.known) if r.side}
        fresh = set(start["new"])
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
            start=None if scratch else self._origin(champion, data),
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

    def _origin(self, champion: Champion, data: gather.Data) -> Path:
        """The folder of the version to train from."""
        side = np.array([r.side == "train" for r in data.used], bool)
        records = [r for r in data.used if r.side == "train"]
        pixels, decided = data.pixels[side], self._decided(records)
        return champion.start(records, pixels, decided, self.folder / "start")

    def _gather(
        self,
        start: dict[str, Any],
        champion: Champion,
        exam: Own,
        parameters: Parameters,
        *,
        size: int,
    ) -> gather.Data:
        listing: Listing = start["listing"]
        digest = trained.digest(listing | start["exam"])
        self._report(f"Fetching {len(listing)} images.", listing=digest)
        here = self.images.fetch(listing)
        gone = len(listing) - len(here)
        if gone:
            say(f"Left out: {gone} images that are too large, or were deleted or replaced.")
        kept = set(here) & set(start["rejected"])
        self.images.refresh(kept)
        rejected = {key for key in kept if not self._is_decided(key)}
        self._aside = sorted(rejected)
        if parameters.skip_label_check:
            rejected = set()
        if rejected:
            say(f"Left out: {len(rejected)} images whose labels an earlier check rejected.")
        found = [(key, label_of(key) or "") for key in sorted(here) if key not in rejected]
        split = parameters.validation_split or sides.SHARES["validation"]
        groups = {key: self.images.group(key) for key, _ in found}
        sketches = [copies.sketch(one) for one in exam.pixels]
        data = gather.collect(
            found,
            self.images.read,
            groups,
            list(gather.manifests(champion.known)),
            split,
            size=size,
            exam=list(zip([r.file for r in exam.records], sketches, strict=True)),
        )
        in_exam = [r.file for r in data.records if r.reason.startswith(gather.OF_EXAM)]
        counts = {
            "listed": len(listing),
            "usable": len(data.used),
            "new": len(start["new"]),
            "left_out": len(listing) - len(data.used),
        }
        warnings = []
        if in_exam:
            counts["in_exam"] = len(in_exam)
            warnings = [
                f"{len(in_exam)} images of {TRAIN} are copies of images in {EXAM}, such as "
                f"{in_exam[0]}. They are only measured on, so they are left out of the training."
            ]
        reason = f"{len(data.used)} of {len(listing)} images are usable."
        self._report(reason, images=counts, warnings=warnings)
        return data

    def _check_labels(
        self, start: dict[str, Any], data: gather.Data, champion: Path, parameters: Parameters
    ) -> None:
        """Compare the labels of the new images with the live model, if they can be decoded, except
        those that an admin decided."""
        chosen = set(start["new"])
        at = {r.file: i for i, r in enumerate(data.used)}
        records = [r for r in data.records if r.file in chosen and r.sha256]
        if not records:
            return
        self._report(f"Checking {len(records)} new labels with the live model.")
        model = Classifier.load(champion)
        pixels = (
            data.pixels[at[r.file]][None]
            if r.file in at and model.size == data.pixels.shape[1]
            else _pixels(self.images.read(r.file), model.size)
            for r in records
        )
        logits = np.concatenate([model.logits(one)[0] for one in pixels])
        probabilities = model.calibration.apply(logits)
        self._said |= zip([r.file for r in records], map(float, probabilities), strict=True)
        undecided = ~self._decided(records)
        keys = [r.file for r, one in zip(records, undecided, strict=True) if one]
        checked = labels.check(
            keys, _labels(records)[undecided], probabilities[undecided], model.threshold
        )
        warnings = self.runs.get(self.id).get("warnings", []) + checked.warnings
        if checked.rejected and not parameters.skip_label_check:
            # They wait for somebody to move them, and later uploads are trained on without them.
            untouched = chosen - set(keys)
            seen = {key: etag for key, etag in start["listing"].items() if key not in untouched}
            self._mark(start | {"listing": seen}, [*(self._aside or []), *keys])
            self._end(REJECTED, checked.reason, start=start, label_check=checked.as_dict())
        if checked.rejected:
            warnings += [f"{checked.reason} The run was asked to skip this check."]
        for warning in warnings:
            say(f"Warning: {warning}")
        self._report("The labels were checked.", label_check=checked.as_dict(), warnings=warnings)

    def _check_evidence(self, data: gather.Data, exam: Own) -> None:
        """End the run before it costs anything if its model could not be proved better."""
        own = self._owners(data.used)
        if own and len(own) == len(data.used) and (lacks := owner.too_few(own, exam.labels)):
            self._end(REJECTED, lacks)

    def _mark(self, start: dict[str, Any], rejected: Iterable[str] | None) -> None:
        trained.mark_trained(
            self.config.models_bucket, start["listing"], start["exam"], rejected=rejected
        )

    # --- the owner's images ----------------------------------------------------------------------

    def _owners(self, records: Sequence[Record]) -> list[Record]:
        """Those of `records` that the shipped model does not know."""
        shipped = {r.sha256 for r in gather.manifests(self._baseline())}
        return [r for r in records if r.sha256 not in shipped]

    def _is_decided(self, key: str) -> bool:
        return is_decided(key, self.images.decided(key))

    def _decided(self, records: Sequence[Record]) -> npt.NDArray[np.bool_]:
        return np.array([self._is_decided(r.file) for r in records], bool)

    def _read(self, records: list[Record]) -> Own:
        none = np.zeros((0, images.INPUT_SIZE, images.INPUT_SIZE, 3), np.uint8)
        pixels = [_pixels(self.images.read(r.file)) for r in records]
        return Own(records, np.concatenate([none, *pixels]), self._decided(records))

    def _sized(self, own: Own, *versions: Path) -> Own:
        """`own` with its pixels as each of `versions` sees them."""
        sizes = {input_size(metadata_of(folder)) for folder in versions} - {images.INPUT_SIZE}
        others = {
            size: np.concatenate(
                [
                    np.zeros((0, size, size, 3), np.uint8),
                    *(_pixels(self.images.read(r.file), size) for r in own.records),
                ]
            )
            for size in sizes
        }
        return replace(own, others=others)

    def _exam(self, start: dict[str, Any]) -> Own:
        """The exam set, without images that the shipped model was trained on."""
        found = [
            (key, label_of(key, EXAM) or "") for key in sorted(self.images.fetch(start["exam"]))
        ]
        groups = {key: self.images.group(key) for key, _ in found}
        records, pixels, _ = gather.load(found, self.images.read, groups)
        usable = [r for r in records if not r.reason]
        seen = gate.trained_on(self._baseline())
        kept = np.array([r.sha256 not in seen for r in usable], bool)
        return Own(usable, pixels, self._decided(usable))[kept]

    # --- the gate --------------------------------------------------------------------------------

    def _judge(self, version: str, start: dict[str, Any], own_weight: str) -> None:
        """Pass the version through the gate, and promote it or not; repeat if another version went
        live meanwhile."""
        self._advance(EVALUATING, "Comparing the new model with the live one.", version=version)
        candidate, exam = self._version(version), self._exam(start)
        for _ in range(PROMOTIONS_TRIED):
            pointer = self._pointer()
            champion = Champion.of(self._version(self._champion(pointer)), self._version)
            result = self._examine(candidate, champion, start, exam, own_weight=own_weight)
            decision = asdict(result)
            ended: dict[str, Any] = {"gate": decision, "champion": result.champion, "start": start}
            if not result.passed:
                self._end(REJECTED, result.reason, **ended)
            if not self.runs.begin_promotion(self.id):
                raise Over
            try:
                about: dict[str, Any] = {"by": self.by, "reason": result.reason, "gate": decision}
                self.registry.promote(
                    version, **about, baseline=CHECKOUT_BASELINE, expected=pointer
                )
            except Conflict:
                reason = "Another version went live meanwhile. Comparing with that one."
                self._report(reason, promoting=False)
                continue
            self._end(PROMOTED, result.reason, **ended)
        raise Conflict(
            f"Other versions went live {PROMOTIONS_TRIED} times while this one was compared."
        )

    def _examine(
        self,
        candidate: Path,
        champion: Champion,
        start: dict[str, Any],
        exam: Own,
        *,
        own_weight: str,
    ) -> gate.Result:
        """The gate's verdict: on the owner's images, or, if they are too few beside the shipped
        model's own, on the test side."""
        best = self._best()
        versions = (candidate, champion.folder, *([best] if best else []))
        exam = self._sized(exam, *versions)
        used = self._existing(candidate, start["listing"])
        own = self._owners(used)
        if owner.too_few(own, exam.labels):
            test = self._sized(self._read([r for r in used if r.side == "test"]), *versions)
            exams = [_exam("test", test), *([_exam(gate.EXAM, exam)] if len(exam) else [])]
            return gate.examine(candidate, champion.folder, best, exams)
        chosen = owner.held_out(own)
        if not champion.relearned:
            own = [r for r, one in zip(own, chosen, strict=True) if one]
            chosen = chosen[chosen]
        images = self._sized(self._read(own), *versions)

        def decide() -> Decision:
            decision, said = owner.judge(
                candidate,
                champion,
                self._baseline(),
                images,
                exam,
                chosen=chosen,
                own_weight=own_weight,
            )
            self._said |= said
            return decision

        exams = [_exam("own", images[chosen]), *([_exam(gate.EXAM, exam)] if len(exam) else [])]
        return gate.examine(candidate, champion.folder, best, exams, decide)

    def _best(self) -> Path | None:
        best = gate.best(self.registry.promotions())
        try:
            return self._version(best) if best else None
        except NotFound:
            say(f"Version {best}, the best ever promoted, no longer exists. Not comparing with it.")
            return None

    def _existing(self, candidate: Path, listing: Listing) -> list[Record]:
        """The images that the candidate used and that still exist."""
        records = [r for r in sides.read_manifest(candidate / "manifest.csv") if r.side]
        listed = {r.file: listing[r.file] for r in records if r.file in listing}
        here = set(self.images.fetch(listed))
        return [r for r in records if r.file in here]

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

    def _end(
        self, state: str, reason: str, start: dict[str, Any] | None = None, **fields: Any
    ) -> None:
        """End the run; with its `start`, also store what the models say of the images."""
        say(f"{state}: {reason}")
        if start and self._said:
            listing: Listing = start["listing"]
            said = {key: (listing[key], p) for key, p in self._said.items() if key in listing}
            live = self.registry.pointer()
            answers.write(self.config.models_bucket, live.version if live else "", said, listing)
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
    if not scratch:
        recipe = replace(recipe, size=input_size(metadata_of(champion)))
    knobs = ("epochs", "batch_size", "learning_rate")
    asked = {name: getattr(parameters, name) for name in knobs}
    return replace(recipe, **{name: v for name, v in asked.items() if v is not None}), scratch


def _pixels(data: bytes, size: int = images.INPUT_SIZE) -> npt.NDArray[np.uint8]:
    """The model input of one image, (1, size, size, 3)."""
    return images.model_input(images.read(data), size)[None]


def _labels(records: Sequence[Record]) -> npt.NDArray[np.int64]:
    return np.array([LABELS.index(r.label) for r in records], np.int64)


def _exam(name: str, own: Own) -> gate.Exam:
    groups, hashes = [r.group for r in own.records], [r.sha256 for r in own.records]
    return gate.Exam(name, own.pixels, own.labels, groups, hashes, own.others)
