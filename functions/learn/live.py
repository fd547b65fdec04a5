"""The live version as a small update needs it: with the anchor whose network it keeps."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from clickbait.errors import InvalidModel, NotFound
from clickbait.learning import manifest, replay
from clickbait.learning.features import FeatureReader
from clickbait.learning.replay import Known, Replay
from clickbait.learning.update import Version
from clickbait.store.image_features import ImageFeatures, outputs_of
from clickbait.store.registry import Pointer, Registry, baseline_version

FINE_TUNE = "Start a training with the method `fine_tuning`"
TRAINED = ("train", "validation")
"""Sides of a manifest whose images a network was trained or calibrated on."""


class Hopeless(Exception):
    """Raised with a sentence if another attempt would fail in the same way."""


@dataclass(frozen=True)
class Live:
    """The live version, and the anchor whose network it keeps. If the live version is no small
    update, it is its own anchor."""

    pointer: Pointer | None
    name: str
    version: Version
    anchor_name: str
    anchor: Version
    replay: Replay
    reader: FeatureReader
    """Reads features with the anchor's network."""
    manifests: tuple[list[str], ...]
    """Lines of the manifests of the anchor and its ancestors, if they are stored."""
    learned_from: list[str]
    """Lines of the live version's own manifest; none if it is the anchor."""

    @property
    def is_anchor(self) -> bool:
        return self.name == self.anchor_name

    def known(self) -> Known:
        """All images that the anchor's network was trained on."""
        shipped = self.replay.learned
        records = [
            record
            for lines in self.manifests
            for record in manifest.read(lines)
            if record.side in TRAINED and record.phash
        ]
        hashes = np.array([int(record.phash, 16) for record in records], np.uint64)
        return Known(
            (*shipped.sha256, *(record.sha256 for record in records)),
            np.concatenate([shipped.hashes, hashes]),
        )

    def logits(self, images: Sequence[ImageFeatures]) -> npt.NDArray[np.float64]:
        """The live model's calibrated logits (n,) of images."""
        outputs = outputs_of(images)
        if self.is_anchor:
            return outputs.calibrated(self.anchor.calibration)
        return self.version.logits(outputs.features)


def read_live(registry: Registry, baseline: Path) -> Live:
    """The live version and its anchor. `baseline` is the folder of the shipped model.

    Without a champion that is the live one, and it is published now, so that an admin can roll back
    to it. Raises Hopeless if the live version's network cannot be updated.
    """
    pointer, _ = registry.resolve(registry.load)
    name = (pointer.version if pointer else "") or registry.publish(baseline)
    files = _Files(registry, baseline)
    try:
        version = files.version(name)
        anchor_name = str(version.metadata.get("anchor", name))
        anchor = files.version(anchor_name)
        reader = FeatureReader(anchor.model)
        stored = files.get(anchor_name, replay.FILE)
        known = replay.read(stored) if stored else None
    except (InvalidModel, NotFound) as error:
        raise Hopeless(f"{error.detail} {FINE_TUNE}.") from error
    if known is None:
        raise Hopeless(
            f"The network of {anchor_name} has no stored images to replay, so a small update would "
            f"forget what it knows. {FINE_TUNE}."
        )
    if known.network != hashlib.sha256(anchor.model).hexdigest():
        raise Hopeless(
            f"The stored images of {anchor_name} were computed by another network. {FINE_TUNE}."
        )
    manifests = (files.lines(anchor_name, one) for one in (manifest.FILE, manifest.ANCESTORS))
    own = [] if name == anchor_name else files.lines(name, manifest.FILE)
    return Live(pointer, name, version, anchor_name, anchor, known, reader, tuple(manifests), own)


@dataclass(frozen=True)
class _Files:
    """Files of versions. Those of the baseline come with the code, because a promotion by an admin
    may have published only some of them."""

    registry: Registry
    baseline: Path

    def version(self, name: str) -> Version:
        model, metadata = (self.get(name, file) for file in ("model.tflite", "metadata.json"))
        if model is None or metadata is None:
            raise NotFound(f"Version {name} is not complete.")
        return Version(model, json.loads(metadata))

    def lines(self, name: str, file: str) -> list[str]:
        """The lines of a file; none if the version lacks it."""
        return (self.get(name, file) or b"").decode().splitlines()

    def get(self, name: str, file: str) -> bytes | None:
        """A file of a version; None if the version lacks it."""
        path = self.baseline / file
        if name == baseline_version(self.baseline) and path.exists():
            return path.read_bytes()
        try:
            return self.registry.file(name, file)
        except NotFound:
            return None
