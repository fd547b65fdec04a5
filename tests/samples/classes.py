"""Two classes of drawings that any model learns to tell apart: flat grey slopes, and the rest."""

import numpy as np
from PIL import Image, ImageDraw

from clickbait import LABELS
from tests.samples.drawn import encoded, picture

SIZE = (320, 180)


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
    """A JPEG of one of the two LABELS."""
    return encoded((calm if label == LABELS[0] else loud)(seed))


def framed(label: str, seed: int) -> bytes:
    """A JPEG of a colourful drawing in a black frame (LABELS[0]) or a white one: a taste that the
    shipped model does not have, and does not contradict."""
    kind = LABELS.index(label)
    image = loud(2 * seed + kind)
    shade = 255 * kind
    edge = (0, 0, image.width - 1, image.height - 1)
    ImageDraw.Draw(image).rectangle(edge, outline=(shade, shade, shade), width=24)
    return encoded(image)


def tinted(label: str, seed: int) -> bytes:
    """A JPEG of a drawing that is a little blue (LABELS[0]) or red: a taste that a network which
    sees nothing but colours can learn."""
    tint = Image.new("RGB", SIZE, "blue" if label == LABELS[0] else "red")
    return encoded(Image.blend(loud(2 * seed + LABELS.index(label)), tint, 0.3))
