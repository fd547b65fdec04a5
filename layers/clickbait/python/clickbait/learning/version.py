"""Write the version of a small update: the files of its folder, checked as the service checks them.

The same run with the same images gives the same bytes, so a run that was interrupted finds its
version published, or publishes it again.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from clickbait import LABELS
from clickbait.inference.calibration import Calibration, sigmoid
from clickbait.learning import evaluation, manifest, metrics, patch
from clickbait.learning.features import FeatureReader
from clickbait.learning.manifest import Record
from clickbait.learning.update import Update, Version

TRAIN, TEST = "train", "test"
"""Sides of the images that a small update learned from, and of its exam images."""

KEPT = (
    *("architecture", "labels", "preprocessing", "threshold", "tolerance", "golden"),
    *("calibration", "uncertain_band", "sha256"),
)
"""The anchor's metadata that holds for the new version as well, or that `patch.describe` replaces.
What the anchor's training did, such as its epochs and recipe, does not."""


@dataclass(frozen=True)
class Story:
    """Where a version comes from. `moment` names it (YYYYmmdd-HHMMSS), `at` is the same in ISO
    8601. `champion` was live before it."""

    run: str
    moment: str
    at: str
    champion: str


def files(
    anchor: Version,
    update: Update,
    story: Story,
    *,
    records: Sequence[Record],
    units: Sequence[str],
    appearances: Sequence[Mapping[str, float]],
    ancestors: str = "",
) -> dict[str, bytes]:
    """Return the files of the version by name; `metadata.json` names the version.

    records: the owner's images that it learned from (side TRAIN), then the exam set (side TEST),
    in the order of `update.predictions`; then images that were left out. units and appearances
    belong to the used ones. ancestors: manifest of the images that the anchor was trained on.

    Raises InvalidModel if the patched file does not predict what the layer predicts, or if the
    service would refuse it. Raises ValueError if nothing was learned.
    """
    if update.patched is None or update.head is None or update.predictions is None:
        raise ValueError("nothing was learned, so there is no version")
    golden = patch.golden_images(anchor.metadata)
    outputs = FeatureReader(anchor.model).read(golden)
    patch.verify(update.patched, update.head, anchor.calibration, outputs, golden)
    used = [r for r in records if r.side]
    labels = np.array([LABELS.index(r.label) for r in used], np.int64)
    logits = update.predictions.logits
    changes = update.changes()
    band = (changes["uncertain_band"]["low"], changes["uncertain_band"]["high"])
    threshold = float(anchor.metadata["threshold"])
    measured = metrics.evaluate(
        logits,
        labels,
        list(units),
        calibrated=Calibration(1.0, 0.0, "small update"),  # They are calibrated already.
        threshold=threshold,
        band=band,
    )
    counts = {
        side: {label: sum(r.side == side and r.label == label for r in used) for label in LABELS}
        for side in (TRAIN, "validation", TEST)
    }
    about = {
        **changes,
        "training_date": story.at,
        "run": story.run,
        "anchor": anchor.metadata["model_version"],
        "from": anchor.metadata.get("from"),  # The network's: relearning starts at the anchor.
        "before": story.champion,
        "own_weight": update.own_weight,
        "epochs_trained": 0,  # A last layer is fitted at once.
        "early_stopping_epoch": None,
        "training_images": sum(counts[TRAIN].values()),
        "validation_images": 0,
        "test_images": sum(counts[TEST].values()),
        "left_out_images": len(records) - len(used),
        "images": counts,
        "dataset_digest": manifest.digest(records),
        "accuracy": measured["accuracy"]["value"],
        "loss": measured["loss"],
        "metrics": {k: v for k, v in measured.items() if k != "by_group"}
        | {"measured_on": "your images, each predicted by a layer that did not learn from it"},
    }
    kept = {name: anchor.metadata[name] for name in KEPT}
    described = patch.describe(update.patched, kept, about | {"model_version": ""})
    named = described | {"model_version": f"{story.moment}-{_digest(described)}"}
    evaluated = evaluation.evaluation(
        used, appearances, sigmoid(logits), threshold=threshold, band=band
    )
    texts = {
        "manifest.csv": manifest.write(records),
        "ancestors.csv": ancestors,
        "metrics.json": _json(measured),
        "evaluation.json": _json(evaluated),
        "card.md": card(named),
        "metadata.json": _json(named),
    }
    return {"model.tflite": update.patched.model} | {
        name: text.encode() for name, text in texts.items() if text
    }


def card(metadata: Mapping[str, Any]) -> str:
    """Return `card.md`: what the version is, what it learned from, and how good it is."""
    measured, images = metadata["metrics"], metadata["images"]
    rows = "\n".join(
        f"| {title} | {_figure(measured[title.lower()])} |"
        for title in ("Accuracy", "Precision", "Recall", "F1", "AUC")
    )
    return f"""# Model {metadata["model_version"]}

A small update of {metadata["anchor"]}: its network, with a last layer learned from
{metadata["training_images"]} images ({images[TRAIN]["clickbait_fake"]} clickbait,
{images[TRAIN]["clickbait_real"]} legitimate). Weight of these images: {metadata["own_weight"]}.
Estimates how likely a video's thumbnail is clickbait.

## Use
For a first opinion on many thumbnails. The model does not see the title or the video: do not punish
anybody on its verdict alone.

## How good
Measured on {measured["images"]} labelled images, each predicted by a layer that did not learn from
it. In brackets: 95% intervals. The run {metadata["run"]} has the comparison with the model before.

| | |
|---|---|
{rows}
"""


def learned(manifest_lines: Sequence[str]) -> dict[str, str]:
    """Return the images that a version learned from, SHA-256 -> label, from its manifest."""
    return {r.sha256: r.label for r in manifest.read(manifest_lines) if r.side == TRAIN}


def ancestors(*manifests: Sequence[str]) -> str:
    """Return the manifest of all images that versions with these manifests used."""
    records = {r.sha256: r for lines in manifests for r in manifest.read(lines) if r.side}
    return manifest.write(replace(r, reason="") for r in records.values()) if records else ""


def _figure(metric: Mapping[str, Any]) -> str:
    if metric["value"] is None:
        return f"undefined: {metric['reason']}"
    value, low, high = (f"{metric[name]:.3f}" for name in ("value", "low", "high"))
    return f"{value} ({low} to {high})"


def _digest(metadata: Mapping[str, Any]) -> str:
    """Six hex digits of the whole metadata, and so of the model, whose digest is in it."""
    return hashlib.sha256(json.dumps(metadata, sort_keys=True).encode()).hexdigest()[:6]


def _json(value: Any) -> str:
    # NaN is not JSON; an undefined value is null with a reason.
    return json.dumps(value, indent=2, allow_nan=False, ensure_ascii=False) + "\n"
