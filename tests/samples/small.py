"""A version of the old kind: its network sees 224 x 224 pixels and has a map of 7 x 7 cells, unlike
the shipped one, and its metadata names no size; `draw_small.py` draws the network."""

import base64
import hashlib
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from clickbait import LABELS
from clickbait.inference.calibration import Calibration
from clickbait.learning import replay
from clickbait.learning.features import FeatureReader
from clickbait.learning.replay import Part, Replay
from tests.samples.classes import loud

MODEL = (Path(__file__).parent / "small.tflite").read_bytes()
SIZE, SIDE = 224, 7
CALIBRATION = Calibration(0.2, -2.25, "platt")


def metadata(version: str) -> dict[str, Any]:
    """Its `metadata.json`."""
    drawn = _pixels(range(2))
    probabilities = CALIBRATION.apply(FeatureReader(MODEL).read(drawn).logits)
    return {
        **{"model_version": version, "sha256": hashlib.sha256(MODEL).hexdigest()},
        **{"architecture": "efficientnet_lite0", "labels": list(LABELS), "threshold": 0.5},
        "preprocessing": {"version": 1},
        "calibration": CALIBRATION.as_dict(),
        "uncertain_band": {"low": 0.25, "high": 0.75, "promise": 0.75},
        **{"from": None, "accuracy": 0.8, "tolerance": 0.02},
        "golden": [
            {"png": _png(pixels), "probability": float(p)}
            for pixels, p in zip(drawn, probabilities, strict=True)
        ],
    }


def write(folder: Path, version: str) -> Path:
    """Write the version into `folder`, with drawings to replay, which it judges rightly."""
    folder.mkdir(parents=True)
    (folder / "model.tflite").write_bytes(MODEL)
    (folder / "metadata.json").write_text(json.dumps(metadata(version)))
    (folder / "manifest.csv").write_text("")
    parts = [_part(range(500, 600)), _part(range(600, 660))]
    known = Replay(hashlib.sha256(MODEL).hexdigest(), *parts)
    (folder / replay.FILE).write_bytes(replay.write(known))
    return folder


def _part(seeds: range) -> Part:
    outputs = FeatureReader(MODEL).read(_pixels(seeds))
    labels = (outputs.logits > np.median(outputs.logits)).astype(np.int64)
    return Part(outputs, labels, np.arange(len(labels), dtype=np.int64))


def _pixels(seeds: range) -> list[Any]:
    return [np.asarray(loud(seed).resize((SIZE, SIZE)), np.uint8) for seed in seeds]


def _png(pixels: Any) -> str:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return base64.b64encode(file.getvalue()).decode()
