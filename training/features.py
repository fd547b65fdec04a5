"""What is trained on: images augmented each time, or views cached behind the frozen blocks."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from training import export
from training.augment import augment
from training.recipe import Recipe

CHUNK = 64
"""Images augmented at a time: 64 float images are 39 MB."""


class Source(Protocol):
    """Training examples by index, another random version of each at every call."""

    def draw(self, indices: npt.NDArray[np.int64], rng: np.random.Generator) -> Any: ...


class Images:
    """Images in memory, augmented when they are drawn."""

    def __init__(self, pixels: npt.NDArray[np.uint8], recipe: Recipe) -> None:
        self.pixels = pixels
        self._random = tf.random.Generator.from_seed(recipe.seed)
        self._augment = tf.function(
            lambda images: augment(images, self._random, recipe),
            input_signature=[tf.TensorSpec([None, *pixels.shape[1:]], tf.uint8)],
        )

    def draw(self, indices: npt.NDArray[np.int64], rng: np.random.Generator) -> Any:
        self._random.reset_from_seed(int(rng.integers(2**62)))
        return self._augment(self.pixels[indices])


class Views:
    """Views of each image behind the frozen blocks, float16 on disk; one of each is drawn."""

    def __init__(self, files: list[Path]) -> None:
        self.views = [np.load(file, mmap_mode="r") for file in files]

    def draw(self, indices: npt.NDArray[np.int64], rng: np.random.Generator) -> Any:
        chosen = rng.integers(len(self.views), size=len(indices))
        return np.stack([self.views[v][i] for v, i in zip(chosen, indices, strict=True)])


def cache(
    lite: bytes,
    pixels: npt.NDArray[np.uint8],
    recipe: Recipe,
    folder: Path,
    say: Callable[[str], None],
) -> Views:
    """Push `recipe.views` augmented views of training images through `lite`, once; a view on disk
    is kept.

    The frozen half of EfficientNet costs two thirds of a training step, and LiteRT runs it several
    times faster than TensorFlow; after that, an epoch pays for the trained half only.
    """
    folder.mkdir(parents=True, exist_ok=True)
    files = [folder / f"view-{v:03d}.npy" for v in range(recipe.views)]
    for v, file in enumerate(files):
        if file.exists():
            continue
        say(f"Augmented view {v + 1} of {recipe.views} through the frozen blocks")
        images = Images(pixels, recipe)
        rng = np.random.default_rng([recipe.seed, v])
        parts = [
            through(lite, images.draw(np.arange(i, min(i + CHUNK, len(pixels))), rng).numpy())
            for i in range(0, len(pixels), CHUNK)
        ]
        half_written = file.with_suffix(".part.npy")
        np.save(half_written, np.concatenate(parts))
        half_written.rename(file)
    return Views(files)


def convert(stem: keras.Model) -> bytes:
    """The frozen blocks as a TFLite file with one output, `features`."""
    return export.convert(lambda image: {"features": stem(image, training=False)}, stem, half=False)


def through(lite: bytes, images: npt.NDArray[Any]) -> npt.NDArray[np.float16]:
    """Images (n, 224, 224, 3) through a file of `convert`."""
    return export.run(lite, images, ["features"])["features"].astype(np.float16)
