"""Train a model version from labelled images: `python -m training.train --data DIR --out DIR`.

Checks the images and gives each its side; trains; exports; calibrates on the validation side;
measures on the test side; publishes the version folder. `training/README.md` describes the output.
"""

import argparse
import math
import sys
import time
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, NoReturn

import keras

from clickbait.inference.classifier import input_size
from training import Unusable, card, features, gather, loop, network, version
from training.features import Examples
from training.progress import Epochs, say
from training.recipe import RECIPES, Recipe, flag
from training.run import Run
from training.sides import SHARES


def main(argv: list[str] | None = None) -> int:
    """The command. Returns 0 if there is a new version, 2 with one line on stderr if not."""
    try:
        run = prepare(parse(argv))
        metadata = make_version(run)
        version.publish(run)
    except Unusable as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("Interrupted. The same command resumes from here.", file=sys.stderr)
        return 130
    metrics = metadata["metrics"]
    say(f"Version {metadata['model_version']} in {run.folder}")
    say(f"Test accuracy {card.interval(metrics['accuracy'])}, AUC {card.interval(metrics['auc'])}")
    return 0


def prepare(arguments: argparse.Namespace) -> Run:
    """Check the images and open the checkpoint; raises Unusable, saying what to change."""
    recipe = recipe_of(arguments)
    version.check_out(arguments.out)
    began = time.monotonic()
    images = gather.read(
        arguments.data,
        arguments.groups,
        arguments.start,
        recipe.size,
        validation=arguments.validation_split,
    )
    run = Run(images, recipe, arguments.out, arguments.start)
    run.seconds["check"] = round(time.monotonic() - began, 1)
    version.open_checkpoint(run)
    return run


def make_version(run: Run) -> dict[str, Any]:
    """Train, export, measure and write a version into `run.staging`; returns its metadata.

    Resumes from what is in the run's checkpoint.
    """
    with run.timed("features"):
        examples = examples_of(run)
    with run.timed("train"):
        model, story = train_networks(run, examples)
    # The epochs of earlier attempts took time as well; only the history has it.
    run.seconds["train"] = max(run.seconds["train"], sum(row["seconds"] for row in story["epochs"]))
    with run.timed("evaluate"):
        say("Exporting, and measuring the exported file on the test side")
        measured = version.measure(model, run)
    metadata = version.describe(measured, run, story)
    metadata |= {"seconds": round(sum(run.seconds.values()), 1), "seconds_by_stage": run.seconds}
    version.write(run, model, measured, metadata, story)
    return metadata


def examples_of(run: Run) -> Examples:
    """The networks' inputs: images, or their features behind the frozen blocks."""
    pixels, labels = run.images.side("train")
    held_out, held_out_labels = run.images.side("validation")
    stem, _ = network.split(network.start(run.recipe, run.start), run.recipe.frozen_blocks)
    if stem is None:
        draw = features.from_images(pixels, run.recipe)
        return Examples(draw, labels, held_out, held_out_labels)
    backbone = features.Backbone(stem, version.file_of(run.start) if run.start else None)
    views, plain = (
        features.cache(
            backbone,
            of,
            run.images.hashes(side),
            run.recipe,
            count,
            file=run.checkpoint / f"{side}.npy",
            store=run.store,
        )
        for of, side, count in ((pixels, "train", run.recipe.views), (held_out, "validation", 0))
    )
    return Examples(features.from_views(views), labels, plain[:, 0], held_out_labels)


def train_networks(run: Run, examples: Examples) -> tuple[keras.Model, dict[str, Any]]:
    """Train every member from the same start, and then the student that learns from them, if there
    are several.

    Returns the last network, with the weights of its best epoch, and the history of all.
    """
    done = {m: loop.State.load(f) for m in range(run.networks) if (f := run.state(m)).exists()}
    for m, state in done.items():
        say(f"Resuming from epoch {state.epoch} of network {m + 1} of {run.networks}")
    steps = math.ceil(len(examples.labels) / run.recipe.batch_size)
    steps_done = sum(state.epoch * steps for state in done.values())
    states: list[loop.State] = []
    tails: list[keras.Model] = []
    with Epochs(run.recipe.epochs * steps * run.networks, steps_done) as progress:
        for m in range(run.networks):
            model = network.start(run.recipe, run.start)
            _, tail = network.split(model, run.recipe.frozen_blocks)
            teachers = tails if m == run.recipe.members else ()
            states.append(
                loop.train(tail, examples, run, member=m, progress=progress, teachers=teachers)
            )
            tails.append(tail)
    story: dict[str, Any] = {
        "networks": [
            {
                "role": "member" if m < run.recipe.members else "student",
                "best_epoch": s.best_epoch,
                "validation_score": s.best_score if math.isfinite(s.best_score) else None,
                "epochs": s.epoch,
                "stopped": s.stopped,
            }
            for m, s in enumerate(states)
        ],
        "epochs": [row for s in states for row in s.history],
    }
    return model, story


# --- the command line ----------------------------------------------------------------------------


class _Parser(argparse.ArgumentParser):
    """Raises Unusable with one line for a bad argument, instead of printing the usage."""

    def error(self, message: str) -> NoReturn:
        raise Unusable(f"{message} (--help lists every flag)")


def parse(argv: list[str] | None) -> argparse.Namespace:
    """The command line; raises Unusable for an unknown or malformed argument."""
    parser = _Parser(
        prog="training.train",
        description=__doc__,
        allow_abbrev=False,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    for name, metavar, about in (
        ("--data", "DIR", "folder that contains the class folders"),
        ("--out", "DIR", "the version folder; give it again to resume after an interruption"),
        ("--groups", "CSV", "file,group: groups are never split (default: DIR/groups.csv)"),
        ("--from", "VERSION_DIR", "start from this version's weights and keep its sides"),
    ):
        parser.add_argument(
            name,
            type=Path,
            metavar=metavar,
            help=about,
            required=name in ("--data", "--out"),
            dest="start" if name == "--from" else None,
        )
    share = SHARES["validation"]
    parser.add_argument(
        "--validation-split",
        type=float,
        metavar="SHARE",
        default=share,
        help=f"share of the images that chooses and calibrates (default: {share})",
    )
    for f in fields(Recipe):
        defaults = " | ".join(dict.fromkeys(str(getattr(r, f.name)) for r in RECIPES.values()))
        about = f"{f.metadata['about']} (default: {defaults})".replace("%", "%%")
        kind: Any = f.type
        parser.add_argument(flag(f.name), type=kind, help=about, metavar=kind.__name__.upper())
    return parser.parse_args(argv)


def recipe_of(arguments: argparse.Namespace) -> Recipe:
    """The defaults of the architecture (of the `--from` version, if there is one), with the flags
    that were set."""
    given = {f.name: getattr(arguments, f.name) for f in fields(Recipe)}
    given = {name: value for name, value in given.items() if value is not None}
    if arguments.start:
        try:
            metadata = version.metadata_of(arguments.start)
            parent = {"architecture": metadata["architecture"], "size": input_size(metadata)}
        except (OSError, ValueError, KeyError) as error:
            raise Unusable(f"--from {arguments.start} is no version folder: {error}") from None
        for name, value in parent.items():
            if given.setdefault(name, value) != value:
                raise Unusable(
                    f"--from {arguments.start} has the {name} {value}, not {given[name]}."
                )
    base = RECIPES.get(given.get("architecture", Recipe().architecture), Recipe())
    return replace(base, **given)


if __name__ == "__main__":
    sys.exit(main())
