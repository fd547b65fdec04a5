"""Images that are stored with a model to check it: drawn here, so they belong to nobody."""

import base64
import io

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from clickbait.inference.images import INPUT_SIZE as SIDE


def loud() -> Image.Image:
    """A typical clickbait thumbnail: glaring colours, an arrow, a ring, a shocked face."""
    image = Image.new("RGB", (SIDE, SIDE), (255, 216, 0))
    draw = ImageDraw.Draw(image)
    for x in range(0, 2 * SIDE, 36):
        draw.polygon([(x, 0), (x + 16, 0), (x - SIDE + 16, SIDE), (x - SIDE, SIDE)], (255, 150, 0))
    draw.ellipse((18, 66, 118, 186), (255, 205, 160), (60, 20, 0), 3)
    for x in (38, 78):
        draw.ellipse((x, 92, x + 22, 120), "white", "black", 2)
        draw.ellipse((x + 8, 102, x + 15, 110), "black")
    draw.ellipse((52, 134, 86, 174), (120, 0, 20), "black", 2)
    draw.ellipse((136, 96, 210, 170), None, (255, 0, 0), 9)
    draw.polygon([(112, 70), (150, 84), (146, 94), (166, 104), (142, 116)], (255, 0, 0), "white")
    font = ImageFont.load_default(36)
    draw.text((12, 8), "SHOCKING!", "white", font, stroke_width=5, stroke_fill="black")
    small = ImageFont.load_default(24)
    draw.text((118, 180), "NO WAY", (255, 0, 0), small, stroke_width=3, stroke_fill="white")
    return image


def calm() -> Image.Image:
    """A typical legitimate thumbnail: muted colours, a landscape, little text."""
    image = Image.new("RGB", (SIDE, SIDE))
    draw = ImageDraw.Draw(image)
    for y in range(SIDE):
        draw.line((0, y, SIDE, y), (96 + y // 5, 112 + y // 6, 124 + y // 8))
    draw.ellipse((150, 34, 180, 64), (196, 190, 176))
    ridge = [(0, 150), (60, 84), (112, 140), (160, 100), (SIDE, 156)]
    draw.polygon([*ridge, (SIDE, SIDE), (0, SIDE)], (84, 92, 96))
    draw.polygon([(0, 182), (90, 146), (SIDE, 190), (SIDE, SIDE), (0, SIDE)], (66, 76, 70))
    font = ImageFont.load_default(13)
    draw.text((12, 200), "Lecture 4: rivers and valleys", (206, 206, 200), font)
    return image


def images(size: int = SIDE) -> npt.NDArray[np.uint8]:
    """The loud image and the calm one, (2, size, size, 3) RGB."""
    sides = (size, size)
    return np.stack([np.asarray(one.resize(sides)) for one in (loud(), calm())])


def png(pixels: npt.NDArray[np.uint8]) -> str:
    """Base64 of a PNG of (size, size, 3) RGB."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG", optimize=True)
    return base64.b64encode(file.getvalue()).decode("ascii")
