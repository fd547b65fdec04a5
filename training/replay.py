"""Store in a version's folder what later versions need of the images it was trained on:
`python -m training.replay --data DATA --version VERSION`.

`replay.npz` holds features of 800 training images, drawn with a fixed seed, and of the whole test
side. A small update replays the training images so that it keeps what the model knows, and is
measured on the test side. The hashes of all images show which of an owner's images the network was
trained on. `world.npz` holds what `training.world` needs of the same images.
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

SEED = 0


def build(model: bytes, data: Path, records: list[Record], side: str = "test") -> Replay:
    """Return the features of the images in `records`, read from `data`. `side` is the one that
    small updates are measured on."""
    reader = FeatureReader(model)
    train, measured = chosen(records, side)
    return Replay(
        hashlib.sha256(model).hexdigest(),
        _part(reader, data, train),
        _part(reader, data, measured),
        _known([r for r in records if r.side in ("train", "validation")]),
        _known(measured),
    )


def chosen(records: list[Record], side: str) -> tuple[list[Record], list[Record]]:
    """Return the training images to replay and the images of `side`."""
    train = [r for r in records if r.side == "train"]
    drawn = np.sort(np.random.default_rng(SEED).permutation(len(train))[:REPLAYED])
    return [train[i] for i in drawn], [r for r in records if r.side == side]


def store(version: Path, data: Path, side: str = "test") -> None:
    """Write both files into the folder `version`. Its images are in `data`, and `side` is as for
    `build`."""
    model = (version / "model.tflite").read_bytes()
    records, size = list(sides.read_manifest(version / "manifest.csv")), FeatureReader(model).size
    (version / FILE).write_bytes(write(build(model, data, records, side)))
    pixels = [_inputs(data, part, size) for part in chosen(records, side)]
    stacked = [np.array(list(some), np.uint8).reshape(-1, size, size, 3) for some in pixels]
    (version / world.PLACES.name).write_bytes(world.build(model, *stacked))


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
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="folder with the class folders")
    parser.add_argument("--version", type=Path, required=True, help="folder of a finished version")
    given = parser.parse_args()
    store(given.version, given.data)


if __name__ == "__main__":
    main()
