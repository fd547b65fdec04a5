"""The shipped model's own images, as features behind the blocks that a fine-tuning keeps.

A fine-tuning trains the blocks after LAYER only. So these features, (side, side, 192) an image, are
all that is needed to measure what a fine-tuned network has forgotten, and to compute the replay
that later small updates of it need. The images themselves are not in this repository. The file
holds the images of `layers/baseline/baseline/replay.npz`, in the same order.
`training.replay` writes both.
"""

import io
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from clickbait.inference import images
from clickbait.learning import replay
from clickbait.learning.features import OUTPUT, Outputs
from clickbait.learning.replay import FILE, Part, Replay
from clickbait.settings import CHECKOUT_BASELINE
from training import export
from training.graph import Graph, UnknownGraph
from training.recipe import RETRAINING

LAYER = f"b{RETRAINING.frozen_blocks - 1}_add"
"""The last layer that a fine-tuning keeps."""
PLACES = Path(__file__).resolve().parent / "baseline" / "world.npz"
LEVELS = 63
"""Steps of a stored value: logits differ by 0.012 on average, and the file has 7 MB, not 10."""

Features = npt.NDArray[np.float32]


@dataclass(frozen=True)
class World:
    """The shipped images of `replay` and their features behind LAYER, (n, side, side, c), of the
    training and of the test images. `stem` is the digest of the weights that computed them."""

    stem: str
    replay: Replay
    train: Features
    test: Features

    def replayed(self, model: bytes) -> Replay | None:
        """Return the replay as the network in `model` computes it; None if this is not known,
        because its first blocks are others."""
        try:
            graph = Graph(model)
            if graph.digest_until(LAYER) != self.stem:
                return None
            tail = Graph(graph.with_features()).after(LAYER)
        except UnknownGraph:
            return None
        parts = {}
        for name, features in (("train", self.train), ("test", self.test)):
            outputs = export.run(tail, features, ["logit", OUTPUT])
            pooled = outputs[OUTPUT].astype(np.float16)
            part: Part = getattr(self.replay, name)
            logits = outputs["logit"].ravel().astype(np.float64)
            parts[name] = replace(part, outputs=Outputs(pooled, logits))
        train, test = parts["train"], parts["test"]
        return replace(self.replay, network=images.sha256(model), train=train, test=test)


def read(places: Path = PLACES, shipped: Path = CHECKOUT_BASELINE) -> World | None:
    """Return the world, or None if its files are missing."""
    if not places.exists() or not (shipped / FILE).exists():
        return None
    with places.open("rb") as file, np.load(file, allow_pickle=False) as stored:
        low, step = stored["low"], stored["step"]
        train, test = (stored[part] * step + low for part in ("train", "test"))
        known = replay.read((shipped / FILE).read_bytes())
        return World(str(stored["stem"]), known, train, test)


def build(model: bytes, train: npt.NDArray[np.uint8], test: npt.NDArray[np.uint8]) -> bytes:
    """Return the file for the images `train` and `test`, (n, size, size, 3), of the file
    `model`."""
    graph = Graph(model)
    stem = graph.until(LAYER)
    features = export.run(stem, np.concatenate([train, test]), [OUTPUT])[OUTPUT]
    low, high = features.min(axis=(0, 1, 2)), features.max(axis=(0, 1, 2))
    step = np.maximum(high - low, 1e-6) / LEVELS
    levels = np.rint((features - low) / step).astype(np.uint8)
    file = io.BytesIO()
    np.savez_compressed(
        file,
        stem=np.array(graph.digest_until(LAYER)),
        low=low,
        step=step,
        train=levels[: len(train)],
        test=levels[len(train) :],
    )
    return file.getvalue()
