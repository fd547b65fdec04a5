"""The images in memory, 256 x 256, with what is known about each. None is of the test side."""

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from clickbait import LABELS
from clickbait.inference import images
from training.sides import read_manifest

SIDE = 256
"""Pixels: a little more than most inputs, so that zooming in shows real detail."""
KNOWN_SIDES = ("train", "validation")
UNLABELLED = "unlabelled"
NO_LABEL = -1


class Item(NamedTuple):
    """One image: where it is, `train`, `validation` or `unlabelled`, its label (1 is clickbait, -1
    is none) and its source, the first letters of its name."""

    path: Path
    side: str
    label: int
    source: str


@dataclass(frozen=True, slots=True)
class Images:
    """n images: pixels (n, 3, 256, 256) uint8 RGB on the device, and arrays (n,) about them."""

    pixels: Tensor
    files: npt.NDArray[Any]
    sides: npt.NDArray[Any]
    labels: npt.NDArray[np.int64]
    sources: npt.NDArray[Any]

    def where(self, chosen: npt.NDArray[np.bool_]) -> Tensor:
        """Indices of the images for which `chosen` (n,) is true, on the device."""
        return torch.from_numpy(np.flatnonzero(chosen)).to(self.pixels.device)

    def targets(self, index: Tensor) -> Tensor:
        """The labels of these images as float, on the device."""
        return torch.from_numpy(self.labels).to(index.device)[index].float()


def find(data: Path, manifest: Path, unlabelled: Iterable[Path]) -> Iterator[Item]:
    """The images of `data` that are on the training or validation side of the manifest, then all
    images in and below the folders `unlabelled`, whose labels are not used."""
    for record in read_manifest(manifest):
        if record.side in KNOWN_SIDES:
            path, label = data / record.file, LABELS.index(record.label)
            yield Item(path, record.side, label, _source(path))
    for folder in unlabelled:
        for path in sorted(folder.rglob("*")):
            if path.is_file() and not path.name.startswith("."):
                yield Item(path, UNLABELLED, NO_LABEL, _source(path))


def _source(path: Path) -> str:
    return path.name.partition("_")[0]


def read(items: Iterable[Item], device: str) -> Images:
    """Decode all images as the service does, without their black bars, and resize them."""
    items = list(items)
    with ThreadPoolExecutor() as threads:
        pixels = np.stack(list(threads.map(_pixels, [item.path for item in items])))
    return Images(
        torch.from_numpy(pixels).to(device).permute(0, 3, 1, 2).contiguous(),
        np.array([item.path.name for item in items]),
        np.array([item.side for item in items]),
        np.array([item.label for item in items], np.int64),
        np.array([item.source for item in items]),
    )


def _pixels(path: Path) -> npt.NDArray[np.uint8]:
    return images.model_input(images.read(path.read_bytes()), SIDE)
