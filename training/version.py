"""A version folder: written aside, checked as the service will, published whole, never changed."""

import hashlib
import json
import platform
import shutil
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
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
from clickbait.store import monitoring
from clickbait.store.registry import EVALUATION
from training import (
    Unusable,
    calibrate,
    card,
    evaluation,
    export,
    golden,
    metrics,
    plots,
    sides,
    weights,
)
from training.gather import PREPROCESSING, Data
from training.progress import say
from training.recipe import Recipe

THRESHOLD = 0.5
"""On the calibrated probability: the more likely class is the answer."""
LIBRARIES = ("tensorflow-cpu", "keras", "ai-edge-litert", "numpy", "pillow", "scikit-learn")
CHECKPOINT = ".checkpoint"
"""What an interrupted training goes on from, inside the version folder; gone when the version is
finished.
"""


def check_out(out: Path) -> None:
    """Raises Unusable where `out` holds anything but an interrupted training."""
    if (out / "metadata.json").exists():
        raise Unusable(
            f"{out} is a finished version, and versions never change: give another --out."
        )
    if out.exists() and not out.is_dir():
        raise Unusable(f"--out {out} is a file: give a folder.")
    if out.exists() and any(out.iterdir()) and not (out / CHECKPOINT).is_dir():
        raise Unusable(f"--out {out} has other files in it: give a new or empty folder.")


def open_checkpoint(out: Path, recipe: Recipe, images: Data, start: Path | None) -> Path:
    """The folder of an interrupted training of the same recipe and images, or a new one."""
    checkpoint = out / CHECKPOINT
    same = {
        "recipe": asdict(recipe),
        "images": sides.digest(images.records),
        "from": str(start.resolve()) if start else None,
    }
    about = checkpoint / "about.json"
    if about.exists():
        if json.loads(about.read_text()) != same:
            raise Unusable(
                f"{out} holds an interrupted training of other images or flags: "
                f"give those again, or delete {checkpoint}."
            )
        say(f"Going on with the interrupted training in {out}")
        return checkpoint
    try:
        shutil.rmtree(checkpoint, ignore_errors=True)
        checkpoint.mkdir(parents=True)
        write_json(about, same)
    except OSError as error:
        raise Unusable(f"--out {out} cannot be written: {error.strerror}.") from None
    return checkpoint


@dataclass
class Measured:
    """The exported file, and what it does on the test side and on the golden images."""

    file: bytes
    calibration: Calibration
    drift: float
    metrics: dict[str, Any]
    logits: npt.NDArray[np.float64]
    golden: list[dict[str, Any]]


def measure(
    model: keras.Model, images: Data, promise: float, start: Calibration | None = None
) -> Measured:
    """Export `model`, calibrate the file on the validation side and measure it on the test side.

    `start` is the calibration of the version that was trained on, for where the validation side is
    too small to find one. Raises Unusable where the file does not answer as the network does.
    """
    file = export.classifier(model)

    def logits_of(pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.float64]:
        return export.run(file, pixels, ["logit"])["logit"].astype(np.float64).ravel()

    held_out, held_out_labels = images.side("validation")
    pixels, labels = images.side("test")
    drawn = golden.images()
    calibrated = calibrate.fit(logits_of(held_out), held_out_labels, start)
    logits, golden_logits = logits_of(pixels), logits_of(drawn)
    answers = zip(drawn, calibrated.apply(golden_logits), strict=True)
    return Measured(
        file=file,
        calibration=calibrated,
        drift=export.drift(
            model, np.concatenate([pixels, drawn]), np.append(logits, golden_logits), calibrated
        ),
        metrics=metrics.evaluate(
            logits,
            labels,
            [r.group for r in images.used if r.side == "test"],
            calibrated=calibrated,
            threshold=THRESHOLD,
            band=calibration.uncertain_band(promise),
        ),
        logits=logits,
        golden=[{"png": golden.png(one), "probability": float(p)} for one, p in answers],
    )


