"""Labelled images to a model version: `python -m training.train --data DIR --out DIR`.

Check the images, give each its side, train, export, calibrate on the validation side,
measure on the test side, and publish the folder whole. `training/README.md` tells what you will
see.
"""

import argparse
import json
import math
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, NoReturn

import keras
import numpy.typing as npt

from training import Unusable, card, features, gather, loop, network, version, weights
from training.progress import Epochs, say
from training.recipe import RECIPES, Recipe, flag


def train(data: Path, out: Path, recipe: Recipe, groups: Path | None, start: Path | None) -> Path:
    """Make a version in the folder `out` and return it; raises Unusable, saying what to change."""
    seconds: dict[str, float] = {}
    version.check_out(out)
    with _timed(seconds, "check"):
        images = gather.read(data, groups, start)
    checkpoint = version.open_checkpoint(out, recipe, images, start)
    staging = checkpoint / "version"
    metadata = make(staging, images, recipe, start, checkpoint, seconds=seconds)
    version.publish(staging, out)
    metrics = metadata["metrics"]
    say(f"Version {metadata['model_version']} in {out}")
    say(f"Test accuracy {card.interval(metrics['accuracy'])}, AUC {card.interval(metrics['auc'])}")
    return out


@dataclass
class Hooks:
    """What a training that others watch tells them, and where it keeps features beyond its end."""

    store: features.Store | None = None
    saved: Callable[[Path], None] = lambda file: None
    watch: Callable[[dict[str, Any], int], None] = lambda row, epochs: None


def make(
    folder: Path,
    images: gather.Data,
    recipe: Recipe,
    start: Path | None,
    checkpoint: Path,
    *,
    seconds: dict[str, float],
    hooks: Hooks | None = None,
) -> dict[str, Any]:
    """Train, export, measure and write a version into `folder`; returns its metadata.

    Goes on from what is in `checkpoint`. `seconds` by stage are added to. `start` is the version
    that is trained on: without enough validation images its calibration holds.
    """
    model, story = fit(images, recipe, start, checkpoint, seconds=seconds, hooks=hooks or Hooks())
    # Epochs of an interrupted run that this one went on from are in the history only.
    seconds["train"] = max(seconds["train"], sum(row["seconds"] for row in story["epochs"]))
    with _timed(seconds, "evaluate"):
        say("Exporting, and measuring the exported file on the test side")
        before = version.calibration_of(start) if start else None
        measured = version.measure(model, images, recipe.promise, before)
    metadata = version.describe(measured, images, recipe, story, start)
    metadata |= {"seconds": round(sum(seconds.values()), 1), "seconds_by_stage": seconds}
    version.write(folder, images, model, measured, metadata, story=story)
    return metadata


def fit(
    images: gather.Data,
    recipe: Recipe,
    start: Path | None,
    checkpoint: Path,
    *,
    seconds: dict[str, float],
    hooks: Hooks,
) -> tuple[keras.Model, dict[str, Any]]:
    """Train every member from the same start, and from two on the network that learns from them.

    Returns the last one trained, with the weights of its best epoch, and the story of them all.
    """
    with _timed(seconds, "features"):
        source, inputs = _inputs(images, recipe, start, checkpoint, hooks.store)
    with _timed(seconds, "train"):
        return _fit(images, recipe, start, checkpoint, source=source, inputs=inputs, hooks=hooks)


def _inputs(
    images: gather.Data,
    recipe: Recipe,
    start: Path | None,
    checkpoint: Path,
    store: features.Store | None,
) -> tuple[features.Source, npt.NDArray[Any]]:
    """What the networks learn from, and what they are validated on: images or features of them."""
    pixels, _ = images.side("train")
    held_out, _ = images.side("validation")
    stem, _ = network.split(_build(recipe, start), recipe.frozen_blocks)
    if stem is None:
        return features.Images(pixels, recipe), held_out
    backbone = features.Backbone(stem)
    views, plain = (
        features.cache(
            backbone,
            of,
            images.hashes(side),
            recipe,
            count,
            file=checkpoint / f"{side}.npy",
            store=store,
            say=say,
        )
        for of, side, count in ((pixels, "train", recipe.views), (held_out, "validation", 0))
    )
    return features.Views(views), plain[:, 0]


