"""Store features of the shipped network's own images in `layers/baseline/baseline/replay.npz`, and
in `training/baseline/world.npz` what `training.world` needs of the same images.

    python -m training.replay --data DATA --version layers/baseline/baseline

The file holds 800 training images, drawn with a fixed seed, and the whole test side. A small update
replays the training images so that it keeps what the model knows, and is measured on the test side.
The hashes of all images show which of an owner's images the network was trained on.
"""

import argparse
import hashlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt

from clickbait import LABELS
from clickbait.inference import images
from clickbait.learning.features import FeatureReader
from clickbait.learning.replay import FILE, REPLAYED, Known, Part, Replay, write
from training import sides, world
from training.sides import Record

MANIFEST = Path(__file__).parent / "baseline/manifest.csv"
SEED = 0


def build(model: bytes, data: Path, records: list[Record]) -> Replay:
    """Return the features of the images in `records`, read from `data`."""
    reader = FeatureReader(model)
    train, test = chosen(records)
    return Replay(
        hashlib.sha256(model).hexdigest(),
        _part(reader, data, train),
        _part(reader, data, test),
        _known([r for r in records if r.side in ("train", "validation")]),
        _known(test),
    )


def chosen(records: list[Record]) -> tuple[list[Record], list[Record]]:
    """Return the training images to replay and the test images."""
    train = [r for r in records if r.side == "train"]
    drawn = np.sort(np.random.default_rng(SEED).permutation(len(train))[:REPLAYED])
    return [train[i] for i in drawn], [r for r in records if r.side == "test"]


def _known(records: list[Record]) -> Known:
    hashes = np.array([int(r.phash, 16) for r in records], np.uint64)
    return Known(tuple(r.sha256 for r in records), hashes)


def _part(reader: FeatureReader, data: Path, records: list[Record]) -> Part:
    names = [r.group or r.sha256 for r in records]
    return Part(
        reader.read(_inputs(data, records, reader.size)),
        np.array([LABELS.index(r.label) for r in records], np.int64),
        np.unique(names, return_inverse=True)[1].astype(np.int64),
    )


def _inputs(data: Path, records: list[Record], size: int) -> Iterator[npt.NDArray[np.uint8]]:
    return (images.model_input(images.read((data / r.file).read_bytes()), size) for r in records)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="folder with the class folders")
    parser.add_argument("--version", type=Path, required=True, help="folder with model.tflite")
    parser.add_argument("--manifest", type=Path, default=MANIFEST, help="the images' sides")
    given = parser.parse_args()
    model = (given.version / "model.tflite").read_bytes()
    records, size = list(sides.read_manifest(given.manifest)), FeatureReader(model).size
    (given.version / FILE).write_bytes(write(build(model, given.data, records)))
    pixels = [np.stack(list(_inputs(given.data, part, size))) for part in chosen(records)]
    world.PLACES.write_bytes(world.build(model, *pixels))


if __name__ == "__main__":
    main()