def describe(
    measured: Measured, images: Data, recipe: Recipe, story: dict[str, Any], start: Path | None
) -> dict[str, Any]:
    """`metadata.json`, but for the seconds that all of it took."""
    digest = hashlib.sha256(measured.file).hexdigest()
    now = datetime.now(UTC)
    counted = sides.counts(images.records)
    low, high = calibration.uncertain_band(recipe.promise)
    last = story["networks"][-1]
    return {
        "model_version": f"{now:%Y%m%d-%H%M%S}-{digest[:6]}",
        "sha256": digest,
        "architecture": recipe.architecture,
        "labels": list(LABELS),
        "preprocessing": PREPROCESSING,
        "calibration": measured.calibration.as_dict(),
        "threshold": THRESHOLD,
        "uncertain_band": {"low": low, "high": high, "promise": recipe.promise},
        "training_date": now.isoformat(timespec="seconds"),
        "training_images": sum(counted["train"].values()),
        "validation_images": sum(counted["validation"].values()),
        "test_images": sum(counted["test"].values()),
        "left_out_images": sum(bool(r.reason) for r in images.records),
        "images": counted,
        "dataset_digest": sides.digest(images.records),
        "from": version_of(start) if start else None,
        "epochs_trained": last["epochs"],
        "early_stopping_epoch": last["epochs"] if last["stopped"] else None,
        "networks": story["networks"],
        "accuracy": measured.metrics["accuracy"]["value"],
        "loss": measured.metrics.get("loss"),
        "metrics": {k: v for k, v in measured.metrics.items() if k != "by_group"},
        "largest_drift_from_keras": measured.drift,
        "recipe": asdict(recipe),
        "libraries": {"python": platform.python_version()}
        | {name: library_version(name) for name in LIBRARIES},
        "tolerance": GOLDEN_TOLERANCE,
        "golden": measured.golden,
    }


def write(
    folder: Path,
    images: Data,
    model: keras.Model,
    measured: Measured,
    metadata: dict[str, Any],
    *,
    story: dict[str, Any],
) -> Path:
    """Write all of a version into `folder`, anew; raises Unusable where the service would refuse
    it.
    """
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    (folder / "model.tflite").write_bytes(measured.file)
    weights.save(folder / "weights.npz", model)
    sides.write_manifest(folder / "manifest.csv", images.records)
    if images.ancestors:
        sides.write_manifest(folder / "ancestors.csv", images.ancestors)
    pixels, labels = images.side("test")
    probabilities = measured.calibration.apply(measured.logits)
    plots.draw(
        folder / "plots",
        story["epochs"],
        pixels,
        labels,
        measured.logits,
        probabilities=probabilities,
        threshold=THRESHOLD,
        counts=measured.metrics["confusion_matrix"]["counts"],
    )
    write_json(folder / "architecture.json", json.loads(model.to_json()))
    write_json(folder / "history.json", story)
    write_json(folder / "metrics.json", measured.metrics)
    looks = map(appearance, images.side("train")[0])
    write_json(folder / "reference.json", monitoring.reference(looks, probabilities.tolist()))
    told = evaluation.evaluation(
        [r for r in images.used if r.side == "test"],
        pixels,
        probabilities,
        threshold=THRESHOLD,
        band=(metadata["uncertain_band"]["low"], metadata["uncertain_band"]["high"]),
    )
    write_json(folder / EVALUATION, told)
    write_json(folder / "metadata.json", metadata)
    (folder / "card.md").write_text(card.write(metadata), encoding="utf-8")
    try:
        Classifier.load(folder)
    except InvalidModel as error:
        raise Unusable(
            f"The service would refuse this model, so it was not published: {error}"
        ) from error
    return folder


def publish(staging: Path, out: Path) -> None:
    """Move the version into place, `metadata.json` last: a folder without it is no version."""
    for path in sorted(staging.iterdir(), key=lambda p: p.name == "metadata.json"):
        shutil.rmtree(out / path.name, ignore_errors=True)
        path.replace(out / path.name)
    shutil.rmtree(out / CHECKPOINT, ignore_errors=True)


def calibration_of(folder: Path) -> Calibration:
    """That of the version in `folder`."""
    metadata = json.loads((folder / "metadata.json").read_text())
    return Calibration.from_dict(metadata["calibration"])


def version_of(folder: Path) -> str:
    """The name of the version in `folder`."""
    return str(json.loads((folder / "metadata.json").read_text())["model_version"])


def write_json(path: Path, value: Any) -> None:
    """Write it whole or not at all."""
    # allow_nan=False: NaN is no JSON, and what is undefined here is null with a reason.
    text = json.dumps(value, indent=2, allow_nan=False, ensure_ascii=False)
    part = path.with_suffix(".part")
    part.write_text(text + "\n", encoding="utf-8")
    part.replace(path)
