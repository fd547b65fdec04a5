"""The pictures and tables of `notebook.ipynb`. Jupyter shows each as the value of a cell."""

import io
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf
from matplotlib.figure import Figure
from PIL import Image

from clickbait import LABELS
from clickbait.inference import images, prediction
from clickbait.inference.appearance import APPEARANCE, appearance
from clickbait.inference.classifier import Classifier
from training import sides
from training.features import Augmented
from training.gather import Data
from training.plots import plt
from training.recipe import Recipe

COLOURS = 32
"""Of a chart's palette: a notebook keeps its pictures, and full colour takes four times the space.
Photographs need PHOTO_COLOURS."""
PHOTO_COLOURS = 128
WIDTH = 840  # Pixels: about the width of a notebook's column.
DPI = 70
SHAPE = (160, 90)  # Of a thumbnail in a sheet: the model sees a square, and people 16:9.
COLUMNS = 6

tf.get_logger().setLevel(logging.WARNING)  # In a notebook it would be INFO.


@dataclass(frozen=True)
class Picture:
    """A PNG."""

    png: bytes = field(repr=False)

    @classmethod
    def read(cls, path: Path) -> "Picture":
        """The picture in a file, at most WIDTH pixels wide."""
        with Image.open(path) as image:
            return cls._of(image.convert("RGB"), COLOURS)

    @classmethod
    def of(cls, figure: Figure, colours: int = COLOURS) -> "Picture":
        """A figure, which is closed."""
        file = io.BytesIO()
        figure.savefig(file, dpi=DPI)
        plt.close(figure)
        return cls._of(Image.open(file).convert("RGB"), colours)

    @classmethod
    def _of(cls, image: Image.Image, colours: int) -> "Picture":
        file = io.BytesIO()
        image.thumbnail((WIDTH, image.height))
        image.quantize(colours, dither=Image.Dither.NONE).save(file, "PNG", optimize=True)
        return cls(file.getvalue())

    def _repr_png_(self) -> bytes:
        return self.png


class Text(str):
    """Markdown."""

    def _repr_markdown_(self) -> str:
        return str(self)


def table(head: Sequence[str], rows: Sequence[Sequence[Any]]) -> Text:
    """A table; floats get three decimals, and None a dash."""

    def cell(value: Any) -> str:
        return f"{value:.3f}" if isinstance(value, float) else "-" if value is None else str(value)

    lines = [head, ["---"] * len(head), *rows]
    return Text("\n".join(f"| {' | '.join(map(cell, line))} |" for line in lines))


# --- the data set --------------------------------------------------------------------------------


def counts(data: Data) -> Text:
    """The number of images of each side and label, and of those that were left out."""
    rows: list[list[Any]] = [
        [side, *of.values()] for side, of in sides.counts(data.records).items()
    ]
    out = [[r.label for r in data.records if r.reason].count(label) for label in LABELS]
    return table(["side", *LABELS], [*rows, ["left out", *out]])


def samples(data: Data, each: int = COLUMNS) -> Picture:
    """The first `each` images of each label on the training side, as the model sees them."""
    pixels, labels = data.side("train")
    chosen = [i for kind in range(len(LABELS)) for i in np.flatnonzero(labels == kind)[:each]]
    return sheet(pixels[chosen], [LABELS[labels[i]] for i in chosen])


def views(data: Data, recipe: Recipe, count: int = COLUMNS - 1) -> Picture:
    """The first training image, and `count` random versions of it that a training draws."""
    pixels = data.side("train")[0][:1]
    drawn = Augmented(recipe)(np.repeat(pixels, count, axis=0), recipe.seed)
    all_of = np.concatenate([pixels, np.asarray(drawn).astype(np.uint8)])
    return sheet(all_of, ["as it is", *["augmented"] * count])


