"""Cut the sample images from two photographs that scikit-image ships:

    pip download --no-deps scikit-image==0.25.2 && unzip scikit_image*.whl 'skimage/data/*'
    python tests/samples/cut_samples.py skimage/data

It writes one image of each verdict to `frontend/public/samples` and, with a caption drawn over it,
`sample.jpg`, which README classifies. `frontend/public/samples/README.md` names the photographers.
"""

import shutil
import sys
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "frontend" / "public" / "samples"
SIZE = (640, 360)
QUALITY = 82


def cut(photograph: Path, top: float, zoom: float = 1.0) -> Image.Image:
    """The middle of a photograph as 16:9; `top` is the share of the spare height above it."""
    with Image.open(photograph) as image:
        rgb = image.convert("RGB")
    width = min(rgb.width, rgb.height * 16 / 9) / zoom
    height = width * 9 / 16
    left, upper = (rgb.width - width) / 2, (rgb.height - height) * top
    box = (int(left), int(upper), int(left + width), int(upper + height))
    return rgb.crop(box).resize(SIZE, Image.Resampling.LANCZOS)


def shout(image: Image.Image) -> Image.Image:
    """The image with a caption in capitals, a ring round the cat's eye and an arrow to it."""
    pen = ImageDraw.Draw(image)
    font = ImageFont.load_default(88)
    for colour, stroke in (("black", 14), ("#ffe600", 4)):  # Bold, with a black outline.
        pen.text((320, 58), "DON'T BLINK!", colour, font, "mm", stroke_width=stroke)
    pen.ellipse((426, 170, 566, 310), outline="#ff0000", width=12)
    arrow = [(335, 345), (401, 308), (414, 331), (436, 268), (370, 278), (383, 300), (317, 337)]
    pen.polygon(arrow, fill="#ff0000", outline="white", width=4)
    return image


def main(data: Path) -> None:
    FOLDER.mkdir(exist_ok=True)
    cat, rocket = data / "chelsea.png", data / "rocket.jpg"
    images = {
        "clickbait": shout(cut(cat, 0.0, zoom=1.2)),
        "legitimate": cut(rocket, 0.3),
        "unsure": cut(cat, 0.3),
    }
    for name, image in images.items():
        image.save(FOLDER / f"{name}.jpg", quality=QUALITY, optimize=True)
    shutil.copyfile(FOLDER / "clickbait.jpg", ROOT / "sample.jpg")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
