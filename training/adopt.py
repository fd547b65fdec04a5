"""Make a version of a network that `training.students` trained:
`python -m training.adopt STUDENT.npz --data DIR --out DIR`.

Images that the shipped model knows keep their sides. The folder is like that of `training.train`,
with `replay.npz` and `world.npz`, which the model that ships needs (`training.replay`).
`--side validation` leaves the test side unread, to compare versions before one is chosen.
"""

import argparse
import hashlib
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from training import Unusable, calibrate, card, gather, network, replay, sides, version, weights
from training.progress import say
from training.recipe import RECIPES
from training.run import Run

STORY: dict[str, Any] = {"networks": [], "epochs": []}
"""The history of a training that took place elsewhere."""


def adopt(student: Path, run: Run, data: Path, strangers: Path) -> dict[str, Any]:
    """Measure the network in the file `student`, write its version into `run.staging`, and return
    the metadata.

    `data` is the folder of the images. The calibration is fitted on the validation side and on the
    logits in the file `strangers`. Raises Unusable if there can be no version.
    """
    elsewhere = calibrate.strangers(strangers)
    model = network.student(student)
    measured = version.measure(model, run, lambda z, y: calibrate.honest(z, y, elsewhere))
    about = {
        "architecture": run.recipe.architecture,
        "size": run.recipe.size,
        "student": student.name,
        "sha256": hashlib.sha256(student.read_bytes()).hexdigest(),
        "promise": run.recipe.promise,
    }
    metadata = version.describe(measured, run, STORY) | {"recipe": about}
    version.write(run, model, measured, metadata, STORY)
    replay.store(run.staging, data, run.measured_on)
    return metadata


def prepare(student: Path, data: Path, out: Path, side: str = "test") -> Run:
    """Check the images, except those of the test side if another `side` is measured on; raises
    Unusable, saying what to change."""
    version.check_out(out)
    shape, _ = weights.read_student(student)
    known = sides.read_manifest(version.BASELINE / "manifest.csv")
    unread = {r.file for r in known if r.side == "test" != side}
    images = gather.read(data, None, version.BASELINE, shape["size"], unread=unread)
    recipe = replace(RECIPES["efficientnet_lite0"], size=shape["size"])
    run = Run(images, recipe, out, measured_on=side)
    version.open_checkpoint(run)
    return run


def main(argv: list[str] | None = None) -> int:
    """The command. Returns 0 if there is a new version, 2 with one line on stderr if not."""
    parser = argparse.ArgumentParser(prog="training.adopt", description=__doc__)
    parser.add_argument("student", type=Path, help="file of weights")
    parser.add_argument("--data", type=Path, required=True, help="folder with the class folders")
    parser.add_argument("--out", type=Path, required=True, help="the new version folder")
    parser.add_argument(
        "--side", choices=("test", "validation"), default="test", help="the side to measure on"
    )
    parser.add_argument(
        "--strangers",
        type=Path,
        default=calibrate.STRANGERS,
        help="logits of sources that a network has not seen, to calibrate on",
    )
    given = parser.parse_args(argv)
    try:
        began = time.monotonic()
        run = prepare(given.student, given.data, given.out, given.side)
        metadata = adopt(given.student, run, given.data, given.strangers)
        version.publish(run)
    except Unusable as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    metrics = metadata["metrics"]
    say(f"Version {metadata['model_version']} in {given.out}, {time.monotonic() - began:.0f} s")
    say(f"Accuracy {card.interval(metrics['accuracy'])}, AUC {card.interval(metrics['auc'])}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
