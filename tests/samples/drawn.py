"""Small drawings, as Pillow images and as encoded bytes."""

import io
import struct
import zlib
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

GRAIN = 7.0
"""Standard deviation of the noise, of 255."""


def picture(size: tuple[int, int] = (640, 360), seed: int = 0) -> Image.Image:
    """A colourful drawing without symmetry: its eight orientations all differ."""
    rng = np.random.default_rng(seed)
    image = Image.new("RGB", size, tuple(int(v) for v in rng.integers(0, 256, 3)))
    pen = ImageDraw.Draw(image)
    for _ in range(12):
        x, y = rng.integers(0, size[0]), rng.integers(0, size[1])
        w, h = rng.integers(1, 2 + size[0] // 2), rng.integers(1, 2 + size[1] // 2)
        fill = tuple(int(v) for v in rng.integers(0, 256, 3))
        (pen.ellipse if rng.random() < 0.5 else pen.rectangle)((x, y, x + w, y + h), fill=fill)
    return image


def grainy(image: Image.Image) -> Image.Image:
    """`image` with the grain of a photograph: at 1280 x 720 its JPEG then has about 210 KB."""
    noise = np.random.default_rng(0).normal(0, GRAIN, (image.height, image.width, 1))
    return Image.fromarray(np.clip(np.asarray(image) + noise, 0, 255).astype(np.uint8))


def encoded(image: Image.Image, kind: str = "JPEG", **options: Any) -> bytes:
    """The bytes of an image file."""
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def png_chunk(kind: bytes, body: bytes) -> bytes:
    """A chunk of a PNG with its checksum."""
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
