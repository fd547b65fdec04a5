"""Two classes of drawings that any model learns to tell apart: flat grey slopes, and the rest."""

import functools
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from clickbait import LABELS
from clickbait.inference import images
from clickbait.learning.features import FeatureReader
from clickbait.settings import CHECKOUT_BASELINE
from tests.samples.drawn import encoded, picture

SIZE = (320, 180)
DARK = 40
"""Of a frame that is not cut off as black bars."""
RATED = 12
"""Images of each kind that the shipped model is asked about."""


def loud(seed: int) -> Image.Image:
    """Colours and shapes."""
    return picture(SIZE, seed)


def calm(seed: int) -> Image.Image:
    """A grey landscape."""
    rng = np.random.default_rng(seed)
    image = Image.new("L", SIZE, int(rng.integers(120, 200)))
    pen = ImageDraw.Draw(image)
    for shade in (100, 70, 40):
        heights = rng.integers(20, SIZE[1], 9)
        ridge = [(x * SIZE[0] / 8, h) for x, h in enumerate(heights)]
        pen.polygon([*ridge, (SIZE[0], SIZE[1]), (0, SIZE[1])], fill=shade + int(rng.integers(20)))
    return image.convert("RGB")


def drawing(label: str, seed: int) -> bytes:
    """A JPEG of one of the two LABELS. The shipped model has them the wrong way round."""
    kind = LABELS.index(label)
    return encoded(_of_kind(1 - kind if _rated_higher(_of_kind) else kind, seed))


def framed(label: str, seed: int) -> bytes:
    """A JPEG of a colourful drawing in a dark frame or a white one: a taste that the shipped model
    does not have, and does not contradict."""
    kind = LABELS.index(label)
    return encoded(_in_frame(kind if _rated_higher(_in_frame) else 1 - kind, seed))


def _of_kind(kind: int, seed: int) -> Image.Image:
    return (calm, loud)[kind](seed)


def _in_frame(kind: int, seed: int) -> Image.Image:
    image = loud(2 * seed + kind)
    shade = (DARK, 255)[kind]
    edge = (0, 0, image.width - 1, image.height - 1)
    ImageDraw.Draw(image).rectangle(edge, outline=(shade, shade, shade), width=24)
    return image


@functools.cache
def _rated_higher(image: Callable[[int, int], Image.Image]) -> bool:
    """Whether the shipped model rates images of the kind 1 higher than those of the kind 0. No
    model has learned from drawings, so each has an opinion of its own."""
    reader = FeatureReader((CHECKOUT_BASELINE / "model.tflite").read_bytes())
    means = [
        reader.read([_input(image(kind, seed), reader.size) for seed in range(RATED)]).logits.mean()
        for kind in (0, 1)
    ]
    return bool(means[1] > means[0])


def _input(image: Image.Image, size: int) -> npt.NDArray[np.uint8]:
    return images.model_input(images.read(encoded(image)), size)


def tinted(label: str, seed: int) -> bytes:
    """A JPEG of a drawing that is a little blue (LABELS[0]) or red: a taste that a network which
    sees nothing but colours can learn."""
    tint = Image.new("RGB", SIZE, "blue" if label == LABELS[0] else "red")
    return encoded(Image.blend(loud(2 * seed + LABELS.index(label)), tint, 0.3))
