"""A version folder: staged, checked as the service checks it, published whole, never changed."""

import hashlib
import json
import platform
import shutil
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version as library_version
from pathlib import Path
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from clickbait import LABELS
from clickbait.errors import InvalidModel
from clickbait.inference import calibration
from clickbait.inference.appearance import appearance
from clickbait.inference.calibration import Calibration
from clickbait.inference.classifier import GOLDEN_TOLERANCE, Classifier
from clickbait.learning import evaluation, manifest, metrics, replay
from clickbait.learning.replay import FILE
from clickbait.settings import CHECKOUT_BASELINE
from clickbait.store import monitoring
from clickbait.store.registry import EVALUATION
from training import (
    Unusable,
    calibrate,
    card,
    export,
    golden,
    plots,
    sides,
    weights,
    world,
    write_whole,
)
from training.gather import preprocessing
from training.progress import say
from training.run import CHECKPOINT, Run

Fit = Callable[[npt.NDArray[np.float64], npt.NDArray[np.int64]], Calibration]

THRESHOLD = 0.5  # On the calibrated probability: the more likely class is the prediction.
X86_LINUX = sys.platform == "linux" and platform.machine() == "x86_64"
TENSORFLOW = "tensorflow-cpu" if X86_LINUX else "tensorflow"  # As in requirements.txt.
LIBRARIES = (TENSORFLOW, "keras", "ai-edge-litert", "numpy", "pillow", "scikit-learn")
BASELINE = Path(__file__).resolve().parent / "baseline"
"""The model that ships, apart from the files that are in the layer (CHECKOUT_BASELINE)."""


def check_out(out: Path) -> None:
    """Raises Unusable if `out` holds anything but an interrupted training."""
    if (out / "metadata.json").exists():
        raise Unusable(
            f"{out} is a finished version, and versions never change: choose another --out."
        )
    if out.exists() and not out.is_dir():
        raise Unusable(f"--out {out} is a file: choose a folder.")
    if out.exists() and any(out.iterdir()) and not (out / CHECKPOINT).is_dir():
        raise Unusable(f"--out {out} has other files in it: choose a new or empty folder.")


def open_checkpoint(run: Run) -> None:
    """Resume an interrupted training of the same recipe and images, or begin a new one; raises
    Unusable if another training was interrupted here."""
    file = run.checkpoint / "about.json"
    if file.exists():
        if json.loads(file.read_text()) != about(run):
            raise Unusable(
                f"{run.folder} holds an interrupted training of other images or flags: "
                f"use the same ones again, or delete {run.checkpoint}."
            )
        say(f"Resuming the interrupted training in {run.folder}")
        return
    try:
        shutil.rmtree(run.checkpoint, ignore_errors=True)
        run.checkpoint.mkdir(parents=True)
        write_json(file, about(run))
    except OSError as error:
        raise Unusable(f"--out {run.folder} cannot be written: {error.strerror}.") from None


def about(run: Run) -> dict[str, Any]:
    """Must be the same for a training to resume."""
    return {
        "recipe": asdict(run.recipe),
        "images": manifest.digest(run.images.records),
        "from": version_of(run.start) if run.start else None,
    }


@dataclass
class Measured:
    """The exported file, and its results on the side `Run.measured_on` and on golden images."""

    file: bytes
    calibration: Calibration
    drift: float
    metrics: dict[str, Any]
    logits: npt.NDArray[np.float64]
    golden: list[dict[str, Any]]


def measure(model: keras.Model, run: Run, fit: Fit | None = None) -> Measured:
    """Export `model`, calibrate the file on the validation side, and measure it on the side
    `run.measured_on`.

    `fit` returns the calibration of logits (n,) and labels (n,). If it is None and the validation
    side is too small to calibrate on, the calibration of `run.start` holds. Raises Unusable if the
    file's answers differ from the network's.
    """
    images, start = run.images, calibration_of(run.start) if run.start else None
    file = export.classifier(model, file_of(run.start) if run.start else None)

    def logits_of(pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.float64]:
        return export.run(file, pixels, ["logit"])["logit"].astype(np.float64).ravel()

    held_out, held_out_labels = images.side("validation")
    pixels, labels = images.side(run.measured_on)
    drawn = golden.images(images.size)
    fit = fit or partial(calibrate.fit, start=start)
    calibrated = fit(logits_of(held_out), held_out_labels)
    logits, golden_logits = logits_of(pixels), logits_of(drawn)
    expected = zip(drawn, calibrated.apply(golden_logits), strict=True)
    return Measured(
        file=file,
        calibration=calibrated,
        drift=export.drift(
            model, np.concatenate([drawn, pixels]), np.append(golden_logits, logits), calibrated
        ),
        metrics=metrics.evaluate(
            logits,
            labels,
            [r.group for r in images.used if r.side == run.measured_on],
            calibrated=calibrated,
            threshold=THRESHOLD,
            band=calibration.uncertain_band(run.recipe.promise),
        ),
        logits=logits,
        golden=[{"png": golden.png(one), "probability": float(p)} for one, p in expected],
    )


