"""The next version from a champion and labelled images; it resumes after any interruption.

What the champion knows is kept: its first blocks stay frozen, each step pulls the rest back towards
it, and the final weights are a mean of its own and the trained ones (`recipe.RETRAINING`).
"""

import json
import math
import shutil
import zipfile
from dataclasses import replace
from pathlib import Path

from training import loop, version
from training.progress import say
from training.recipe import Recipe
from training.run import Run
from training.train import make_version

MOST_STEPS = 200
"""No epoch begins after this many batches: retraining must not replace the champion, and 200 new
images move it well with 50 batches (`training/README.md`)."""
LEAST_SHARE = 1 / 4
"""Share of the epochs that is left if almost all images were trained on before: a retraining
after 50 new images on 2,675 should take at most half as long as the first."""


def retrain(run: Run, *, new: int | None = None) -> Path:
    """Train from `run.start` (None: from scratch); returns the new version's folder, below
    `run.folder`.

    `new` is how many of the used images no retraining has seen yet: the fewer, the fewer epochs
    (`epochs`). None keeps the recipe's epochs: from scratch, or because somebody asked for them.

    The same call resumes after an interruption, on another machine too if the files that
    `run.saved` received are put back in their places. With other images, another champion or other
    knobs it starts again. Raises Unusable if there can be no version.
    """
    trained, used = len(run.images.hashes("train")), len(run.images.used)
    share = None if new is None else new / used
    run = replace(run, recipe=replace(run.recipe, epochs=epochs(run.recipe, trained, share)))
    finished = run.folder / "version"
    _open(run, finished)
    if finished.exists():  # It was renamed when it was complete.
        say(f"Version {version.version_of(finished)} was finished before")
        for row in json.loads((finished / "history.json").read_text())["epochs"]:
            run.watch(row, run.recipe.epochs)
        return finished
    make_version(run)
    run.staging.rename(finished)
    for path in run.checkpoint.glob("*.np[yz]"):
        path.unlink()
    say("Seconds: " + ", ".join(f"{stage} {n:.0f}" for stage, n in run.seconds.items()))
    return finished


def epochs(recipe: Recipe, images: int, new: float | None) -> int:
    """Epochs over `images` training images, of which the share `new` is new (None: no limit).

    If all are new: at most the recipe's, and none that begins after MOST_STEPS batches. If fewer
    are new: in proportion, down to LEAST_SHARE of that.
    """
    if new is None:
        return recipe.epochs
    batches = math.ceil(images / recipe.batch_size)
    most = min(recipe.epochs, math.ceil(MOST_STEPS / batches))
    return math.ceil(most * min(max(new, LEAST_SHARE), 1.0))


def _open(run: Run, finished: Path) -> None:
    """Leave in the checkpoint what this run can resume from, and nothing else."""
    file, about = run.checkpoint / "about.json", version.about(run)
    try:
        resumable = json.loads(file.read_text()) == about
    except (OSError, ValueError):
        resumable = False
    if not resumable:
        # about.json goes first: no training resumes from a folder without it.
        file.unlink(missing_ok=True)
        shutil.rmtree(finished, ignore_errors=True)
        shutil.rmtree(run.checkpoint, ignore_errors=True)
        run.checkpoint.mkdir(parents=True)
        version.write_json(file, about)
        run.saved(file)
    for state in run.checkpoint.glob("member-*.npz"):
        try:
            loop.State.load(state)
        except (OSError, EOFError, ValueError, KeyError, TypeError, zipfile.BadZipFile) as error:
            say(f"{state.name} cannot be read, so that network starts again: {error}")
            state.unlink()
