"""Training inputs: images augmented at each draw, or cached views behind the frozen blocks."""

import functools
import hashlib
import io
import json
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from clickbait.keys import FEATURES
from training import export, weights, write_whole
from training.augment import augment
from training.gather import preprocessing
from training.progress import say
from training.recipe import Recipe

CHUNK = 64  # Images fetched or written at a time.
VIEWS = 256  # Views in memory at a time: as float images 154 MB.
THREADS = 16
"""Objects that a store reads or writes at a time: each is a wait for the network, not work."""
AUGMENTATION = 1
"""Raise it when `augment.py` draws other views of the same knobs: stored ones are then useless."""
DRAWN_BY = ("rotation", "flip", "zoom", "shift", "colour", "grey", "erasing", "seed", "views")
"""Knobs that the views of an image depend on."""

Features = npt.NDArray[np.float16]


class Store(Protocol):
    """Keeps features beyond a training; several threads use it at once."""

    def get(self, key: str) -> bytes | None:
        """The data stored under `key`, or None."""

    def put(self, key: str, data: bytes) -> None:
        """Store all of `data` under `key`, or nothing."""


Draw = Callable[[npt.NDArray[np.int64], np.random.Generator], Any]
"""Training inputs by index; every call draws another random version of each."""


@dataclass
class Examples:
    """The networks' inputs: images or features (n, ...) to train and to validate on, with labels
    (n,) of 0 and 1."""

    draw: Draw
    labels: npt.NDArray[np.int64]
    held_out: npt.NDArray[Any]
    held_out_labels: npt.NDArray[np.int64]


def from_images(pixels: npt.NDArray[np.uint8], recipe: Recipe) -> Draw:
    """Draws from images in memory, which are augmented when they are drawn."""
    augmented = Augmented(recipe)
    return lambda indices, rng: augmented(pixels[indices], int(rng.integers(2**62)))


def from_views(views: Features) -> Draw:
    """Draws one of the views (n, views, ...) that each image has behind the frozen blocks."""
    return lambda indices, rng: views[indices, rng.integers(views.shape[1], size=len(indices))]


class Augmented:
    """Random versions of images (n, side, side, 3) that depend on a seed alone."""

    def __init__(self, recipe: Recipe) -> None:
        self._random = tf.random.Generator.from_seed(recipe.seed)
        self._augment = tf.function(
            lambda images: augment(images, self._random, recipe),
            input_signature=[tf.TensorSpec([None, None, None, 3], tf.uint8)],
        )

    def __call__(self, images: npt.NDArray[np.uint8], seed: int) -> Any:
        self._random.reset_from_seed(seed)
        return self._augment(images)


class Versions:
    """Each image and random versions of it, which depend on its hash and the recipe alone."""

    def __init__(self, recipe: Recipe, count: int) -> None:
        self.seed, self.count = recipe.seed, count
        # TensorFlow keeps one core busy here, and two threads cannot share a random generator.
        self.augmented = [Augmented(recipe) for _ in range(export.cores() if count else 1)]

    def of(self, images: npt.NDArray[np.uint8], hashes: Sequence[str]) -> npt.NDArray[np.float32]:
        """Images (n, side, side, 3) to n * (1 + count) of them: each, then its versions."""
        out = np.empty((len(images), 1 + self.count, *images.shape[1:]), np.float32)
        out[:, 0] = images

        def work(core: int) -> None:
            for i in range(core, len(images), len(self.augmented)):
                draw = hashlib.sha256(f"views of {hashes[i]}, seed {self.seed}".encode()).digest()
                same = np.repeat(images[i : i + 1], self.count, axis=0)
                out[i, 1:] = self.augmented[core](same, int.from_bytes(draw[:7], "big"))

        if self.count:
            with ThreadPoolExecutor(len(self.augmented)) as pool:
                list(pool.map(work, range(len(self.augmented))))
        return out.reshape(-1, *images.shape[1:])