def sheet(pixels: npt.NDArray[np.uint8], titles: Sequence[str]) -> Picture:
    """Images (n, size, size, 3) with their titles, COLUMNS in a row."""
    rows = -(-len(pixels) // COLUMNS)
    figure, axes = plt.subplots(
        rows, COLUMNS, figsize=(2 * COLUMNS, 1.4 * rows), layout="constrained", squeeze=False
    )
    for place in axes.flat:
        place.axis("off")
    for place, one, title in zip(axes.flat, pixels, titles, strict=False):
        place.imshow(Image.fromarray(one).resize(SHAPE))
        place.set_title(title, fontsize=9)
    return Picture.of(figure, PHOTO_COLOURS)


def appearances(data: Data) -> Picture:
    """The brightness, contrast, saturation and colourfulness of the training images, by label."""
    pixels, labels = data.side("train")
    numbers = [appearance(one) for one in pixels]
    figure, axes = plt.subplots(1, len(APPEARANCE), figsize=(12, 3), layout="constrained")
    for place, name in zip(axes, APPEARANCE, strict=True):
        values = np.array([one[name] for one in numbers])
        bins = np.histogram_bin_edges(values, 12)
        for kind, label in enumerate(LABELS):
            place.hist(values[labels == kind], bins, alpha=0.6, label=label)
        place.set(title=name, yticks=[])
    axes[0].legend(fontsize=8)
    return Picture.of(figure)


# --- a version -----------------------------------------------------------------------------------


def plots(version: Path, *names: str) -> Picture:
    """Plots of the version in a folder, side by side."""
    figure, axes = plt.subplots(
        1, len(names), figsize=(12, 12 / len(names)), layout="constrained", squeeze=False
    )
    for place, name in zip(axes.flat, names, strict=True):
        place.axis("off")
        with Image.open(version / "plots" / f"{name}.png") as image:
            place.imshow(image.convert("RGB"))
    figure.set_size_inches(12, 12 / len(names) * image.height / image.width)
    return Picture.of(figure)


def test_files(data: Data, folder: Path, count: int = COLUMNS) -> list[Path]:
    """`count` files of the test side, or all if there are fewer, spread evenly over its labels. The
    images of `data` are in `folder`."""
    files = [folder / record.file for record in data.used if record.side == "test"]
    places = np.linspace(0, len(files) - 1, min(count, len(files)))
    return [files[int(place)] for place in places]


def predictions(model: Classifier, files: Sequence[Path]) -> Text:
    """The predictions for files, as the API returns them."""
    rows = []
    for file in files:
        one = prediction.answer(model, file.read_bytes()).prediction
        unsure = "yes" if one["uncertain"] else "no"
        rows.append([f"{file.parent.name}/{file.name}", one["prediction"], one["probability"]])
        rows[-1] += [one["confidence"], unsure, f"{one['timing_ms']['total']:.0f} ms"]
    return table(["image", "prediction", "probability", "confidence", "uncertain", "time"], rows)


def explained(model: Classifier, files: Sequence[Path]) -> Picture:
    """Images with what speaks for clickbait (red) and against it (blue) in each cell."""
    size = (2 * COLUMNS, 2.7)
    figure, axes = plt.subplots(2, len(files), figsize=size, layout="constrained", squeeze=False)
    for column, file in zip(axes.T, files, strict=True):
        data = file.read_bytes()
        one = prediction.answer(model, data, explain=True).prediction
        cells = np.array(one["evidence"])
        most = max(float(np.abs(cells).max()), 1e-6)
        pixels = Image.fromarray(images.model_input(images.read(data), model.size)).resize(SHAPE)
        for place, shown in zip(column, (pixels, pixels.convert("L").convert("RGB")), strict=True):
            place.axis("off")
            place.imshow(shown)
        extent = (-0.5, SHAPE[0] - 0.5, SHAPE[1] - 0.5, -0.5)
        column[1].imshow(cells, "bwr", alpha=0.5, vmin=-most, vmax=most, extent=extent)
        column[0].set_title(f"{file.parent.name}: {one['probability']:.2f}", fontsize=9)
    return Picture.of(figure, PHOTO_COLOURS)


# --- results -------------------------------------------------------------------------------------


def correlations(evaluation: Mapping[str, Any]) -> Text:
    """Correlations of the appearance of the test images with the probability and the label."""
    rows = [
        [one["name"], one["with_probability"], one["with_label"], one["reason"] or ""]
        for one in evaluation["features"]
    ]
    head = ["Spearman's rank correlation", "with the probability", "with the label", "why not"]
    return table(head, rows)


def thresholds(evaluation: Mapping[str, Any], step: int = 10) -> Text:
    """Precision, recall and accuracy at every `step`-th threshold."""
    rows = evaluation["thresholds"][step:-1:step]
    return table(list(rows[0]), [list(row.values()) for row in rows])


def card(version: Path) -> Text:
    """The card of the version in a folder."""
    return Text((version / "card.md").read_text(encoding="utf-8"))