def _fit(
    images: gather.Data,
    recipe: Recipe,
    start: Path | None,
    checkpoint: Path,
    *,
    source: features.Source,
    inputs: npt.NDArray[Any],
    hooks: Hooks,
) -> tuple[keras.Model, dict[str, Any]]:
    _, labels = images.side("train")
    _, held_out_labels = images.side("validation")
    # The members, and from two of them on the one that learns from them and is kept.
    runs = recipe.members + (recipe.members > 1)
    files = [checkpoint / f"member-{m}.npz" for m in range(runs)]
    done = {m: loop.State.load(f) for m, f in enumerate(files) if f.exists()}
    for m, state in done.items():
        say(f"Going on from epoch {state.epoch} of network {m + 1} of {runs}")
    steps = math.ceil(len(labels) / recipe.batch_size)
    steps_done = sum(state.epoch * steps for state in done.values())
    states: list[loop.State] = []
    tails: list[keras.Model] = []
    with Epochs(recipe.epochs * steps * runs, steps_done) as progress:
        for m, file in enumerate(files):
            model = _build(recipe, start)
            _, tail = network.split(model, recipe.frozen_blocks)
            state = loop.train(
                tail,
                source,
                labels,
                (inputs, held_out_labels),
                recipe,
                member=m,
                checkpoint=file,
                progress=progress,
                teachers=tails if m == recipe.members else (),
                saved=hooks.saved,
                watch=hooks.watch,
            )
            states.append(state)
            tails.append(tail)
    story: dict[str, Any] = {
        "networks": [
            {
                "role": "member" if m < recipe.members else "student",
                "best_epoch": s.best_epoch,
                "validation_score": _finite(s.best_score),
                "epochs": s.epoch,
                "stopped": s.stopped,
            }
            for m, s in enumerate(states)
        ],
        "epochs": [row for s in states for row in s.history],
    }
    return model, story


def _build(recipe: Recipe, start: Path | None) -> keras.Model:
    model = network.build(recipe)
    if start:
        weights.load(start / "weights.npz", model)
    return model


def _finite(score: float) -> float | None:
    return score if math.isfinite(score) else None


@contextmanager
def _timed(seconds: dict[str, float], stage: str) -> Iterator[None]:
    began = time.monotonic()
    yield
    seconds[stage] = round(time.monotonic() - began, 1)


class _Parser(argparse.ArgumentParser):
    """One line for a bad argument, not the whole usage."""

    def error(self, message: str) -> NoReturn:
        raise Unusable(f"{message} (--help lists every flag)")


def parse(argv: list[str] | None) -> argparse.Namespace:
    """The command line; raises Unusable for what is unknown or malformed."""
    parser = _Parser(
        prog="training.train",
        description=__doc__,
        allow_abbrev=False,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--data",
        type=Path,
        required=True,
        metavar="DIR",
        help="folder with the class folders in it",
    )
    parser.add_argument(
        "--out",
        type=Path,
        required=True,
        metavar="DIR",
        help="the version folder; the same again goes on after an interruption",
    )
    parser.add_argument(
        "--groups",
        type=Path,
        metavar="CSV",
        help="file,group: never split a group (default: DIR/groups.csv)",
    )
    parser.add_argument(
        "--from",
        type=Path,
        metavar="VERSION_DIR",
        dest="start",
        help="start from this version's weights and keep its sides",
    )
    for f in fields(Recipe):
        defaults = " | ".join(dict.fromkeys(str(getattr(r, f.name)) for r in RECIPES.values()))
        about = f"{f.metadata['about']} (default: {defaults})".replace("%", "%%")
        kind: Any = f.type
        parser.add_argument(flag(f.name), type=kind, help=about, metavar=kind.__name__.upper())
    return parser.parse_args(argv)


def recipe_of(arguments: argparse.Namespace) -> Recipe:
    """The defaults of the architecture (or that of `--from`), with the flags that were set."""
    given = {f.name: getattr(arguments, f.name) for f in fields(Recipe)}
    given = {name: value for name, value in given.items() if value is not None}
    if arguments.start:
        try:
            parent = json.loads((arguments.start / "metadata.json").read_text())["architecture"]
        except (OSError, ValueError, KeyError) as error:
            raise Unusable(f"--from {arguments.start} is no version folder: {error}") from None
        if given.setdefault("architecture", parent) != parent:
            raise Unusable(
                f"--from {arguments.start} is a {parent}, not a {given['architecture']}."
            )
    base = RECIPES.get(given.get("architecture", Recipe().architecture), Recipe())
    return replace(base, **given)


def main(argv: list[str] | None = None) -> int:
    """The command: 0 with a version made, 2 with one line on stderr where there can be none."""
    try:
        arguments = parse(argv)
        recipe = recipe_of(arguments)
        train(arguments.data, arguments.out, recipe, arguments.groups, arguments.start)
    except Unusable as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("Interrupted; the same command goes on from here.", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