@dataclass
class Backbone:
    """The frozen blocks of a network, as a file that LiteRT runs on every core."""

    stem: keras.Model
    start: bytes | None = None
    """The file of the version that the weights come from."""

    @functools.cached_property
    def digest(self) -> str:
        """16 hex digits of the weights: other weights give other features."""
        return weights.digest(self.stem)[:16]

    @functools.cached_property
    def lite(self) -> bytes:
        """The blocks as a TFLite file with one output; built only if features are missing."""
        return export.stem(self.stem, self.start)

    def through(self, images: npt.NDArray[Any]) -> Features:
        """Images (n, side, side, 3) to features (n, ...)."""
        return export.run(self.lite, images, ["features"])["features"].astype(np.float16)


def cache(
    backbone: Backbone,
    pixels: npt.NDArray[np.uint8],
    hashes: Sequence[str],
    recipe: Recipe,
    views: int,
    *,
    file: Path,
    store: Store | None,
) -> Features:
    """Features (n, 1 + views, ...) of images (n, side, side, 3) with the SHA-256 `hashes`: of each
    image itself, and of `views` random versions.

    They are mapped from `file`; after an interruption a call with the same arguments resumes from
    it. Features in `store` are not computed again, and new ones are put there. The versions of an
    image depend on its hash and `recipe` alone. The frozen half of EfficientNet costs two thirds of
    a training step, and LiteRT runs it several times faster than TensorFlow; after that, an epoch
    pays for the trained half only.
    """
    shape = (len(pixels), 1 + views, *backbone.stem.output.shape[1:])
    if not len(pixels):  # An empty file cannot be mapped.
        return np.zeros(shape, np.float16)
    progress = file.with_suffix(".done")
    done = int(progress.read_text()) if progress.exists() and file.exists() else 0
    out = np.lib.format.open_memmap(  # type: ignore[no-untyped-call]
        file, "r+" if done else "w+", dtype=np.float16, shape=None if done else shape
    )
    drawn = _drawn(recipe, pixels.shape[1])
    keys = [f"{FEATURES}{backbone.digest}/{drawn}/{h}.npy" for h in hashes]
    versions = Versions(recipe, views)
    reused = 0
    with ThreadPoolExecutor(THREADS) as pool:
        for start in range(done, len(pixels), CHUNK):
            here = range(start, min(start + CHUNK, len(pixels)))
            found = list(pool.map(store.get, [keys[i] for i in here])) if store else [None] * CHUNK
            missing = []
            for i, data in zip(here, found, strict=False):
                stored = _read(data, shape[1:])
                if stored is None:
                    missing.append(i)
                else:
                    out[i] = stored
            at_once = max(VIEWS // (1 + views), 1)
            for k in range(0, len(missing), at_once):
                some = missing[k : k + at_once]
                images = versions.of(pixels[some], [hashes[i] for i in some])
                out[some] = backbone.through(images).reshape(len(some), *shape[1:])
            if store:
                new = [_bytes(out[i]) for i in missing]
                list(pool.map(store.put, [keys[i] for i in missing], new))
            reused += len(here) - len(missing)
            write_whole(progress, str(here.stop).encode())
            if here.stop == len(pixels) or (start // CHUNK) % 8 == 7:
                say(f"Features of {here.stop} of {len(pixels)} images, {reused} from the store")
    return out  # type: ignore[no-any-return]


def _drawn(recipe: Recipe, size: int) -> str:
    """16 hex digits of everything that an image's views of `size` pixels depend on, except the
    image."""
    knobs = {name: getattr(recipe, name) for name in DRAWN_BY}
    facts = {"preprocessing": preprocessing(size), "augmentation": AUGMENTATION, **knobs}
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:16]


def _bytes(features: Features) -> bytes:
    file = io.BytesIO()
    np.save(file, features, allow_pickle=False)
    return file.getvalue()


def _read(data: bytes | None, shape: tuple[int, ...]) -> Features | None:
    """Features of `shape`, or None if they are missing, have fewer views, or are damaged."""
    if data is None:
        return None
    try:
        stored = np.load(io.BytesIO(data), allow_pickle=False)
    except (ValueError, EOFError, OSError):
        return None
    fits = stored.dtype == np.float16 and stored.shape[1:] == shape[1:]
    return stored[: shape[0]] if fits and len(stored) >= shape[0] else None
