"""Write a finished version's `evaluation.json` again:
`python -m training.reevaluate VERSION --data DIR`.

It is for versions whose training did not write one, and for all versions after a curve has changed.
The images of the test side are found below DIR by their content, whatever their names.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from clickbait.errors import InvalidModel
from clickbait.inference import images
from clickbait.inference.appearance import appearance
from clickbait.inference.classifier import Classifier
from clickbait.learning import evaluation
from clickbait.store.registry import EVALUATION
from training import Unusable, sides, version
from training.progress import say
from training.sides import Record


def evaluate(folder: Path, data: Path) -> dict[str, Any]:
    """The evaluation of the version in `folder` on the test side of its manifest, whose images are
    below `data`; raises Unusable if anything is missing."""
    try:
        model = Classifier.load(folder)
        records = [r for r in sides.read_manifest(folder / "manifest.csv") if r.side == "test"]
    except (InvalidModel, OSError) as error:
        raise Unusable(f"{folder} is not a finished version: {error}") from None
    read = (images.read(file.read_bytes()) for file in find(records, data))
    inputs = [images.model_input(one, model.size) for one in read]
    pixels = np.array(inputs, np.uint8).reshape(-1, model.size, model.size, 3)
    logits, _ = model.logits(pixels)
    band = model.metadata["uncertain_band"]
    return evaluation.evaluation(
        records,
        list(map(appearance, pixels)),
        model.calibration.apply(logits),
        threshold=model.threshold,
        band=(band["low"], band["high"]),
    )


def find(records: Sequence[Record], data: Path) -> list[Path]:
    """The file of each of `records` below `data`; raises Unusable if any is missing, because the
    others alone would be another test side."""
    if not data.is_dir():
        raise Unusable(f"--data {data} is not a folder.")
    files = {images.sha256(p.read_bytes()): p for p in data.rglob("*") if p.is_file()}
    missing = [r.file for r in records if r.sha256 not in files]
    if missing:
        raise Unusable(
            f"{len(missing)} of {len(records)} test images are not below {data}, such as "
            f"{missing[0]}. All are needed."
        )
    return [files[r.sha256] for r in records]


def main(argv: list[str] | None = None) -> int:
    """The command. Returns 0 if the file was written, 2 with one line on stderr if not."""
    parser = argparse.ArgumentParser(prog="training.reevaluate", description=__doc__)
    parser.add_argument("version", type=Path, help="folder of a finished version")
    parser.add_argument(
        "--data", type=Path, required=True, metavar="DIR", help="folder with its images"
    )
    arguments = parser.parse_args(argv)
    try:
        evaluated = evaluate(arguments.version, arguments.data)
    except Unusable as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    version.write_json(arguments.version / EVALUATION, evaluated)
    auc = evaluated["roc"]["auc"]
    say(f"{evaluated['images']} test images, AUC {'undefined' if auc is None else f'{auc:.4f}'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
