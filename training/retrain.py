"""A champion and labelled images to the next version; killed at any moment, the next call goes on.

What the champion knows is kept: its first blocks stay frozen, the rest is pulled back to it at each
step, and the new weights are a mean of its own and the trained ones (`recipe.RETRAINING`).
"""

import json
import math
import shutil
import zipfile
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from training import loop, sides, train, version
from training.features import Store
from training.gather import Data
from training.progress import say
from training.recipe import Recipe

MOST_STEPS = 200
"""Batches after which an epoch is the last: a champion that is trained on is not to be replaced,
and 200 new images move it well with 50 (`training/README.md`).
"""
LEAST_SHARE = 1 / 4
"""Share of the epochs that is left where next to all images were trained on before: a retraining
after 50 new images on 2,675 is to take at most half as long as the first.
"""


def retrain(  # noqa: PLR0917 (called in this order by the job)
    images: Data,
    champion: Path | None,
    recipe: Recipe,
    work: Path,
    store: Store,
    watch: Callable[[dict[str, Any], int], None],
    *,
    new: int | None = None,
    saved: Callable[[Path], None] = lambda file: None,
) -> Path:
    """Train from the version in the folder `champion` (None: from scratch) and return the folder of
    the new one, below `work`.

    `new` is how many of the used images no retraining has seen yet: the fewer, the fewer epochs
    (`epochs`). None for the recipe's epochs as they are: from scratch, or because they were asked
    for.

    `watch(row, epochs)` gets each row of history when the epoch has ended, once in each call: first
    the rows of the epochs that an interrupted call has left. `saved(file)` is told of each file
    below `work` that a later call needs to go on, when it was written whole; put back in their
    places in an empty folder, they serve as well. A call with other images, another champion or
    other knobs starts anew. `store` keeps the features. Raises Unusable where there can be no
    version.
    """
    trained, used = len(images.hashes("train")), len(images.used)
    recipe = replace(recipe, epochs=epochs(recipe, trained, None if new is None else new / used))
    checkpoint = work / version.CHECKPOINT
    finished = work / "version"
    _open(checkpoint, finished, _about(images, champion, recipe), saved)
    if finished.exists():  # renamed when it was whole
        say(f"Version {version.version_of(finished)} was finished before")
        for row in json.loads((finished / "history.json").read_text())["epochs"]:
            watch(row, recipe.epochs)
        return finished
    seconds: dict[str, float] = {}
    train.make(
        checkpoint / "version",
        images,
        recipe,
        champion,
        checkpoint,
        seconds=seconds,
        hooks=train.Hooks(store, saved, watch),
    )
    (checkpoint / "version").rename(finished)
    for path in checkpoint.glob("*.np[yz]"):
        path.unlink()
    say("Seconds: " + ", ".join(f"{stage} {n:.0f}" for stage, n in seconds.items()))
    return finished


def epochs(recipe: Recipe, images: int, new: float | None) -> int:
    """Epochs over `images` training images of which the share `new` is new (None: no rule).

    All new: at most those of the recipe, and no further one after MOST_STEPS batches. Fewer in
    proportion where fewer are new, down to LEAST_SHARE of that.
    """
    if new is None:
        return recipe.epochs
    batches = math.ceil(images / recipe.batch_size)
    most = min(recipe.epochs, math.ceil(MOST_STEPS / batches))
    return math.ceil(most * min(max(new, LEAST_SHARE), 1.0))


def _about(images: Data, champion: Path | None, recipe: Recipe) -> dict[str, Any]:
    """What has to be the same for a training to go on."""
    return {
        "recipe": asdict(recipe),
        "images": sides.digest(images.records),
        "from": version.version_of(champion) if champion else None,
    }


def _open(
    checkpoint: Path,
    finished: Path,
    about: dict[str, Any],
    saved: Callable[[Path], None],
) -> None:
    """Leave in `checkpoint` what a training of `about` can go on from, and nothing else."""
    file = checkpoint / "about.json"
    if _read(file) != about:
        # The oldest first: without its about.json, a folder is never gone on from.
        file.unlink(missing_ok=True)
        shutil.rmtree(finished, ignore_errors=True)
        shutil.rmtree(checkpoint, ignore_errors=True)
        checkpoint.mkdir(parents=True)
        version.write_json(file, about)
        saved(file)
    for state in checkpoint.glob("member-*.npz"):
        try:
            loop.State.load(state)
        except (OSError, EOFError, ValueError, KeyError, TypeError, zipfile.BadZipFile) as error:
            say(f"{state.name} cannot be read, so that network starts anew: {error}")
            state.unlink()


def _read(file: Path) -> Any:
    try:
        return json.loads(file.read_text())
    except (OSError, ValueError):
        return None
