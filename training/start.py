"""Where a fine-tuning starts: at the live version, or, if that is a small update, at the network
that it keeps with the newest last layer.

A small update learned from all images of the owner. A fine-tuning from it could be measured on
none of them. So its last layer is learned again, in a second, from the training side alone.
"""

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from clickbait import LABELS
from clickbait.inference.calibration import Calibration
from clickbait.learning import replay
from clickbait.learning.evidence import Predictions
from clickbait.learning.features import FeatureReader
from clickbait.learning.head import Examples, Space, learn, weigh
from clickbait.learning.manifest import Record
from clickbait.learning.patch import PatchedModel, patch
from clickbait.learning.replay import FILE, Part, Replay
from clickbait.learning.update import Champion as SmallUpdate
from clickbait.learning.update import Version, champion_predictions
from training import sides
from training.graph import Graph

Pixels = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Champion:
    """The live version in `folder`. If it is a small update, `anchor` is the folder of the version
    whose network it keeps; else it is `folder` as well."""

    folder: Path
    anchor: Path

    @classmethod
    def of(cls, folder: Path, fetch: Callable[[str], Path]) -> "Champion":
        """`fetch` returns the folder of a version."""
        anchor = _metadata(folder).get("anchor")
        return cls(folder, fetch(str(anchor)) if anchor else folder)

    @property
    def is_small_update(self) -> bool:
        return self.anchor != self.folder

    @cached_property
    def replay(self) -> Replay | None:
        """The shipped images as the network sees them; None if nobody computed this."""
        return replay_of(self.anchor)

    @property
    def relearned(self) -> bool:
        """Whether the last layer is learned again, so that images of the held-out sides are
        evidence although the small update learned from them."""
        return self.is_small_update and self.replay is not None

    @property
    def network(self) -> Version:
        """The version whose network it is."""
        model = (self.anchor / "model.tflite").read_bytes()
        return Version(model, _metadata(self.anchor))

    @property
    def known(self) -> Path:
        """The version whose manifest says which side the images are on."""
        return self.anchor if self.relearned else self.folder

    @cached_property
    def learned(self) -> set[str]:
        """Content hashes of the images that the small update learned from."""
        records = sides.read_manifest(self.folder / "manifest.csv")
        return {r.sha256 for r in records if r.side == "train"}

    def examples(
        self, records: list[Record], pixels: Pixels, corrected: npt.NDArray[np.bool_]
    ) -> Examples:
        """The images (n, size, size, 3) of `records` as the network sees them."""
        network = self.network
        outputs = FeatureReader(Graph(network.model).with_features()).read(pixels)
        labels = np.array([LABELS.index(r.label) for r in records], np.int64)
        return Part(outputs, labels, units(records), corrected).examples(network.calibration)

    def start(
        self,
        records: list[Record],
        pixels: Pixels,
        corrected: npt.NDArray[np.bool_],
        folder: Path,
    ) -> Path:
        """The folder of the version to train from, written into `folder` if it has to be.

        `records` are the images of the training side, with their pixels (n, size, size, 3).
        """
        if not self.is_small_update:
            return self.folder
        metadata, model = _metadata(self.folder), (self.folder / "model.tflite").read_bytes()
        patched = PatchedModel(model, Calibration.from_dict(metadata["calibration"]))
        chosen = np.array([r.sha256 in self.learned for r in records], bool)
        labels = {r.label for r, one in zip(records, chosen, strict=True) if one}
        if self.relearned and self.replay and labels == set(LABELS):
            of = [r for r, one in zip(records, chosen, strict=True) if one]
            own = self.examples(of, pixels[chosen], corrected[chosen])
            recipe, network = metadata["small_update"], self.network
            head = learn(
                weigh(own, own.logits),
                self.replay.train.examples(network.calibration),
                recipe["own_weight"],
                kept=recipe["kept"],
            )
            patched = patch(network.model, network.calibration, head)
        return write(folder, self, patched)

    def out_of_fold(self, own: Examples, learned: npt.NDArray[np.bool_], exam: Examples) -> Any:
        """The small update's predictions for `own`, `exam` and the world. They are out of fold for
        the images that it `learned` from."""
        assert self.replay is not None
        calibration = self.network.calibration
        known = self.replay.train.examples(calibration)
        small = SmallUpdate(
            Version((self.folder / "model.tflite").read_bytes(), _metadata(self.folder)), learned
        )
        world = self.replay.test.examples(calibration)
        return champion_predictions(
            own, exam, world, known, space=Space(own, known), champion=small
        )


def write(folder: Path, champion: Champion, patched: PatchedModel) -> Path:
    """Write into `folder` the weights of the anchor with the last layer of `patched`, its file and
    the champion's metadata with its calibration."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    layer = FeatureReader(patched.model)
    with np.load(champion.anchor / "weights.npz", allow_pickle=False) as stored:
        weights = dict(stored)
    weights["logit/kernel"] = layer.last_layer.kernel[:, None].astype(np.float32)
    weights["logit/bias"] = np.array([layer.bias], np.float32)
    np.savez(folder / "weights.npz", **weights)
    (folder / "model.tflite").write_bytes(patched.model)
    metadata = _metadata(champion.folder) | {"calibration": patched.calibration.as_dict()}
    (folder / "metadata.json").write_text(json.dumps(metadata))
    return folder


def replay_of(folder: Path) -> Replay | None:
    """The shipped images as the network of a version computes them; None if it has none."""
    return replay.read((folder / FILE).read_bytes()) if (folder / FILE).exists() else None


def units(records: list[Record]) -> npt.NDArray[np.int64]:
    """The unit (n,) of each image: images of one group are one."""
    names = [r.group or r.sha256 for r in records]
    return np.unique(names, return_inverse=True)[1].astype(np.int64)


def plain(logits: npt.NDArray[np.float64]) -> Predictions:
    """Predictions of one network, whose logits can be ranked as they are."""
    return Predictions(logits, logits)


def _metadata(folder: Path) -> dict[str, Any]:
    metadata: dict[str, Any] = json.loads((folder / "metadata.json").read_text())
    return metadata
