"""The course of a training and the model's results and mistakes, as PNG."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import numpy.typing as npt
from PIL import Image
from sklearn.metrics import ConfusionMatrixDisplay, precision_recall_curve

from clickbait import LABELS
from clickbait.inference.calibration import sigmoid
from clickbait.learning import evaluation
from clickbait.learning.metrics import Floats, Labels

matplotlib.use("Agg")  # Before pyplot is imported: a machine that trains has no screen.
from matplotlib import pyplot as plt

COLUMNS = 6  # Of the contact sheet of mistakes.


@contextmanager
def _figure(path: Path, title: str, x: str, y: str, square: bool = True) -> Iterator[Any]:
    figure, axes = plt.subplots(figsize=(5, 5) if square else (7, 4), layout="constrained")
    axes.set(title=title, xlabel=x, ylabel=y)
    axes.grid(alpha=0.3)
    yield axes
    if axes.get_legend_handles_labels()[0]:
        axes.legend()
    figure.savefig(path, dpi=110)
    plt.close(figure)


def draw(
    folder: Path,
    history: list[dict[str, Any]],
    pixels: npt.NDArray[np.uint8],
    labels: Labels,
    logits: Floats,
    *,
    probabilities: Floats,
    threshold: float,
    counts: list[list[int]],
) -> None:
    """Write every plot of a version into `folder`, those of its epochs if `history` has any. All
    arrays are of the side that is measured on."""
    folder.mkdir(parents=True, exist_ok=True)
    if history:
        _history(folder / "loss.png", history, "loss", "Loss (cross-entropy)")
        _history(folder / "accuracy.png", history, "accuracy", "Accuracy")
    _confusion(folder / "confusion_matrix.png", counts)
    _roc(folder / "roc.png", labels, probabilities)
    _precision_recall(folder / "precision_recall.png", labels, probabilities)
    _reliability(folder / "reliability.png", labels, logits, probabilities)
    _mistakes(folder / "mistakes.png", pixels, labels, probabilities, threshold)


def _history(path: Path, history: list[dict[str, Any]], name: str, title: str) -> None:
    with _figure(path, f"{title} by epoch", "epoch", name, square=False) as axes:
        for member in sorted({row["member"] for row in history}):
            rows = [row for row in history if row["member"] == member]
            for key, colour, text in (
                (name, "tab:blue", "training (augmented)"),
                (f"val_{name}", "tab:orange", "validation"),
            ):
                values = [np.nan if row[key] is None else row[key] for row in rows]
                style = {"color": colour, "label": text if member == 1 else None}
                axes.plot(
                    [r["epoch"] for r in rows], values, "o-", alpha=0.8, markersize=3, **style
                )


def _confusion(path: Path, counts: list[list[int]]) -> None:
    with _figure(path, "Confusion matrix (test)", "predicted", "true") as axes:
        axes.grid(visible=False)
        names = [label.removeprefix("clickbait_") for label in LABELS]
        matrix = ConfusionMatrixDisplay(np.array(counts), display_labels=names)
        matrix.plot(ax=axes, cmap="Blues", colorbar=False, text_kw={"fontsize": 18})
        axes.set(xlabel="predicted", ylabel="true")


def _both_classes(axes: Any, labels: Labels) -> bool:
    axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
    if len(np.unique(labels)) == 2:
        return True
    axes.text(0.5, 0.5, "undefined: the test side\nlacks a class", ha="center")
    return False


def _roc(path: Path, labels: Labels, probabilities: Floats) -> None:
    with _figure(path, "ROC (test)", "false positive rate", "true positive rate") as axes:
        if _both_classes(axes, labels):
            axes.plot(*evaluation.roc(labels, probabilities))
            axes.plot([0, 1], [0, 1], "--", color="grey", label="chance")


def _precision_recall(path: Path, labels: Labels, probabilities: Floats) -> None:
    with _figure(path, "Precision and recall (test)", "recall", "precision") as axes:
        if _both_classes(axes, labels):
            precision, recall, _ = precision_recall_curve(labels, probabilities)
            axes.plot(recall, precision)
            axes.axhline(labels.mean(), ls="--", color="grey", label="chance")


def _reliability(path: Path, labels: Labels, logits: Floats, probabilities: Floats) -> None:
    title = "Reliability (test)"
    with _figure(path, title, "probability of clickbait", "share that is clickbait") as axes:
        axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
        axes.plot([0, 1], [0, 1], "--", color="grey", label="perfect")
        for values, name in ((sigmoid(logits), "before calibration"), (probabilities, "after")):
            images, mean, share = evaluation.reliability(labels, values)
            axes.plot(mean[images > 0], share[images > 0], "o-", label=name)


def _mistakes(
    path: Path,
    pixels: npt.NDArray[np.uint8],
    labels: Labels,
    probabilities: Floats,
    threshold: float,
) -> None:
    """The most confident wrong answers first, in the shape of a thumbnail."""
    wrong = evaluation.mistakes(labels, probabilities, threshold)
    rows = max(-(-len(wrong) // COLUMNS), 1)
    size = (2.5 * COLUMNS, 1.8 * rows + 0.4)
    figure, axes = plt.subplots(rows, COLUMNS, figsize=size, layout="constrained")
    title = "Most confident mistakes (test)" if len(wrong) else "No mistakes on the test side"
    figure.suptitle(title)
    for place in axes.flat:
        place.axis("off")
    for place, i in zip(axes.flat, wrong, strict=False):
        place.imshow(Image.fromarray(pixels[i]).resize((320, 180)))
        truth = LABELS[labels[i]].removeprefix("clickbait_")
        place.set_title(f"{truth}, called clickbait with {probabilities[i]:.2f}", fontsize=8)
    figure.savefig(path, dpi=90)
    plt.close(figure)
