"""Black bars are cut off, and dark pictures keep their edges."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFilter

from clickbait.inference import bars, images
from clickbait.inference.bars import Bars
from clickbait.inference.classifier import Classifier
from clickbait.inference.container.exif import ORIENTATION
from clickbait.settings import CHECKOUT_BASELINE
from tests.samples.drawn import encoded, grainy, picture
from tests.samples.shipped import SIZE

YOUTUBE = {
    "default": (120, 90),
    "mqdefault": (320, 180),
    "hqdefault": (480, 360),
    "sddefault": (640, 480),
    "maxresdefault": (1280, 720),
}
"""YouTube's names and sizes of one thumbnail. Those of 4:3 have black bars."""


def framed(image: Image.Image, size: tuple[int, int], colour: object = "black") -> Image.Image:
    """`image` as wide or as high as `size` allows, in the middle of a frame of one colour."""
    scale = min(size[0] / image.width, size[1] / image.height)
    inner = image.resize((round(scale * image.width), round(scale * image.height)))
    frame = Image.new("RGB", size, colour)
    frame.paste(inner, ((size[0] - inner.width) // 2, (size[1] - inner.height) // 2))
    return frame


def pixels_of(image: Image.Image, **options: object) -> np.ndarray:
    options = {"quality": 85, **options}
    return images.model_input(images.read(encoded(image, **options)), SIZE)


@pytest.fixture(scope="module")
def model() -> Classifier:
    return Classifier.load(CHECKOUT_BASELINE)


@pytest.mark.parametrize("seed", range(3))
def test_all_sizes_of_a_youtube_thumbnail_have_the_same_prediction(model, seed) -> None:
    scene = grainy(picture((1280, 720), seed)).filter(ImageFilter.GaussianBlur(2))
    probabilities = {
        name: model.predict(pixels_of(framed(scene, size))).probability
        for name, size in YOUTUBE.items()
    }
    assert max(probabilities.values()) - min(probabilities.values()) <= 0.05, probabilities


@pytest.mark.parametrize(
    ("size", "trimmed"),
    [
        ((480, 360), Bars(0, 45, 0, 45)),
        ((1280, 960), Bars(0, 120, 0, 120)),  # JPEG decodes it at a half
        ((4000, 3000), Bars(0, 375, 0, 375)),  # at a quarter and less
        ((1280, 544), Bars(156, 0, 157, 0)),  # narrower than its frame
        ((320, 180), None),
    ],
)
def test_what_is_cut_is_told_in_pixels_of_the_original(size, trimmed) -> None:
    image = images.read(encoded(framed(picture((1280, 720)), size), quality=90))
    assert (image.width, image.height) == size
    if trimmed is None:
        assert image.trimmed is None
    else:
        tolerance = max(2, size[0] // 200)
        assert image.trimmed is not None
        assert np.abs(np.subtract(image.trimmed, trimmed)).max() <= tolerance


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "JPEG"])
def test_an_upright_video_loses_its_side_bars(kind) -> None:
    scene = framed(picture((404, 720)), (1280, 720))
    found = images.read(encoded(scene, kind))
    assert found.trimmed is not None
    assert found.trimmed.left == pytest.approx(438, abs=4) and found.trimmed.top == 0
    assert found.rgb.width / found.rgb.height == pytest.approx(404 / 720, abs=0.03)


def test_a_picture_with_bars_all_round_loses_all_four() -> None:
    scene = framed(framed(picture((640, 360)), (640, 480)), (1000, 480))
    found = bars.find(scene)
    assert found == Bars(180, 60, 180, 60)


def test_bars_are_found_in_the_upright_picture() -> None:
    scene = framed(picture((640, 360)), (640, 480))
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    turned = scene.transpose(Image.Transpose.ROTATE_90)
    found = images.read(encoded(turned, exif=exif))
    assert (found.width, found.height) == (640, 480)
    assert found.trimmed == Bars(0, 60, 0, 60)


def night(size: tuple[int, int] = (640, 360)) -> Image.Image:
    """A drawn night: black all round, a lit street in the middle, lamps near the edges."""
    image = Image.new("RGB", size, (4, 4, 8))
    pen = ImageDraw.Draw(image)
    w, h = size
    pen.ellipse((w * 0.2, h * 0.25, w * 0.8, h * 1.4), fill=(120, 90, 60))
    pen.ellipse((w * 0.1, h * 0.02, w * 0.16, h * 0.1), fill=(250, 240, 200))
    return grainy(image.filter(ImageFilter.GaussianBlur(6)))


def ramp(size: tuple[int, int] = (640, 360)) -> Image.Image:
    """A vignette: grey in the middle, darker to the edges, black in the corners alone."""
    y, x = np.mgrid[-1 : 1 : size[1] * 1j, -1 : 1 : size[0] * 1j]
    grey = 255 * np.clip(1 - 0.5 * (x**2 + y**2), 0, 1)
    return Image.fromarray(np.repeat(grey[..., None], 3, 2).astype(np.uint8))


@pytest.mark.parametrize(
    "image",
    [
        pytest.param(night(), id="night"),
        pytest.param(ramp(), id="vignette"),
        pytest.param(Image.new("RGB", (640, 360), "black"), id="black"),
        pytest.param(Image.new("RGB", (640, 360), (20, 20, 20)), id="nearly black"),
        pytest.param(picture((640, 360)), id="drawing"),
        pytest.param(framed(picture((640, 360)), (640, 372)), id="bars of under 4%"),
        pytest.param(framed(picture((640, 120)), (640, 480)), id="bars of over 35%"),
        pytest.param(framed(picture((640, 360)), (640, 480), "white"), id="white bars"),
        pytest.param(framed(picture((640, 360)), (640, 480), (120, 0, 0)), id="red bars"),
        pytest.param(picture((640, 360)).crop((0, -90, 640, 360)), id="a bar above alone"),
        pytest.param(picture((40, 30)), id="tiny"),
    ],
)
def test_what_is_no_bar_stays(image) -> None:
    found = images.read(encoded(image, "PNG"))
    assert found.trimmed is None
    assert found.rgb.size == image.size


def test_blurred_side_bars_stay() -> None:
    """Players fill the sides of upright videos with a blurred copy; it belongs to the picture."""
    scene = picture((404, 720))
    blurred = scene.resize((1280, 720)).filter(ImageFilter.GaussianBlur(30))
    blurred.paste(scene, (438, 0))
    assert images.read(encoded(blurred)).trimmed is None


def test_a_speck_in_a_bar_does_not_hide_it() -> None:
    speck = framed(picture((640, 360)), (640, 480))
    ImageDraw.Draw(speck).rectangle((100, 20, 108, 24), fill="white")
    assert bars.find(speck) == Bars(0, 60, 0, 60)


def test_saving_again_at_a_low_quality_does_not_hide_bars() -> None:
    for quality in (30, 60, 95):
        scene = encoded(framed(picture((640, 360)), (480, 360)), quality=quality)
        with Image.open(io.BytesIO(scene)) as opened:
            assert bars.find(opened.convert("RGB")) is not None, quality


DATA = Path(__file__).resolve().parents[5] / "shared" / "data" / "thumbnails"


@pytest.mark.skipif(not DATA.is_dir(), reason="the collection is not here")
def test_bars_of_real_thumbnails_are_found_and_others_left_alone() -> None:
    files = sorted(DATA.rglob("*.jpg"))[::20]
    plain = [images.read(file.read_bytes()) for file in files]
    without = [image.rgb for image in plain if image.trimmed is None]
    assert len(without) >= 0.95 * len(files)  # few have bars of their own
    found = [images.read(encoded(framed(rgb, (480, 360)), quality=85)) for rgb in without]
    share = np.mean([image.trimmed is not None for image in found])
    assert share >= 0.98, share
