"""Draw `sample.jpg`, the image that README classifies: python tests/samples/draw_sample.py
[FILE]"""

import sys
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

SIZE = (1280, 720)


def draw() -> Image.Image:
    """A loud thumbnail: a shocked face, an arrow, a burst and capitals."""
    image = Image.new("RGB", SIZE)
    pen = ImageDraw.Draw(image)
    for x in range(SIZE[0]):
        pen.line((x, 0, x, SIZE[1]), fill=(255 - x // 10, 60 + x // 12, 20 + x // 8))
    pen.regular_polygon(
        (980, 330, 300), 18, rotation=8, fill="#ffe600", outline="#d40000", width=14
    )
    pen.ellipse((90, 110, 590, 640), fill="#f6c89f", outline="#5a3418", width=10)
    for x in (210, 390):
        pen.ellipse((x, 240, x + 110, 370), fill="white", outline="black", width=6)
        pen.ellipse((x + 38, 285, x + 72, 325), fill="black")
        pen.arc((x - 10, 170, x + 120, 250), 200, 340, fill="#5a3418", width=14)
    pen.ellipse((270, 430, 410, 590), fill="#5c0a0a", outline="black", width=8)
    pen.polygon(
        [(560, 470), (760, 470), (760, 420), (880, 500), (760, 580), (760, 530), (560, 530)],
        fill="#e00000",
    )
    big, huge = ImageFont.load_default(92), ImageFont.load_default(150)
    pen.text(
        (980, 330),
        "$1,000",
        font=huge,
        fill="#d40000",
        stroke_width=6,
        stroke_fill="black",
        anchor="mm",
    )
    pen.text(
        (640, 70),
        "YOU WON'T BELIEVE THIS!",
        font=big,
        fill="white",
        stroke_width=8,
        stroke_fill="black",
        anchor="mm",
    )
    return image


if __name__ == "__main__":
    draw().save(Path(sys.argv[1] if len(sys.argv) > 1 else "sample.jpg"), quality=90)