def describe(measured: Measured, run: Run, story: dict[str, Any]) -> dict[str, Any]:
    """`metadata.json`, without the seconds of the stages."""
    images, recipe = run.images, run.recipe
    digest = hashlib.sha256(measured.file).hexdigest()
    now = datetime.now(UTC)
    counted = sides.counts(images.records)
    low, high = calibration.uncertain_band(recipe.promise)
    last = story["networks"][-1] if story["networks"] else {"epochs": 0, "stopped": False}
    return {
        "model_version": f"{now:%Y%m%d-%H%M%S}-{digest[:6]}",
        "sha256": digest,
        "architecture": recipe.architecture,
        "labels": list(LABELS),
        "preprocessing": preprocessing(images.size),
        "calibration": measured.calibration.as_dict(),
        "threshold": THRESHOLD,
        "uncertain_band": {"low": low, "high": high, "promise": recipe.promise},
        "training_date": now.isoformat(timespec="seconds"),
        "training_images": sum(counted["train"].values()),
        "validation_images": sum(counted["validation"].values()),
        "test_images": sum(counted["test"].values()),
        "left_out_images": sum(bool(r.reason) for r in images.records),
        "images": counted,
        "dataset_digest": manifest.digest(images.records),
        "from": version_of(run.start) if run.start else None,
        "epochs_trained": last["epochs"],
        "early_stopping_epoch": last["epochs"] if last["stopped"] else None,
        "networks": story["networks"],
        "accuracy": measured.metrics["accuracy"]["value"],
        "loss": measured.metrics.get("loss"),
        "metrics": {k: v for k, v in measured.metrics.items() if k != "by_group"}
        | {"measured_on": f"the {run.measured_on} side"},
        "largest_drift_from_keras": measured.drift,
        "recipe": asdict(recipe),
        "libraries": {"python": platform.python_version()}
        | {name: library_version(name) for name in LIBRARIES},
        "tolerance": GOLDEN_TOLERANCE,
        "golden": measured.golden,
    }


def write(
    run: Run,
    model: keras.Model,
    measured: Measured,
    metadata: dict[str, Any],
    story: dict[str, Any],
) -> None:
    """Write all of a version into `run.staging`, from scratch; raises Unusable if the service would
    refuse it."""
    images, folder = run.images, run.staging
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    (folder / "model.tflite").write_bytes(measured.file)
    weights.save(folder / "weights.npz", model)
    sides.write_manifest(folder / "manifest.csv", images.records)
    shipped = world.read()
    if shipped and (known := shipped.replayed(measured.file)):
        # Later small updates of this network replay it, and the gate measures forgetting on it.
        (folder / FILE).write_bytes(replay.write(known))
    if images.ancestors:
        sides.write_manifest(folder / "ancestors.csv", images.ancestors)
    pixels, labels = images.side(run.measured_on)
    probabilities = measured.calibration.apply(measured.logits)
    counts = measured.metrics["confusion_matrix"]["counts"]
    test = {"probabilities": probabilities, "threshold": THRESHOLD, "counts": counts}
    plots.draw(folder / "plots", story["epochs"], pixels, labels, measured.logits, **test)
    write_json(folder / "architecture.json", json.loads(model.to_json()))
    write_json(folder / "history.json", story)
    write_json(folder / "metrics.json", measured.metrics)
    appearances = map(appearance, images.side("train")[0])
    reference = monitoring.reference(appearances, probabilities.tolist())
    write_json(folder / "reference.json", reference)
    evaluated = evaluation.evaluation(
        [r for r in images.used if r.side == run.measured_on],
        list(map(appearance, pixels)),
        probabilities,
        threshold=THRESHOLD,
        band=(metadata["uncertain_band"]["low"], metadata["uncertain_band"]["high"]),
    )
    write_json(folder / EVALUATION, evaluated)
    write_json(folder / "metadata.json", metadata)
    (folder / "card.md").write_text(card.write(metadata), encoding="utf-8")
    try:
        Classifier.load(folder)
    except InvalidModel as error:
        raise Unusable(
            f"The service would refuse this model, so it was not published: {error}"
        ) from error


def publish(run: Run) -> None:
    """Move the version into place, `metadata.json` last: a folder without it is not a version."""
    for path in sorted(run.staging.iterdir(), key=lambda p: p.name == "metadata.json"):
        shutil.rmtree(run.folder / path.name, ignore_errors=True)
        path.replace(run.folder / path.name)
    shutil.rmtree(run.checkpoint, ignore_errors=True)


def _served(folder: Path, name: str) -> bytes:
    """A file of the version in `folder`; those of the baseline that serve are in the layer."""
    place = CHECKOUT_BASELINE if folder.resolve() == BASELINE else folder
    return (place / name).read_bytes()


def file_of(folder: Path) -> bytes:
    """The TFLite file of the version in `folder`."""
    return _served(folder, "model.tflite")


def metadata_of(folder: Path) -> dict[str, Any]:
    """The metadata of the version in `folder`."""
    metadata: dict[str, Any] = json.loads(_served(folder, "metadata.json"))
    return metadata


def calibration_of(folder: Path) -> Calibration:
    """The calibration of the version in `folder`."""
    return Calibration.from_dict(metadata_of(folder)["calibration"])


def version_of(folder: Path) -> str:
    """The name of the version in `folder`."""
    return str(metadata_of(folder)["model_version"])


def write_json(path: Path, value: Any) -> None:
    """Write all of `value`, or nothing."""
    # NaN is not JSON; an undefined value is null with a reason.
    text = json.dumps(value, indent=2, allow_nan=False, ensure_ascii=False)
    write_whole(path, f"{text}\n".encode())
